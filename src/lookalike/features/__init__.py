"""What a decoded picture gives: facts, histogram, perceptual hash, thumbnail, vector, logits."""
