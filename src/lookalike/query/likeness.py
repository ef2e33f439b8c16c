"""How alike is alike? Scores judged by those that the library's own random pairs have.

A cosine of 0.5 means little in one space and much in another. So pairs of records are drawn, and:

- Vectors: most pairs of a library show different things. Their middle is the median, and the spread
  of their unlike half, which pairs that are alike do not reach, tells how far chance goes: from
  ``MAYBE_SPREADS`` above the median on a score is more than chance, from ``LIKELY_SPREADS`` on few
  pairs show different things. In a library that is all of one kind this says too much; an encoder
  whose usual median and spread are known is then judged by those.
- Colours have no such gap between alike and unlike: the best 1 % and 0.2 % of pairs.

What this gives on labelled photos is in docs/categories.md and docs/performance.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.indexes.base import Mask
from lookalike.indexes.derived import DAMAGED, DerivedFolder
from lookalike.query.search import (
    WITH_COLOUR,
    ByShare,
    Comparison,
    Method,
    Point,
    Ranked,
    compare_by,
)
from lookalike.query.tables import Tables, drawn
from lookalike.types import COLOUR_MEASURES, DoubleArray, Likeness, Measure

MAYBE_SPREADS = 4.6
LIKELY_SPREADS = 6.1

MAYBE_SHARE = 0.01
LIKELY_SHARE = 0.002

LIKELY_SHOWN = 0.5
MAYBE_SHOWN = 0.2
"""Shares, as ``ByShare`` scores them, of what words name."""

_POINTS, OTHERS = 64, 256
RECORDS_DRAWN = 4_096
_LEAST_PAIRS = 400
"""Fewer pairs than these say nothing."""

_VERSION = "v3"
_TENTH = 1.2816
"""A tenth of a normal distribution lies further below its middle than so many spreads."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The distances up to which hits are likely, and maybe, alike; the first is the smaller."""

    likely: float
    maybe: float

    def judge(self, distance: float) -> Likeness:
        """The word for a hit at this distance."""
        if distance <= self.likely:
            return Likeness.LIKELY
        return Likeness.MAYBE if distance <= self.maybe else Likeness.UNLIKELY


class Judge:
    """Says of hits how sure it is that they are like what was asked for.

    Pictures are judged by their scores: with several, by the one that a hit is most like, or, where
    it has to be like all, by the score itself. Words are judged by the shares that hits have of
    them, and those that a text tower made a vector of by how the library's other records score.
    """

    def __init__(self, comparison: Comparison, tables: Tables, live: Mask, method: Method) -> None:
        self._comparison, self._tables, self._live = comparison, tables, live
        self._method = method

    def words(self, points: Sequence[Point], found: Ranked) -> list[Likeness | None]:
        """A word for each hit of the points' search; None where nothing can be said."""
        each = [
            self._of_point(point, found, scores)
            for point, scores in zip(points, found.input_scores, strict=True)
            if point.weight > 0
        ]
        return [min(words, key=_order) for words in zip(*each, strict=True)] or [None] * len(
            found.rows
        )

    def of_pair(self, score: float) -> Likeness | None:
        """The word for a score of two pictures; None where nothing can be said."""
        if self._of_pairs is None:
            return None
        distance = self._comparison.measure.distance(np.array([score]))
        return self._of_pairs.judge(float(distance[0]))

    def _of_point(self, point: Point, found: Ranked, scores: DoubleArray) -> list[Likeness | None]:
        if point.phrases:
            return self._by_share(point, found)
        limits = self._of_words(point) if point.words else self._of_pairs
        if limits is None:
            return [None] * len(scores)
        return [limits.judge(one) for one in self._comparison.measure.distance(scores).tolist()]

    def _by_share(self, point: Point, found: Ranked) -> list[Likeness | None]:
        shares = ByShare(self._tables.categories, self._tables.exact)
        return [_of_share(share) for share in shares.score_rows(point, found.rows).tolist()]

    @cached_property
    def _of_pairs(self) -> Thresholds | None:
        kept = self._tables.limits
        if self._method not in kept:
            kept[self._method] = self._kept_on_disk()
        limits = kept[self._method]
        return None if limits is None else Thresholds(*limits)

    def _kept_on_disk(self) -> tuple[float, float] | None:
        """What is kept of the same rows, else drawn now, which takes a twentieth of a second."""
        method = "-".join(map(str, (self._method.by, *self._method.options.values())))
        folder = DerivedFolder(self._tables.derived.likeness)
        name = f"{_VERSION}-{method}-{len(self._comparison.ids)}-{int(self._live.sum())}.npy"
        with contextlib.suppress(*DAMAGED):
            likely, maybe = folder.array(name).tolist()
            return None if np.isnan(likely) else (likely, maybe)
        drawn = thresholds(self._comparison, self._tables, self._live, self._method.by)
        limits = (np.nan, np.nan) if drawn is None else (drawn.likely, drawn.maybe)
        folder.keep_array(name, np.array(limits), older=f"{_VERSION}-{method}-*")
        return None if drawn is None else limits

    def _of_words(self, point: Point) -> Thresholds | None:
        """Most records do not show what words say: their scores are what chance gives."""
        comparison, live = self._comparison, self._live
        tables = self._tables.chance()
        if tables is not self._tables:
            comparison, live = compare_by(self._method, tables, exact=True)
        rows = np.sort(drawn(comparison.ids, np.flatnonzero(live), RECORDS_DRAWN))
        if len(rows) < _LEAST_PAIRS:
            return None
        scores = comparison.score_rows(comparison.place(point), rows)
        return _from_chance(comparison.measure.distance(scores))


