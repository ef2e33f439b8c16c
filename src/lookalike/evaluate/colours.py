"""Other ways to describe colours: more or fewer bins, and where in the picture they are.

Nothing here is stored or searched by; it answers whether the 16 x 16 x 16 bins of whole pictures
are a good choice: how well they find pictures of the same kind, and a picture that was changed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.errors import InputError
from lookalike.evaluate.metrics import Estimate, estimate, precision_at
from lookalike.types import COLOUR_MEASURES, DoubleArray

_SEED = 0
_EPSILON = float(np.finfo(np.float64).eps)
_CELL_BYTES = 4
"""A bin's number and its count, 16 bits each, as histograms are stored."""


@dataclass(frozen=True, slots=True)
class Colouring:
    """Histograms of ``bins`` a channel, one for each of ``grid`` x ``grid`` parts of a picture."""

    bins: int = 16
    grid: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.bins <= 64 or not 1 <= self.grid <= 8:
            raise InputError(
                f"bins {self.bins}, grid {self.grid}: 1 to 64 bins a channel, a grid of 1 to 8"
            )

    @property
    def name(self) -> str:
        """For tables."""
        parts = "" if self.grid == 1 else f" in {self.grid} x {self.grid} parts"
        return f"{self.bins} bins{parts}"

    @property
    def size(self) -> int:
        """Numbers of a full description."""
        return int(self.grid**2 * self.bins**3)

    def describe(self, image: Image.Image) -> tuple[NDArray[np.int64], DoubleArray]:
        """The filled bins of an RGB picture, ascending, and their shares, which sum to 1.

        Order: parts by row, within them red, green, blue; as ``features.histogram`` for one part.
        """
        pixels = np.asarray(image.convert("RGB"), np.int64) * self.bins // 256
        codes = (pixels[..., 0] * self.bins + pixels[..., 1]) * self.bins + pixels[..., 2]
        rows, columns = (np.arange(length) * self.grid // length for length in codes.shape)
        parts = rows[:, None] * self.grid + columns
        counts = np.bincount((parts * self.bins**3 + codes).ravel(), minlength=self.size)
        found = np.flatnonzero(counts)
        return found, counts[found] / counts.sum()


class Colours:
    """Descriptions of many pictures, and the scores of one against all."""

    def __init__(self, colouring: Colouring, images: Sequence[bytes]) -> None:
        """``images``: files, such as thumbnails; each is decoded once."""
        self.colouring = colouring
        described = [colouring.describe(opened(data)) for data in images]
        self._bins = np.concatenate([bins for bins, _ in described])
        self._shares = np.concatenate([shares for _, shares in described])
        self._starts = np.cumsum([0, *(len(bins) for bins, _ in described)])

    @property
    def bytes_a_picture(self) -> float:
        """What a picture's filled bins take, 4 bytes each."""
        return _CELL_BYTES * len(self._bins) / (len(self._starts) - 1)

    def described(self, number: int) -> tuple[NDArray[np.int64], DoubleArray]:
        """One of the pictures, as ``Colouring.describe`` has it."""
        own = slice(self._starts[number], self._starts[number + 1])
        return self._bins[own], self._shares[own]

    def distances(self, query: tuple[NDArray[np.int64], DoubleArray], metric: str) -> DoubleArray:
        """Distances of all pictures from a description, by a metric, float64 (n,)."""
        dense = np.zeros(self.colouring.size)
        dense[query[0]] = query[1]
        own = dense[self._bins]
        scores = _SCORES[metric](self, dense, own)
        return COLOUR_MEASURES[metric].distance(scores)

    def sums(self, values: DoubleArray) -> DoubleArray:
        """Sums over each picture's bins."""
        return np.add.reduceat(values, self._starts[:-1])

    @property
    def shares(self) -> DoubleArray:
        """The shares of all filled bins, picture after picture."""
        return self._shares


def _intersection(colours: Colours, dense: DoubleArray, own: DoubleArray) -> DoubleArray:
    return colours.sums(np.minimum(colours.shares, own))


def _bhattacharyya(colours: Colours, dense: DoubleArray, own: DoubleArray) -> DoubleArray:
    return np.sqrt(np.maximum(1.0 - colours.sums(np.sqrt(colours.shares * own)), 0.0))


def _chi_square(colours: Colours, dense: DoubleArray, own: DoubleArray) -> DoubleArray:
    filled = own > _EPSILON
    inverse = np.where(filled, 1.0 / np.where(filled, own, 1.0), 0.0)
    inside = np.where(filled, colours.shares, 0.0)
    return 1.0 - 2.0 * colours.sums(inside) + colours.sums(inside**2 * inverse)


def _correlation(colours: Colours, dense: DoubleArray, own: DoubleArray) -> DoubleArray:
    mean = 1.0 / len(dense)
    products = colours.sums(colours.shares * own) - mean
    spread = (colours.sums(colours.shares**2) - mean) * (float(dense @ dense) - mean)
    flat = spread <= _EPSILON
    return np.where(flat, 1.0, products / np.sqrt(np.where(flat, 1.0, spread)))


_SCORES: Mapping[str, Callable[[Colours, DoubleArray, DoubleArray], DoubleArray]] = {
    "correlation": _correlation,
    "chi-square": _chi_square,
    "intersection": _intersection,
    "bhattacharyya": _bhattacharyya,
}


def opened(data: bytes) -> Image.Image:
    """A file's picture as RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


# -- changes ---------------------------------------------------------------------------------------


def _cropped(share: float, image: Image.Image) -> Image.Image:
    """The middle, ``share`` of both sides."""
    width, height = (max(1, round(side * share)) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _turned(degrees: float, image: Image.Image) -> Image.Image:
    """Turned, and cropped to what has no corners of nothing."""
    angle, ratio = math.radians(degrees), max(image.size) / min(image.size)
    turned = image.rotate(degrees, Image.Resampling.BICUBIC)
    return _cropped(1.0 / (math.cos(angle) + ratio * math.sin(angle)), turned)


def _scaled(share: float, image: Image.Image) -> Image.Image:
    width, height = (max(1, round(side * share)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 10°": partial(_turned, 10.0),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "half the size": partial(_scaled, 0.5),
    "a quarter of the size": partial(_scaled, 0.25),
    "cropped to 80 %": partial(_cropped, 0.8),
    "cropped to 50 %": partial(_cropped, 0.5),
}
"""What may happen to a picture that still shows the same; shares are of each side."""


# -- the study -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColourTrial:
    """One description and metric: precision among the k nearest, and changed pictures found again.

    ``found_again``: by change, the share of changed pictures whose nearest is what they were.
    """

    colouring: str
    metric: str
    precision: Estimate
    bytes_a_picture: float
    found_again: Mapping[str, float]


def colour_study(
    images: Sequence[bytes],
    labels: Sequence[str],
    colourings: Sequence[Colouring],
    metrics: Sequence[str] = tuple(COLOUR_MEASURES),
    *,
    k: int = 5,
    queries: int = 400,
    changed: int = 200,
) -> list[ColourTrial]:
    """Try every description with every metric on pictures (files) with one label each.

    ``queries`` pictures, drawn evenly, are searched with, and ``changed`` of them in every way of
    CHANGES. Raises InputError for metrics that do not exist, and if there are fewer than k + 1
    pictures.
    """
    unknown = [metric for metric in metrics if metric not in COLOUR_MEASURES]
    if unknown:
        raise InputError(f"metric {unknown[0]!r}: use {', '.join(COLOUR_MEASURES)}")
    if len(images) <= k:
        raise InputError(f"{len(images)} pictures are too few for the {k} nearest; take more")
    drawn = np.random.default_rng(_SEED).permutation(len(images))[:queries].tolist()
    kinds = np.unique(np.asarray(labels), return_inverse=True)[1]
    trials = []
    for colouring in colourings:
        colours = Colours(colouring, images)
        copies = {
            name: [colouring.describe(change(opened(images[one]))) for one in drawn[:changed]]
            for name, change in CHANGES.items()
        }
        for metric in metrics:
            same = [_precision(colours, metric, one, kinds, k) for one in drawn]
            again = {
                name: _found_again(colours, metric, drawn, some) for name, some in copies.items()
            }
            size = colours.bytes_a_picture
            trials.append(
                ColourTrial(colouring.name, metric, estimate(np.array(same)), size, again)
            )
    return trials


def _precision(colours: Colours, metric: str, one: int, kinds: NDArray[np.int64], k: int) -> float:
    distances = colours.distances(colours.described(one), metric)
    distances[one] = np.inf
    near = np.argsort(distances, kind="stable")[:k]
    return precision_at(kinds[near] == kinds[one], k)


def _found_again(
    colours: Colours,
    metric: str,
    drawn: Sequence[int],
    copies: Sequence[tuple[NDArray[np.int64], DoubleArray]],
) -> float:
    nearest = [int(np.argmin(colours.distances(copy, metric))) for copy in copies]
    return float(np.mean([found == one for found, one in zip(nearest, drawn, strict=False)]))
