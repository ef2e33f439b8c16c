"""Which records belong together on a map, by five methods, and wider levels above them.

    grouping = group("hdbscan", points, positions)
    grouping.of               # the cluster of every row, -1 in none
    grouping.coarser          # wider levels: the parent of every cluster

Parameters that are not given are found by rules of the number of rows, tried on real and made data
of several sizes (docs/adr/0014-clusters.md), and told in ``Grouping.parameters``.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError, MissingExtraError
from lookalike.maps.base import CLUSTERINGS
from lookalike.maps.clusters import dbscan as _dbscan
from lookalike.maps.clusters import levels as _levels
from lookalike.maps.clusters.agglomerative import cut, tree_of
from lookalike.maps.clusters.evoc import layers as _evoc_layers
from lookalike.maps.clusters.grouping import Grouping, Stage, by_size, lifted
from lookalike.maps.clusters.hdbscan import hdbscan as _hdbscan
from lookalike.maps.clusters.kmeans import kmeans as _kmeans
from lookalike.types import FloatArray

__all__ = [
    "Grouping", "check_parts", "cut", "default_count", "group", "lifted", "recut",
    "smallest_cluster",
]  # fmt: skip

_PARTS: Mapping[str, tuple[str, ...]] = {"hdbscan": ("fast_hdbscan",), "evoc": ("evoc",)}
"""What is not ours, beside SciPy."""

LEAST = 10
"""Rows near a place that make it dense."""


def default_count(rows: int) -> int:
    """Clusters where none are asked for: the root of the rows, or four times their cube root.

    Whichever is less: 5 for 30 rows, 79 for 7,807, 305 for 444,668.
    """
    return max(1, round(min(math.sqrt(rows), 4 * math.cbrt(rows))))


def smallest_cluster(rows: int) -> int:
    """The fewest rows of a density cluster: a fourth of the root of all rows, at least 5."""
    return max(5, round(math.sqrt(rows) / 4))


def check_parts(method: str) -> None:
    """Raise MissingExtraError where what ``group`` and names need is not installed."""
    for part in (*_PARTS.get(method, ()), "scipy"):
        if importlib.util.find_spec(part) is None:
            raise MissingExtraError(f"clustering by {method}", "map")


def group(
    method: str,
    points: FloatArray,
    positions: FloatArray,
    count: int | None = None,
    seed: int = 0,
    stage: Stage = lambda text: None,
) -> Grouping:
    """Which rows belong together.

    ``method`` of CLUSTERINGS; ``points`` float32 (n, d), reduced, d at most 64; ``positions``
    float32 (n, 2|3) on the map; n at least 1. ``count``: clusters for kmeans and agglomerative.
    Where nothing is dense enough for a cluster, all rows are one. Equal input gives equal clusters.
    Raises InputError for values that cannot be used, MissingExtraError where an optional part is
    missing.
    """
    if method not in CLUSTERINGS:
        raise InputError(f"clusters {method!r}: not known; use one of: {', '.join(CLUSTERINGS)}")
    if len(points) != len(positions) or not len(points):
        raise InputError(
            f"clusters: {len(points)} points and {len(positions)} positions; give both of at least"
            " one record"
        )
    stage(f"clusters by {method}")
    task = _Task(points, positions, count, seed)
    if (points == points[0]).all():
        return Grouping(np.zeros(len(points), np.int32), {"clusters": 1, "different": 1})
    grouping = _METHODS[method](task)
    if grouping.count == 0:
        grouping = replace(grouping, of=np.zeros(len(points), np.int32), coarser=())
    noise = float(np.count_nonzero(grouping.of < 0)) / len(points)
    stated = {"clusters": grouping.count, "noise": round(noise, 4), **grouping.parameters}
    return replace(grouping, parameters=stated)


def recut(grouping: Grouping, points: FloatArray, positions: FloatArray, count: int) -> Grouping:
    """The same tree cut at another number of clusters.

    Raises InputError if the grouping has no tree, or for less than 1 cluster.
    """
    if grouping.tree is None:
        raise InputError("count: these clusters have no tree to cut; use agglomerative")
    if count < 1:
        raise InputError(f"count {count}: at least 1 cluster")
    of = cut(grouping.tree, count)
    made = Grouping(of, {}, grouping.tree, _levels.joined(of, points, positions))
    return replace(made, parameters={**grouping.parameters, "clusters": made.count})


@dataclass(frozen=True)
class _Task:
    points: FloatArray
    positions: FloatArray
    count: int | None
    seed: int

    @property
    def wanted(self) -> int:
        return self.count or default_count(len(self.points))

    @property
    def smallest(self) -> int:
        return smallest_cluster(len(self.points))

    def grouped(self, of: NDArray[np.integer], **parameters: float | int | str) -> Grouping:
        numbered = by_size(of)
        coarser = _levels.joined(numbered, self.points, self.positions)
        return Grouping(numbered, parameters, coarser=coarser)


def _by_hdbscan(task: _Task) -> Grouping:
    of = _hdbscan(task.positions, task.smallest, least := min(LEAST, task.smallest))
    return task.grouped(of, smallest_cluster=task.smallest, least_rows=least, on="map")


def _by_evoc(task: _Task) -> Grouping:
    smallest = max(5, task.smallest // 2)  # it joins more than HDBSCAN does on a map
    layers = _evoc_layers(task.points, smallest, task.seed)
    coarser = _levels.from_layers(layers, task.points, task.positions)
    own = ", ".join(str(int(layer.max(initial=-1)) + 1) for layer in layers)
    stated: Mapping[str, float | int | str] = {
        "smallest_cluster": smallest, "layers": own, "seed": task.seed,
    }  # fmt: skip
    return Grouping(layers[0], stated, coarser=coarser)


def _by_kmeans(task: _Task) -> Grouping:
    of, _ = _kmeans(task.points, task.wanted, task.seed)
    return task.grouped(of, count=task.wanted, seed=task.seed)


def _by_dbscan(task: _Task) -> Grouping:
    least = min(LEAST, max(2, len(task.points) // 3))
    reach, of = _dbscan.found_reach(task.positions, least)
    sizes = np.bincount(of[of >= 0], minlength=1)
    kept = np.append(sizes >= task.smallest, False)[of]  # dust is no cluster to look at
    return task.grouped(
        np.where(kept, of, -1), reach=float(f"{reach:.4g}"), least_rows=least,
        smallest_cluster=task.smallest, on="map",
    )  # fmt: skip


def _by_agglomerative(task: _Task) -> Grouping:
    tree = tree_of(task.points, task.seed)
    made = task.grouped(cut(tree, task.wanted), count=task.wanted, leaves=len(tree.merges) + 1,
                        seed=task.seed)  # fmt: skip
    return replace(made, tree=tree)


_METHODS: Mapping[str, Callable[[_Task], Grouping]] = {
    "hdbscan": _by_hdbscan,
    "evoc": _by_evoc,
    "kmeans": _by_kmeans,
    "dbscan": _by_dbscan,
    "agglomerative": _by_agglomerative,
}