def _order(word: Likeness | None) -> int:
    return len(Likeness) if word is None else word.order


def _of_share(share: float) -> Likeness:
    if share >= LIKELY_SHOWN:
        return Likeness.LIKELY
    return Likeness.MAYBE if share >= MAYBE_SHOWN else Likeness.UNLIKELY


def thresholds(
    comparison: Comparison, tables: Tables, live: Mask, by: str = "meaning"
) -> Thresholds | None:
    """What random pairs of a library's records say of a comparison, or None if they are too few.

    ``live``: the comparison's rows that count. The same library gives the same answer.
    """
    measure = comparison.measure
    distances = _pair_distances(comparison, tables, live, by)
    usual = _usual(measure, tables) if by == "meaning" else None
    if len(distances) < _LEAST_PAIRS:
        return usual
    if measure.name in COLOUR_MEASURES:
        likely, maybe = np.quantile(distances, [LIKELY_SHARE, MAYBE_SHARE]).tolist()
        return Thresholds(likely, maybe)
    own = _from_chance(distances)
    if usual is not None:
        return Thresholds(max(own.likely, usual.likely), max(own.maybe, usual.maybe))
    return own if own.likely > 0 else None  # all of one kind: nothing can be told apart


def _from_chance(distances: DoubleArray) -> Thresholds:
    middle, far = np.quantile(distances, [0.5, 0.9]).tolist()
    return _by_spread(middle, (far - middle) / _TENTH)


def _by_spread(middle: float, spread: float) -> Thresholds:
    return Thresholds(middle - LIKELY_SPREADS * spread, middle - MAYBE_SPREADS * spread)


def _usual(measure: Measure, tables: Tables) -> Thresholds | None:
    spec = CATALOGUE.get(tables.space.encoder)
    if spec is None or spec.usual_cosines is None:
        return None
    median, spread = spec.usual_cosines
    return _by_spread(float(measure.distance(np.array([median]))[0]), spread)


def _pair_distances(comparison: Comparison, tables: Tables, live: Mask, by: str) -> DoubleArray:
    """Distances of pairs of different live rows, drawn evenly, float64 (pairs,)."""
    rows = drawn(comparison.ids, np.flatnonzero(live), OTHERS)
    points, others = rows[:_POINTS], np.sort(rows)
    found = [np.empty(0)]
    for row, point in zip(points.tolist(), _points(tables, points, by), strict=True):
        scores = comparison.score_rows(comparison.place(point), others[others != row])
        found.append(comparison.measure.distance(scores))
    return np.concatenate(found)


def _points(tables: Tables, rows: NDArray[np.int64], by: str) -> Iterator[Point]:
    """Rows of a comparison as inputs: of the histograms if it is by colour, else of the vectors."""
    coloured = rows if by == "colour" else tables.histogram_rows(rows)
    for row, histogram in zip(rows.tolist(), coloured.tolist(), strict=True):
        vector = tables.vectors.vector(row) if by != "colour" else None
        dense = tables.histograms.histogram(histogram).dense() if by in WITH_COLOUR else None
        yield Point(vector, dense)
