"""The contract of a store, and the tables of numbers that it hands to indexes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.types import (
    FileEntry,
    FloatArray,
    IdArray,
    LedgerRow,
    Outcome,
    PassedOver,
    Reason,
    Record,
    Space,
    SparseHistogram,
    State,
)

RECORD_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "lookalike record")
"""A record's id is UUIDv5 of this namespace and the hexadecimal SHA-256 of its bytes."""


def record_id(content_hash: bytes) -> UUID:
    """The id of the record with this content."""
    return uuid.uuid5(RECORD_NAMESPACE, content_hash.hex())


@dataclass(frozen=True)
class VectorTable:
    """All committed vectors of a space, as they lie on disk.

    ``ids`` V16 (n,); ``parts`` float16 arrays (n_i, dim) that follow each other, unit rows;
    ``live`` bool (n,), False where the record has no file now.
    """

    ids: IdArray
    parts: Sequence[NDArray[np.float16]]
    live: NDArray[np.bool_]
    dim: int

    def vectors(self, rows: NDArray[np.int64]) -> FloatArray:
        """The vectors at ``rows`` (m,) as float32 (m, dim)."""
        out = np.empty((len(rows), self.dim), dtype=np.float32)
        for position, (part, inner) in enumerate(_located(self.parts, rows)):
            out[position] = self.parts[part][inner]
        return out

    def row_of(self, record: UUID) -> int | None:
        """The row of a live record, or None."""
        return _row_of(self.ids, self.live, record)


@dataclass(frozen=True)
class HistogramPart:
    """One segment of sparse histograms: ``bins``, ``counts`` uint16 (cells,), ``ends`` uint64 (n,).

    Row i occupies cells ``ends[i - 1]`` (0 for the first) to ``ends[i]``.
    """

    bins: NDArray[np.uint16]
    counts: NDArray[np.uint16]
    ends: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.ends)

    def cells(self, row: int) -> slice:
        """Where a row's cells lie."""
        start = int(self.ends[row - 1]) if row else 0
        return slice(start, int(self.ends[row]))


@dataclass(frozen=True)
class HistogramTable:
    """All committed histograms; ``ids`` and ``live`` as in VectorTable."""

    ids: IdArray
    parts: Sequence[HistogramPart]
    live: NDArray[np.bool_]

    def histogram(self, row: int) -> SparseHistogram:
        """The histogram at one row."""
        number, inner = next(_located(self.parts, np.array([row])))
        part = self.parts[number]
        cells = part.cells(inner)
        return SparseHistogram(np.array(part.bins[cells]), np.array(part.counts[cells]))

    def row_of(self, record: UUID) -> int | None:
        """The row of a live record, or None."""
        return _row_of(self.ids, self.live, record)


def _located(parts: Sequence[Sized], rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """For each row of the whole table: the number of its part, and the row within that part."""
    ends = np.cumsum([len(part) for part in parts])
    for row in rows:
        number = int(np.searchsorted(ends, row, side="right"))
        start = int(ends[number - 1]) if number else 0
        yield number, int(row) - start


def _row_of(ids: IdArray, live: NDArray[np.bool_], record: UUID) -> int | None:
    found = np.flatnonzero((ids == np.void(record.bytes)) & live)
    return int(found[0]) if len(found) else None


class Run(Protocol):
    """One indexing run of a store: first everything seen is noted, then what changed is put."""

    def note(self, found: Iterable[FileEntry | PassedOver]) -> int:
        """Note what the scan found; returns the number of images among it."""

    def settle(self, *, retry: bool) -> int:
        """Enter what needs no reading (unchanged, passed over); returns how many are to be read."""

    def to_read(self) -> Iterator[FileEntry]:
        """New and changed files, in the order of the scan; safe while ``put`` is called."""

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Commit a batch: all of it is durable when this returns, or none of it was entered."""

    def known_under(self, root: str) -> int:
        """Live files that the library has at or under ``root``."""

    def seen_under(self, root: str) -> int:
        """Images that this run's scan found at or under ``root``."""

    def finish(self, roots: Sequence[str], *, complete: bool) -> None:
        """End the run. If the scan was complete, files under ``roots`` not seen become gone."""

    def counts(self) -> dict[tuple[State, Reason], int]:
        """Files by state and reason, of those this run saw or missed."""


class Store(Protocol):
    """Where records, files, vectors, histograms and the ledger are kept.

    The contract, held by ``tests/contracts/test_stores.py``: what ``put`` acknowledged survives a
    killed process; a record is its content, so putting equal content twice gives one record with
    two paths; ``get`` keeps the order asked for and gives None for an unknown id; ``delete``
    removes files that are gone and records left without files; readers see the last commit.
    """

    def run(self, space: Space, roots: Sequence[str] = ()) -> Run:
        """Begin an indexing run over ``roots`` that writes vectors into ``space``."""

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for."""

    def delete(self) -> int:
        """Forget files that are gone, and records without files; returns the files forgotten."""

    def find_content(self, content_hash: bytes) -> UUID | None:
        """The record with this content, or None. May be called from any thread."""

    def find_path(self, path: str) -> tuple[UUID, bytes] | None:
        """Record and content hash of a live file at this absolute path, if it did not change."""

    def spaces(self) -> list[Space]:
        """The spaces that have vectors, the library's default first."""

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors and histograms of one and the same commit."""

    def vectors(self, space: Space) -> VectorTable:
        """All committed vectors of a space."""

    def histograms(self) -> HistogramTable:
        """All committed histograms."""

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, in the order asked for."""

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen, ordered by path."""

    def count(self) -> int:
        """Records that have at least one file now."""

    def version(self) -> int:
        """A number that changes whenever somebody else has committed something."""

    def close(self) -> None:
        """Release files and locks. Closing twice is harmless."""
