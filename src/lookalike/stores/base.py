"""The contract of a store, and the tables of numbers that it hands to indexes."""

from __future__ import annotations

import itertools
import mmap
import uuid
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.conditions import Condition
from lookalike.errors import InputError, LibraryError, LibraryMissingError
from lookalike.sql import Dialect, Statement
from lookalike.types import (
    ID_DTYPE,
    Cell,
    ClassLogits,
    Column,
    Crop,
    DoubleArray,
    FileEntry,
    FloatArray,
    IdArray,
    Label,
    LabelCount,
    LedgerRow,
    Outcome,
    PassedOver,
    Reason,
    Record,
    SideTable,
    Space,
    SparseHistogram,
    SqlResult,
    State,
)

LOOKUPS_BEFORE_SORTING = 32
"""Single ids looked for one by one before all are sorted: that takes as long as a hundred."""

RECORD_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "lookalike record")
"""A record's id is UUIDv5 of this namespace and the hexadecimal SHA-256 of its bytes."""


def record_id(content_hash: bytes) -> UUID:
    """The id of the record with this content."""
    return uuid.uuid5(RECORD_NAMESPACE, content_hash.hex())


# -- what every store does alike -------------------------------------------------------------------


def missing(library: str) -> LibraryMissingError:
    """What is raised where there is nothing to read."""
    return LibraryMissingError(
        f"{library}: no library here; make one with: lookalike index PATH --library {library}"
    )


def named_space(spaces: Sequence[Space], name: str) -> Space:
    """The space of a library that is called so; raises InputError if there is none."""
    found = next((space for space in spaces if space.name == name), None)
    if found is None:
        known = ", ".join(space.name for space in spaces) or "none yet"
        raise InputError(f"space {name!r}: this library has: {known}")
    return found


def require_space(library: str, stored: Sequence[Space], space: Space) -> None:
    """Raise LibraryError if a library has vectors, and none in this very space."""
    if stored and space not in stored:
        one = next((s for s in stored if s.name == space.name), stored[0])
        raise LibraryError(
            f"{library}: its vectors are of the space {one.name} {one.weights_digest[:12]}"
            f" ({one.preprocessing}) and cannot be mixed with {space.name}"
            f" {space.weights_digest[:12]} ({space.preprocessing}); index into a new library"
        )


def ascending(first: UUID, second: UUID) -> tuple[UUID, UUID]:
    """A pair of ids in the order of their bytes."""
    low, high = sorted((first, second), key=lambda id_: id_.bytes)
    return low, high


class IdentifiedRows:
    """Rows with a record id each; at most one live row has a given id."""

    ids: IdArray
    live: NDArray[np.bool_]

    def row_of(self, record: UUID) -> int | None:
        """The row of a live record, or None."""
        if next(self._lookups) >= LOOKUPS_BEFORE_SORTING:
            row = int(self.rows_of(np.frombuffer(record.bytes, ID_DTYPE))[0])
            return None if row < 0 else row
        high, low = _halves(np.frombuffer(record.bytes, ID_DTYPE))
        highs, lows = _halves(self.ids)
        found = np.flatnonzero((highs == high) & (lows == low) & self.live)
        return int(found[0]) if len(found) else None

    def rows_of(self, records: IdArray) -> NDArray[np.int64]:
        """The rows of many records, int64 (m,); -1 for one that is not live."""
        rows, highs, lows = self._sorted
        high, low = _halves(records)
        place = np.searchsorted(highs, high)
        found = np.full(len(records), -1, np.int64)
        unsure = np.arange(len(records))
        while len(unsure):  # once, but for ids that share their first half
            unsure = unsure[place[unsure] < len(rows)]
            unsure = unsure[highs[place[unsure]] == high[unsure]]
            same = lows[place[unsure]] == low[unsure]
            found[unsure[same]] = rows[place[unsure[same]]]
            unsure = unsure[~same]
            place[unsure] += 1
        return found

    def rows_with(self, records: IdArray) -> NDArray[np.bool_]:
        """Which rows belong to one of these records and are live, bool (n,)."""
        mask = np.zeros(len(self.ids), dtype=bool)
        found = self.rows_of(records)
        mask[found[found >= 0]] = True
        return mask

    @cached_property
    def _lookups(self) -> Iterator[int]:
        return itertools.count()

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64]]:
        """Live rows ordered by both halves of their ids, and these halves."""
        rows = np.flatnonzero(self.live)
        highs, lows = _halves(self.ids)
        order = np.lexsort((lows[rows], highs[rows]))
        rows = rows[order]
        return rows, highs[rows], lows[rows]


