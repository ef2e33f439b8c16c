"""One indexing run of the embedded store: what was seen, what is to be read, what is gone.

What the scan finds goes into a temporary table on disk, so that memory stays bounded, the number of
images to read is known before the first is read, and a file that was not seen is found by a join.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import numpy as np

from lookalike.places import file_of, in_archive, is_object, is_url
from lookalike.stores.base import record_id
from lookalike.stores.schema import transaction
from lookalike.stores.segments import HISTOGRAMS, vector_series
from lookalike.types import (
    LIVE_STATES,
    ClassLogits,
    Features,
    FileEntry,
    Outcome,
    PassedOver,
    Reason,
    Space,
    State,
    id_array,
)

FINAL_REASONS = (Reason.ZERO_BYTES, Reason.NOT_AN_IMAGE, Reason.TRUNCATED, Reason.CORRUPT)
"""Reasons that only a changed file can cure; other unreadable files are read again each time."""

_PAGE = 2_000
_LIVE = ", ".join(f"'{state}'" for state in LIVE_STATES)
_FINAL = ", ".join(f"'{reason}'" for reason in FINAL_REASONS)

_SEEN = """
CREATE TEMP TABLE seen (
    n INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, bytes INTEGER, mtime_ns INTEGER,
    state TEXT, reason TEXT, detail TEXT, foreign_id TEXT, validator TEXT)
"""
# Files that are as the catalogue knows them, and need no reading.
_SETTLED = f"""
INSERT INTO settled
SELECT seen.n, files.key AS file, files.state IN ({_LIVE}) AS live
FROM seen JOIN files ON files.path = seen.path
WHERE seen.state IS NULL AND files.bytes = seen.bytes AND files.mtime_ns = seen.mtime_ns
  AND (seen.validator IS NULL OR seen.validator IS files.validator)
  AND (files.state IN ({_LIVE})
       OR files.state = 'unreadable' AND files.reason IN ({_FINAL}) AND NOT :retry)
"""
_UNSETTLED = "seen.state IS NULL AND NOT EXISTS (SELECT 1 FROM settled WHERE settled.n = seen.n)"
# Files that another table calls otherwise now, read or not.
_RENAMED = """
UPDATE files SET foreign_id = seen.foreign_id FROM seen
WHERE seen.path = files.path AND seen.foreign_id IS NOT NULL
  AND files.foreign_id IS NOT seen.foreign_id
"""
_UPSERT = """
INSERT INTO files (path, folder, name, bytes, mtime_ns, record, state, reason, detail, run,
    foreign_id, validator)
VALUES (:path, :folder, :name, :bytes, :mtime_ns, :record, :state, :reason, :detail, :run,
    :foreign_id, :validator)
ON CONFLICT (path) DO UPDATE SET
    bytes = excluded.bytes, mtime_ns = excluded.mtime_ns, record = excluded.record,
    state = excluded.state, reason = excluded.reason, detail = excluded.detail,
    run = excluded.run, foreign_id = coalesce(excluded.foreign_id, files.foreign_id),
    validator = excluded.validator
"""


class _Series(Protocol):
    """What a run needs of its store: the append-only files."""

    def append(self, name: str, columns: dict[str, Any], space: Space | None = None) -> None: ...

    def trim(self) -> None: ...


class _Known(NamedTuple):
    """What the catalogue says of one path."""

    record: int | None
    state: str


class Place(NamedTuple):
    """Where the catalogue has a record, and the file's size and time when it had it."""

    path: bytes
    bytes: int | None
    mtime_ns: int | None

    def holds(self) -> bool:
        """Whether the file still lies there unchanged, or its archive; of a URL nobody asks."""
        path = os.fsdecode(self.path)
        file = file_of(path)
        try:
            now = None if file is None else FileEntry.of(path, os.stat(file))
        except OSError:
            return False
        if now is None or file != path:
            return now is None or now.mtime_ns == self.mtime_ns
        return (now.bytes, now.mtime_ns) == (self.bytes, self.mtime_ns)


