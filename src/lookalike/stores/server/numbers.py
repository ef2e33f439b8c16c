"""Numbers on a server: vectors, histograms, classes, facts."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import LibraryError
from lookalike.stores.base import (
    FactsTable,
    HistogramPart,
    HistogramTable,
    LogitTable,
    PartTable,
    VectorTable,
    facts_table,
)
from lookalike.stores.server.asking import BATCH, ServerAsking, ids_of
from lookalike.stores.server.engine import Row
from lookalike.stores.server.fetched import (
    Fetched,
    FetchedVectors,
    histograms_in_order,
    vectors_on_disk,
)
from lookalike.stores.server.layout import vectors_of
from lookalike.types import FloatArray, IdArray, Space

PARTS_SEEN = "parts seen in {}"


class ServerNumbers(ServerAsking):
    """Reads tables of numbers, of all records or of some."""

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors and histograms of all records, which are fetched when they are looked at."""
        return self.vectors(space), self.histograms()

    def vectors(self, space: Space, ids: Sequence[UUID] | None = None) -> VectorTable:
        """The vectors of a space: of all records, in the order of indexing, or of some live ones.

        Those of all are fetched when they are first looked at. Who names records knows that they
        have a file now.
        """
        table = vectors_of(space).name
        select = f"SELECT t.id, t.embedding FROM {table} AS t"
        if ids is None:
            own = ids_of(self._numbers(f"SELECT t.id FROM {table} AS t", "t.id"))
            fetch = partial(self._all_vectors, select, own, space.dim)
            every = Fetched(len(own), fetch)
            few = partial(self.vectors, space)
            return FetchedVectors(own, every, self._live(own), space.dim, few)
        rows = list(self._of(ids, f"{select} WHERE t.id IN {{ids}}"))
        parts = [np.stack([np.asarray(row[1], np.float16) for row in rows])] if rows else []
        return VectorTable(ids_of(rows), parts, np.ones(len(rows), bool), space.dim)

    def _all_vectors(self, select: str, ids: IdArray, dim: int) -> NDArray[np.float16]:
        rows = self._numbers(select, "t.id")
        found = ((row, np.asarray(vector)) for row, (_, vector) in self._in_order(ids, rows))
        return vectors_on_disk(len(ids), dim, found)

    def histograms(self, ids: Sequence[UUID] | None = None) -> HistogramTable:
        """The histograms of all records, or of some, as ``vectors`` has it."""
        columns = self.engine.words.histogram_columns("t.")
        select = f"SELECT t.record, {columns} FROM _histograms AS t"
        if ids is None:
            own = ids_of(self._numbers("SELECT t.record FROM _histograms AS t", "t.record"))
            fetch = partial(self._all_histograms, select, own)
            return HistogramTable(own, Fetched(len(own), fetch), self._live(own))
        rows = list(self._of(ids, f"{select} WHERE t.record IN {{ids}}"))
        found = [self.engine.words.histogram(row[1:]) for row in rows]
        parts = [histograms_in_order(found)] if found else []
        return HistogramTable(ids_of(rows), parts, np.ones(len(rows), bool))

    def _all_histograms(self, select: str, ids: IdArray) -> HistogramPart:
        rows = self._in_order(ids, self._numbers(select, "t.record"))
        return histograms_in_order([self.engine.words.histogram(row[1:]) for _, row in rows])

    def _in_order(self, ids: IdArray, rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
        """Rows with their numbers, which are those of ``ids`` as long as nobody has deleted any."""
        count = 0
        for number, row in enumerate(itertools.islice(rows, len(ids))):
            if row[0].bytes != ids[number].tobytes():
                break
            yield number, row
            count += 1
        if count < len(ids):
            raise LibraryError(f"{self.name}: records were deleted meanwhile; try again")

    def logits(self, space: Space, ids: Sequence[UUID] | None = None) -> LogitTable:
        """The highest class logits of a space; no rows if its encoder has no classes."""
        select = "SELECT t.record, t.classes, t.logits FROM _classes AS t"
        where = f"t.space = {self.space_number(space)}"
        if ids is None:
            rows = list(self._numbers(select, "t.record", where))
            live = self._live(ids_of(rows))
        else:
            rows = list(self._of(ids, f"{select} WHERE {where} AND t.record IN {{ids}}"))
            live = np.ones(len(rows), bool)
        return LogitTable(ids_of(rows), *_class_arrays([row[1:] for row in rows]), live)

    def _numbers(self, select: str, id_: str, where: str = "1 = 1") -> Iterator[Row]:
        """Rows of a table of numbers of all records, in the order of indexing."""
        return self.engine.stream(
            f"{select} JOIN _records ON _records.id = {id_} WHERE {where} ORDER BY _records.number"
        )

    def _live(self, ids: IdArray) -> NDArray[np.bool_]:
        """Which of these records have a file now, bool (n,)."""
        if len(ids) <= BATCH:
            query = "SELECT DISTINCT record FROM _files WHERE live AND record IN {ids}"
            rows = list(self._of([UUID(bytes=one.tobytes()) for one in ids], query))
        else:
            rows = list(self.engine.stream("SELECT DISTINCT record FROM _files WHERE live"))
        every = VectorTable(ids, (), np.ones(len(ids), bool), 0)
        return every.rows_with(ids_of(rows))

    def parts_seen(self, space: Space) -> int:
        """How often ``put_parts`` got a record in a space: a number that grows; 0 for never."""
        return int(self.settings().get(PARTS_SEEN.format(space.name), 0))

    def parts(self, space: Space, ids: Sequence[UUID] | None = None) -> PartTable:
        """The highest class logits of all parts that were looked at, in the order of indexing."""
        select = (
            "SELECT t.record, t.box_left, t.box_top, t.width, t.height, t.classes, t.logits"
            " FROM _parts AS t JOIN _records ON _records.id = t.record"
            f" WHERE t.space = {self.space_number(space)}"
            " AND t.record IN (SELECT record FROM _files WHERE live)"
        )
        order = " ORDER BY _records.number, t.number"
        rows = list(
            self.engine.stream(select + order)
            if ids is None
            else self._of(ids, f"{select} AND t.record IN {{ids}}{order}")
        )
        classes, logits = _class_arrays([row[5:] for row in rows])
        crops = np.array([row[1:5] for row in rows], np.float32).reshape(len(rows), 4)
        return PartTable(ids_of(rows), crops, classes, logits)

    def facts(self) -> FactsTable:
        """Facts of all records that have a file now, in the order of indexing."""
        rows = self.engine.stream(
            "SELECT id, width * height, bytes, taken_at, camera, own.files FROM _records"
            " JOIN (SELECT record, count(*) AS files FROM _files WHERE live GROUP BY record)"
            " AS own ON own.record = _records.id ORDER BY number"
        )
        return facts_table(
            [
                (id_.bytes, pixels, size, _seconds(taken), camera, files)
                for id_, pixels, size, taken, camera, files in rows
            ]
        )


def _class_arrays(rows: Sequence[Row]) -> tuple[NDArray[np.uint16], FloatArray]:
    """Classes and logits of rows, (n, m) each; (0, 0) of none."""
    shape = (len(rows), -1) if rows else (0, 0)
    return (
        np.array([classes for classes, _ in rows], np.uint16).reshape(shape),
        np.array([logits for _, logits in rows], np.float32).reshape(shape),
    )


def _seconds(taken: str | None) -> int | None:
    """A time of capture as seconds since 1970, as if it were UTC; None if it is not known."""
    if taken is None:
        return None
    with contextlib.suppress(ValueError):
        return int(datetime.fromisoformat(taken).replace(tzinfo=UTC).timestamp())
    return None
