"""What a method of clustering gives, and how clusters are numbered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.maps.base import Parameters, Tree
from lookalike.types import FloatArray

Numbers = NDArray[np.int32]
Stage = Callable[[str], None]
"""Told what is being done now, in a few words."""


@dataclass(frozen=True)
class Grouping:
    """Which rows belong together.

    ``of`` int32 (n,): the finest clusters, numbered from 0 by size, the largest first, ties by
    their first row; -1 in none. ``parameters``: what the method was given or found. ``tree`` if the
    method makes one. ``coarser``: for up to two wider levels, the widest first, int32 (clusters,):
    the number of every finest cluster's cluster there, numbered by size in the same way.
    """

    of: Numbers
    parameters: Parameters
    tree: Tree | None = None
    coarser: tuple[Numbers, ...] = ()

    @property
    def count(self) -> int:
        """Clusters of the finest level."""
        return int(self.of.max(initial=-1)) + 1

    def levels(self) -> list[Numbers]:
        """``of`` of every level, the widest first, the finest last."""
        return [*(lifted(self.of, parent) for parent in self.coarser), self.of]


def lifted(of: Numbers, parent: Numbers) -> Numbers:
    """The clusters of rows at a wider level, int32 (n,), from those of the finest one."""
    return np.append(parent, np.int32(-1))[of]


def by_size(of: NDArray[np.integer]) -> Numbers:
    """The same clusters numbered by size, the largest first, ties by first row; below 0 is none."""
    return renumbering(of)[1]


def renumbering(of: NDArray[np.integer]) -> tuple[NDArray[np.integer], Numbers]:
    """The old numbers in their new order, and ``of`` int32 (n,) by the new ones."""
    old, first, place, sizes = np.unique(
        of, return_index=True, return_inverse=True, return_counts=True
    )
    none = int(np.count_nonzero(old < 0))
    order = none + np.lexsort((first[none:], -sizes[none:]))
    number = np.full(len(old), -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return old[order], number[place.ravel()]


def means(values: FloatArray, of: Numbers, count: int) -> FloatArray:
    """The mean of every cluster's rows of ``values`` (n, d), float32 (count, d)."""
    some = of >= 0
    sizes = np.bincount(of[some], minlength=count)
    out = np.empty((count, values.shape[1]), np.float32)
    for column in range(values.shape[1]):
        sums = np.bincount(of[some], values[some, column], count)
        out[:, column] = sums / np.maximum(sizes, 1)
    return out
