"""A stand-in for the encoder that draws vectors instead of computing them.

With it a library of half a million real files is made in minutes, with everything but inference:
histograms, thumbnails and catalogue are those of the files, the vectors are drawn so that they lie
to each other as real ones do (``vectors.VectorGenerator``). What such a run took is what indexing
takes beside the encoder.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from vectors import VectorGenerator, real_vectors

from lookalike.features.encoders import Encoded, EncoderSpec
from lookalike.features.encoders.catalogue import CATALOGUE, DEFAULT_ENCODER

VARIABLE = "LOOKALIKE_BENCHMARK_DRAWN"
"""Names the library whose vectors are imitated; benchmarks hand it to the processes they start."""


class DrawnEncoder:
    """An Encoder with the default encoder's space.

    Vectors follow from the pictures that are encoded together, so that a run that continues after
    a kill does not draw the same ones again.
    """

    def __init__(self, like: Path) -> None:
        self.spec: EncoderSpec = CATALOGUE[DEFAULT_ENCODER]
        self._generator = VectorGenerator(real_vectors(like), seed=1)

    def prepare(self, image: Image.Image) -> np.ndarray:
        digest = zlib.crc32(image.tobytes())
        return np.frombuffer(digest.to_bytes(4, "big"), np.uint8)

    def encode(self, pixels: np.ndarray) -> Encoded:
        stream = zlib.crc32(pixels.tobytes())
        logits = np.random.default_rng(stream).normal(size=(len(pixels), self.spec.classes))
        vectors = self._generator.sample(len(pixels), stream)
        return Encoded(vectors, logits.astype(np.float32))
