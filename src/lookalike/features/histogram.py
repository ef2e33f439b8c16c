"""The 16x16x16 colour histogram and the four ways of comparing two of them.

The colour raster is the sRGB picture reduced by area to fit 256 x 255 pixels, so that every count
fits 16 bits. ``score`` is the plain reference for one pair, after OpenCV's documented formulas for
``compareHist``; ``indexes/colour.py`` does the same for many at once.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lookalike import kernels
from lookalike.features.resample import resample
from lookalike.types import DoubleArray, PixelArray, SparseHistogram

RASTER = (256, 255)
"""Greatest width and height of the colour raster, in pixels."""


def histogram(image: Image.Image) -> SparseHistogram:
    """The colour histogram of an RGB picture, bins of 16 levels in the order R, G, B."""
    counts = kernels.count_bins(_raster(image).reshape(-1, 3))
    bins = np.flatnonzero(counts)
    return SparseHistogram(bins.astype(np.uint16), counts[bins].astype(np.uint16))


def _raster(image: Image.Image) -> PixelArray:
    scale = min(1.0, RASTER[0] / image.width, RASTER[1] / image.height)
    if scale == 1.0:
        return np.asarray(image)
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    return resample(image, size, cubic=False)


def score(query: DoubleArray, other: DoubleArray, metric: str) -> float:
    """Compare two histograms, each float64 (4096,) summing to 1; the query comes first.

    correlation -1..1 and intersection 0..1 rise with likeness; chi-square 0..inf and
    bhattacharyya 0..1 fall. Raises KeyError for another metric.
    """
    return _SCORES[metric](query, other)


def _correlation(query: DoubleArray, other: DoubleArray) -> float:
    a, b = query - query.mean(), other - other.mean()
    spread = float((a @ a) * (b @ b))
    return float(a @ b / spread**0.5) if spread > np.finfo(np.float64).eps else 1.0


def _chi_square(query: DoubleArray, other: DoubleArray) -> float:
    filled = query > np.finfo(np.float64).eps
    return float((((query - other)[filled]) ** 2 / query[filled]).sum())


def _intersection(query: DoubleArray, other: DoubleArray) -> float:
    return float(np.minimum(query, other).sum())


def _bhattacharyya(query: DoubleArray, other: DoubleArray) -> float:
    mass = float(query.sum() * other.sum())
    coefficient = float(np.sqrt(query * other).sum()) / mass**0.5
    return float(max(1.0 - coefficient, 0.0) ** 0.5)


_SCORES = {
    "correlation": _correlation,
    "chi-square": _chi_square,
    "intersection": _intersection,
    "bhattacharyya": _bhattacharyya,
}
