"""Parts of a picture: crops in fractions of its size, and the grid that labels are taken from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PIL import Image

from lookalike.types import Crop


def grid(count: int, side: float) -> tuple[Crop, ...]:
    """``count`` by ``count`` crops of this side, 0..1, evenly from edge to edge, row by row."""
    starts = [n * (1 - side) / (count - 1) for n in range(count)]
    return tuple((left, top, side, side) for top in starts for left in starts)


PARTS = grid(3, 0.4)
"""Where a picture is looked at beside the whole: other grids in docs/adr/0012-parts.md."""


def cut(image: Image.Image, crops: Iterable[Crop]) -> Iterator[Image.Image]:
    """Parts of a picture, each at least one pixel wide and high."""
    for crop in crops:
        yield image.crop(pixel_box(image.size, crop))


def pixel_box(size: tuple[int, int], crop: Crop) -> tuple[int, int, int, int]:
    """A crop's left, top, right and bottom in pixels, at least one pixel wide and high."""
    left, top = (min(round(crop[i] * size[i]), size[i] - 1) for i in (0, 1))
    right, bottom = (min(round((crop[i] + crop[i + 2]) * size[i]), size[i]) for i in (0, 1))
    return left, top, max(right, left + 1), max(bottom, top + 1)
