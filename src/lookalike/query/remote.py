"""Searching a library on a server: it gives candidates, and they are ranked as everywhere else.

For each question the server is asked for the records that may be the nearest, and for the numbers
of these alone. From them small tables are made, and an ``Answerer`` over these has the last word:
scores, ties, likeness and labels come from the same code as in a library on disk.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from uuid import UUID

import numpy as np

from lookalike.categories import CONFIDENT
from lookalike.indexes.categories import SURE_PART
from lookalike.query.answer import Answerer, Request, Resolved
from lookalike.query.inputs import InputReader
from lookalike.query.likeness import RECORDS_DRAWN, thresholds
from lookalike.query.mixing import spreads
from lookalike.query.search import WITH_COLOUR, Method, compare_by, mean_point
from lookalike.query.tables import Tables, has_classes, without_classes
from lookalike.query.terms import Term
from lookalike.stores.base import HistogramTable, LogitTable, PartTable, VectorTable
from lookalike.stores.server.nearest import Allowed, Candidates, Nearest
from lookalike.stores.server.store import ServerStore
from lookalike.types import (
    COLOUR_MEASURES,
    DoubleArray,
    FloatArray,
    SearchResult,
    Space,
)

PAIRS_DRAWN = 256
"""Records from which random pairs are drawn, as ``likeness`` and ``mixing`` do."""

_NOWHERE = Path(os.devnull) / "derived"
"""Excerpts keep nothing on disk."""


class Excerpt:
    """A NumbersOf: what a store has of some records alone."""

    def __init__(self, store: ServerStore, ids: Sequence[UUID], *, colour: bool) -> None:
        self._store, self._ids, self._colour = store, ids, colour

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors of the records, and histograms if colours are compared."""
        coloured = self._ids if self._colour else ()
        return self._store.vectors(space, self._ids), self._store.histograms(coloured)

    def logits(self, space: Space) -> LogitTable:
        """Their highest class logits."""
        return self._store.logits(space, self._ids)

    def parts_seen(self, space: Space) -> int:
        """As the store has it."""
        return self._store.parts_seen(space)

    def parts(self, space: Space) -> PartTable:
        """The highest class logits of their parts."""
        return self._store.parts(space, self._ids)


class ServerTables:
    """What a server's library has in one space at one version: a Numbers, and what chance gives."""

    def __init__(self, store: ServerStore, space: Space) -> None:
        self.space, self.store = space, store
        self.nearest = Nearest(store, space)
        self._limits: dict[object, tuple[float, float] | None] = {}

    @cached_property
    def labelled_by(self) -> Space | None:
        """The space that says what records show; None if none does."""
        spaces = [self.space, *self.store.spaces()]
        return next((space for space in spaces if has_classes(space)), None)

    def vector_of(self, record: UUID) -> DoubleArray | None:
        """The vector of a live record, or None."""
        if not self._is_live(record):
            return None
        table = self.store.vectors(self.space, [record])
        row = table.row_of(record)
        return None if row is None else table.vector(row)

    def histogram_of(self, record: UUID) -> DoubleArray | None:
        """The histogram of a live record, dense, or None."""
        if not self._is_live(record):
            return None
        table = self.store.histograms([record])
        row = table.row_of(record)
        return None if row is None else table.histogram(row).dense()

    def _is_live(self, record: UUID) -> bool:
        return bool(self.store.paths([record])[0])

    def examples(self, classes: tuple[int, ...], most: int) -> FloatArray:
        """Vectors of the records that surely show one of some classes, the surest first."""
        surest = self.nearest.surest(classes, most, CONFIDENT)
        table = self.store.vectors(self.space, surest)
        rows = [table.row_of(record) for record in surest]
        return table.vectors(np.array([row for row in rows if row is not None], np.int64))

    def excerpt(self, ids: Sequence[UUID], method: Method) -> Tables:
        """Tables of some records, with what is known of chance in the whole library."""
        colour = method.by in WITH_COLOUR
        tables = self._tables_of(ids, colour=colour)
        tables.limits[method] = self._limits_of(method)
        tables.spreads = self._sample.spreads
        tables.chance = lambda: self._chance
        if self.labelled_by is not None and self.labelled_by != self.space:
            labelling = ServerTables(self.store, self.labelled_by)
            tables.labelled_by = labelling._tables_of(ids, colour=False)
        return tables

    def _tables_of(self, ids: Sequence[UUID], *, colour: bool = True) -> Tables:
        excerpt = Excerpt(self.store, ids, colour=colour)
        return Tables(excerpt, self.space, _NOWHERE)

    @cached_property
    def _sample(self) -> Tables:
        return self._tables_of(self.nearest.least_ids(PAIRS_DRAWN))

    @cached_property
    def _chance(self) -> Tables:
        return self._tables_of(self.nearest.least_ids(RECORDS_DRAWN))

    def _limits_of(self, method: Method) -> tuple[float, float] | None:
        if method not in self._limits:
            comparison, live = compare_by(method, self._sample, exact=True)
            drawn = thresholds(comparison, self._sample, live, method.by)
            self._limits[method] = None if drawn is None else (drawn.likely, drawn.maybe)
        return self._limits[method]

    def colour_weight(self, method: Method) -> float:
        """The weight of colour in a mixture, as a library on disk has it."""
        return spreads(self._sample, method.metric).weight(method.colour_weight)


