"""The neighbour graph: the nearest other records of every record, made once and kept up to date.

Vectors are centred and reduced to their 64 leading principal components; distances are Euclidean in
that space, which is what t-SNE and UMAP take. They leave out what the other components hold, so two
records lie at least as far from each other as the graph says: whoever needs cosines compares the
few neighbours again. What each size and effort costs is in docs/adr/0006-neighbour-graph.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.codes import even_sample, principal_axes
from lookalike.indexes.derived import DAMAGED, DerivedFolder, array_writer, table_digest
from lookalike.indexes.regions import EXACT_ROWS, Lists, Regions, Rows
from lookalike.kernels import MOST_DIMS
from lookalike.stores.base import IdentifiedRows, VectorTable
from lookalike.types import FloatArray, IdArray

FITTED_ROWS = 16_384
"""Rows that the components are fitted on, evenly spread over the table."""

REBUILD_GROWTH = 1.5
"""The graph is made anew when the table has grown by this factor; until then it is updated."""

SPARE = 5
"""Lists are kept longer than asked for by one in so many: a row that has lost no more neighbours
than that needs no new search, and every list that is handed out is full."""

_CHUNK = 2_048

_VERSION = "v1"
_SPACE = "space.npz"


@dataclass(frozen=True)
class NeighbourGraph:
    """The nearest others of every live record, nearly always.

    ``ids`` V16 (n,) in the order of the table; ``neighbours`` int32 (n, k), places in ``ids``,
    -1 where there are fewer; ``distances`` float32 (n, k), Euclidean among the 64 leading
    principal components, infinite where there are fewer. A row ascends by distance, ties by place,
    and never has the record itself. Arrays may be mapped from disk and are not to be written to.
    """

    ids: IdArray
    neighbours: Rows
    distances: FloatArray

    def first(self, k: int) -> NeighbourGraph:
        """The same with only the k nearest."""
        return NeighbourGraph(self.ids, self.neighbours[:, :k], self.distances[:, :k])


@dataclass(frozen=True)
class Reduction:
    """``mean`` float32 (dim,) and ``axes`` (dim, d), d at most 64: reduced = (x - mean) @ axes."""

    mean: FloatArray
    axes: FloatArray

    @classmethod
    def fit(cls, table: VectorTable) -> Reduction:
        """The leading principal components of a table of at least one row."""
        mean, axes = principal_axes(even_sample(table.parts, FITTED_ROWS))
        table.release()
        return cls(mean, np.ascontiguousarray(axes[:, :MOST_DIMS], np.float32))

    def points(self, table: VectorTable) -> FloatArray:
        """All vectors reduced, float32 (n, d).

        Products are taken in float64: in float32 equal vectors get unequal points, as BLAS sums in
        an order that depends on where in the table they lie.
        """
        out = np.empty((len(table.ids), self.axes.shape[1]), np.float32)
        mean, axes = self.mean.astype(np.float64), self.axes.astype(np.float64)
        start = 0
        for part in table.parts:
            for at in range(0, len(part), _CHUNK):
                centred = part[at : at + _CHUNK] - mean
                out[start : start + len(centred)] = centred @ axes
                start += len(centred)
                table.release()
        return out


@dataclass(frozen=True)
class TableGraph:
    """A graph by the rows of a table, as it is kept, with all that an update needs.

    ``regions.of`` tells which rows are in it: those that lived then. The others have empty lists.
    Lists have k places, and one more for every ``SPARE``.
    """

    reduction: Reduction
    regions: Regions
    lists: Lists
    k: int

    def of_records(self, table: IdentifiedRows) -> NeighbourGraph:
        """The graph of the records that live in ``table``, which are those in it."""
        live = self.regions.of >= 0
        neighbours = self.lists.neighbours[:, : self.k]
        distances = self.lists.distances[:, : self.k]
        if live.all():
            return NeighbourGraph(table.ids, neighbours, distances)
        place = np.append(np.cumsum(live, dtype=np.int32) - 1, np.int32(-1))  # of row -1: -1
        return NeighbourGraph(table.ids[live], place[neighbours[live]], distances[live])


def build(table: VectorTable, k: int) -> TableGraph:
    """The graph of a table's live rows, of which there is at least one."""
    reduction = Reduction.fit(table)
    rows = np.flatnonzero(table.live).astype(np.int32)
    return build_of_points(reduction, reduction.points(table), rows, k)


