"""The numbers of one commit of a library, and the indexes over them, made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import CONFIDENT, Category
from lookalike.categories.tree import CLASSES
from lookalike.conditions import Condition
from lookalike.errors import InputError
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.pca import PcaModel
from lookalike.indexes import ColourIndex, CompactIndex, ExactIndex
from lookalike.indexes.categories import CategoryCache, CategoryIndex
from lookalike.indexes.colour import CoarseCache
from lookalike.indexes.compact import LEAST_ROWS, CodesCache
from lookalike.indexes.pca import PcaCache
from lookalike.kernels.coarse import CoarseRows
from lookalike.stores import HistogramTable, Store
from lookalike.stores.base import LogitTable, PartTable, VectorTable
from lookalike.types import DoubleArray, FloatArray, IdArray, Label, Space

if TYPE_CHECKING:
    from lookalike.indexes.graph import NeighbourGraph, TableGraph

VectorIndex = ExactIndex | CompactIndex


class Derived:
    """Where a library keeps what can be made anew from its tables."""

    def __init__(self, folder: Path, space: Space) -> None:
        self.compact = folder / "compact" / space.name
        self.pca = folder / "pca" / space.name
        self.colour = folder / "colour"
        self.graph = folder / "graph" / space.name
        self.maps = folder / "maps"
        self.categories = folder / "categories" / space.name
        self.likeness = folder / "likeness" / space.name


class NumbersOf(Protocol):
    """What tables ask of a store in one space: a Store, or an excerpt of one."""

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors and histograms."""

    def logits(self, space: Space) -> LogitTable:
        """The highest class logits."""

    def parts_seen(self, space: Space) -> int:
        """A number that grows as parts are looked at."""

    def parts(self, space: Space) -> PartTable:
        """The highest class logits of parts."""


