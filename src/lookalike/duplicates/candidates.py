"""Pairs that are worth a look: near by their vectors, or taken one after the other."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.graph import NeighbourGraph
from lookalike.kernels import cosines64, in_parallel
from lookalike.stores.base import UNKNOWN, FactsTable, VectorTable
from lookalike.types import DoubleArray

Rows = NDArray[np.int64]

NEIGHBOURS = 30
"""Of each record, by the neighbour graph."""

LEAST_COSINE = 0.65
"""Of vectors: 99 in 100 changed copies have more (turned by 90 degrees, which hashes find)."""

BURST_COSINE = 0.8
"""Of two shots of a burst."""

_AT_ONCE = 64
"""Records whose pairs are compared before the memory of their vectors is let go. They have some
thirty pairs each, and the system maps 64 KB around every vector that is read."""

BURST_REACH = 30
"""A shot is compared with so many that follow it, at most."""


def near_by_vectors(graph: NeighbourGraph, facts: FactsTable, table: VectorTable) -> Rows:
    """Keys of pairs whose cosine is at least ``LEAST_COSINE``, among each record's neighbours.

    A key is first * n + second, rows of ``facts``, first < second; int64, ascending. The graph's
    distances are never more than those in all dimensions, which are compared again.
    """
    count = len(facts.ids)
    row = facts.rows_of(graph.ids)
    farthest = math.sqrt(2 - 2 * LEAST_COSINE) + 2e-3  # vectors are kept as halves
    keys = []
    for at in range(0, len(graph.ids), 65_536):
        near = graph.distances[at : at + 65_536] <= farthest
        own, place = np.nonzero(near & (graph.neighbours[at : at + 65_536] >= 0))
        other = row[graph.neighbours[at : at + 65_536][own, place]]
        own = row[own + at]
        known = (own >= 0) & (other >= 0)
        own, other = own[known], other[known]
        keys.append(np.minimum(own, other) * count + np.maximum(own, other))
    key = np.unique(np.concatenate([np.empty(0, np.int64), *keys]))
    return key[cosines_of(key // count, key % count, facts, table) >= LEAST_COSINE]


def cosines_of(first: Rows, second: Rows, facts: FactsTable, table: VectorTable) -> DoubleArray:
    """Cosines of pairs of rows of ``facts``, float64 (m,); 0 where one has no vector.

    Quicker where pairs are ordered by ``first``.
    """
    row = table.rows_of(facts.ids)
    out = np.zeros(len(first))
    known = np.flatnonzero((row[first] >= 0) & (row[second] >= 0))
    one, two = row[first[known]], row[second[known]]
    start = np.flatnonzero(np.append(True, one[1:] != one[:-1]) if len(one) else one)
    end = np.append(start[1:], len(one))

    def some(block: int, begin: int, stop: int) -> None:
        own = slice(block + begin, block + stop)
        for at, to in zip(start[own], end[own], strict=True):
            query = table.vector(int(one[at]))
            query /= max(float(np.linalg.norm(query)), 1e-12)
            out[known[at:to]] = cosines64(table.parts, query, two[at:to])

    for block in range(0, len(start), _AT_ONCE):
        in_parallel(partial(some, block), min(_AT_ONCE, len(start) - block), least=16)
        table.release()
    return out


def near_in_time(facts: FactsTable, seconds: int) -> Rows:
    """Keys, as above, of pairs of shots by the same camera that lie at most so far apart."""
    count = len(facts.ids)
    rows = np.flatnonzero(facts.taken != UNKNOWN)
    rows = rows[np.lexsort((facts.taken[rows], facts.camera[rows]))]
    keys = []
    for step in range(1, BURST_REACH + 1):
        one, two = rows[:-step], rows[step:]
        near = same_moment(facts, one, two, seconds)
        if not near.any():
            break
        one, two = one[near], two[near]
        keys.append(np.minimum(one, two) * count + np.maximum(one, two))
    return np.unique(np.concatenate([np.empty(0, np.int64), *keys]))


def same_moment(facts: FactsTable, first: Rows, second: Rows, seconds: int) -> NDArray[np.bool_]:
    """Which pairs were taken by the same camera within so many seconds; not if unknown when."""
    one, two = facts.taken[first], facts.taken[second]
    known = (one != UNKNOWN) & (two != UNKNOWN)
    apart = np.abs(np.where(known, one, 0) - np.where(known, two, 0))
    near: NDArray[np.bool_] = known & (apart <= seconds)
    near &= facts.camera[first] == facts.camera[second]
    return near
