"""How pictures become an encoder's square, by the name that a space carries.

``central-geometric`` is the default encoder's own. The others are those with which the encoders
were trained and published, byte for byte (with Pillow as the reference has it installed):
``shortest``: the shortest side is resized to so many pixels, then the middle is cut out;
``squashed``: all of the picture is resized to a square, whatever its shape.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from lookalike.features.resample import resample
from lookalike.types import PixelArray

_LONGEST = 16
"""Pictures up to so many times as long as wide are resized whole, as the references do it."""

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(image: Image.Image, preprocessing: str, side: int) -> PixelArray:
    """An RGB picture of any size as uint8 (side, side, 3).

    ``preprocessing``: ``central-geometric-SIDE-bicubic``, ``squashed-SIDE-FILTER``,
    ``shortest-SHORT-SIDE-FILTER`` or, with the middle cut out as torchvision rounds it,
    ``torchvision-SHORT-SIDE-FILTER``. Raises ValueError for another name.
    """
    way, *numbers, filter_ = preprocessing.removeprefix("central-").split("-")
    if way == "geometric":
        return central_square(image, side)
    method = _FILTERS[filter_]
    if way == "squashed":
        return np.asarray(image.resize((side, side), method))
    if way not in ("shortest", "torchvision"):
        raise ValueError(f"preprocessing {preprocessing!r}: not known")
    return _middle(image, int(numbers[0]), side, method, half_down=way == "shortest")


def _middle(
    image: Image.Image, short: int, side: int, method: Image.Resampling, *, half_down: bool
) -> PixelArray:
    """The central square of a picture whose shortest side was resized to ``short`` pixels.

    Of a long strip only the square is computed, from the box that it covers, which a byte here and
    there may round otherwise: 20 x 3000 pixels would be resized to ten million.
    """
    width, height = image.size
    least = min(width, height)
    wide, high = (int(short * length / least) for length in (width, height))
    left, top = (
        (length - side) // 2 if half_down else round((length - side) / 2) for length in (wide, high)
    )
    if max(wide, high) <= _LONGEST * short:
        whole = image.resize((wide, high), method)
        return np.asarray(whole.crop((left, top, left + side, top + side)))
    across, down = width / wide, height / high
    box = (left * across, top * down, (left + side) * across, (top + side) * down)
    return np.asarray(image.resize((side, side), method, box=box))


def central_square(image: Image.Image, side: int) -> PixelArray:
    """The middle of an RGB picture, its long side cropped to the geometric mean, as a square.

    Half way (in ratio) between squashing all of it and keeping its central square; measured against
    both in ``docs/adr/0002-preprocessing.md``. uint8 (side, side, 3).
    """
    box = central_box(image.width, image.height)
    return resample(image, (side, side), box)


def central_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom), in pixels, whose long side is sqrt(width * height)."""
    mean = math.sqrt(width * height)
    kept_width, kept_height = min(width, mean), min(height, mean)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
