"""Which parts of a picture make it like another: hide them one by one, and see how the score falls.

That asks nothing of an encoder but what every encoder does. One that tells what it saw at each
place is asked for that, too. Ways and figures that were weighed are in ``docs/adr/0011-why.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lookalike.features.encoders import Encoder, PlacesEncoder
from lookalike.types import Crop, DoubleArray, FloatArray, PixelArray

CELLS = 49
"""About so many squares are hidden, one after the other."""

FINER = 4
"""Rows and columns of the map for each of those of squares."""

MARKED = 0.2
"""Share of a picture that is marked at most, the most telling places."""

LEAST_RELEVANCE = 0.2
"""What is less relevant than this, beside the most telling place, is not marked."""

LEAST_FALL = 0.01
"""If hiding what is marked lowers the score by less, nothing is telling."""

_LEAST_PIECE = 0.01
"""Share of a picture below which a piece by itself is not marked."""

_BLUR = 1 / 9
"""Spread of the blur that hides a place, by the picture's shorter side."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Relevance:
    """See ``types.WhySide``, whose fields these are."""

    relevance: FloatArray
    marked: Mask
    boxes: tuple[Crop, ...]
    fall: float


class Hider:
    """Scores of a picture against a vector while places of it are hidden.

    ``target`` float64 (dim,) of unit length. Hidden is what is replaced by the blurred picture: no
    new edges, no new colours.
    """

    def __init__(self, encoder: Encoder, picture: Image.Image, target: DoubleArray) -> None:
        self._encoder = encoder
        self._target = target
        self.grid = _grid(picture.size)
        small = _reduced(picture, encoder.spec.side, self.grid)
        self._pixels = np.asarray(small)
        radius = min(small.size) * _BLUR
        self._blurred = np.asarray(small.filter(ImageFilter.GaussianBlur(radius)))

    def scores(self, hidden: Sequence[Mask]) -> DoubleArray:
        """Cosines with the target while the places are hidden, float64 (len(hidden),).

        A mask may have any number of rows and columns; it is laid over the whole picture.
        """
        prepared = np.stack([self._encoder.prepare(self._without(mask)) for mask in hidden])
        return np.asarray(self._encoder.encode(prepared).vectors @ self._target, np.float64)

    def falls(self) -> DoubleArray:
        """How far the score falls when each place of the grid is hidden, ``FINER`` times as fine.

        Float64 (rows, columns), smooth between the places.
        """
        squares = np.eye(math.prod(self.grid), dtype=bool).reshape(-1, *self.grid)
        whole, *each = self.scores([np.zeros(self.grid, bool), *squares]).tolist()
        falls = np.array([whole - score for score in each]).reshape(self.grid)
        return _resized(falls, (FINER * self.grid[0], FINER * self.grid[1]))

    def _without(self, mask: Mask) -> Image.Image:
        places = stretched(mask, self._pixels.shape[:2])[..., None]
        pixels: PixelArray = np.where(places, self._blurred, self._pixels)
        return Image.fromarray(pixels)


def relevance(
    encoder: Encoder, picture: Image.Image, target: DoubleArray, *, quick: bool = False
) -> Relevance:
    """Where an RGB picture is like what ``target`` is the vector of, float64 (dim,), unit length.

    Several maps are made, and the one whose marked places tell most, when all are hidden at one
    time, is the answer. Takes some sixty passes through the encoder; half a dozen if it tells what
    it saw at each place and has to be ``quick``.
    """
    hider = Hider(encoder, picture, target)
    direct = _direct(encoder, picture, target, hider.grid)
    maps = [] if direct is None else _smoother(direct)
    if direct is None or not quick:
        hidden = _smoother(hider.falls())
        mixed = [] if direct is None else [_level(one) + _level(direct) for one in hidden[:2]]
        maps += [*hidden, *mixed]
    found = [_scaled(one) for one in maps]
    marked = [_marked(one) for one in found]
    whole, *scores = hider.scores([np.zeros((1, 1), bool), *marked]).tolist()
    best = int(np.argmin(scores))
    fall = whole - scores[best]
    if fall < LEAST_FALL:
        return unmarked(found[best])
    return Relevance(found[best], marked[best], boxes_of(found[best], marked[best]), fall)


def _smoother(values: DoubleArray) -> list[DoubleArray]:
    """A map and smoother ones: a place alone tells little where its neighbours tell the same."""
    return [values, _smoothed(values, FINER / 2), _smoothed(values, FINER)]


def _direct(
    encoder: Encoder, picture: Image.Image, target: DoubleArray, grid: tuple[int, int]
) -> DoubleArray | None:
    """What each place adds to the product with the target, if the encoder tells, else None."""
    places = encoder.places(picture) if isinstance(encoder, PlacesEncoder) else None
    if places is None:
        return None
    rows, columns = grid[0] * FINER, grid[1] * FINER
    left, top, width, height = places.box
    whole = np.zeros((rows, columns))
    inside = whole[_span(rows, top, height), _span(columns, left, width)]
    inside[:] = _resized(np.asarray(places.vectors @ target, np.float64), inside.shape)
    return whole


