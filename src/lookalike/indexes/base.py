"""The contract of an index, and the choice of the k nearest that all exact ones share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lookalike.types import DoubleArray, IdArray, Measure

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """``rows`` int64 (m,) of the table and their ``scores`` float64 (m,), the nearest first.

    ``exact``: whether no other row can be nearer.
    """

    rows: NDArray[np.int64]
    scores: DoubleArray
    exact: bool = True


class Index(Protocol):
    """Finds the rows of a table nearest to a query.

    The contract, held by ``tests/contracts/test_indexes.py``: distance ascending, ties by record
    id, at most k rows, k > n gives n, an empty table gives none; rows for which ``allowed`` is
    False never appear, and min(k, allowed) rows always do. An index that may miss a nearer row says
    so in the answer; the scores it gives are exact all the same.
    """

    measure: Measure

    def nearest(self, query: Any, k: int, allowed: Mask | None = None) -> Neighbours:
        """The k rows nearest to ``query``; ``allowed`` is bool (n,) or None for all."""


class ScanIndex(ABC):
    """An exact index that scores every row."""

    measure: Measure
    ids: IdArray

    @abstractmethod
    def scores(self, query: DoubleArray) -> DoubleArray:
        """The scores of one query (its vector or histogram) against all rows, float64 (n,)."""

    def nearest(self, query: DoubleArray, k: int, allowed: Mask | None = None) -> Neighbours:
        """The k rows nearest to ``query``, by scoring all of them."""
        return choose(self.scores(query), self.measure, self.ids, k, allowed)


def choose(
    scores: DoubleArray, measure: Measure, ids: IdArray, k: int, allowed: Mask | None = None
) -> Neighbours:
    """The k best of ``scores`` float64 (n,): distance ascending, ties by id, only allowed rows."""
    rows = _within_reach(scores, 0.0, measure, k, allowed)  # may be more than k: ties at the end
    order = np.lexsort((_rank(ids[rows]), measure.distance(scores[rows])))[: max(k, 0)]
    return Neighbours(rows[order], scores[rows[order]])


def rerank_rows(
    rows: NDArray[np.int64],
    rough: NDArray[np.floating],
    margin: float,
    exact: Callable[[NDArray[np.int64]], DoubleArray],
    measure: Measure,
    ids: IdArray,
    k: int,
) -> Neighbours:
    """The k best of some ``rows``, whose ``rough`` scores (m,) may be off by ``margin``.

    Only rows that could be among them are scored exactly.
    """
    near = rows[_within_reach(np.asarray(rough, np.float64), 2.0 * margin, measure, k, None)]
    best = choose(exact(near), measure, ids[near], k)
    return Neighbours(near[best.rows], best.scores)


def _within_reach(
    scores: DoubleArray, slack: float, measure: Measure, k: int, allowed: Mask | None
) -> NDArray[np.int64]:
    """Allowed rows whose distance is at most ``slack`` above that of the k-th nearest."""
    rows = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
    k = min(k, len(rows))
    if k <= 0:
        return rows[:0]
    distances = measure.distance(scores[rows])
    within: NDArray[np.int64] = rows[distances <= np.partition(distances, k - 1)[k - 1] + slack]
    return within


def _rank(ids: IdArray) -> NDArray[np.int64]:
    """The position of each id in ascending order of its bytes."""
    rank = np.empty(len(ids), dtype=np.int64)
    rank[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    return rank
