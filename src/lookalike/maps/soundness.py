"""Whether what was read from disk can be a map: shapes, kinds, ranges. What cannot is made anew.

A file may be cut short, replaced, or edited by hand; a wrong map must never come of it. Every check
raises ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.graph import Reduction
from lookalike.kernels import MOST_DIMS
from lookalike.maps.base import CLUSTERINGS, Cluster, Clustering, MapOptions, Tree
from lookalike.maps.clusters.grouping import Grouping

Numbers = NDArray[Any]


def check_array(name: str, array: Numbers, dtype: str, shape: tuple[int, ...]) -> None:
    """An array has this type and shape, and its numbers are finite."""
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name}: {array.dtype} {array.shape}, not {dtype} {shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: not finite")


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """What is told of a method is words and finite numbers by name."""
    for name, value in parameters.items():
        number = isinstance(value, int | float) and bool(np.isfinite(value))
        if not (isinstance(name, str) and (number or isinstance(value, str))):
            raise ValueError(f"parameter {name!r}: {value!r}")


def check_options(options: MapOptions) -> None:
    """Options that a map can be asked for, of the right types."""
    options.check()
    whole = type(options.dims) is int and type(options.seed) is int
    texts = all(isinstance(one, str | None) for one in (options.where, options.space))
    if not (whole and texts):
        raise ValueError("options: of other types")


def check_reduction(reduction: Reduction, centres: Numbers) -> None:
    """Axes and a mean of one number of dimensions, and centres among the points."""
    rows, columns = reduction.axes.shape
    check_array("axes", reduction.axes, "f4", (rows, columns))
    check_array("mean", reduction.mean, "f4", (rows,))
    check_array("centres", centres, "f4", (len(centres), columns))
    if not 0 < columns <= MOST_DIMS:
        raise ValueError(f"axes: {columns}")


def check_tree(tree: Tree, rows: int) -> None:
    """Every row has a leaf, and every merge is of two that were there."""
    merges = tree.merges
    check_array("merges", merges, "f8", (len(merges), 4))
    check_array("leaf", tree.leaf, "i4", (rows,))
    leaves = len(merges) + 1
    if not -1 <= tree.leaf.min() <= tree.leaf.max() < leaves:
        raise ValueError("leaf: out of range")
    merged = merges[:, :2]
    made = leaves + np.arange(len(merges))[:, None]
    whole = bool((merged == np.floor(merged)).all())
    if not (whole and bool(((merged >= 0) & (merged < made)).all())):
        raise ValueError("merges: of what is not there")
    if len(np.unique(merged)) != merged.size:
        raise ValueError("merges: of one thing twice")


def check_grouping(grouping: Grouping, rows: int) -> None:
    """Clusters of so many rows, numbered without gaps, in wider ones that are so too."""
    check_array("finest", grouping.of, "i4", (rows,))
    check_parameters(grouping.parameters)
    _check_numbers("finest", grouping.of, -1)
    if len(grouping.coarser) > 2:
        raise ValueError("coarser: more than two levels")
    for parents in grouping.coarser:
        check_array("coarser", parents, "i4", (grouping.count,))
        _check_numbers("coarser", parents, 0)
    if grouping.tree is not None:
        check_tree(grouping.tree, rows)


def _check_numbers(name: str, of: Numbers, lowest: int) -> None:
    """Numbers from ``lowest`` on, those from 0 without gaps."""
    if of.size and int(of.min()) < lowest:
        raise ValueError(f"{name}: out of range")
    if of.size and int(of.max()) >= of.size:
        raise ValueError(f"{name}: more clusters than members")
    if not np.bincount(of[of >= 0], minlength=1).all() and int(of.max(initial=-1)) >= 0:
        raise ValueError(f"{name}: with gaps")


def check_clustering(clustering: Clustering, rows: int, dims: int) -> None:
    """One to three levels of clusters of so many rows, each as large as it says."""
    if clustering.method not in CLUSTERINGS or not 1 <= len(clustering.levels) <= 3:
        raise ValueError("clusters: of no method, or no level")
    check_parameters(clustering.parameters)
    for level in clustering.levels:
        check_array("of", level.of, "i4", (rows,))
        if not -1 <= level.of.min() <= level.of.max() < max(1, len(level.clusters)):
            raise ValueError("of: out of range")
        sizes = np.bincount(level.of + 1, minlength=len(level.clusters) + 1)[1:]
        if sizes.tolist() != [one.size for one in level.clusters]:
            raise ValueError("clusters: of other sizes")
        for one in level.clusters:
            _check_cluster(one, dims)
    if clustering.tree is not None:
        check_tree(clustering.tree, rows)


def _check_cluster(cluster: Cluster, dims: int) -> None:
    numbers = [*cluster.centre, *(share for _, share in cluster.colours)]
    if len(cluster.centre) != dims or not np.isfinite(numbers).all():
        raise ValueError("clusters: their places are none")