def _halves(ids: IdArray) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Ids as two numbers each; their order means nothing, only that equal is equal."""
    numbers = np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1]


@dataclass(frozen=True)
class VectorTable(IdentifiedRows):
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

    def vector(self, row: int) -> DoubleArray:
        """The vector at one row as float64 (dim,)."""
        vector: DoubleArray = self.vectors(np.array([row]))[0].astype(np.float64)
        return vector

    def release(self) -> None:
        """Let go of the memory that mapped vectors take in this process; they can be read anew.

        For those who go through all of a large table once: the system takes such memory back when
        it needs it, but counts it as ours until then.
        """
        for part in self.parts:
            mapped = getattr(part, "_mmap", None)
            if isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):  # not on Windows
                mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class LogitTable(IdentifiedRows):
    """The highest class logits of all records that have them, in one space.

    ``ids`` V16 (n,); ``classes`` uint16 (n, m) and ``logits`` float32 (n, m), descending, m at most
    ten; ``live`` as in VectorTable. No row for a record without logits.
    """

    ids: IdArray
    classes: NDArray[np.uint16]
    logits: FloatArray
    live: NDArray[np.bool_]


@dataclass(frozen=True)
class PartTable:
    """The highest class logits of parts of live records, in one space; a record's parts together.

    ``ids`` V16 (n,), the same for all parts of a record; ``crops`` float32 (n, 4); ``classes``
    uint16 (n, m) and ``logits`` float32 (n, m), descending.
    """

    ids: IdArray
    crops: FloatArray
    classes: NDArray[np.uint16]
    logits: FloatArray


@dataclass(frozen=True)
class FactsTable(IdentifiedRows):
    """What is known of every record that has a file, in the order of indexing.

    ``ids`` V16 (n,); ``pixels``, ``bytes`` int64 (n,); ``taken`` int64 (n,), seconds of the local
    time of capture, ``UNKNOWN`` where EXIF says none; ``camera`` int32 (n,), equal for equal
    cameras, -1 for unknown ones; ``files`` int32 (n,), paths at which the record lies, at least 1.
    """

    ids: IdArray
    pixels: NDArray[np.int64]
    bytes: NDArray[np.int64]
    taken: NDArray[np.int64]
    camera: NDArray[np.int32]
    files: NDArray[np.int32]
    live: NDArray[np.bool_]


UNKNOWN = np.iinfo(np.int64).min
"""A time of capture that is not known."""


def facts_table(
    rows: Sequence[tuple[bytes, int, int, int | None, str | None, int]],
) -> FactsTable:
    """Facts from rows of id, pixels, bytes, seconds of capture, camera and number of files."""
    cameras: dict[str, int] = {}
    numbers = np.array(
        [
            (
                pixels,
                size,
                UNKNOWN if taken is None else taken,
                -1 if camera is None else cameras.setdefault(camera, len(cameras)),
                files,
            )
            for _, pixels, size, taken, camera, files in rows
        ],
        np.int64,
    ).reshape(-1, 5)
    pixels, size, taken, camera, files = np.ascontiguousarray(numbers.T)
    ids = np.frombuffer(b"".join(row[0] for row in rows), ID_DTYPE)
    live = np.ones(len(ids), bool)
    return FactsTable(
        ids, pixels, size, taken, camera.astype(np.int32), files.astype(np.int32), live
    )


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
class HistogramTable(IdentifiedRows):
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


def _located(parts: Sequence[Sized], rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """For each row of the whole table: the number of its part, and the row within that part."""
    ends = np.cumsum([len(part) for part in parts])
    for row in rows:
        number = int(np.searchsorted(ends, row, side="right"))
        start = int(ends[number - 1]) if number else 0
        yield number, int(row) - start


@dataclass(frozen=True, slots=True)
class Lacking:
    """A live record that has no vector in a space, and a file in which it lies."""

    record: UUID
    content_hash: bytes
    entry: FileEntry


@dataclass(frozen=True, slots=True)
class SpaceFeatures:
    """What an encoder makes of one record: ``vector`` float32 (dim,) of unit length, logits."""

    record: UUID
    vector: FloatArray
    logits: ClassLogits | None = None


@dataclass(frozen=True, slots=True)
class RecordParts:
    """What an encoder sees in parts of one record: their crops, and the highest logits of each."""

    record: UUID
    parts: Sequence[tuple[Crop, ClassLogits]]


class Run(Protocol):
    """One indexing run of a store: first everything seen is noted, then what changed is put."""

    def note(self, found: Iterable[FileEntry | PassedOver]) -> int:
        """Note what the scan found; returns the number of images among it."""

    def settle(self, *, retry: bool) -> int:
        """Enter what needs no reading (unchanged, passed over); returns how many are to be read.

        A file is unchanged with the size and time that the store has, and its validator if it was
        found with one.
        """

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

    def paths(self, ids: Sequence[UUID]) -> list[tuple[str, ...]]:
        """Where records lie now, as ``get`` says; nowhere for one that is not there."""

    def delete(self) -> int:
        """Forget files that are gone, and records without files; returns the files forgotten."""

    def find_content(self, content_hash: bytes) -> UUID | None:
        """The record with this content, or None. May be called from any thread."""

    def original(self, content_hash: bytes) -> str | None:
        """The path of a picture that was kept as it came from the web, or None."""

    def find_foreign(self, foreign_id: str) -> UUID | None:
        """The record of the first live file, by path, that another table calls this, or None."""

    def has_foreign(self) -> bool:
        """Whether any live file has an id in another table."""

    def find_path(self, path: str) -> tuple[UUID, bytes] | None:
        """Record and content hash of a live file at this absolute path, if it did not change."""

    def spaces(self) -> list[Space]:
        """The spaces that have vectors, the library's default first."""

    def add_space(self, space: Space) -> None:
        """Let a library have vectors in a further space; nothing if it has it already."""

    def choose_space(self, name: str) -> None:
        """Make a space of the library its default."""

    def lacking(self, space: Space, roots: Sequence[str] | None = None) -> Iterator[Lacking]:
        """Live records without a vector in a space, each once, by path; under ``roots`` or all."""

    def put_vectors(self, space: Space, features: Sequence[SpaceFeatures]) -> None:
        """Commit vectors of records that lack them: all are durable when this returns, or none."""

    def lacking_parts(self, space: Space, roots: Sequence[str] | None = None) -> Iterator[Lacking]:
        """Live records of which no part was looked at in a space; otherwise as ``lacking``."""

    def put_parts(self, space: Space, parts: Sequence[RecordParts]) -> None:
        """Commit the classes of records' parts: all are durable when this returns, or none."""

    def parts_seen(self, space: Space) -> int:
        """How often ``put_parts`` got a record in a space: a number that grows; 0 for never."""

    def parts(self, space: Space) -> PartTable:
        """The highest class logits of all parts that were looked at, ordered by record."""

    def put_labels(
        self, source: str, labels: Iterable[tuple[UUID, str, float]], *, replace: bool
    ) -> None:
        """Commit labels of records with confidences 0..1, all or none; unknown ids are left.

        With ``replace`` the source's other labels go.
        """

    def delete_labels(self, source: str, label: str | None = None) -> int:
        """Forget a source's labels, or one of them; returns how many there were."""

    def labels(self, ids: Sequence[UUID]) -> list[tuple[Label, ...]]:
        """Labels of records, in the order asked for, each record's by source and name."""

    def label_counts(self) -> list[LabelCount]:
        """Every label of records that have a file now, by source, the most frequent first."""

    def put_table(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> SideTable:
        """Commit a side table, all or nothing; one of the same name is replaced.

        ``batches`` have some rows each, by columns. Returns the table with its number of rows.
        """

    def drop_table(self, name: str) -> bool:
        """Forget a side table; returns whether there was one."""

    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""

    def find_keys(self, matches: str, keys: Sequence[str]) -> int:
        """How many of these keys belong to a live file; ``matches`` is one of ``SIDE_MATCHES``."""

    def rows_matched(self, table: SideTable) -> int:
        """How many rows of a side table belong to a live file."""

    @property
    def dialect(self) -> Dialect:
        """Whose SQL ``sql`` and ``change`` take."""

    def sql(self, statement: Statement) -> SqlResult:
        """What a statement that only reads gives, from one snapshot that begins now.

        Its tables are ``sql_tables``. It can write nothing and read no file. Raises InputError for
        what the engine refuses.
        """

    def change(self, statement: Statement) -> int:
        """Let a statement change a side table, and nothing else; returns the rows it changed."""

    def sql_tables(self) -> dict[str, tuple[Column, ...]]:
        """The tables of ``sql`` with their columns: images, files, labels, then side tables."""

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors and histograms of one and the same commit."""

    def vectors(self, space: Space) -> VectorTable:
        """All committed vectors of a space."""

    def histograms(self) -> HistogramTable:
        """All committed histograms."""

    def logits(self, space: Space) -> LogitTable:
        """The highest class logits of a space; no rows if its encoder has no classes."""

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, in the order asked for."""

    def facts(self) -> FactsTable:
        """Facts of all records that have a file now."""

    def each_thumbnail(self) -> Iterator[tuple[bytes, bytes]]:
        """Ids and thumbnails of the records that have a file now, in the order of indexing."""

    def each_path(self) -> Iterator[tuple[bytes, str]]:
        """Ids of records and the paths at which they lie now, a record's together."""

    def files(self, ids: Sequence[UUID]) -> list[tuple[FileEntry, ...]]:
        """Where records lie now, the oldest file first, ties by path; as ``paths`` otherwise."""

    def decide(self, first: UUID, second: UUID) -> bool:
        """Remember that two records are not duplicates; returns whether that is new."""

    def forget(self, first: UUID, second: UUID) -> bool:
        """Take a decision back; returns whether there was one."""

    def decisions(self) -> list[tuple[UUID, UUID]]:
        """Pairs of records that were decided not to be duplicates, each ascending, in order."""

    def reads_path(self, path: str) -> bool:
        """Whether a file at this absolute path, or in it, is or was to be a record."""

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen, ordered by path."""

    def matching(self, condition: Condition) -> IdArray:
        """Ids of the records that have a live file for which the condition holds, ascending."""

    def count(self) -> int:
        """Records that have at least one file now."""

    def id_at(self, place: int) -> UUID:
        """The id of one of these, ``place`` counting from 0 in the order of their ids."""

    def version(self) -> int:
        """A number that changes whenever somebody else has committed something."""

    def close(self) -> None:
        """Release files and locks. Closing twice is harmless."""
