"""Pairs to groups, each with the copy that is best kept.

A group is a best copy and what is alike to that very copy: pictures that are only alike to each
other's neighbours do not end up in one group by a chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.duplicates.align import SYMMETRIES
from lookalike.duplicates.connected import components
from lookalike.duplicates.relations import Pairs

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Star:
    """A best copy's row, and the places in ``Pairs`` that hold it and each of the others."""

    best: int
    others: Rows
    pairs: Rows


def _products() -> NDArray[np.int8]:
    """The number of SYMMETRIES[a] @ SYMMETRIES[b], int8 (8, 8)."""
    product = SYMMETRIES[:, None] @ SYMMETRIES[None]
    same = (product[:, :, None] == SYMMETRIES).all((3, 4))
    numbers: NDArray[np.int8] = same.argmax(2).astype(np.int8)
    return numbers


_TIMES = _products()
_INVERSE = (_TIMES == 0).argmax(1).astype(np.int8)


def lying_otherwise(pairs: Pairs, count: int) -> NDArray[np.bool_]:
    """Which rows are mirrored or turned against most that they are connected with, bool (count,).

    None of those of which there are as many as of any other, as in a pair.
    """
    other = np.zeros(count, bool)
    if not len(pairs):
        return other
    component = np.zeros(count, np.int64)
    root = components(pairs.first, pairs.second)
    component[pairs.first] = component[pairs.second] = root
    way = np.full(count, -1, np.int8)  # how a row lies, seen from its component's least row
    way[root] = 0
    symmetry = (pairs.changes & 7).astype(np.int8)
    while True:
        for one, two, step in (
            (pairs.first, pairs.second, symmetry),
            (pairs.second, pairs.first, _INVERSE[symmetry]),
        ):
            new = np.flatnonzero((way[one] >= 0) & (way[two] < 0))
            way[two[new]] = _TIMES[way[one[new]], step[new]]
        if (way[pairs.first] >= 0).all() and (way[pairs.second] >= 0).all():
            break
    rows = np.flatnonzero(way >= 0)
    _, place, many = np.unique(
        component[rows] * 8 + way[rows], return_inverse=True, return_counts=True
    )
    most = np.zeros(count, np.int64)
    np.maximum.at(most, component[rows], many[place])
    other[rows] = many[place] < most[component[rows]]
    return other


def missing_pairs(pairs: Pairs, rank: Rows) -> tuple[Rows, Rows]:
    """Pairs of a component's best row and each other one that are not among ``pairs``.

    ``rank``: int64 per row, the best is 0. Comparing them, too, keeps groups whole where a best
    copy was not among a row's nearest.
    """
    root = np.tile(components(pairs.first, pairs.second), 2)
    rows, where = np.unique(np.concatenate([pairs.first, pairs.second]), return_index=True)
    root = root[where]
    best = np.full(len(rank), len(rank), np.int64)
    np.minimum.at(best, root, rank[rows])
    by_rank = np.argsort(rank)
    heads = by_rank[best[root]]
    low, high = np.minimum(rows, heads), np.maximum(rows, heads)
    known = np.isin(low * len(rank) + high, pairs.first * len(rank) + pairs.second)
    wanted = (low != high) & ~known
    return low[wanted], high[wanted]


def stars(pairs: Pairs, rank: Rows) -> list[Star]:
    """Groups: the best row that is left with all that are alike to it, and so on; in that order."""
    both = np.concatenate([pairs.first, pairs.second])
    other = np.concatenate([pairs.second, pairs.first])
    place = np.tile(np.arange(len(pairs)), 2)
    order = np.argsort(both, kind="stable")
    both, other, place = both[order], other[order], place[order]
    rows, start = np.unique(both, return_index=True)
    end = np.append(start[1:], len(both))
    taken = np.zeros(len(rank), bool)
    found = []
    for number in np.argsort(rank[rows]):
        row = int(rows[number])
        if taken[row]:
            continue
        taken[row] = True
        own = slice(start[number], end[number])
        free = ~taken[other[own]]
        if free.any():
            taken[other[own][free]] = True
            found.append(Star(row, other[own][free], place[own][free]))
    return found
