"""Comparing and ranking: which index a method asks, and how several inputs become one answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.features.pca import PCA_METHODS
from lookalike.indexes import ColourIndex, CompactIndex, Neighbours
from lookalike.indexes.base import Mask, choose, rerank_rows
from lookalike.indexes.categories import CategoryIndex
from lookalike.indexes.colour import ROOT_MARGIN
from lookalike.indexes.exact import MARGIN, ExactIndex, unit_vector
from lookalike.query.mixing import colour_likeness, spreads
from lookalike.query.tables import Tables, VectorIndex
from lookalike.types import (
    COLOUR_MEASURES,
    COSINE,
    MIX,
    SHARE,
    DoubleArray,
    IdArray,
    Measure,
)

SEEDS = 512
"""Rows of a mixture that are compared first, the most promising ones."""

PASS = 8
"""Inputs that share a pass over the rows, at most: each needs a number per row."""

METHODS = ("meaning", "pca", "colour", "mix", "shortlist")
WITH_COLOUR = ("colour", "mix", "shortlist")
"""Methods that read histograms."""

COMBINATIONS = ("mean", "all")


@dataclass(frozen=True)
class Method:
    """A way of comparing. Raises InputError if a value is not one of those that exist."""

    by: str = "meaning"
    dims: int = 100
    """Dimensions kept by ``pca``."""
    pca_method: str = "linear"
    metric: str = "bhattacharyya"
    """Histogram metric of ``colour``, ``mix`` and ``shortlist``."""
    colour_weight: float = 0.1
    """Share of colour in ``mix``, 0..1, each part in units of its spread (see ``mixing``)."""
    shortlist: int = 20
    """How many of the nearest by meaning ``shortlist`` ranks by colour."""

    def __post_init__(self) -> None:
        _require("way of comparing", self.by, METHODS)
        _require("metric", self.metric, tuple(COLOUR_MEASURES))
        _require("PCA method", self.pca_method, PCA_METHODS)
        if self.dims < 1:
            raise InputError(f"dims {self.dims}: at least 1 is needed")
        if not 0.0 <= self.colour_weight <= 1.0:
            raise InputError(f"colour weight {self.colour_weight}: must lie between 0 and 1")
        if self.shortlist < 1:
            raise InputError(f"shortlist {self.shortlist}: at least 1 is needed")

    @property
    def options(self) -> dict[str, str | int | float]:
        """The options that matter to this method."""
        options: dict[str, dict[str, str | int | float]] = {
            "meaning": {},
            "pca": {"dims": self.dims, "pca_method": self.pca_method},
            "colour": {"metric": self.metric},
            "mix": {"metric": self.metric, "colour_weight": self.colour_weight},
            "shortlist": {"metric": self.metric, "shortlist": self.shortlist},
        }
        return options[self.by]


def _require(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{what} {value!r}: not known; use one of: {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Point:
    """One input as numbers: ``vector`` float64 (dim,) or None, ``histogram`` float64 (4096,).

    ``phrases``: of words, the numbers of the classes that each phrase stands for.
    """

    vector: DoubleArray | None
    histogram: DoubleArray | None
    weight: float = 1.0
    phrases: tuple[tuple[int, ...], ...] = ()
    words: bool = False

    def need_vector(self) -> DoubleArray:
        """The vector; it is there whenever the method asks for meaning."""
        if self.vector is None:
            raise ValueError("this comparison needs vectors")
        return self.vector

    def need_histogram(self) -> DoubleArray:
        """The histogram; it is there whenever the method asks for colour."""
        if self.histogram is None:
            raise ValueError("this comparison needs histograms")
        return self.histogram


def mean_point(points: Sequence[Point]) -> Point:
    """The weighted mean of unit vectors, made a unit vector again, and of histograms."""
    weights = np.array([point.weight for point in points])
    vector = histogram = None
    if all(point.vector is not None for point in points):
        vectors = np.stack([unit_vector(point.need_vector()) for point in points])
        vector = unit_vector(weights @ vectors)
    if all(point.histogram is not None for point in points):
        histograms = np.stack([point.need_histogram() for point in points])
        histogram = weights @ histograms / weights.sum() if weights.min() > 0 else None
    return Point(vector, histogram)


class Comparison(Protocol):
    """A measure bound to the tables it reads."""

    measure: Measure
    ids: IdArray
    margin: float
    """How far ``rough_each`` may be off; ``nearest`` and ``score_rows`` are exact."""

    def place(self, point: Point) -> Point:
        """An input as a point of the space compared in; the others take only such points."""

    def rough_each(self, points: Sequence[Point], rows: NDArray[np.int64]) -> DoubleArray:
        """Scores of points against rows, ascending, float64 (points, rows)."""

    def nearest(self, point: Point, k: int, allowed: Mask) -> Neighbours:
        """The k rows nearest to a point."""

    def nearest_many(self, points: Sequence[Point], k: int, allowed: Mask) -> list[Neighbours]:
        """``nearest`` for each of several points."""

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        """Scores of a point against some rows, float64 (m,)."""


class ByVector:
    """Cosine of vectors; ``reduce`` turns an input's vector into the index's space (PCA)."""

    measure = COSINE
    margin = MARGIN

    def __init__(
        self, index: VectorIndex, reduce: Callable[[DoubleArray], DoubleArray] | None = None
    ) -> None:
        self.ids = index.ids
        self._index = index
        self._reduce = reduce or (lambda vector: vector)

    def place(self, point: Point) -> Point:
        # Before inputs are averaged: centring makes PCA blind to signs and sums of raw vectors.
        return replace(point, vector=self._reduce(point.need_vector()))

    def rough_each(self, points: Sequence[Point], rows: NDArray[np.int64]) -> DoubleArray:
        vectors = [point.need_vector() for point in points]
        every = None if len(rows) == len(self.ids) else rows
        return self._index.rough_each(vectors, every).astype(np.float64)

    def nearest(self, point: Point, k: int, allowed: Mask) -> Neighbours:
        return self._index.nearest(point.need_vector(), k, allowed)

    def nearest_many(self, points: Sequence[Point], k: int, allowed: Mask) -> list[Neighbours]:
        if not isinstance(self._index, CompactIndex) or not points:
            return [self.nearest(point, k, allowed) for point in points]
        queries = np.stack([point.need_vector() for point in points])
        return self._index.nearest_many(queries, k, allowed)

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        return self._index.score_rows(point.need_vector(), rows)


class ByShare:
    """How surely a picture shows what words name; of equals, those whose vectors are nearer.

    With several phrases of shares p, (sum of sqrt(p))^2 / phrases: pictures that show all of it
    come before those that show one thing very surely.
    """

    measure = SHARE
    margin = 0.0

    def __init__(self, categories: CategoryIndex, exact: ExactIndex) -> None:
        self.ids = exact.ids
        self._categories, self._exact = categories, exact

    def place(self, point: Point) -> Point:
        return point

    def rough_each(self, points: Sequence[Point], rows: NDArray[np.int64]) -> DoubleArray:
        return np.stack([self.score_rows(point, rows) for point in points])

    def nearest(self, point: Point, k: int, allowed: Mask) -> Neighbours:
        rows = np.flatnonzero(allowed)
        scores = self.score_rows(point, rows)
        if k < len(rows):
            last = np.partition(scores, -k)[-k]
            near = np.flatnonzero(scores >= last)
            rows, scores = rows[near], scores[near]
        cosines = self._exact.score_rows(point.need_vector(), rows)
        order = np.lexsort((self.ids[rows].view("S16"), -cosines, -scores))[:k]
        return Neighbours(rows[order], scores[order])

    def nearest_many(self, points: Sequence[Point], k: int, allowed: Mask) -> list[Neighbours]:
        return [self.nearest(point, k, allowed) for point in points]

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        roots = np.zeros(len(rows))
        for numbers in point.phrases:
            roots += np.sqrt(self._categories.share_of_all(numbers)[rows].astype(np.float64))
        return roots**2 / len(point.phrases)


class ByColour:
    """A histogram metric."""

    margin = ROOT_MARGIN

    def __init__(self, index: ColourIndex) -> None:
        self.index = index
        self.measure = index.measure
        self.ids = index.ids

    def place(self, point: Point) -> Point:
        return point

    def rough_each(self, points: Sequence[Point], rows: NDArray[np.int64]) -> DoubleArray:
        return np.stack([self.index.rough(point.need_histogram(), rows) for point in points])

    def nearest(self, point: Point, k: int, allowed: Mask) -> Neighbours:
        return self.index.nearest(point.need_histogram(), k, allowed)

    def nearest_many(self, points: Sequence[Point], k: int, allowed: Mask) -> list[Neighbours]:
        return [self.nearest(point, k, allowed) for point in points]

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        return self.index.score_rows(point.need_histogram(), rows)


class _ColourOf:
    """Scores by colour of rows of the vectors; the histograms may lie in another order."""

    def __init__(self, ids: IdArray, colour: ByColour) -> None:
        self.measure = colour.measure
        self._index = colour.index
        self._rows = _aligned(ids, colour.ids)

    def rough(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        """Scores off by at most ROOT_MARGIN."""
        return self._ask(self._index.rough, point, rows)

    def best(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        """Scores that rows have at best."""
        bounds = self._ask(self._index.bounds, point, rows)
        return 1.0 - bounds if self.measure.higher_is_better else np.maximum(bounds, 0.0)

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        """Exact scores."""
        return self._index.score_rows(point.need_histogram(), self._rows[rows])

    def _ask(
        self,
        ask: Callable[[DoubleArray, NDArray[np.int64]], NDArray[np.floating]],
        point: Point,
        rows: NDArray[np.int64],
    ) -> DoubleArray:
        """What the index says of some rows; it wants its own rows, ascending."""
        theirs = self._rows[rows]
        order = np.argsort(theirs, kind="stable")
        said = np.empty(len(rows))
        said[order] = ask(point.need_histogram(), theirs[order])
        return said


class ByMix:
    """(1 - weight) * cosine + weight * likeness of colour, the latter brought to at most 1."""

    measure = MIX

    def __init__(self, meaning: ByVector, colour: ByColour, colour_weight: float) -> None:
        self.margin = MARGIN + colour_weight * ROOT_MARGIN
        self.ids = meaning.ids
        self._meaning, self._weight = meaning, colour_weight
        self._colour = _ColourOf(meaning.ids, colour)

    def place(self, point: Point) -> Point:
        return self._meaning.place(point)

    def rough_each(self, points: Sequence[Point], rows: NDArray[np.int64]) -> DoubleArray:
        colours = [self._colour.rough(point, rows) for point in points]
        return self._mixed(self._meaning.rough_each(points, rows), np.stack(colours))

    def nearest(self, point: Point, k: int, allowed: Mask) -> Neighbours:
        """The k nearest rows: colours are compared only where they could make a difference.

        Bounds on the distances by colour say what a mixture is at most; the k-th best of the most
        promising rows says what it has to be at least.
        """
        rows = np.flatnonzero(allowed)
        if not len(rows):
            return Neighbours(rows, np.empty(0))
        cosines = self._meaning.rough_each([point], rows)[0]
        most = self._mixed(cosines, self._colour.best(point, rows))
        seeds = np.argpartition(-most, min(SEEDS + k, len(rows)) - 1)[: SEEDS + k]
        rough = self._rough_mix(point, rows, cosines, np.sort(seeds))
        least = np.partition(rough, -k)[-k] if k < len(rough) else -np.inf
        left = np.flatnonzero(most >= least - 2 * self.margin)

        def exact(near: NDArray[np.int64]) -> DoubleArray:
            return self.score_rows(point, near)

        return rerank_rows(
            rows[left], self._rough_mix(point, rows, cosines, left), self.margin, exact, MIX,
            self.ids, k,
        )  # fmt: skip

    def _rough_mix(
        self, point: Point, rows: NDArray[np.int64], cosines: DoubleArray, chosen: NDArray[np.int64]
    ) -> DoubleArray:
        return self._mixed(cosines[chosen], self._colour.rough(point, rows[chosen]))

    def nearest_many(self, points: Sequence[Point], k: int, allowed: Mask) -> list[Neighbours]:
        return [self.nearest(point, k, allowed) for point in points]

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        colour = self._colour.score_rows(point, rows)
        return self._mixed(self._meaning.score_rows(point, rows), colour)

    def _mixed(self, cosine: DoubleArray, colour: DoubleArray) -> DoubleArray:
        alike = colour_likeness(colour, self._colour.measure)
        return (1.0 - self._weight) * cosine + self._weight * alike


class ByShortlist:
    """The nearest by meaning, ranked by colour: what a picture shows decides first."""

    margin = ROOT_MARGIN

    def __init__(self, meaning: ByVector, colour: ByColour, size: int) -> None:
        self.ids, self.measure = meaning.ids, colour.measure
        self._meaning, self._size = meaning, size
        self._colour = _ColourOf(meaning.ids, colour)

    def place(self, point: Point) -> Point:
        return self._meaning.place(point)

    def rough_each(self, points: Sequence[Point], rows: NDArray[np.int64]) -> DoubleArray:
        return np.stack([self._colour.rough(point, rows) for point in points])

    def nearest(self, point: Point, k: int, allowed: Mask) -> Neighbours:
        """The k most alike in colour among the nearest by meaning, at least k of them."""
        found = self._meaning.nearest(point, max(k, self._size), allowed)
        rows = np.sort(found.rows)
        best = choose(self.score_rows(point, rows), self.measure, self.ids[rows], k)
        return Neighbours(rows[best.rows], best.scores, found.exact)

    def nearest_many(self, points: Sequence[Point], k: int, allowed: Mask) -> list[Neighbours]:
        return [self.nearest(point, k, allowed) for point in points]

    def preferences(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        """A number per row, ascending, that rises with its place: what is listed, then the rest."""
        numbers: DoubleArray = self._meaning.rough_each([point], rows)[0]
        listed = np.sort(np.argsort(-numbers, kind="stable")[: self._size])
        distances = self.measure.distance(self._colour.rough(point, rows[listed]))
        best_last = np.argsort(-distances, kind="stable")
        numbers[listed[best_last]] = COSINE.highest + np.arange(1, len(listed) + 1)
        return numbers

    def score_rows(self, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
        return self._colour.score_rows(point, rows)


def compare_by(method: Method, tables: Tables, *, exact: bool = False) -> tuple[Comparison, Mask]:
    """The comparison of a method, and which of its rows are live.

    ``exact`` compares with every row that is allowed; otherwise an index may look at fewer.
    """
    if method.by in WITH_COLOUR and not tables.histograms.live.any() and tables.vectors.live.any():
        raise InputError(
            f"--by {method.by}: no picture here has colours, they were imported as vectors alone;"
            " search by meaning"
        )
    if method.by == "colour":
        return ByColour(tables.colour(method.metric)), tables.histograms.live
    live = tables.vectors.live
    if method.by == "pca":
        model, reduced = tables.reduced(method.pca_method, method.dims, exact=exact)

        def reduce(vector: DoubleArray) -> DoubleArray:
            return np.asarray(model.transform(vector[None, :], method.dims)[0], np.float64)

        return ByVector(reduced, reduce), live
    if method.by == "meaning":
        return ByVector(tables.meaning(exact=exact)), live
    colour = ByColour(tables.colour(method.metric))
    live = live & tables.coloured
    if method.by == "shortlist":
        return ByShortlist(ByVector(tables.meaning(exact=exact)), colour, method.shortlist), live
    weight = spreads(tables, method.metric).weight(method.colour_weight)
    return ByMix(ByVector(tables.exact), colour, weight), live


def _aligned(ids: IdArray, others: IdArray) -> NDArray[np.int64]:
    """For each of ``ids``, its last row in ``others``; -1 where there is none."""
    if ids.tobytes() == others.tobytes():
        return np.arange(len(ids))
    if not len(others):
        return np.full(len(ids), -1)
    order = np.argsort(others, kind="stable")
    rows: NDArray[np.int64] = order[np.searchsorted(others[order], ids, side="right") - 1]
    return np.where(others[rows] == ids, rows, -1)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Ranked ``rows`` int64 (m,): ``ids`` V16, ``scores`` and ``input_scores`` (inputs, m).

    ``exact``: whether no other row can be nearer.
    """

    ids: IdArray
    rows: NDArray[np.int64]
    scores: DoubleArray
    input_scores: DoubleArray
    exact: bool
    measure: Measure

    def only(self, places: NDArray[np.int64]) -> Ranked:
        """Some of what was found, by its places in the order."""
        return Ranked(
            self.ids[places],
            self.rows[places],
            self.scores[places],
            self.input_scores[:, places],
            self.exact,
            self.measure,
        )