def build_of_points(reduction: Reduction, points: FloatArray, rows: Rows, k: int) -> TableGraph:
    """The graph of some rows, ascending and at least one, of a table's reduced vectors."""
    regions = Regions.cut(points, rows)
    lists = Lists.empty(len(points), _places(k))
    regions.search(points, rows, lists)
    return TableGraph(reduction, regions, lists, k)


def _places(k: int) -> int:
    return k + -(-k // SPARE)


def without_dead(graph: TableGraph, live: NDArray[np.bool_]) -> TableGraph:
    """The graph without rows that have died since; ``live`` covers the graph's rows.

    What was behind a lost neighbour moves up, and places become free at the end.
    """
    died = (graph.regions.of >= 0) & ~live
    if not died.any():
        return graph
    neighbours, distances = np.array(graph.lists.neighbours), np.array(graph.lists.distances)
    neighbours[died], distances[died] = -1, np.inf
    lost = np.append(died, False)[neighbours]
    short = np.flatnonzero(lost.any(axis=1))
    lost = lost[short]
    order = np.argsort(lost, axis=1, kind="stable")
    for array, free in ((neighbours, -1), (distances, np.inf)):
        array[short] = np.take_along_axis(np.where(lost, free, array[short]), order, axis=1)
    regions = replace(graph.regions, of=np.where(died, np.int32(-1), graph.regions.of))
    return replace(graph, regions=regions, lists=Lists(neighbours, distances))


def wanting(graph: TableGraph) -> Rows:
    """Rows that have lost so many neighbours that k are no longer known: to be searched again."""
    inside = graph.regions.of >= 0
    others = int(inside.sum()) - 1
    have = (graph.lists.neighbours >= 0).sum(axis=1)
    return np.flatnonzero(inside & (have < min(graph.k, others))).astype(np.int32)


def with_rows(graph: TableGraph, table: VectorTable, added: Rows, again: Rows) -> TableGraph:
    """The graph with rows ``added`` that live in ``table``, and some searched ``again``.

    Added rows are searched among all, and offered to the rows that they were compared with.
    """
    points = graph.reduction.points(table)
    longer = len(points) - len(graph.regions.of)
    of = np.append(graph.regions.of, np.full(longer, -1, np.int32))
    settled = np.flatnonzero(of >= 0).astype(np.int32)
    settled = settled[~np.isin(settled, again)]
    regions = replace(graph.regions, of=of).with_rows(points, added)
    tail = Lists.empty(longer, _places(graph.k))
    neighbours = np.concatenate([graph.lists.neighbours, tail.neighbours])
    distances = np.concatenate([graph.lists.distances, tail.distances])
    neighbours[again], distances[again] = -1, np.inf
    lists = Lists(neighbours, distances)
    regions.search(points, np.sort(np.concatenate([added, again])), lists)
    _bound(lists, settled)
    regions.announce(points, added, settled, lists)
    distances[neighbours < 0] = np.inf
    return replace(graph, regions=regions, lists=lists)


def _bound(lists: Lists, rows: Rows) -> None:
    """Let free places of rows take nothing beyond their last neighbour.

    Such a row has lost neighbours, and unknown ones lie beyond the last one that it has.
    """
    have = (lists.neighbours[rows] >= 0).sum(axis=1)
    short = (have > 0) & (have < lists.neighbours.shape[1])
    rows, have = rows[short], have[short]
    reach = lists.distances[rows, have - 1]
    held = lists.distances[rows]
    lists.distances[rows] = np.where(lists.neighbours[rows] < 0, reach[:, None], held)


# -- kept on disk ----------------------------------------------------------------------------------


class GraphCache:
    """The graph of one table under ``folder``; see docs/storage-format.md for the files.

    Deleting the folder is always safe. Where it cannot be written, the graph is made every time.
    """

    def __init__(self, folder: Path, table: VectorTable) -> None:
        self._derived = DerivedFolder(folder)
        self._table = table

    def graph(self, k: int) -> NeighbourGraph:
        """The graph with k neighbours each: the kept one, updated, or a new one.

        Making one for half a million records takes a minute or more, updating it seconds.
        """
        if not self._table.live.any():
            empty = Lists.empty(0, k)
            return NeighbourGraph(self._table.ids[:0], empty.neighbours, empty.distances)
        return self.by_rows(k).of_records(self._table).first(k)

    def by_rows(self, k: int) -> TableGraph:
        """The same by the rows of the table, of which at least one lives."""
        kept = self._load(k)
        return (kept and self._updated(*kept)) or self._built(k)

    def _built(self, k: int) -> TableGraph:
        graph = build(self._table, k)
        self._keep(graph, len(self._table.ids))
        return graph

    def _updated(self, graph: TableGraph, built_rows: int) -> TableGraph | None:
        """The graph for the table as it is now; None if it is to be made anew."""
        live, inside = self._table.live, graph.regions.of >= 0
        added = live.copy()
        added[: len(inside)] &= ~inside
        died = bool((inside & ~live[: len(inside)]).any())
        if not died and not added.any():
            return graph
        if len(live) > built_rows * REBUILD_GROWTH or len(live) <= EXACT_ROWS:
            return None
        graph = without_dead(graph, live[: len(inside)])
        again = wanting(graph)
        if added.any() or len(again):
            rows = np.flatnonzero(added).astype(np.int32)
            graph = with_rows(graph, self._table, rows, again)
            self._keep(graph, built_rows)
        return graph

    def _load(self, k: int) -> tuple[TableGraph, int] | None:
        """What is kept for the table's first rows, and the rows that it was built of."""
        rows = len(self._table.ids)
        for stem, own in self._derived.sets(_VERSION, _SPACE, rows, self._made_for):
            with contextlib.suppress(*DAMAGED):
                _, _, built_rows, places, _ = stem.split("-")
                if int(places) >= k:
                    return self._read(stem, own, int(places)), int(built_rows)
        return None

    def _made_for(self, rows: int) -> str:
        return table_digest(self._table, rows)

    def _read(self, stem: str, rows: int, k: int) -> TableGraph:
        with open(self._derived.folder / f"{stem}.{_SPACE}", "rb") as file:
            stored = np.load(file, allow_pickle=False)
            reduction = Reduction(stored["mean"], stored["axes"])
            centres = stored["centres"]
        neighbours, distances, of = (
            self._derived.array(f"{stem}.{name}.npy") for name in ("neighbours", "distances", "of")
        )
        dim, dims = self._table.dim, min(self._table.dim, MOST_DIMS)
        for array, dtype, shape in (
            (reduction.mean, np.float32, (dim,)),
            (reduction.axes, np.float32, (dim, dims)),
            (centres, np.float32, (*centres.shape[:1], dims)),
            (neighbours, np.int32, (rows, _places(k))),
            (distances, np.float32, (rows, _places(k))),
            (of, np.int32, (rows,)),
        ):
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{stem}: not of the expected shape")
        _check_range(stem, neighbours, rows)
        _check_range(stem, of, len(centres))
        return TableGraph(reduction, Regions(centres, of), Lists(neighbours, distances), k)

    def _keep(self, graph: TableGraph, built_rows: int) -> bool:
        """All files of the graph; the space comes last and makes them count."""
        reduction, regions, lists = graph.reduction, graph.regions, graph.lists

        def write_space(path: Path) -> None:
            with open(path, "wb") as file:
                np.savez(file, mean=reduction.mean, axes=reduction.axes, centres=regions.centres)

        rows = len(regions.of)
        stem = f"{_VERSION}-{rows}-{built_rows}-{graph.k}-{self._made_for(rows)}"
        files: dict[str, Callable[[Path], None]] = {
            "neighbours.npy": array_writer(lists.neighbours),
            "distances.npy": array_writer(lists.distances),
            "of.npy": array_writer(regions.of),
            _SPACE: write_space,
        }
        return self._derived.keep_set(stem, files)


def _check_range(stem: str, numbers: Rows, stop: int) -> None:
    """Raise ValueError for numbers that are neither -1 nor below ``stop``."""
    if len(numbers) and (numbers.min() < -1 or numbers.max() >= stop):
        raise ValueError(f"{stem}: numbers out of range")
