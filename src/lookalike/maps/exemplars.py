"""Pictures that stand for a cluster: the one in its middle, and some that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.maps.base import Cluster
from lookalike.maps.clusters.grouping import Numbers
from lookalike.types import FloatArray, IdArray

MOST = 8
"""Exemplars of a cluster."""

NEAR_MIDDLE = 0.7
"""Exemplars come from this share of a cluster, the nearest to its middle: not its stragglers."""

CANDIDATES = 512
"""Rows that they are chosen among at most."""

TWINS = 0.25
"""Rows nearer to a chosen one than this share of the cluster's usual distance from its middle are
as good as the same picture."""


def members(of: Numbers, count: int) -> Iterator[NDArray[np.int64]]:
    """The rows of every cluster, ascending."""
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(count + 1))
    for cluster in range(count):
        yield order[starts[cluster] : starts[cluster + 1]]


def exemplars(points: FloatArray, rows: NDArray[np.int64]) -> list[int]:
    """Up to ``MOST`` of ``rows``, at least one, of ``points`` (n, d): the medoid, then others.

    The medoid has the least sum of squared distances to all, which is the row nearest to the mean.
    Each further one lies the farthest from those before it (T. Gonzalez, "Clustering to Minimize
    the Maximum Intercluster Distance", 1985), among rows near the middle; ties go to the first.
    """
    own = points[rows]
    out = np.linalg.norm(own - own.mean(axis=0, dtype=np.float64), axis=1)
    order = np.argsort(out, kind="stable")
    near = order[: max(MOST, int(NEAR_MIDDLE * len(rows)))]
    some = near[:: -(-len(near) // CANDIDATES)]  # the first is the medoid
    chosen = [0]
    apart = np.linalg.norm(own[some] - own[some[0]], axis=1)
    least = TWINS * float(np.median(out))
    while len(chosen) < min(MOST, len(some)):
        farthest = int(np.argmax(apart))
        if apart[farthest] <= least:
            break
        chosen.append(farthest)
        apart = np.minimum(apart, np.linalg.norm(own[some] - own[some[farthest]], axis=1))
    return [int(row) for row in rows[some[chosen]]]


def still_shown(clusters: Sequence[Cluster], of: Numbers, ids: IdArray) -> tuple[Cluster, ...]:
    """Clusters with the size and the exemplars that are left, when rows have gone or come.

    ``of`` int32 (n,) and ``ids`` V16 (n,) of the rows now. A medoid that is gone gives way to an
    exemplar, or to the first record; a cluster without records keeps it.
    """
    sizes = np.bincount(of[of >= 0], minlength=len(clusters)).tolist()
    shown = {id_.bytes for one in clusters for id_ in (one.medoid, *one.exemplars)}
    there = {id_.tobytes() for id_ in ids[np.isin(ids, np.array([*shown], ids.dtype))]}
    found = []
    for number, one in enumerate(clusters):
        exemplars = tuple(id_ for id_ in one.exemplars if id_.bytes in there)
        medoid = one.medoid
        if medoid.bytes not in there and sizes[number]:
            first = UUID(bytes=ids[int(np.argmax(of == number))].tobytes())
            medoid = exemplars[0] if exemplars else first
        found.append(
            replace(one, size=sizes[number], medoid=medoid, exemplars=exemplars or (medoid,))
        )
    return tuple(found)


def middle(positions: FloatArray, rows: NDArray[np.int64]) -> tuple[float, ...]:
    """Where a cluster lies densest on the map: the place of one of its rows.

    The row with the shortest way to the nearest fourth of the cluster (of an even sample of it).
    """
    own = positions[rows[:: -(-len(rows) // CANDIDATES)]].astype(np.float64)
    apart = sum((axis[:, None] - axis) ** 2 for axis in own.T)
    within = np.partition(apart, (len(own) - 1) // 4, axis=1)[:, (len(own) - 1) // 4]
    return tuple(float(at) for at in own[int(np.argmin(within))])
