"""DBSCAN on a map, in a memory that does not grow with how dense the map is.

M. Ester, H.-P. Kriegel, J. Sander, X. Xu, "A Density-Based Algorithm for Discovering Clusters in
Large Spatial Databases with Noise", 1996: a core has ``least`` rows (itself among them) within
``reach``; cores within reach of each other are of one cluster; what lies within reach of a core is
of its cluster; the rest is noise. A row within reach of several clusters' cores goes to the nearest
core's, so that the order of the rows changes nothing.

All neighbours within reach are never listed. Cores in one square of a grid whose diagonal is
``reach`` belong together (A. Gunawan, "A Faster Algorithm for DBSCAN", 2013); then the few nearest
of every core join squares; only squares next to each other that are still apart are compared in
full. It is exact: tests compare with scikit-learn's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.types import DoubleArray

Places = NDArray[np.int64]

CORES = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Shares of the rows that are cores, at the reaches that are tried in turn."""

NEAREST = 1e-6
"""The nearest reach, as a share of the map's extent: where most rows lie on one of few places."""

LARGEST = 0.5
"""A cluster with more than this share of the rows says that the reach was too far."""

_BLOCK = 65_536
_PAIRS = 4_000_000
"""Distances computed at once: 64 MB with all that belongs to them."""

_LARGE = 20_000
"""Pairs of rows of two squares from which on a tree is asked instead."""


def dbscan(positions: NDArray[np.floating], reach: float, least: int) -> Places:
    """The cluster of every row of ``positions`` (n, 2|3), int64 (n,); -1 for noise."""
    return _Map(positions, least).clusters(reach)


def found_reach(positions: NDArray[np.floating], least: int) -> tuple[float, Places]:
    """A reach that parts the map, and its clusters.

    The one that makes 19 of 20 rows cores, which is where the distances to the ``least``-th
    nearest, sorted, start to rise (the authors of DBSCAN look for that by eye). Where more than
    half of the rows would be one cluster, a nearer one, if any does better.
    """
    chart = _Map(positions, least)
    found: list[tuple[float, Places]] = []
    extent = float(np.ptp(positions, axis=0).max()) or 1.0
    for quantile in np.quantile(chart.core_distance, CORES).tolist():
        reach = max(quantile, NEAREST * extent)
        of = chart.clusters(reach)
        if np.bincount(of[of >= 0], minlength=1).max() <= LARGEST * len(of):
            return reach, of
        found.append((reach, of))
    return found[0]


class _Map:
    """Positions with what does not depend on the reach: the distances to the nearest rows."""

    def __init__(self, positions: NDArray[np.floating], least: int) -> None:
        self._at = np.ascontiguousarray(positions, np.float64)
        self._least = least
        self._tree = _tree(self._at)
        self.core_distance: DoubleArray = np.empty(len(self._at))
        self._nearest = np.empty((len(self._at), least), np.int32)
        for start in range(0, len(self._at), _BLOCK):
            block = slice(start, start + _BLOCK)
            distances, rows = self._tree.query(self._at[block], k=range(1, least + 1))
            self.core_distance[block] = distances[:, -1]
            self._nearest[block] = rows

    def clusters(self, reach: float) -> Places:
        """As ``dbscan`` gives them, numbered by their first core."""
        cores = np.flatnonzero(self.core_distance <= reach)
        of = np.full(len(self._at), -1, np.int64)
        if not len(cores):
            return of
        of[cores] = self._of_cores(cores, reach)
        rest = np.flatnonzero(of < 0)
        tree = _tree(self._at[cores])
        for start in range(0, len(rest), _BLOCK):
            some = rest[start : start + _BLOCK]
            distances, nearest = tree.query(self._at[some])
            near = distances <= reach
            of[some[near]] = of[cores[nearest[near]]]
        return of

    def _of_cores(self, cores: Places, reach: float) -> Places:
        """The clusters of cores, int64 (m,)."""
        at = self._at[cores]
        grid = _Grid(at, reach)
        piece = self._joined_by_nearest(cores, grid, reach)
        for pairs in grid.pairs():
            apart = pairs[piece[pairs[:, 0]] != piece[pairs[:, 1]]]
            near = apart[_within(at, grid, apart, reach)]
            if len(near):
                piece = _joined(piece[near], int(piece.max()) + 1)[piece]
        return piece[grid.of]

    def _joined_by_nearest(self, cores: Places, grid: _Grid, reach: float) -> Places:
        """The piece of every square, where the few nearest of their cores join them."""
        square = np.full(len(self._at) + 1, -1, np.int32)  # the last for "no such row"
        square[cores] = grid.of
        pairs = [np.empty((0, 2), np.int64)]
        for start in range(0, len(cores), _BLOCK):
            some = cores[start : start + _BLOCK]
            nearest = self._nearest[some]
            apart = self._at[some][:, None, :] - self._at[np.minimum(nearest, len(self._at) - 1)]
            near = np.sqrt((apart * apart).sum(axis=2)) <= reach
            other = np.where(near, square[nearest], -1)
            own = np.broadcast_to(square[some][:, None], other.shape)
            both = np.stack([own, other], -1)[(other >= 0) & (other != own)]
            pairs.append(np.unique(both, axis=0).astype(np.int64))
        return _joined(np.concatenate(pairs), grid.count)