def rank(
    comparison: Comparison, points: Sequence[Point], k: int, combine: str, allowed: Mask
) -> Ranked:
    """The k best rows for one or several inputs.

    ``mean`` compares with the weighted mean of the inputs. ``all`` scores a row by the input that
    it is least alike, so that a hit has some likeness to each.
    """
    _require("combination", combine, COMBINATIONS)
    points = [comparison.place(point) for point in points]
    if len(points) == 1 and points[0].phrases:
        found = comparison.nearest(points[0], k, allowed)
    elif combine == "mean" or len(points) == 1:
        found = comparison.nearest(mean_point(points), k, allowed)
    else:
        found = _least_alike(comparison, points, k, allowed)
    return _ranked(comparison, points, found)


def rank_many(
    comparison: Comparison, points: Sequence[Point], k: int, allowed: Mask
) -> list[Ranked]:
    """``rank`` for each of many points by itself."""
    points = [comparison.place(point) for point in points]
    many = comparison.nearest_many([mean_point([point]) for point in points], k, allowed)
    return [_ranked(comparison, [p], found) for p, found in zip(points, many, strict=True)]


def _ranked(comparison: Comparison, points: Sequence[Point], found: Neighbours) -> Ranked:
    """What was found, with its scores against each of the points."""
    if len(points) == 1 and points[0].weight > 0:
        each = found.scores[None, :]
    else:
        each = np.stack([comparison.score_rows(point, found.rows) for point in points])
    ids = comparison.ids[found.rows]
    return Ranked(ids, found.rows, found.scores, each, found.exact, comparison.measure)


def _least_alike(
    comparison: Comparison, points: Sequence[Point], k: int, allowed: Mask
) -> Neighbours:
    pick = np.minimum if comparison.measure.higher_is_better else np.maximum

    def exact(rows: NDArray[np.int64]) -> DoubleArray:
        return functools.reduce(pick, (comparison.score_rows(point, rows) for point in points))

    rows = np.flatnonzero(allowed)
    passes = (points[at : at + PASS] for at in range(0, len(points), PASS))
    rough = functools.reduce(
        pick, (pick.reduce(comparison.rough_each(some, rows)) for some in passes)
    )
    return rerank_rows(rows, rough, comparison.margin, exact, comparison.measure, comparison.ids, k)
