"""A stand-in for the encoder that draws vectors instead of computing them.

With it a library of half a million real files is made in minutes, with everything but inference:
histograms, thumbnails and catalogue are those of the files, the vectors are drawn so that they lie
to each other as real ones do (``vectors.VectorGenerator``). What such a run took is what indexing
takes beside the encoder.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from PIL import Image
from vectors import VectorGenerator, real_vectors

from lookalike.features.encoders import Encoded, EncoderSpec
from lookalike.features.encoders.catalogue import CATALOGUE, DEFAULT_ENCODER

VARIABLE = "LOOKALIKE_BENCHMARK_DRAWN"
"""Names the library whose vectors are imitated; benchmarks hand it to the processes they start."""


class DrawnEncoder:
    """An Encoder with the default encoder's space. Vectors depend on the order of calls alone."""

    def __init__(self, like: Path) -> None:
        self.spec: EncoderSpec = CATALOGUE[DEFAULT_ENCODER]
        self._generator = VectorGenerator(real_vectors(like), seed=1)
        self._calls = itertools.count(1)

    def prepare(self, image: Image.Image) -> np.ndarray:
        return np.zeros(1, np.uint8)

    def encode(self, pixels: np.ndarray) -> Encoded:
        stream = next(self._calls)
        logits = np.random.default_rng(stream).normal(size=(len(pixels), self.spec.classes))
        vectors = self._generator.sample(len(pixels), stream)
        return Encoded(vectors, logits.astype(np.float32))
