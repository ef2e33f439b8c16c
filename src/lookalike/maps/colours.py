"""The colours of clusters, and what a colour is called."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from lookalike.features.oklab import BIN_OKLAB, BIN_RGB, oklab
from lookalike.stores.base import HistogramPart, HistogramTable
from lookalike.types import BINS, DoubleArray, FloatArray

SAMPLED = 200
"""Rows of a cluster whose histograms are looked at, evenly spread."""

MOST = 5
"""Colours told of at most."""

LEAST_SHARE = 0.04

_ALIKE = 0.11
"""Distance in Oklab up to which colours count as one; black and white are 1 apart."""

_NAMED = {
    "black": (20, 20, 20), "dark grey": (80, 80, 80), "grey": (128, 128, 128),
    "light grey": (190, 190, 190), "white": (245, 245, 245), "red": (200, 30, 30),
    "pink": (240, 150, 180), "orange": (240, 140, 30), "brown": (110, 70, 40),
    "beige": (215, 190, 155), "yellow": (240, 215, 60), "olive": (120, 120, 50),
    "green": (50, 150, 60), "dark green": (30, 70, 35), "turquoise": (60, 190, 185),
    "light blue": (150, 195, 235), "blue": (45, 95, 200), "dark blue": (25, 35, 85),
    "light green": (150, 205, 100),
    "teal": (40, 135, 125),
    "purple": (120, 50, 150),
}  # fmt: skip
_NAMES = tuple(_NAMED)
_GREY = 0.025
"""Chroma in Oklab below which a colour is a grey."""
_HUE, _FULLNESS = 0.25, 0.5
"""What a turn of hue by a radian, and a difference in chroma, count beside one in lightness."""
_NAMED_OKLAB = oklab(np.array(list(_NAMED.values()), np.float64))


def mean_histogram(table: HistogramTable, rows: NDArray[np.int64]) -> DoubleArray:
    """The mean of the shares of some rows of a table, float64 (4096,); -1 is no row, zeros if none.

    Of more than ``SAMPLED`` rows an even sample.
    """
    rows = rows[rows >= 0]
    rows = np.sort(rows[:: -(-len(rows) // SAMPLED) or 1])
    total, start, seen = np.zeros(BINS), 0, 0
    for part in table.parts:
        own = rows[(rows >= start) & (rows < start + len(part))] - start
        start += len(part)
        if len(own):
            total += _sum_of_shares(part, own)
            seen += len(own)
    return total / max(seen, 1)


def _sum_of_shares(part: HistogramPart, rows: NDArray[np.int64]) -> DoubleArray:
    firsts = np.where(rows > 0, part.ends[np.maximum(rows, 1) - 1], 0).astype(np.int64)
    lengths = part.ends[rows].astype(np.int64) - firsts
    owner = np.repeat(np.arange(len(rows)), lengths)
    cells = np.arange(len(owner)) + np.repeat(firsts - (np.cumsum(lengths) - lengths), lengths)
    counts = part.counts[cells].astype(np.float64)
    pixels = np.bincount(owner, counts, len(rows))
    weights = counts / pixels[owner]
    sums: DoubleArray = np.bincount(part.bins[cells], weights, BINS).astype(np.float64)
    return sums


def dominant(shares: DoubleArray) -> list[list[tuple[tuple[int, int, int], float]]]:
    """Of every row of ``shares`` (n, 4096) up to ``MOST`` colours as RGB with their shares.

    The greatest first. What looks about like the fullest bin where most lies is a colour; then
    the same of what is left.
    """
    left = shares.astype(np.float32)
    found: list[list[tuple[tuple[int, int, int], float]]] = [[] for _ in left]
    for _ in range(MOST):
        coarse = left.reshape(-1, 8, 2, 8, 2, 8, 2).sum(axis=(2, 4, 6)).reshape(-1, 512)
        centres = np.argmax(coarse @ _coarsely_around().T, axis=1)
        for row, centre in enumerate(centres.tolist()):
            alike = _like_the_fullest(left[row], _CENTRES[centre])
            weights = left[row, alike].astype(np.float64)
            share = float(weights.sum())
            if share >= LEAST_SHARE:
                mean = (BIN_RGB[alike] * weights[:, None]).sum(axis=0) / share
                red, green, blue = np.rint(mean).astype(int).tolist()
                found[row].append(((red, green, blue), share))
            left[row, alike] = 0
    return [sorted(row, key=lambda one: -one[1]) for row in found]


_STEPS = np.linspace(0, 255, 9)
_CENTRES = oklab(np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), -1).reshape(-1, 3))
"""729 colours spread evenly, around which the main ones are sought."""

_COARSE_RGB = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), 1).astype(np.float64) * 34 + 8.5
"""The colours of eight bins each."""


@functools.cache
def _coarsely_around() -> FloatArray:
    """Which eight bins look about like each centre, float32 (729, 512)."""
    bins = oklab(_COARSE_RGB)
    near = [np.linalg.norm(bins - centre, axis=1) <= _ALIKE for centre in _CENTRES]
    return np.stack(near).astype(np.float32)


def _like_the_fullest(left: FloatArray, centre: DoubleArray) -> NDArray[np.int64]:
    """The bins with something left that look like the fullest one around a place in Oklab."""
    near = np.linalg.norm(BIN_OKLAB - centre, axis=1) <= 2 * _ALIKE
    fullest = int(np.argmax(np.where(near, left, 0)))
    alike = np.linalg.norm(BIN_OKLAB - BIN_OKLAB[fullest], axis=1) <= _ALIKE
    return np.flatnonzero(alike & (left > 0))


def as_hex(rgb: tuple[int, int, int]) -> str:
    """As web pages write it: "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def name_of(rgb: tuple[int, int, int]) -> str:
    """What the colour is called in English: the nearest of a few by Oklab.

    Hue counts more than how full a colour is: photographs are pale, and a pale blue is no grey.
    """
    (own,) = oklab(np.array([rgb], np.float64))
    chroma, others = np.linalg.norm(own[1:]), np.linalg.norm(_NAMED_OKLAB[:, 1:], axis=1)
    lightness = np.abs(_NAMED_OKLAB[:, 0] - own[0])
    if chroma < _GREY:
        apart = np.where(others < _GREY, lightness, np.inf)
    else:
        hues = _NAMED_OKLAB[:, 1:] / np.maximum(others, _GREY)[:, None]
        turned = np.linalg.norm(hues - own[1:] / chroma, axis=1)
        apart = np.hypot(np.hypot(lightness, _HUE * turned), _FULLNESS * (others - chroma))
        apart[others < _GREY] = np.inf
    return _NAMES[int(np.argmin(apart))]
