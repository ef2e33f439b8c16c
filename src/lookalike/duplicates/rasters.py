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


def grey_rasters(jpegs: Sequence[bytes | None], side: int = COARSE) -> PixelArray:
    """Brightness of JPEGs, stretched to squares by averaging, uint8 (n, side, side); 0 for None."""
    return _rasters(jpegs, "L", (side, side))


def colour_rasters(jpegs: Sequence[bytes | None], side: int = FINE) -> PixelArray:
    """Colours of JPEGs, stretched to squares by averaging, uint8 (n, side, side, 3); 0 for None."""
    return _rasters(jpegs, "RGB", (side, side, 3))


def _rasters(jpegs: Sequence[bytes | None], mode: str, shape: tuple[int, ...]) -> PixelArray:
    """Rasters of many JPEGs, on all cores."""
    out = np.zeros((len(jpegs), *shape), np.uint8)

    def some(first: int, last: int) -> None:
        for number in range(first, last):
            jpeg = jpegs[number]
            if jpeg is not None:
                out[number] = _raster(jpeg, mode, shape[0])

    if jpegs:
        in_parallel(some, len(jpegs), least=8)
    return out


def _raster(jpeg: bytes, mode: str, side: int) -> PixelArray:
    with Image.open(io.BytesIO(jpeg)) as image:
        drafted = image.draft(mode, (side, side))  # decodes no more than is needed
        # Sizes decoded at a reduced scale are rounded up: 225 pixels become 113, of which the
        # picture fills 112.5. Without its true box it would be squeezed by a third of a pixel.
        box = drafted[1] if drafted else None
        plain = image if image.mode == mode else image.convert(mode)
        return np.asarray(plain.resize((side, side), Image.Resampling.HAMMING, box=box))


@functools.cache
def area_matrix(wide: int, narrow: int, low: float = 0.0, high: float | None = None) -> FloatArray:
    """What averages ``wide`` samples from ``low`` to ``high`` into ``narrow``, (narrow, wide)."""
    edges = np.linspace(low, wide if high is None else high, narrow + 1)
    starts = np.arange(wide)
    covered = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    covered = np.maximum(covered, 0)
    weights: FloatArray = (covered / covered.sum(1, keepdims=True)).astype(np.float32)
    return weights
