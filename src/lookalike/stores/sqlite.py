"""The embedded store: a folder with an SQLite catalogue and append-only files of numbers."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from filelock import FileLock, Timeout

from lookalike.conditions import Condition
from lookalike.errors import (
    InputError,
    LibraryCorruptError,
    LibraryError,
    LibraryLockedError,
    LibraryOlderError,
)
from lookalike.places import is_archive
from lookalike.stores import schema
from lookalike.stores.base import (
    FactsTable,
    HistogramPart,
    HistogramTable,
    Lacking,
    LogitTable,
    SpaceFeatures,
    VectorTable,
    ascending,
    facts_table,
    named_space,
    require_space,
)
from lookalike.stores.conditions import matching_ids
from lookalike.stores.labels import LabelTables
from lookalike.stores.originals import FOLDER as ORIGINALS
from lookalike.stores.originals import Originals
from lookalike.stores.run import Place, SqliteRun, files_under, logits_bytes
from lookalike.stores.segments import (
    HISTOGRAM_COLUMNS,
    HISTOGRAMS,
    Segment,
    Series,
    make_folder,
    vector_columns,
    vector_series,
)
from lookalike.stores.server.contents import IDENTITY, FolderContents
from lookalike.stores.server.store import Shares
from lookalike.stores.side import SideTables
from lookalike.stores.statements import Statements
from lookalike.types import (
    ID_DTYPE,
    FileEntry,
    IdArray,
    ImageFacts,
    LedgerRow,
    Record,
    Space,
    State,
    id_array,
)

_PAGE = 2_000

_LOCK, _PID = "writer.lock", "writer.pid"
_OWN_NAMES = {schema.CATALOG, _LOCK, _PID, "vectors", HISTOGRAMS, "derived", ORIGINALS}


class SqliteStore(LabelTables, SideTables, Statements):
    """A Store in a folder. One writer at a time; readers work meanwhile.

    ``SqliteStore(folder)`` reads; ``SqliteStore(folder, write=True)`` also writes, creating the
    library if there is none. Raises the LibraryErrors that ``errors`` lists.
    """

    def __init__(self, folder: str | Path, *, write: bool = False) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._lock: FileLock | None = None
        self._content_guard = threading.Lock()
        try:
            if write:
                self._acquire()
                self._connection = schema.connect_writer(self.folder)
                with schema.readable_errors(self.folder):
                    self.trim()
            else:
                self._connection = self._connect_reader()
            self._content = schema.connect_reader(self.folder, shared=True)
        except BaseException:
            self._release()
            raise

    def _connect_reader(self) -> sqlite3.Connection:
        """A reading connection; a catalogue of an older version is migrated first."""
        try:
            return schema.connect_reader(self.folder)
        except LibraryOlderError as older:
            try:
                self._acquire()
                schema.connect_writer(self.folder).close()
            except LibraryError as refused:
                raise older from refused
            finally:
                self._release()
        return schema.connect_reader(self.folder)

    def _acquire(self) -> None:
        with schema.readable_errors(self.folder):
            make_folder(self.folder)
            strangers = {p.name for p in self.folder.iterdir()} - _OWN_NAMES
        if strangers and not schema.is_library(self.folder):
            raise InputError(
                f"{self.folder}: not a library and not empty (has {min(strangers)!r});"
                " choose another --library"
            )
        if not schema.is_library(self.folder) and self._has_segments():
            raise LibraryCorruptError(
                f"{self.folder / schema.CATALOG}: missing, and vectors without it mean nothing;"
                " restore it from a backup or choose another --library"
            )
        lock = FileLock(self.folder / _LOCK)
        with schema.readable_errors(self.folder):
            try:
                lock.acquire(timeout=0)
            except Timeout as error:
                raise LibraryLockedError(
                    f"{self.folder}: {self._writer()} is writing to this library; wait for it to"
                    " end"
                ) from error
            self._lock = lock
            (self.folder / _PID).write_text(str(os.getpid()))

    def _has_segments(self) -> bool:
        folders = (self.folder / HISTOGRAMS, self.folder / "vectors")
        return any(path.stem.isdigit() for folder in folders for path in folder.rglob("*.ids"))

    def _writer(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return f"process {int((self.folder / _PID).read_text())}"
        return "another process"

    def discard(self) -> None:
        """Close, and remove a catalogue that was made for nothing. Touches no other file."""
        self._close_connections()
        # The lock is held meanwhile, and its file stays: another process may have it open.
        for name in (schema.CATALOG, f"{schema.CATALOG}-wal", f"{schema.CATALOG}-shm", _PID):
            (self.folder / name).unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def close(self) -> None:
        """Release files and locks. Closing twice is harmless."""
        self._close_connections()
        self._release()

    def _close_connections(self) -> None:
        with self._content_guard:  # a statement of another thread may run on it
            self._content.close()
        self._connection.close()  # last, so that SQLite folds its log into the catalogue

    # -- writing ---------------------------------------------------------------------------------

    def run(self, space: Space, roots: Sequence[str] = ()) -> SqliteRun:
        """Begin an indexing run over ``roots`` that writes vectors into ``space``."""
        self._require_writing()
        return SqliteRun(self._connection, self, space, self._ensure_space(space), roots)

    def _require_writing(self) -> None:
        if self._lock is None:
            raise LibraryError(f"{self.folder}: opened for reading; open it for writing")

    def _ensure_space(self, space: Space) -> int:
        self.require_space(space)
        if not self.spaces():
            self.add_space(space)
        row = self._connection.execute("SELECT id FROM spaces WHERE name = ?", (space.name,))
        return int(row.fetchone()[0])

    def require_space(self, space: Space) -> None:
        """Raise LibraryError if the library has vectors, and none in this very space."""
        require_space(str(self.folder), self.spaces(), space)

    def add_space(self, space: Space) -> None:
        """Let a library have vectors in a further space; nothing if it has it already."""
        self._require_writing()
        if any(stored.name == space.name for stored in self.spaces()):
            self.require_space(space)
            return
        self._connection.execute(
            "INSERT INTO spaces (name, encoder, weights_digest, preprocessing, dim)"
            " VALUES (?, ?, ?, ?, ?)",
            (space.name, space.encoder, space.weights_digest, space.preprocessing, space.dim),
        )

    def choose_space(self, name: str) -> None:
        """Make a space of the library its default; raises InputError if it has none so called."""
        self._require_writing()
        named_space(self.spaces(), name)
        self._connection.execute("INSERT OR REPLACE INTO settings VALUES ('space', ?)", (name,))

    def lacking(self, space: Space, roots: Sequence[str] | None = None) -> Iterator[Lacking]:
        """Live records without a vector in a space, each once, by path; under ``roots`` or all.

        Safe while ``put_vectors`` is called: what was put meanwhile may still come.
        """
        table = self.vectors(space)
        return self._live_without({id_.tobytes() for id_ in table.ids[table.live]}, roots)

    def lacking_parts(self, space: Space, roots: Sequence[str] | None = None) -> Iterator[Lacking]:
        """Live records of which no part was looked at in a space; otherwise as ``lacking``."""
        have = self._connection.execute(
            "SELECT DISTINCT records.id FROM tiles JOIN records ON records.key = tiles.record"
            " JOIN spaces ON spaces.id = tiles.space WHERE spaces.name = ?",
            (space.name,),
        )
        return self._live_without({id_ for (id_,) in have}, roots)

    def _live_without(self, have: set[bytes], roots: Sequence[str] | None) -> Iterator[Lacking]:
        """Live records whose ids are not in ``have``, by path; grows ``have``."""
        last = b""
        where, values = files_under(roots)
        while True:
            page = self._connection.execute(
                "SELECT records.id, content_hash, path, files.bytes, mtime_ns, foreign_id,"
                " validator FROM files"
                f" JOIN records ON records.key = files.record WHERE live AND path > ? AND {where}"
                " ORDER BY path LIMIT ?",
                (last, *values, _PAGE),
            ).fetchall()
            for id_, content_hash, path, *rest in page:
                if id_ not in have:
                    have.add(id_)
                    entry = FileEntry(os.fsdecode(path), *rest)
                    yield Lacking(UUID(bytes=id_), content_hash, entry)
            if len(page) < _PAGE:
                return
            last = page[-1][2]

    def put_vectors(self, space: Space, features: Sequence[SpaceFeatures]) -> None:
        """Commit vectors of records that lack them: all are durable when this returns, or none."""
        self._require_writing()
        if not features:
            return
        db, key = self._connection, self._ensure_space(space)
        with schema.transaction(db):
            ids = id_array(one.record for one in features)
            vectors = np.stack([one.vector for one in features])
            self.append(vector_series(space), {"f16": vectors, "ids": ids}, space)
            db.executemany(
                "INSERT OR REPLACE INTO logits SELECT key, ?, ?, ? FROM records WHERE id = ?",
                (
                    (key, *logits_bytes(one.logits), one.record.bytes)
                    for one in features
                    if one.logits is not None
                ),
            )

    def append(self, name: str, columns: dict[str, Any], space: Space | None = None) -> None:
        """Append rows to a series within the current transaction (files first, then the row)."""
        segments = self._segments(name)
        series = self._series(name, space)
        for segment in series.append(segments, columns):
            self._connection.execute(
                "INSERT INTO segments VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET rows = excluded.rows, cells = excluded.cells",
                (name, segment.number, segment.rows, segment.cells),
            )

    def delete(self) -> int:
        """Forget files that are gone, and records without files; returns the files forgotten."""
        self._require_writing()
        db = self._connection
        with schema.transaction(db):
            forgotten = db.execute("DELETE FROM files WHERE state = 'gone'").rowcount
            orphans = db.execute(
                "SELECT key, id FROM records WHERE live_files = 0"
                " AND NOT EXISTS (SELECT 1 FROM files WHERE record = records.key)"
            ).fetchall()
            if orphans:
                self._bury(b"".join(row[1] for row in orphans))
                keys = [(row[0],) for row in orphans]
                for table in ("thumbnails", "logits", "labels", "tiles"):
                    db.executemany(f"DELETE FROM {table} WHERE record = ?", keys)
                db.executemany("DELETE FROM records WHERE key = ?", keys)
        self.originals.prune(lambda content: self.find_content(content) is not None)
        return forgotten

    def identify(self) -> str:
        """Give the library an identity if it has none: a UUID as text."""
        self._require_writing()
        self._connection.execute(
            "INSERT OR IGNORE INTO settings VALUES (?, ?)", (IDENTITY, str(uuid4()))
        )
        return self.identity() or ""

    def identity(self) -> str | None:
        """What tells the library from others once it was pushed; None before."""
        row = self._connection.execute("SELECT value FROM settings WHERE name = ?", (IDENTITY,))
        return next((value for (value,) in row), None)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query of our own."""
        return self._connection.execute(query).fetchall()

    def contents(self, spaces: Sequence[Space], shares: Shares) -> FolderContents:
        """All rows, and those of some spaces, as servers have them."""
        return FolderContents(self._connection, self, spaces, shares)

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def decide(self, first: UUID, second: UUID) -> bool:
        """Remember that two records are not duplicates; returns whether that is new."""
        self._require_writing()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        changed = self._connection.execute(
            "INSERT OR IGNORE INTO decisions VALUES (?, ?, 'not a duplicate', ?)",
            (*_both(first, second), now),
        )
        return changed.rowcount > 0

    def forget(self, first: UUID, second: UUID) -> bool:
        """Take a decision back; returns whether there was one."""
        self._require_writing()
        changed = self._connection.execute(
            "DELETE FROM decisions WHERE first = ? AND second = ?", _both(first, second)
        )
        return changed.rowcount > 0

    def _bury(self, ids: bytes) -> None:
        """Mark the rows of deleted records in every series."""
        buried = np.frombuffer(ids, dtype=ID_DTYPE)
        names = self._connection.execute("SELECT DISTINCT series FROM segments").fetchall()
        for (name,) in names:
            rows = np.flatnonzero(np.isin(self._read(name)[0], buried))
            self._connection.executemany(
                "INSERT OR IGNORE INTO tombstones VALUES (?, ?)",
                ((name, int(row)) for row in rows),
            )

    def trim(self) -> None:
        """Cut off rows that were written and not committed."""
        self._series(HISTOGRAMS).trim(self._segments(HISTOGRAMS))
        for space in self.spaces():
            name = vector_series(space)
            self._series(name, space).trim(self._segments(name))

    # -- reading ---------------------------------------------------------------------------------

    def spaces(self) -> list[Space]:
        """The spaces of the library, its default first."""
        rows = self._connection.execute(
            "SELECT encoder, weights_digest, preprocessing, dim FROM spaces"
            " ORDER BY name IS NOT (SELECT value FROM settings WHERE name = 'space'), id"
        )
        return [Space(*row) for row in rows]

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors and histograms of one and the same commit."""
        with schema.snapshot(self._connection):
            return self.vectors(space), self.histograms()

    def vectors(self, space: Space) -> VectorTable:
        """All committed vectors of a space, mapped from disk."""
        with schema.snapshot(self._connection):
            ids, parts, live = self._read(vector_series(space), space)
        return VectorTable(ids, [part["f16"] for part in parts], live, space.dim)

    def histograms(self) -> HistogramTable:
        """All committed histograms, mapped from disk."""
        with schema.snapshot(self._connection):
            ids, parts, live = self._read(HISTOGRAMS)
        return HistogramTable(
            ids, [HistogramPart(p["bins"], p["counts"], p["ends"]) for p in parts], live
        )

    def logits(self, space: Space) -> LogitTable:
        """The highest class logits of a space; no rows if its encoder has no classes."""
        rows = self._connection.execute(
            "SELECT records.id, classes, logits, live_files > 0 FROM logits"
            " JOIN spaces ON spaces.id = logits.space JOIN records ON records.key = logits.record"
            " WHERE spaces.name = ? ORDER BY records.key",
            (space.name,),
        ).fetchall()
        if not rows:
            none = np.empty((0, 0))
            return LogitTable(
                np.empty(0, ID_DTYPE), none.astype("<u2"), none.astype("<f4"), np.empty(0, bool)
            )
        ids, classes, logits, live = zip(*rows, strict=True)
        return LogitTable(
            np.frombuffer(b"".join(ids), ID_DTYPE),
            np.frombuffer(b"".join(classes), "<u2").reshape(len(ids), -1),
            np.frombuffer(b"".join(logits), "<f4").reshape(len(ids), -1),
            np.array(live, dtype=bool),
        )

    def _read(
        self, name: str, space: Space | None = None
    ) -> tuple[IdArray, list[dict[str, Any]], np.ndarray[Any, np.dtype[np.bool_]]]:
        if space is None and name != HISTOGRAMS:
            space = next(s for s in self.spaces() if vector_series(s) == name)
        parts = self._series(name, space).read(self._segments(name))
        ids = np.concatenate([np.empty(0, ID_DTYPE), *(part["ids"] for part in parts)])
        live = np.ones(len(ids), dtype=bool)
        dead = self._connection.execute("SELECT row FROM tombstones WHERE series = ?", (name,))
        live[[row for (row,) in dead]] = False
        query = "SELECT id FROM records WHERE live_files = 0"
        gone = [row[0] for row in self._connection.execute(query)]
        if gone:
            live &= ~VectorTable(ids, (), live, 0).rows_with(
                np.frombuffer(b"".join(gone), ID_DTYPE)
            )
        return ids, parts, live

    def _segments(self, name: str) -> list[Segment]:
        rows = self._connection.execute(
            "SELECT number, rows, cells FROM segments WHERE series = ? ORDER BY number", (name,)
        )
        return [Segment(*row) for row in rows]

    def _series(self, name: str, space: Space | None = None) -> Series:
        columns = HISTOGRAM_COLUMNS if space is None else vector_columns(space.dim)
        return Series(self.folder / name, columns)

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for; None where there is none."""
        found: dict[UUID, Record] = {}
        query = (
            "SELECT id, content_hash, bytes, phash, width, height, format, taken_at, camera,"
            " latitude, longitude FROM records WHERE id IN ({ids})"
        )
        with schema.snapshot(self._connection):
            rows = list(schema.of_records(self._connection, ids, query))
            paths = dict(zip(ids, self.paths(ids), strict=True))
        for raw, content_hash, size, signed_hash, *facts in rows:
            id_ = UUID(bytes=raw)
            record = Record(
                id_, content_hash, size, ImageFacts(*facts), signed_hash % 2**64, paths[id_]
            )
            found[id_] = record
        return [found.get(id_) for id_ in ids]

    def paths(self, ids: Sequence[UUID]) -> list[tuple[str, ...]]:
        """Where records lie now, in the order asked for; nowhere for one that is not there."""
        found: dict[bytes, list[str]] = {}
        query = (
            "SELECT id, path FROM records JOIN files ON files.record = records.key"
            " WHERE id IN ({ids}) AND live ORDER BY path"
        )
        for id_, path in schema.of_records(self._connection, ids, query):
            found.setdefault(id_, []).append(os.fsdecode(path))
        return [tuple(found.get(id_.bytes, ())) for id_ in ids]

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, in the order asked for; None where there is none."""
        query = (
            "SELECT jpeg FROM thumbnails JOIN records ON records.key = thumbnails.record"
            " WHERE records.id = ?"
        )
        rows = (self._connection.execute(query, (id_.bytes,)).fetchone() for id_ in ids)
        return [row[0] if row else None for row in rows]

    def facts(self) -> FactsTable:
        """Facts of all records that have a file now, in the order of indexing."""
        rows = self._connection.execute(
            "SELECT id, width * height, bytes,"
            " CAST(round((julianday(taken_at) - 2440587.5) * 86400) AS INTEGER), camera, live_files"
            " FROM records WHERE live_files > 0 ORDER BY key"
        ).fetchall()
        return facts_table(rows)

    def each_thumbnail(self) -> Iterator[tuple[bytes, bytes]]:
        """Ids and thumbnails of the records that have a file now, in the order of indexing."""
        yield from self._connection.execute(
            "SELECT id, jpeg FROM records JOIN thumbnails ON thumbnails.record = records.key"
            " WHERE live_files > 0 ORDER BY records.key"
        )

    def each_path(self) -> Iterator[tuple[bytes, str]]:
        """Ids of records and the paths at which they lie now, a record's together, by path."""
        rows = self._connection.execute(
            "SELECT id, path FROM records JOIN files ON files.record = records.key WHERE live"
            " ORDER BY records.key, path"
        )
        for id_, path in rows:
            yield id_, os.fsdecode(path)

    def files(self, ids: Sequence[UUID]) -> list[tuple[FileEntry, ...]]:
        """Where records lie now, the oldest file first, ties by path."""
        found: dict[bytes, list[FileEntry]] = {}
        query = (
            "SELECT id, path, files.bytes, mtime_ns, foreign_id, validator FROM records"
            " JOIN files ON files.record = records.key"
            " WHERE id IN ({ids}) AND live ORDER BY mtime_ns, path"
        )
        for id_, path, *rest in schema.of_records(self._connection, ids, query):
            found.setdefault(id_, []).append(FileEntry(os.fsdecode(path), *rest))
        return [tuple(found.get(id_.bytes, ())) for id_ in ids]

    def folders(self) -> dict[bytes, str]:
        """The folder of every record that has a file now, by its id; of several files the first."""
        rows = self._connection.execute(
            "SELECT id, folder FROM files JOIN records ON records.key = files.record"
            " WHERE live ORDER BY files.key DESC"
        )
        shared: dict[str, str] = {}
        return {id_: shared.setdefault(folder, folder) for id_, folder in rows}

    def has_times(self) -> bool:
        """Whether it is known of any record when it was taken."""
        row = self._connection.execute(
            "SELECT 1 FROM records WHERE taken_at IS NOT NULL AND live_files > 0 LIMIT 1"
        )
        return row.fetchone() is not None

    def decisions(self) -> list[tuple[UUID, UUID]]:
        """Pairs of records that were decided not to be duplicates, each ascending, in order."""
        rows = self._connection.execute("SELECT first, second FROM decisions ORDER BY 1, 2")
        return [(UUID(bytes=first), UUID(bytes=second)) for first, second in rows]

    def find_content(self, content_hash: bytes) -> UUID | None:
        """The record with this content, or None. May be called from any thread."""
        with self._content_guard:
            row = self._content.execute(
                "SELECT id FROM records WHERE content_hash = ?", (content_hash,)
            ).fetchone()
        return UUID(bytes=row[0]) if row else None

    def original(self, content_hash: bytes) -> str | None:
        """The path of a picture that was kept as it came from the web, or None."""
        return self.originals.find(content_hash)

    @property
    def originals(self) -> Originals:
        """The pictures that are kept beside the catalogue."""
        return Originals(self.folder / ORIGINALS)

    def find_foreign(self, foreign_id: str) -> UUID | None:
        """The record of the first live file, by path, that another table calls this, or None."""
        row = self._connection.execute(
            "SELECT id FROM files JOIN records ON records.key = files.record"
            " WHERE foreign_id = ? AND live ORDER BY path LIMIT 1",
            (foreign_id,),
        ).fetchone()
        return UUID(bytes=row[0]) if row else None

    def has_foreign(self) -> bool:
        """Whether any live file has an id in another table."""
        row = self._connection.execute(
            "SELECT 1 FROM files WHERE foreign_id IS NOT NULL AND live LIMIT 1"
        )
        return row.fetchone() is not None

    def find_path(self, path: str) -> tuple[UUID, bytes] | None:
        """Record and content hash of a live file at this absolute path, if it did not change."""
        row = self._connection.execute(
            "SELECT records.id, content_hash, files.bytes, mtime_ns FROM files"
            " JOIN records ON records.key = files.record WHERE path = ? AND live",
            (os.fsencode(path),),
        ).fetchone()
        if row is None:
            return None
        id_, content_hash, size, mtime_ns = row
        if not Place(os.fsencode(path), size, mtime_ns).holds():
            return None
        return UUID(bytes=id_), content_hash

    def reads_path(self, path: str) -> bool:
        """Whether a file at this absolute path, or in it, is or was to be a record."""
        where, values = (
            files_under([path]) if is_archive(path) else ("path = ?", (os.fsencode(path),))
        )
        row = self._connection.execute(
            f"SELECT 1 FROM files WHERE {where} AND state <> ? LIMIT 1",
            (*values, State.SKIPPED.value),
        ).fetchone()
        return row is not None

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen, ordered by path."""
        condition, values = ("WHERE state = ?", (state.value,)) if state else ("", ())
        rows = self._connection.execute(
            "SELECT path, state, reason, detail, files.bytes, mtime_ns, id FROM files"
            f" LEFT JOIN records ON records.key = files.record {condition} ORDER BY path",
            values,
        )
        for path, name, reason, detail, size, mtime, id_ in rows:
            record = UUID(bytes=id_) if id_ else None
            yield LedgerRow(os.fsdecode(path), State(name), reason, detail, size, mtime, record)

    def matching(self, condition: Condition) -> IdArray:
        """Ids of the records that have a live file for which the condition holds, ascending."""
        rows = self._connection.execute(*matching_ids(condition, self.side_tables()))
        return _ascending(np.frombuffer(b"".join(id_ for (id_,) in rows), dtype=ID_DTYPE))

    def count(self) -> int:
        """Records that have at least one file now."""
        row = self._connection.execute("SELECT count(*) FROM records WHERE live_files > 0")
        return int(row.fetchone()[0])

    def id_at(self, place: int) -> UUID:
        """The id of a record with a file, ``place`` counting from 0 in the order of their ids."""
        row = self._connection.execute(
            "SELECT id FROM records WHERE live_files > 0 ORDER BY id LIMIT 1 OFFSET ?", (place,)
        ).fetchone()
        return UUID(bytes=row[0])

    def version(self) -> int:
        """A number that changes whenever another connection has committed something."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def _both(first: UUID, second: UUID) -> tuple[bytes, bytes]:
    """The ids of a pair as the catalogue has them, the smaller first."""
    low, high = ascending(first, second)
    return low.bytes, high.bytes


def _ascending(ids: IdArray) -> IdArray:
    """Distinct ids in the order of their bytes."""
    ordered = np.sort(ids.view("S16"))  # bytes are sorted faster than voids, in the same order
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    distinct: IdArray = ordered[new].view(ID_DTYPE)
    return distinct
