"""Ward's hierarchy, and cutting it at any number of clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lookalike.types import DoubleArray, FloatArray

Places = NDArray[np.int64]


def ward(points: FloatArray) -> DoubleArray:
    """Merges as SciPy's linkage matrix has them, float64 (n - 1, 4), of points (n, d).

    J. Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963. Takes a matrix of all
    distances: for some thousand points, n at least 1.
    """
    from scipy.cluster.hierarchy import linkage

    if len(points) < 2:
        return np.empty((0, 4))
    return np.asarray(linkage(points.astype(np.float64), "ward"))


def cut_leaves(merges: DoubleArray, count: int) -> Places:
    """The cluster of every leaf, int64 (leaves,), when ``count`` clusters are left.

    All leaves apart if ``count`` is more than there are; numbers mean nothing.
    """
    leaves = len(merges) + 1
    left = max(1, min(count, leaves))
    above = np.arange(2 * leaves - 1)
    for at in range(leaves - left):
        above[merges[at, :2].astype(np.int64)] = leaves + at
    for node in range(2 * leaves - 2, -1, -1):  # what lies above has a higher number
        above[node] = above[above[node]]
    found: Places = np.unique(above[:leaves], return_inverse=True)[1]
    return found.ravel()
