"""Thumbnails as small grey squares, which is what pictures are compared by."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lookalike.kernels import in_parallel
from lookalike.types import FloatArray, PixelArray

COARSE, FINE = 32, 64
"""Sides of the squares that are compared first, and in the end."""


def grey_raster(jpeg: bytes | None, side: int) -> PixelArray:
    """Brightness of a JPEG, stretched to a square by averaging, uint8 (side, side); 0 for None."""
    if jpeg is None:
        return np.zeros((side, side), np.uint8)
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("L", (side, side))  # decodes no more than is needed
        grey = image if image.mode == "L" else image.convert("L")
        return np.asarray(grey.resize((side, side), Image.Resampling.HAMMING))


def colour_raster(jpeg: bytes | None, side: int) -> PixelArray:
    """Colours of a JPEG, stretched to a square by averaging, uint8 (side, side, 3)."""
    if jpeg is None:
        return np.zeros((side, side, 3), np.uint8)
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (side, side))
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        return np.asarray(rgb.resize((side, side), Image.Resampling.HAMMING))


def grey_rasters(jpegs: Sequence[bytes | None], side: int = COARSE) -> PixelArray:
    """``grey_raster`` of many, on all cores, uint8 (n, side, side)."""
    out = np.zeros((len(jpegs), side, side), np.uint8)

    def some(first: int, last: int) -> None:
        for number in range(first, last):
            out[number] = grey_raster(jpegs[number], side)

    if jpegs:
        in_parallel(some, len(jpegs), least=8)
    return out


def colour_rasters(jpegs: Sequence[bytes | None], side: int = FINE) -> PixelArray:
    """``colour_raster`` of many, on all cores, uint8 (n, side, side, 3)."""
    out = np.zeros((len(jpegs), side, side, 3), np.uint8)

    def some(first: int, last: int) -> None:
        for number in range(first, last):
            out[number] = colour_raster(jpegs[number], side)

    if jpegs:
        in_parallel(some, len(jpegs), least=8)
    return out


@functools.cache
def area_matrix(wide: int, narrow: int, low: float = 0.0, high: float | None = None) -> FloatArray:
    """What averages ``wide`` samples from ``low`` to ``high`` into ``narrow``, (narrow, wide)."""
    edges = np.linspace(low, wide if high is None else high, narrow + 1)
    starts = np.arange(wide)
    covered = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    covered = np.maximum(covered, 0)
    weights: FloatArray = (covered / covered.sum(1, keepdims=True)).astype(np.float32)
    return weights


@functools.cache
def _local_mean(side: int, reach: int) -> FloatArray:
    """What gives the means of ``2 * reach + 1`` samples around each, mirrored at the ends."""
    near = np.arange(side)[:, None] + np.arange(-reach, reach + 1)
    near = np.abs(near)
    near = np.minimum(near, 2 * (side - 1) - near)
    matrix = np.zeros((side, side), np.float32)
    np.add.at(matrix, (np.arange(side)[:, None], near), np.float32(1 / (2 * reach + 1)))
    return matrix


def without_local_mean(images: FloatArray, reach: int) -> FloatArray:
    """Images (n, side, side) less the mean of ``2 * reach + 1`` squared pixels around each."""
    means = _local_mean(images.shape[1], reach)
    return np.asarray(images - means @ images @ means.T, np.float32)