def _span(count: int, start: float, part: float) -> slice:
    """Which of ``count`` rows or columns a part of the picture covers, at least one."""
    first = min(round(count * start), count - 1)
    return slice(first, max(first + 1, round(count * (start + part))))


def _level(values: DoubleArray) -> DoubleArray:
    """Values of mean 0 and spread 1."""
    spread = float(values.std())
    levelled: DoubleArray = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return levelled


def _resized(values: DoubleArray, shape: tuple[int, ...]) -> DoubleArray:
    image = Image.fromarray(values.astype(np.float32))
    resized = image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float64)


def _smoothed(values: DoubleArray, spread: float) -> DoubleArray:
    """Every place the mean of those around it, by a bell of this spread."""
    rows, columns = (_bell(count, spread) for count in values.shape)
    smoothed: DoubleArray = rows @ values @ columns.T
    return smoothed


def _bell(count: int, spread: float) -> DoubleArray:
    apart = np.subtract.outer(np.arange(count), np.arange(count)) / spread
    weights = np.exp(-(apart**2) / 2)
    bell: DoubleArray = weights / weights.sum(axis=1, keepdims=True)
    return bell


def unmarked(relevance: FloatArray) -> Relevance:
    """A map none of whose places is telling."""
    return Relevance(relevance, np.zeros(relevance.shape, bool), (), 0.0)


def everywhere(size: tuple[int, int]) -> Relevance:
    """The map of a picture (width, height) all of which is telling."""
    rows, columns = _grid(size)
    shape = (rows * FINER, columns * FINER)
    return Relevance(np.ones(shape, np.float32), np.ones(shape, bool), ((0.0, 0.0, 1.0, 1.0),), 0.0)


def stretched(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """A mask over a picture at another size (rows, columns), its places as they are."""
    if mask.shape == shape:
        return mask
    image = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.NEAREST)) > 0


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of about ``CELLS`` places, as square as the picture's size lets them be."""
    short = max(1, round(math.sqrt(CELLS * min(size) / max(size))))
    long = round(CELLS / short)
    return (long, short) if size[1] > size[0] else (short, long)


def _reduced(picture: Image.Image, side: int, grid: tuple[int, int]) -> Image.Image:
    """As large as the encoder needs, and a pixel at least for every row and column of the grid."""
    scale = min(1.0, side / min(picture.size))
    size = (
        max(grid[1], round(picture.width * scale)),
        max(grid[0], round(picture.height * scale)),
    )
    return picture.resize(size, Image.Resampling.BICUBIC) if size != picture.size else picture


def _scaled(values: DoubleArray) -> FloatArray:
    """A map as float32, 0..1: less than nothing is nothing, the most is 1."""
    positive = np.maximum(values, 0)
    most = float(positive.max())
    scaled: FloatArray = (positive / most if most > 0 else positive).astype(np.float32)
    return scaled


def _marked(relevance: FloatArray) -> Mask:
    """The most telling places, ``MARKED`` of all at most, without specks."""
    flat = relevance.ravel()
    best = np.argsort(-flat, kind="stable")[: int(MARKED * flat.size)]
    marked = np.zeros(flat.size, bool)
    marked[best] = flat[best] >= LEAST_RELEVANCE
    pieces = _pieces(marked.reshape(relevance.shape))
    large = [piece for piece in pieces if piece.sum() >= _LEAST_PIECE * flat.size]
    return np.any(large, axis=0) if large else np.zeros(relevance.shape, bool)


def boxes_of(relevance: FloatArray, marked: Mask) -> tuple[Crop, ...]:
    """Boxes around the connected pieces of what is marked, the most telling first."""
    rows, columns = marked.shape
    pieces = sorted(_pieces(marked), key=lambda piece: -float(relevance[piece].sum()))
    boxes = []
    for piece in pieces:
        y, x = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
        wide, high = int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)
        boxes.append(
            (int(x[0]) / columns, int(y[0]) / rows, wide / columns, high / rows),
        )
    return tuple(boxes)


def _pieces(marked: Mask) -> list[Mask]:
    """The connected pieces (by edges) of a mask, in the order of their first places."""
    left, found = marked.copy(), []
    while left.any():
        start = np.zeros_like(left)
        start[np.unravel_index(int(np.argmax(left)), left.shape)] = True
        piece = _grown(start, left)
        left &= ~piece
        found.append(piece)
    return found


def _grown(piece: Mask, within: Mask) -> Mask:
    """All places of ``within`` that can be reached from a piece, edge by edge."""
    while True:
        wider = np.pad(piece, 1)
        around = wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:]
        grown: Mask = piece | (around & within)
        if (grown == piece).all():
            return piece
        piece = grown