class _Grid:
    """Squares (or cubes) with a diagonal of ``reach``: ``of`` int64 (m,), the square of each row.

    ``count`` squares that have rows; ``rows``: all rows, square by square; ``starts`` int64
    (count + 1,): where those of each square begin.
    """

    def __init__(self, at: DoubleArray, reach: float) -> None:
        dims = at.shape[1]
        self._steps = int(np.ceil(dims**0.5))
        side = reach / dims**0.5 * (1 - 1e-9)
        along = np.floor((at - at.min(axis=0)) / side).astype(np.int64)
        squares = np.stack([self._closed_up(axis) for axis in along.T], 1)
        spans = squares.max(axis=0) + self._steps + 1
        self._scale = np.array([int(np.prod(spans[axis + 1 :])) for axis in range(dims)])
        self._keys, of = np.unique(squares @ self._scale, return_inverse=True)
        self.of: Places = of.ravel()
        self.count = len(self._keys)
        self.rows = np.argsort(self.of, kind="stable")
        self.starts = np.append(0, np.cumsum(np.bincount(self.of, minlength=self.count)))

    def _closed_up(self, along: Places) -> Places:
        """Numbers of columns without gaps wider than any step, so that they stay small."""
        used, place = np.unique(along, return_inverse=True)
        gaps = np.minimum(np.diff(used, prepend=used[:1]), self._steps + 1)
        closed: Places = np.cumsum(gaps)[place.ravel()]
        return closed

    def pairs(self) -> Iterator[Places]:
        """All pairs of squares (p, 2) that may hold rows within reach, one direction at a time."""
        dims = len(self._scale)
        for offset in itertools.product(range(-self._steps, self._steps + 1), repeat=dims):
            between = sum(max(0, abs(step) - 1) ** 2 for step in offset)
            if offset <= (0,) * dims or between >= dims:
                continue
            wanted = self._keys + np.array(offset) @ self._scale
            other = np.minimum(np.searchsorted(self._keys, wanted), self.count - 1)
            own = np.flatnonzero(self._keys[other] == wanted)
            yield np.stack([own, other[own]], 1)


def _within(at: DoubleArray, grid: _Grid, pairs: Places, reach: float) -> NDArray[np.bool_]:
    """Which pairs of squares have a row each that lie within reach, bool (p,)."""
    sizes = np.diff(grid.starts)[pairs]
    work = sizes.prod(axis=1)
    found = np.zeros(len(pairs), bool)
    for number in np.flatnonzero(work > _LARGE):
        first, second = (
            grid.rows[grid.starts[one] : grid.starts[one + 1]] for one in pairs[number]
        )
        distances, _ = _tree(at[first]).query(at[second], k=1)
        found[number] = distances.min() <= reach
    small = np.flatnonzero(work <= _LARGE)
    blocks = np.cumsum(work[small]) // _PAIRS
    for block in np.unique(blocks):
        some = small[blocks == block]
        owner = np.repeat(np.arange(len(some)), work[some])
        inner = np.arange(len(owner)) - np.repeat(np.cumsum(work[some]) - work[some], work[some])
        width = sizes[some, 1][owner]
        first = grid.rows[grid.starts[pairs[some, 0]][owner] + inner // width]
        second = grid.rows[grid.starts[pairs[some, 1]][owner] + inner % width]
        apart = at[first] - at[second]
        near = np.sqrt((apart * apart).sum(axis=1)) <= reach
        found[some[owner[near]]] = True
    return found


def _joined(pairs: Places, count: int) -> Places:
    """The connected piece of each of ``count`` nodes, int64 (count,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _tree(at: DoubleArray) -> Any:
    from scipy.spatial import cKDTree

    return cKDTree(at, balanced_tree=False, compact_nodes=True)
