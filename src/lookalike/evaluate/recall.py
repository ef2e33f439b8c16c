"""How much of what a full comparison finds does an index find, and how quickly?

The index is not taken at its word: what it returns is scored again, and compared with the scores
that the best ten have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes import Neighbours
from lookalike.indexes.base import Mask, rerank_rows
from lookalike.query.search import Comparison, Point

NEIGHBOURS = 10

TIE = 1e-6
"""A row whose distance exceeds the tenth's by no more is as good as it."""

SECONDS = 20.0
"""After so long no further query is asked; the one that was begun is finished."""

_NORMAL_95 = 1.959964

Search = Callable[[Point], Neighbours]


@dataclass(frozen=True, slots=True)
class Query:
    """A record to search with: its numbers, and its row, which is left out of the answers."""

    point: Point
    row: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One way of searching, tried with some records of the library.

    ``share`` (0..1) of the records could be found. Milliseconds are of comparing alone, in a
    process that has searched before: medians and 99th percentile over ``queries``, and ``full_ms``
    the median of a full comparison. ``recall`` (0..1) is the mean share of the ten nearest that
    came back in ``compared`` queries, ``recall_low`` and ``recall_high`` its 95 % interval.
    ``exact``: whether every answer was said to be exact.
    """

    name: str
    share: float
    queries: int
    compared: int
    p50_ms: float
    p99_ms: float
    full_ms: float
    recall: float
    recall_low: float
    recall_high: float
    exact: bool


def try_out(
    name: str,
    index: Comparison,
    full: Callable[[Comparison, Point, Mask], Neighbours],
    queries: Sequence[Query],
    allowed: Mask,
    share: float = 1.0,
    *,
    compared: int | None = None,
    oracle: Comparison | None = None,
    seconds: float = SECONDS,
) -> Trial:
    """Search with each of ``queries``, at least one, by ``index`` and by a ``full`` comparison.

    ``full`` is asked for the first ``compared`` queries (all if None), of ``oracle`` or else of the
    index itself.
    """
    oracle = oracle or index
    nearest(index, queries[0].point, allowed)  # maps and decodes what later searches have at hand
    took: list[float] = []
    took_fully: list[float] = []
    shares: list[float] = []
    exact = True
    end = perf_counter() + seconds
    for query in queries:
        others = allowed.copy()
        others[query.row] = False
        found, spent = timed(partial(nearest, index, query.point, others))
        took.append(spent)
        exact = exact and found.exact
        if compared is None or len(shares) < compared:
            best, spent = timed(partial(full, oracle, query.point, others))
            took_fully.append(spent)
            shares.append(_share(oracle, query.point, found.rows[others[found.rows]], best))
        if perf_counter() > end:
            break
    recall = float(np.mean(shares))
    return Trial(
        name, share, len(took), len(shares),
        float(np.median(took)), float(np.percentile(took, 99)), float(np.median(took_fully)),
        recall, *interval(recall, len(shares)), exact,
    )  # fmt: skip


def nearest(comparison: Comparison, point: Point, allowed: Mask, k: int = NEIGHBOURS) -> Neighbours:
    """The k nearest rows, as a search finds them."""
    return comparison.nearest(comparison.place(point), k, allowed)


def every_row(comparison: Comparison, point: Point, allowed: Mask) -> Neighbours:
    """The ten nearest rows by scoring all of them: what no bound and no code has a part in."""
    placed = comparison.place(point)

    def exact(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return comparison.score_rows(placed, rows)

    rows = np.flatnonzero(allowed)
    rough = comparison.rough_each([placed], rows)[0]
    return rerank_rows(
        rows, rough, comparison.margin, exact, comparison.measure, comparison.ids, NEIGHBOURS
    )


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a mean share 0..1 over ``count`` queries.

    The hits of one query are not independent of each other, so that each query counts once.
    """
    z = _NORMAL_95**2 / count
    middle, half = share + z / 2, math.sqrt(z * (share * (1 - share) + z / 4))
    low, high = (middle - half) / (1 + z), (middle + half) / (1 + z)
    return max(0.0, low), min(1.0, high)


def _share(oracle: Comparison, point: Point, rows: NDArray[np.int64], best: Neighbours) -> float:
    """The share of the best that rows, scored anew, are as good as; 1 if there is none."""
    wanted = len(best.rows)
    if not wanted:
        return 1.0
    scores = oracle.score_rows(oracle.place(point), np.unique(rows))
    distances = oracle.measure.distance(scores)
    last = float(oracle.measure.distance(best.scores)[-1])
    return min(wanted, int((distances <= last + TIE).sum())) / wanted


def timed(search: Callable[[], Neighbours]) -> tuple[Neighbours, float]:
    """What a search finds, and the milliseconds it takes."""
    started = perf_counter()
    found = search()
    return found, (perf_counter() - started) * 1e3
