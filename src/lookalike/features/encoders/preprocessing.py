"""How a picture becomes the square that an encoder takes."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from lookalike.features.encoders.base import PixelArray


def central_square(image: Image.Image, side: int) -> PixelArray:
    """The middle of an RGB picture, its long side cropped to the geometric mean, as a square.

    Half way (in ratio) between squashing all of it and keeping its central square; measured against
    both in ``docs/adr/0002-preprocessing.md``. uint8 (side, side, 3).
    """
    box = central_box(image.width, image.height)
    square = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    return np.asarray(square, dtype=np.uint8)


def central_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom), in pixels, whose long side is sqrt(width * height)."""
    mean = math.sqrt(width * height)
    kept_width, kept_height = min(width, mean), min(height, mean)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