class RemoteAnswerer:
    """Answers requests from a server."""

    def __init__(
        self, tables: ServerTables, store: ServerStore, reader: InputReader, request: Request
    ) -> None:
        self._tables, self._store, self._reader = tables, store, reader
        self._request = request

    def answer(self, terms: Sequence[Term]) -> SearchResult:
        """The hits for several terms that together are one query."""
        with self._store.moment():
            return self._answer([self._reader.read(term) for term in terms])

    def answer_each(self, terms: Sequence[Term]) -> list[SearchResult]:
        """The hits for each of many terms by itself."""
        with self._store.moment():
            return [self._answer([one]) for one in self._reader.read_each(terms)]

    def _answer(self, resolved: Sequence[Resolved]) -> SearchResult:
        request, allowed = self._request, self._allowed(resolved)
        found = self._candidates(resolved, allowed)
        plain = replace(request, where=None, category=None, include_self=True, exact=True)
        tables = self._tables.excerpt(found.ids, request.method)
        result = Answerer(tables, self._store, self._reader, plain).answer_resolved(resolved)
        return replace(
            result,
            searched=self._tables.nearest.count(allowed, self._held(resolved)),
            exact=found.exact,
            where=None if request.where is None else str(request.where),
            category=None if request.category is None else request.category.name,
        )

    def _held(self, resolved: Sequence[Resolved]) -> int | None:
        """How many records are left out that would otherwise be compared; None if to be asked."""
        request = self._request
        inputs = [item for item, _ in resolved if item.record]
        if request.include_self or not inputs:
            return 0
        plain = request.where is None and request.category is None and request.method.by != "colour"
        return (
            len({i.record for i in inputs}) if plain and not any(i.crop for i in inputs) else None
        )

    def _allowed(self, resolved: Sequence[Resolved]) -> Allowed:
        request = self._request
        own = () if request.include_self else tuple(i.record for i, _ in resolved if i.record)
        shown: tuple[int, ...] = ()
        if request.category is not None:
            shown = tuple(request.category.classes)
            if self._tables.labelled_by is None:
                raise without_classes(f"category {request.category.name!r}")
        return Allowed(request.where, shown, self._tables.labelled_by, CONFIDENT, SURE_PART, own)

    def _candidates(self, resolved: Sequence[Resolved], allowed: Allowed) -> Candidates:
        request, nearest = self._request, self._tables.nearest
        points = [point for _, point in resolved]
        if len(points) == 1 and points[0].phrases:
            only = points[0]
            return nearest.by_share(only.phrases, only.need_vector(), request.k, allowed)
        if request.combine == "mean":
            points = [mean_point(points)]
        method, k = request.method, request.k
        measure = COLOUR_MEASURES[method.metric]
        if method.by == "colour":
            histograms = [point.need_histogram() for point in points]
            return nearest.by_colours(histograms, measure, k, allowed)
        if method.by == "mix":
            weight = self._tables.colour_weight(method)
            pairs = [(point.need_vector(), point.need_histogram()) for point in points]
            return nearest.by_mix(pairs, measure, weight, k, allowed)
        most = max(k, method.shortlist) if method.by == "shortlist" else k
        vectors = [point.need_vector() for point in points]
        return nearest.by_vectors(vectors, most, allowed, exact=request.exact)