class Tables:
    """Vectors and histograms of one commit, mapped from disk, with their indexes.

    An index stays the same object as long as the commit is the latest, so that what it has mapped
    and decoded is there for the next search.
    """

    def __init__(self, store: NumbersOf, space: Space, derived: Path) -> None:
        self.space = space
        self.derived = Derived(derived, space)
        self.labelled_by = self
        """The tables of the space that says what records show, where this one's has no classes."""
        self.vectors, self.histograms = store.tables(space)
        tail = _tail(space)
        source = None if tail is None else _Classes(store, space, tail)
        self._category_cache = CategoryCache(self.derived.categories, self.vectors, source)
        self._reduced: dict[tuple[str, int], tuple[PcaModel, ExactIndex]] = {}
        self._compact: dict[tuple[str, int] | None, CompactIndex | None] = {}
        self._colour: dict[str, ColourIndex] = {}
        self._graph: NeighbourGraph | None = None
        self.limits: dict[Hashable, tuple[float, float] | None] = {}
        """Distances up to which hits are likely and maybe alike, by method (``likeness``)."""
        self.spreads: dict[str, tuple[float, float]] = {}
        """How far meaning and colour spread, by colour metric (``mixing``)."""
        self.chance: Callable[[], Tables] = lambda: self
        """The tables from which records are drawn to tell what chance gives; an excerpt's are
        others."""
        self._masks: dict[Condition, tuple[IdArray, dict[bool, NDArray[np.bool_]]]] = {}

    def vector_of(self, record: UUID) -> DoubleArray | None:
        """The vector of a live record, or None."""
        row = self.vectors.row_of(record)
        return None if row is None else self.vectors.vector(row)

    def histogram_of(self, record: UUID) -> DoubleArray | None:
        """The histogram of a live record, dense, or None."""
        row = self.histograms.row_of(record)
        return None if row is None else self.histograms.histogram(row).dense()

    def examples(self, classes: tuple[int, ...], most: int) -> FloatArray:
        """Vectors of the records that surely show one of some classes, the surest first."""
        shares = self.categories.share_of_whole(classes)
        sure = np.flatnonzero((shares >= CONFIDENT) & self.categories.live)
        return self.vectors.vectors(sure[np.argsort(-shares[sure], kind="stable")[:most]])

    def refresh(self) -> bool:
        """Make what is missing and pays; returns whether anything was made. May take seconds."""
        made = [
            CodesCache(self.derived.compact, self.vectors).refresh(),
            CoarseCache(self.derived.colour, self.histograms).refresh(),
            self._category_cache.refresh(),
        ]
        return any(made)

    @cached_property
    def exact(self) -> ExactIndex:
        """All vectors, compared one by one."""
        return ExactIndex(self.vectors.ids, self.vectors.parts)

    def meaning(self, *, exact: bool) -> VectorIndex:
        """The index for whole vectors: compact if its codes are there, unless ``exact``."""
        if exact or len(self.vectors.ids) < LEAST_ROWS:
            return self.exact
        if self._compact.get(None) is None:
            codes = CodesCache(self.derived.compact, self.vectors).load()
            self._compact[None] = CompactIndex(self.exact, codes) if codes else None
        return self._compact[None] or self.exact

    def reduced(self, method: str, dims: int, *, exact: bool) -> tuple[PcaModel, VectorIndex]:
        """A PCA model, and the index over the vectors that it reduced."""
        key = (method, dims)
        cache = PcaCache(self.derived.pca, self.vectors)
        if key not in self._reduced:
            self._reduced[key] = cache.index(method, dims)
        model, index = self._reduced[key]
        if exact or len(self.vectors.ids) < LEAST_ROWS:
            return model, index
        if key not in self._compact:
            codes = cache.codes(method, dims, index)
            self._compact[key] = CompactIndex(index, codes) if codes else None
        return model, self._compact[key] or index

    def wants_index(self, by: str) -> bool:
        """Whether searches by this method go without an index that would make them faster."""
        large = len(self.vectors.ids) >= LEAST_ROWS
        return large and by in ("meaning", "shortlist") and self._compact.get(None) is None

    @cached_property
    def coarse(self) -> CoarseRows:
        """What rules rows out in searches by colour."""
        return CoarseCache(self.derived.colour, self.histograms).load()

    @cached_property
    def categories(self) -> CategoryIndex:
        """What every record shows."""
        return self._category_cache.load()

    @cached_property
    def aligned(self) -> bool:
        """Whether vectors and histograms have the same records in the same rows."""
        ids = self.vectors.ids, self.histograms.ids
        return len(ids[0]) == len(ids[1]) and bool((ids[0] == ids[1]).all())

    @cached_property
    def coloured(self) -> NDArray[np.bool_]:
        """Which rows of the vectors have a histogram, bool (n,): not those imported without."""
        if self.aligned:
            return np.ones(len(self.vectors.ids), bool)
        return self.histogram_rows(np.arange(len(self.vectors.ids))) >= 0

    def vector_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """For rows of the histograms those of the vectors, -1 where there is none."""
        if self.aligned:
            return rows
        return self.vectors.rows_of(self.histograms.ids[rows])

    def histogram_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """For rows of the vectors those of the histograms, -1 where there is none."""
        if self.aligned:
            return rows
        return self.histograms.rows_of(self.vectors.ids[rows])

    def labels(
        self, rows: NDArray[np.int64], *, colour: bool
    ) -> list[tuple[Label | None, list[Label]]]:
        """What some rows show, of the vectors or the histograms, and what parts of them do.

        None where that is unsure.
        """
        index = self.labelled_by.categories
        if self.labelled_by is not self:
            rows = index.rows_of((self.histograms if colour else self.vectors).ids[rows])
        elif colour:
            rows = self.vector_rows(rows)
        return [
            (index.label(row), index.part_labels(row)) if row >= 0 else (None, [])
            for row in rows.tolist()
        ]

    def showing(self, category: Category, *, colour: bool) -> NDArray[np.bool_]:
        """Rows of the vectors, or of the histograms, that surely show a category, bool (n,)."""
        index = self.labelled_by.categories
        if index.empty:
            raise without_classes(f"category {category.name!r}")
        shown = index.confidence(category) >= CONFIDENT
        if self.labelled_by is self and (not colour or self.aligned):
            return shown
        return (self.histograms if colour else self.vectors).rows_with(index.ids[shown])

    def colour(self, metric: str) -> ColourIndex:
        """The index for one histogram metric."""
        if metric not in self._colour:
            self._colour[metric] = ColourIndex(self.histograms, metric, lambda: self.coarse)
        return self._colour[metric]

    def neighbours(self, k: int) -> NeighbourGraph:
        """The k nearest others of every live record; made if it is not kept, which takes time."""
        from lookalike.indexes.graph import GraphCache  # no search needs it

        if self._graph is None or self._graph.neighbours.shape[1] < k:
            self._graph = GraphCache(self.derived.graph, self.vectors).graph(k)
        return self._graph.first(k)

    def graph_by_rows(self, k: int) -> TableGraph:
        """The same with all that an update needs, by rows of the vectors; one at least lives."""
        from lookalike.indexes.graph import GraphCache

        return GraphCache(self.derived.graph, self.vectors).by_rows(k)

    def matching(self, store: Store, condition: Condition, *, colour: bool) -> NDArray[np.bool_]:
        """Rows of the vectors, or of the histograms, for which a condition holds, bool (n,).

        Asked of the catalogue once a commit; ``allowed`` of later searches is at hand.
        """
        if condition not in self._masks:
            self._masks[condition] = (store.matching(condition), {})
        ids, masks = self._masks[condition]
        if colour not in masks:
            table: HistogramTable | None = self.histograms if colour else None
            masks[colour] = (table or self.vectors).rows_with(ids)
        return masks[colour]


def drawn(ids: IdArray, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """An even draw of ``count`` rows that does not depend on their order, by ascending id.

    Ids are hashes, and the least are taken: any store of the same records draws the same.
    """
    keys = np.ascontiguousarray(ids[rows]).view(">u8").reshape(-1, 2)[:, 0]
    least = rows if len(rows) <= count else rows[np.argpartition(keys, count)[:count]]
    order: NDArray[np.int64] = np.argsort(ids[least], kind="stable")
    return least[order]


def without_classes(asked: str) -> InputError:
    """What is raised where the classes of a library that has none are asked for."""
    return InputError(
        f"{asked}: no space of this library has classes; index with efficientnet-lite0, too"
    )


def has_classes(space: Space) -> bool:
    """Whether a space's encoder tells the classes of ImageNet-1k apart, and how sure is known."""
    return _tail(space) is not None


def _tail(space: Space) -> float | None:
    spec = CATALOGUE.get(space.encoder)
    return spec.tail if spec is not None and spec.classes == CLASSES else None


class _Classes:
    """A CategorySource: what a store has of a space."""

    def __init__(self, store: NumbersOf, space: Space, tail: float) -> None:
        self._store, self._space, self.tail = store, space, tail

    def logits(self) -> LogitTable:
        return self._store.logits(self._space)

    def parts_seen(self) -> int:
        return self._store.parts_seen(self._space)

    def parts(self) -> PartTable:
        return self._store.parts(self._space)
