"""Thumbnails as small pixels for sheets and posters."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""uint8 (side, side, 3)."""

GREY = 128
"""What stands where there is no picture."""


def tile(jpeg: bytes | None, side: int) -> Pixels:
    """The middle square of a picture, ``side`` pixels wide; grey where there is none."""
    if jpeg is None:
        return np.full((side, side, 3), GREY, np.uint8)
    try:
        opened = Image.open(io.BytesIO(jpeg))
        opened.draft("RGB", (side, side))  # decodes a half, a quarter or an eighth, no smaller
        width, height = opened.size
        shorter = min(width, height)
        left, top = (width - shorter) / 2, (height - shorter) / 2
        box = (left, top, left + shorter, top + shorter)
        way = Image.Resampling.BILINEAR if shorter >= side else Image.Resampling.BICUBIC
        return np.asarray(opened.convert("RGB").resize((side, side), way, box=box))
    except OSError:  # a damaged thumbnail spoils no sheet
        return np.full((side, side, 3), GREY, np.uint8)
