"""Which records are exported, and what is known of them, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.conditions import Condition
from lookalike.errors import InputError
from lookalike.stores import Store
from lookalike.stores.base import LogitTable
from lookalike.types import (
    FileEntry,
    FloatArray,
    Label,
    Record,
    Space,
    SparseHistogram,
    uuids,
)

PIECE = 2_000
"""Rows in hand at a time, and in a row group: 10 MB of vectors of 1,280 numbers."""

BY = ("records", "files")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is written, and how.

    ``by``: a row per record or per file; None is files where any has a foreign id. ``paths``: where
    files lie, which names folders; ``thumbnails``, ``histograms``: with these. ``half``: vectors as
    float16. ``rows_per_file``: of parts of a folder. ``spreadsheet``: CSV cells that a program
    could take for formulas are made text. ``licence``: what the card of a data set says.
    """

    by: str | None = None
    paths: bool = False
    thumbnails: bool = False
    histograms: bool = False
    half: bool = False
    rows_per_file: int = 100_000
    spreadsheet: bool = False
    licence: str | None = None

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        if self.by not in (None, *BY):
            raise InputError(f"by {self.by!r}: not known; use one of: {', '.join(BY)}")
        if self.rows_per_file < 1:
            raise InputError(f"rows per file {self.rows_per_file}: at least 1 is needed")

    @property
    def whole(self) -> ExportOptions:
        """With all that another library takes in."""
        return replace(self, paths=True, thumbnails=True, histograms=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A record with the files that a row speaks of: one, or all of the record's, by path."""

    record: Record
    files: tuple[FileEntry, ...]
    labels: tuple[Label, ...]
    place: int
    """Of the record in its piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows, and what their records have, a row of each array or list for each row.

    ``vectors`` float32 (n, dim) of unit length; ``classes`` uint16 (n, m) and ``logits`` float32
    (n, m), or None where a record has none.
    """

    rows: Sequence[Row]
    vectors: FloatArray
    classes: Sequence[NDArray[np.uint16] | None]
    logits: Sequence[FloatArray | None]
    thumbnails: Sequence[bytes | None]
    histograms: Sequence[SparseHistogram | None]


class Selection:
    """The records of a space for which a condition holds, in the order of indexing.

    Raises InputError where there are none.
    """

    def __init__(
        self, store: Store, space: Space, where: Condition | None, options: ExportOptions
    ) -> None:
        options.check()
        self.store, self.space, self.options = store, space, options
        self._vectors, self._histograms = store.tables(space)
        chosen = self._vectors.live
        if where is not None:
            chosen = chosen & self._vectors.rows_with(store.matching(where))
        self._rows: NDArray[np.int64] = np.flatnonzero(chosen)
        if not len(self._rows):
            raise InputError(f"nothing to export from the space {space.name}; widen the condition")
        self.by = options.by or ("files" if store.has_foreign() else "records")

    @cached_property
    def count(self) -> int:
        """How many rows there will be."""
        if self.by == "records":
            return len(self._rows)
        facts = self.store.facts()
        return int(facts.files[facts.rows_of(self._vectors.ids[self._rows])].sum())

    @cached_property
    def shows_classes(self) -> bool:
        """Whether the space's encoder tells classes, of which the highest logits are kept."""
        return bool(len(self._logits.ids))

    @cached_property
    def _logits(self) -> LogitTable:
        return self.store.logits(self.space)

    def pieces(self, size: int = PIECE) -> Iterator[Piece]:
        """All rows, those of ``size`` records at a time."""
        for start in range(0, len(self._rows), size):
            yield self._piece(self._rows[start : start + size])
            self._vectors.release()

    def _piece(self, own: NDArray[np.int64]) -> Piece:
        raw = self._vectors.ids[own]
        ids = uuids(raw)
        records, files = self.store.get(ids), self.store.files(ids)
        labels = self.store.labels(ids)
        rows: list[Row] = []
        for place, (record, entries, said) in enumerate(zip(records, files, labels, strict=True)):
            if record is None or not entries:
                raise InputError(f"{ids[place]}: left the library meanwhile; export again")
            by_path = tuple(sorted(entries, key=lambda entry: entry.path))
            groups = [by_path] if self.by == "records" else [(one,) for one in by_path]
            rows.extend(Row(record, group, said, place) for group in groups)
        places = np.array([row.place for row in rows])
        seen = self._logits.rows_of(raw)[places].tolist()
        return Piece(
            rows,
            self._vectors.vectors(own)[places],
            [self._logits.classes[row] if row >= 0 else None for row in seen],
            [self._logits.logits[row] if row >= 0 else None for row in seen],
            self._pictures(ids, places),
            self._colours(own, places),
        )

    def _pictures(self, ids: Sequence[UUID], places: NDArray[np.int64]) -> Sequence[bytes | None]:
        if not self.options.thumbnails:
            return [None] * len(places)
        found = self.store.thumbnails(ids)
        return [found[place] for place in places.tolist()]

    def _colours(
        self, own: NDArray[np.int64], places: NDArray[np.int64]
    ) -> Sequence[SparseHistogram | None]:
        if not self.options.histograms:
            return [None] * len(places)
        rows = self._histograms.rows_of(self._vectors.ids[own]).tolist()
        found = [self._histograms.histogram(row) if row >= 0 else None for row in rows]
        return [found[place] for place in places.tolist()]