class SqliteRun:
    """A Run of the embedded store; made by ``SqliteStore.run``."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        series: _Series,
        space: Space,
        space_key: int,
        roots: Sequence[str] = (),
    ) -> None:
        self._db = connection
        self._series = series
        self._space = space
        self._space_key = space_key
        self._roots = [inside(os.fsencode(root)) for root in roots]
        for table in ("seen", "settled", "closed"):
            self._db.execute(f"DROP TABLE IF EXISTS temp.{table}")
        self._db.execute(_SEEN)
        self._db.execute(
            "CREATE TEMP TABLE settled (n INTEGER PRIMARY KEY, file INTEGER, live INTEGER)"
        )
        self._db.execute("CREATE TEMP TABLE closed (prefix BLOB, after BLOB)")
        row = self._db.execute("INSERT INTO runs (started) VALUES (?) RETURNING id", (_now(),))
        self._id = int(row.fetchone()[0])
        # A run that was killed is continued: what it entered counts as entered by this one.
        row = self._db.execute(
            "SELECT min(id) FROM runs WHERE id >"
            " (SELECT coalesce(max(id), 0) FROM runs WHERE finished IS NOT NULL)"
        )
        self._continues = int(row.fetchone()[0])

    # -- 1. what lies there ----------------------------------------------------------------------

    def note(self, found: Iterable[FileEntry | PassedOver]) -> int:
        """Note what the scan found; returns the number of images among it."""
        rows = (_seen_row(item) for item in found)
        while page := list(itertools.islice(rows, _PAGE)):
            with transaction(self._db):
                self._db.executemany(
                    "INSERT OR IGNORE INTO seen"
                    " (path, bytes, mtime_ns, state, reason, detail, foreign_id, validator)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    page,
                )
        (images,) = self._db.execute("SELECT count(*) FROM seen WHERE state IS NULL").fetchone()
        return int(images)

    def seen_under(self, root: str) -> int:
        """Images that this run's scan found at or under ``root``."""
        condition, values = _under(root, "path")
        row = self._db.execute(
            f"SELECT count(*) FROM seen WHERE state IS NULL AND {condition}", values
        )
        return int(row.fetchone()[0])

    def known_under(self, root: str) -> int:
        """Live files that the library has at or under ``root``."""
        condition, values = _under(root, "path")
        row = self._db.execute(f"SELECT count(*) FROM files WHERE live AND {condition}", values)
        return int(row.fetchone()[0])

    # -- 2. what need not be read ----------------------------------------------------------------

    def settle(self, *, retry: bool) -> int:
        """Enter what needs no reading (unchanged, passed over); returns how many are to be read."""
        with transaction(self._db):
            self._db.execute(_SETTLED, {"retry": retry})
            self._note_closed_folders()
            self._db.execute(
                "UPDATE files SET state = 'unchanged', reason = ?, detail = '', run = ?"
                " WHERE key IN (SELECT file FROM settled WHERE live)"
                " AND (state <> 'unchanged' OR reason <> ?) AND run < ?",
                (Reason.SAME_STAT, self._id, Reason.SAME_STAT, self._continues),
            )
            self._db.execute(_RENAMED)
            passed = self._db.execute(
                "SELECT path, state, reason, detail FROM seen WHERE state IS NOT NULL"
            )
            self._db.executemany(
                _UPSERT + " WHERE excluded.state <> files.state OR excluded.reason <> files.reason",
                (
                    self._file_row(path, None, state, reason, detail)
                    for path, state, reason, detail in passed
                ),
            )
        (unread,) = self._db.execute(f"SELECT count(*) FROM seen WHERE {_UNSETTLED}").fetchone()
        return int(unread)

    # -- 3. what is read -------------------------------------------------------------------------

    def to_read(self) -> Iterator[FileEntry]:
        """New and changed files, in the order of the scan; safe while ``put`` is called."""
        last = 0
        while True:
            page = self._db.execute(
                "SELECT n, path, seen.bytes, seen.mtime_ns, seen.foreign_id,"
                " CASE WHEN live THEN files.validator END FROM seen"
                f" LEFT JOIN files USING (path) WHERE {_UNSETTLED} AND n > ? ORDER BY n LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            if not page:
                return
            last = page[-1][0]
            for _n, path, *rest in page:
                yield FileEntry(os.fsdecode(path), *rest)

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Commit a batch: all of it is durable when this returns, or none of it was entered."""
        try:
            with transaction(self._db):
                added: list[tuple[UUID, Features]] = []
                for outcome in outcomes:
                    self._enter(outcome, added)
                self._append(added)
        except BaseException:
            self._series.trim()
            raise

    def _enter(self, outcome: Outcome, added: list[tuple[UUID, Features]]) -> None:
        entry, path = outcome.entry, os.fsencode(outcome.entry.path)
        if outcome.kept and self._keep(path, outcome):
            return
        if outcome.reason is Reason.IMPORTED and self._is_live(path):
            return
        if outcome.content_hash is None:
            row = self._file_row(
                path, entry, State.UNREADABLE, outcome.reason or Reason.READ_ERROR, outcome.detail
            )
            self._db.execute(_UPSERT, row)
            return
        key = self._record_key(outcome.content_hash)
        new = key is None
        if key is None:
            if outcome.features is None:
                raise ValueError(f"{entry.path}: neither features nor a known content")
            key = self._add_record(outcome.content_hash, entry.bytes, outcome.features)
            added.append((record_id(outcome.content_hash), outcome.features))
        state, reason, detail = (
            (State.INDEXED, Reason.IMPORTED, outcome.detail)
            if outcome.reason is Reason.IMPORTED
            else self._relation(path, key, new)
        )
        self._db.execute(_UPSERT, self._file_row(path, entry, state, reason, detail, key))

    def _is_live(self, path: bytes) -> bool:
        """Whether a picture is known to lie at a path."""
        row = self._db.execute("SELECT 1 FROM files WHERE path = ? AND live", (path,)).fetchone()
        return row is not None

    def _keep(self, path: bytes, outcome: Outcome) -> bool:
        """Enter that what is known of a path still holds; False where nothing is."""
        kept = self._db.execute(
            "UPDATE files SET state = 'unchanged', reason = ?, detail = ?, run = ?"
            " WHERE path = ? AND live",
            (outcome.reason, outcome.detail, self._id, path),
        )
        return kept.rowcount > 0

    def _relation(self, path: bytes, record: int, new: bool) -> tuple[State, Reason, str]:
        """How a readable file relates to what the catalogue knew of its path and its record."""
        row = self._db.execute("SELECT record, state FROM files WHERE path = ?", (path,)).fetchone()
        known = _Known(*row) if row else None
        if known and known.record == record:
            if known.state == State.GONE:
                return State.INDEXED, Reason.BACK, ""
            return State.UNCHANGED, Reason.SAME_CONTENT, ""
        others = [] if new else self._files_of(record)
        old = self._moved_from(others)
        if old is not None:
            if not self._is_there(old.path):
                self._db.execute("DELETE FROM files WHERE path = ?", (old.path,))
            return State.MOVED, Reason.MOVED, f"from {display_path(old.path)}"
        if known and known.record is not None:
            return State.INDEXED, Reason.CHANGED, ""
        if new:
            return State.INDEXED, Reason.NEW, ""
        return State.INDEXED, Reason.DUPLICATE if others else Reason.BACK, ""

    def _moved_from(self, others: Sequence[Place]) -> Place | None:
        """Which of a record's other places a file came from, or None if it is a copy.

        One that is certainly gone; or, if something else lies now at all of them, the first.
        """
        for place in others:
            if not self._is_there(place.path) and self._is_certain(place.path):
                return place
        if others and all(self._is_there(p.path) and not p.holds() for p in others):
            return others[0]
        return None

    def _is_there(self, path: bytes) -> bool:
        """Whether something lies at a path. Of URLs nobody says that nothing does."""
        own = os.fsdecode(path)
        member = in_archive(own)
        if member is None and not is_object(own):
            return is_url(own) or os.path.lexists(path)
        if any(prefix < path < after for prefix, after in self._roots):  # listed by this run
            row = self._db.execute("SELECT 1 FROM seen WHERE path = ?", (path,)).fetchone()
            return row is not None
        return member is None or os.path.lexists(member[0])

    def _is_certain(self, missing: bytes) -> bool:
        """Whether a path is missing for good, not for a drive or folder that cannot be seen now."""
        if any(prefix < missing < after for prefix, after in self._roots):
            closed = self._db.execute(
                "SELECT 1 FROM closed WHERE ? > prefix AND ? < after", (missing, missing)
            )
            return closed.fetchone() is None
        folder = os.path.dirname(missing)
        while not os.path.isdir(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        try:
            return bool(os.listdir(folder))  # an empty one is where a drive is mounted
        except OSError:
            return False

    def _files_of(self, record: int) -> list[Place]:
        rows = self._db.execute(
            "SELECT path, bytes, mtime_ns FROM files WHERE record = ? ORDER BY path", (record,)
        )
        return [Place(*row) for row in rows]

    def _record_key(self, content_hash: bytes) -> int | None:
        row = self._db.execute(
            "SELECT key FROM records WHERE content_hash = ?", (content_hash,)
        ).fetchone()
        return int(row[0]) if row else None

    def _add_record(self, content_hash: bytes, size: int, features: Features) -> int:
        facts = features.facts
        cursor = self._db.execute(
            "INSERT INTO records (id, content_hash, bytes, width, height, format, taken_at, camera,"
            " latitude, longitude, phash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record_id(content_hash).bytes,
                content_hash,
                size,
                facts.width,
                facts.height,
                facts.format,
                facts.taken_at,
                facts.camera,
                facts.latitude,
                facts.longitude,
                _signed(features.phash),
            ),
        )
        key = int(cursor.lastrowid or 0)
        if features.thumbnail is not None:
            self._db.execute("INSERT INTO thumbnails VALUES (?, ?)", (key, features.thumbnail))
        if features.logits is not None:
            values = (key, self._space_key, *logits_bytes(features.logits))
            self._db.execute("INSERT INTO logits VALUES (?, ?, ?, ?)", values)
        return key

    def _append(self, added: Sequence[tuple[UUID, Features]]) -> None:
        if not added:
            return
        ids = id_array(id_ for id_, _ in added)
        vectors = np.stack([features.vector for _, features in added])
        self._series.append(vector_series(self._space), {"f16": vectors, "ids": ids}, self._space)
        seen = [(id_, own.histogram) for id_, own in added if own.histogram is not None]
        if not seen:
            return
        histograms = [histogram for _, histogram in seen]
        self._series.append(
            HISTOGRAMS,
            {
                "bins": np.concatenate([h.bins for h in histograms]),
                "counts": np.concatenate([h.counts for h in histograms]),
                "ends": np.cumsum([len(h.bins) for h in histograms], dtype=np.uint64),
                "ids": id_array(id_ for id_, _ in seen),
            },
        )

    def _file_row(
        self,
        path: bytes,
        entry: FileEntry | None,
        state: State,
        reason: Reason,
        detail: str,
        record: int | None = None,
    ) -> dict[str, Any]:
        folder, name = os.path.split(path)
        return {
            "path": path,
            "folder": display_path(folder),
            "name": display_path(name),
            "bytes": entry.bytes if entry else None,
            "mtime_ns": entry.mtime_ns if entry else None,
            "record": record,
            "state": state,
            "reason": reason,
            "detail": detail,
            "run": self._id,
            "foreign_id": entry.foreign_id if entry else None,
            "validator": entry.validator if entry else None,
        }

    # -- 4. what is gone -------------------------------------------------------------------------

    def finish(self, roots: Sequence[str], *, complete: bool) -> None:
        """End the run. If the scan was complete, files under ``roots`` not seen become gone."""
        with transaction(self._db):
            if complete:
                for root in roots:
                    self._mark_gone(root)
            self._db.execute("UPDATE runs SET finished = ? WHERE id = ?", (_now(), self._id))

    def _mark_gone(self, root: str) -> None:
        condition, values = _under(root, "path")
        self._db.execute(
            "UPDATE files SET state = 'gone', reason = ?, detail = '', run = ? WHERE"
            f" {condition} AND state <> 'gone' AND path NOT IN (SELECT path FROM seen)"
            " AND NOT EXISTS (SELECT 1 FROM closed WHERE path > prefix AND path < after)",
            (Reason.NOT_FOUND, self._id, *values),
        )

    def _note_closed_folders(self) -> None:
        """Of what lies in a folder that could not be listed, nothing is known."""
        rows = self._db.execute(
            "SELECT path FROM seen WHERE state = 'unreadable' AND reason IN (?, ?)",
            (Reason.NO_PERMISSION, Reason.READ_ERROR),
        ).fetchall()
        self._db.executemany("INSERT INTO closed VALUES (?, ?)", (inside(row[0]) for row in rows))

    def counts(self) -> dict[tuple[State, Reason], int]:
        """Files by state and reason, of those this run saw or missed."""
        rows = self._db.execute(
            "SELECT state, reason, count(*) FROM files"
            " WHERE path IN (SELECT path FROM seen) OR state = 'gone' AND run = ?"
            " GROUP BY state, reason",
            (self._id,),
        )
        return {(State(state), Reason(reason)): count for state, reason, count in rows}


def _seen_row(item: FileEntry | PassedOver) -> tuple[Any, ...]:
    path = os.fsencode(item.path)
    if isinstance(item, FileEntry):
        told = (item.foreign_id, item.validator)
        return (path, item.bytes, item.mtime_ns, None, None, None, *told)
    return (path, None, None, item.state, item.reason, item.detail, None, None)


def logits_bytes(logits: ClassLogits) -> tuple[bytes, bytes]:
    """Classes and logits as the catalogue has them."""
    return logits.classes.astype("<u2").tobytes(), logits.logits.astype("<f4").tobytes()


def files_under(roots: Sequence[str] | None) -> tuple[str, tuple[bytes, ...]]:
    """A condition for paths at or under one of ``roots`` and its values; all paths if None."""
    if roots is None:
        return "1", ()
    parts = [_under(root, "path") for root in roots]
    text = " OR ".join(part for part, _ in parts) or "0"
    return f"({text})", tuple(value for _, values in parts for value in values)


def _under(root: str, column: str) -> tuple[str, tuple[bytes, ...]]:
    """A condition for paths at or under ``root``, and its values."""
    path = os.fsencode(root)
    return f"({column} = ? OR {column} > ? AND {column} < ?)", (path, *inside(path))


def inside(path: bytes) -> tuple[bytes, bytes]:
    """Bounds, both excluded, between which all paths inside a folder lie."""
    separator = os.fsencode(os.sep)
    prefix = path.rstrip(separator) + separator
    return prefix, prefix[:-1] + bytes([separator[0] + 1])


def display_path(path: bytes) -> str:
    """A path as text; bytes that are not UTF-8 are written as backslash escapes."""
    return path.decode("utf-8", "backslashreplace")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
