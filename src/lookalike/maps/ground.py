"""What a layout stands on: every record as a point, and the nearest others of each.

By meaning, a point is a record's vector among the 64 leading principal components, and the graph is
the library's own, shared with whatever else needs neighbours. By colour, it is the square roots of
the histogram's shares, reduced likewise: Euclidean distance among them is sqrt(2 - 2 BC), BC being
Bhattacharyya's coefficient, so that near points are those that the metric finds alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.derived import digest, table_digest
from lookalike.indexes.graph import FITTED_ROWS, Reduction, TableGraph, build_of_points
from lookalike.indexes.regions import Lists, Regions, Rows
from lookalike.kernels import MOST_DIMS
from lookalike.stores.base import HistogramPart, HistogramTable, IdentifiedRows, VectorTable
from lookalike.types import BINS, FloatArray, IdArray

NEIGHBOURS = 30
"""Neighbours of the graph that layouts are made from."""

_CHUNK = 512
_NO_SPREAD = 1e-6
"""Squared distance that is rounding; points are roots of shares, at most sqrt(2) apart."""


@dataclass(frozen=True)
class Ground:
    """Rows of a map: ``ids`` V16 (n,), ``points`` float32 (n, d), d at most 64.

    ``neighbours`` int32 (n, k) and ``distances`` float32 (n, k) as in NeighbourGraph; ``reduction``
    and ``regions`` (of these rows) place further rows beside them.
    """

    ids: IdArray
    points: FloatArray
    neighbours: Rows
    distances: FloatArray
    reduction: Reduction
    regions: Regions


class Source(Protocol):
    """Where a map's points come from: one kind of numbers of a library at one commit."""

    @property
    def table(self) -> IdentifiedRows:
        """The rows, of which those that live have records."""

    @property
    def dim(self) -> int:
        """Numbers of a row before it is reduced."""

    def digest(self, rows: int) -> str:
        """What depends on the first rows: another space or library gives another one."""

    def fit(self) -> Reduction:
        """The principal components of the table."""

    def points(self, reduction: Reduction) -> FloatArray:
        """All rows of the table reduced, float32 (n, d)."""

    def kept_graph(self) -> TableGraph | None:
        """The graph of all live rows, of which there is at least one, if the library keeps one."""


class Meaning:
    """Points by meaning. ``shared``: gives the library's graph with so many neighbours."""

    def __init__(self, table: VectorTable, shared: Callable[[int], TableGraph]) -> None:
        self._table = table
        self._shared = shared

    @property
    def table(self) -> VectorTable:
        return self._table

    @property
    def dim(self) -> int:
        return self._table.dim

    def digest(self, rows: int) -> str:
        return table_digest(self.table, rows)

    def fit(self) -> Reduction:
        return Reduction.fit(self.table)

    def points(self, reduction: Reduction) -> FloatArray:
        return reduction.points(self.table)

    def kept_graph(self) -> TableGraph:
        return self._shared(NEIGHBOURS)


class Colour:
    """Points by colour."""

    def __init__(self, table: HistogramTable) -> None:
        self._table = table

    @property
    def table(self) -> HistogramTable:
        return self._table

    @property
    def dim(self) -> int:
        return BINS

    def digest(self, rows: int) -> str:
        first = next(self._roots(np.arange(min(rows, 16))), np.empty((0, BINS), np.float32))
        return digest(self.table.ids[:rows], first)

    def fit(self) -> Reduction:
        count = len(self.table.ids)
        rows = np.arange(min(count, FITTED_ROWS)) * count // min(count, FITTED_ROWS)
        return _components(np.concatenate([*self._roots(rows)]))

    def points(self, reduction: Reduction) -> FloatArray:
        out = np.empty((len(self.table.ids), reduction.axes.shape[1]), np.float32)
        start = 0
        for roots in self._roots(np.arange(len(out))):
            out[start : start + len(roots)] = (roots - reduction.mean) @ reduction.axes
            start += len(roots)
        return out

    def kept_graph(self) -> None:
        return None

    def _roots(self, rows: NDArray[np.int64]) -> Iterator[FloatArray]:
        """Square roots of the histograms' shares, float32 (m, 4096), some hundred at a time."""
        ends = np.cumsum([len(part) for part in self.table.parts])
        number = np.searchsorted(ends, rows, side="right")
        for at in range(0, len(rows), _CHUNK):
            some, of = rows[at : at + _CHUNK], number[at : at + _CHUNK]
            out = np.zeros((len(some), BINS), np.float32)
            for one in np.unique(of).tolist():
                part = self.table.parts[one]
                here = np.flatnonzero(of == one)
                _fill(out, here, part, some[here] - (int(ends[one]) - len(part)))
            yield out


def _components(sample: FloatArray) -> Reduction:
    """The leading principal components of a sample (m, 4096); of all 4,096 would take a minute."""
    from scipy.sparse.linalg import eigsh

    mean = sample.mean(axis=0, dtype=np.float64)
    covariance = (sample.T @ sample).astype(np.float64) - len(sample) * np.outer(mean, mean)
    spread = float(np.trace(covariance))
    if spread <= _NO_SPREAD * len(sample):  # all alike: any axes will do
        return Reduction(mean.astype(np.float32), np.eye(BINS, MOST_DIMS, dtype=np.float32))
    start = np.ones(BINS)
    if np.linalg.norm(covariance @ start) <= _NO_SPREAD * spread:  # finds nothing from there
        start = np.random.default_rng(0).normal(size=BINS)
    _, axes = eigsh(covariance, MOST_DIMS, v0=start)
    return Reduction(mean.astype(np.float32), np.ascontiguousarray(axes[:, ::-1], dtype=np.float32))


def _fill(
    out: FloatArray, to: NDArray[np.int64], part: HistogramPart, rows: NDArray[np.int64]
) -> None:
    """Write the roots of a part's ``rows`` into the rows ``to`` of ``out``."""
    for row, inner in zip(to.tolist(), rows.tolist(), strict=True):
        cells = part.cells(inner)
        counts = np.asarray(part.counts[cells], np.float32)
        out[row, part.bins[cells]] = np.sqrt(counts / counts.sum())


def ground_of(source: Source, wanted: NDArray[np.bool_]) -> Ground:
    """The ground of the rows ``wanted`` bool (n,) of a source, all live and at least one."""
    table = source.table
    rows = np.flatnonzero(wanted).astype(np.int32)
    graph = source.kept_graph() if len(rows) == int(table.live.sum()) else None
    reduction = source.fit() if graph is None else graph.reduction
    points = source.points(reduction)
    graph = graph or build_of_points(reduction, points, rows, NEIGHBOURS)
    near = graph.of_records(table).first(NEIGHBOURS)
    regions = Regions(graph.regions.centres, np.ascontiguousarray(graph.regions.of[rows]))
    return Ground(near.ids, points[rows], near.neighbours, near.distances, graph.reduction, regions)


def nearest_known(
    points: FloatArray, regions: Regions, rows: Rows, k: int
) -> tuple[Rows, FloatArray]:
    """For some ``rows`` of ``points`` that are in no region, the k nearest rows that are.

    Gives int32 (m, k), -1 where there are fewer, and float32 distances (m, k), infinite there.
    """
    lists = Lists.empty(len(points), k)
    regions.search(points, rows, lists)
    return lists.neighbours[rows], lists.distances[rows]
