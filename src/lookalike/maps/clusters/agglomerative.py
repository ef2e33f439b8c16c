"""Agglomerative clustering: small cells by k-means, joined by Ward's hierarchy.

The hierarchy is kept (``Tree``), so that the number of clusters can be chosen afterwards. All cells
count the same, however many rows they have: weighed by their rows, large groups fall apart and
small ones are swallowed (docs/adr/0014-clusters.md).
"""

from __future__ import annotations

import numpy as np

from lookalike.maps.base import Tree
from lookalike.maps.clusters.grouping import Numbers, by_size, lifted
from lookalike.maps.clusters.kmeans import cells
from lookalike.maps.clusters.ward import cut_leaves, ward
from lookalike.types import FloatArray

LEAVES = 2_000
"""Cells at most: their hierarchy takes about a second, and 32 MB for all distances."""

FEW = 500
ROWS_PER_LEAF = 4
"""More than ``FEW`` rows have a cell for so many rows each."""


def tree_of(points: FloatArray, seed: int) -> Tree:
    """The hierarchy over ``points`` float32 (n, d), n at least 1."""
    count = min(LEAVES, max(len(points) // ROWS_PER_LEAF, min(len(points), FEW)))
    leaf, centres = cells(points, count, seed)
    return Tree(leaf, ward(centres))


def cut(tree: Tree, count: int) -> Numbers:
    """The clusters of all rows when there are ``count`` (or as many as leaves), int32 (n,).

    Numbered by size, the largest first; -1 for rows that are in no leaf.
    """
    return by_size(lifted(tree.leaf, cut_leaves(tree.merges, count).astype(np.int32)))
