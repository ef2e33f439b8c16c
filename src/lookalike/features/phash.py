"""A 64-bit perceptual hash: the signs of the lowest frequencies of the picture's brightness.

Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
section 3.2.1. Pictures that differ by a few bits are likely copies of each other.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lookalike.features.resample import resample
from lookalike.types import DoubleArray

_LUMA = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue are (ITU-R BT.601)."""

_SIDE = 32
_KEPT = 8


def _cosine_basis() -> DoubleArray:
    """The first 8 rows of the DCT-II matrix for 32 samples, float64 (8, 32)."""
    frequency = np.arange(_KEPT)[:, None]
    sample = np.arange(_SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * sample + 1) / (2 * _SIDE))


_BASIS = _cosine_basis()


def phash(image: Image.Image) -> int:
    """The hash of an RGB picture, an unsigned 64-bit number; the lowest frequency is bit 63."""
    brightness = resample(image, (_SIDE, _SIDE), cubic=False) @ _LUMA
    lowest = (_BASIS @ brightness @ _BASIS.T).ravel().round(6)  # rounding is no detail
    bits = lowest > np.median(lowest[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
