"""One indexing run of a store on a server.

What a file means to a library (new, moved, back again, a copy) is decided by one piece of code, the
embedded store's run. So that it can decide for a server, what the server knows of the files in
question is copied into a scratch catalogue beside the run; the run works on that, and what it
changed there is sent to the server, batch by batch.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from lookalike.stores import schema
from lookalike.stores.run import SqliteRun, inside
from lookalike.stores.server.engine import Engine, Row
from lookalike.stores.server.layout import FILES, RECORDS, RUNS
from lookalike.types import FileEntry, Outcome, PassedOver, Reason, Space, State

PAGE = 500
"""Paths or contents that the server is asked about at a time."""

_FILE_COLUMNS = ", ".join(FILES.names)
_CAPTURE = """
CREATE TEMP TABLE changed (path BLOB PRIMARY KEY);
CREATE TEMP TABLE capturing (own INTEGER);
CREATE TEMP TRIGGER file_added AFTER INSERT ON main.files WHEN EXISTS (SELECT 1 FROM capturing)
BEGIN INSERT OR IGNORE INTO changed VALUES (NEW.path); END;
CREATE TEMP TRIGGER file_changed AFTER UPDATE ON main.files WHEN EXISTS (SELECT 1 FROM capturing)
BEGIN INSERT OR IGNORE INTO changed VALUES (NEW.path); END;
CREATE TEMP TRIGGER file_removed AFTER DELETE ON main.files WHEN EXISTS (SELECT 1 FROM capturing)
BEGIN INSERT OR IGNORE INTO changed VALUES (OLD.path); END;
"""
"""Notes the paths of which the run changes anything, not those copied from the server."""


class Destination(Protocol):
    """What a run needs of the store on the server."""

    engine: Engine

    def put_features(
        self, space: Space, records: Sequence[Row], outcomes: Sequence[Outcome]
    ) -> None:
        """Insert records that are new, rows as ``RECORDS`` has them, with all their features."""

    def committed(self) -> None:
        """Something was written."""


class _Numbers:
    """The vectors and histograms of a batch go with its records; nothing is to be kept here."""

    def append(self, name: str, columns: dict[str, Any], space: Space | None = None) -> None: ...

    def trim(self) -> None: ...


class ServerRun:
    """A Run that writes to a server; made by ``ServerStore.run``."""

    def __init__(self, store: Destination, space: Space, roots: Sequence[str]) -> None:
        self._store, self._engine, self._space = store, store.engine, space
        self._scratch = Path(tempfile.mkdtemp(prefix="lookalike-run-"))
        self._db = schema.connect_writer(self._scratch)
        self._db.execute("PRAGMA synchronous = OFF")  # a lost scratch is made anew
        self._db.execute("PRAGMA foreign_keys = OFF")  # files come before their records
        self._db.executescript(_CAPTURE)
        self._copied: list[bytes] = []
        self._removed: set[bytes] = set()
        self._counts: dict[tuple[State, Reason], int] | None = None
        self._copy_runs()
        for root in roots:
            self._copy_root(root)
        cursor = self._db.execute(
            "INSERT INTO spaces (name, encoder, weights_digest, preprocessing, dim)"
            " VALUES (?, ?, ?, ?, ?)",
            (space.name, space.encoder, space.weights_digest, space.preprocessing, space.dim),
        )
        self._run = SqliteRun(self._db, _Numbers(), space, int(cursor.lastrowid or 0), roots)
        self._put_run()

    # -- what the server knows -------------------------------------------------------------------

    def _copy_runs(self) -> None:
        rows = self._engine.rows("SELECT id, started, finished FROM _runs ORDER BY id")
        self._db.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", rows)

    def _copy_root(self, root: str) -> None:
        """All files at or under a root, once."""
        path = os.fsencode(root)
        if path not in self._copied:
            where = "(path = ? OR (path > ? AND path < ?))"
            self._copy_files(where, (path, *inside(path)))
            self._copied.append(path)

    def _copy_files(self, where: str, values: Sequence[Any] = ()) -> None:
        """Files of which the run knows nothing yet; what it knows is newer."""
        rows = self._engine.stream(f"SELECT {_FILE_COLUMNS} FROM _files WHERE {where}", values)
        while page := list(itertools.islice(rows, PAGE)):
            paths = [row[0] for row in page]
            marks = ", ".join("?" * len(paths))
            found = self._db.execute(f"SELECT path FROM files WHERE path IN ({marks})", paths)
            known = {path for (path,) in found} | self._removed
            self._enter_files([row for row in page if row[0] not in known])

    def _enter_files(self, rows: Sequence[Row]) -> None:
        """Copy files, and the records that they belong to."""
        own = FILES.names.index("record")
        wanted = {row[own].bytes for row in rows if row[own] is not None}
        keys = self._keys(wanted)
        missing = sorted(wanted - keys.keys())
        for start in range(0, len(missing), PAGE):
            ids = self._engine.words.ids(missing[start : start + PAGE])
            self._enter_records(
                self._engine.rows(f"SELECT id, content_hash FROM _records WHERE id IN {ids}")
            )
        keys = self._keys(wanted)
        marks = ", ".join("?" * len(FILES.names))
        self._db.executemany(
            f"INSERT OR REPLACE INTO files ({_FILE_COLUMNS}) VALUES ({marks})",
            (
                (*row[:own], None if row[own] is None else keys[row[own].bytes], *row[own + 1 :])
                for row in rows
            ),
        )

    def _enter_records(self, rows: Iterable[Row]) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO records (id, content_hash, bytes, width, height, format, phash)"
            " VALUES (?, ?, 0, 0, 0, '', 0)",
            ((id_.bytes, content_hash) for id_, content_hash in rows),
        )

    def _keys(self, ids: Iterable[bytes]) -> dict[bytes, int]:
        wanted = [UUID(bytes=one) for one in ids]
        query = "SELECT id, key FROM records WHERE id IN ({ids})"
        return dict(schema.of_records(self._db, wanted, query))

    def _copy_seen(self, paths: Sequence[bytes]) -> None:
        """What the server knows of these paths, unless it was copied with their root."""
        left = [path for path in paths if not self._is_copied(path)]
        for start in range(0, len(left), PAGE):
            some = left[start : start + PAGE]
            marks = ", ".join("?" * len(some))
            self._copy_files(f"path IN ({marks})", some)

    def _is_copied(self, path: bytes) -> bool:
        return any(path == root or path.startswith(inside(root)[0]) for root in self._copied)

    def _copy_contents(self, outcomes: Sequence[Outcome]) -> None:
        """Records that have the contents of these outcomes, and all their files."""
        hashes = {one.content_hash for one in outcomes if one.content_hash is not None}
        ordered = sorted(hashes)
        for start in range(0, len(ordered), PAGE):
            some = ordered[start : start + PAGE]
            marks = ", ".join("?" * len(some))
            known = self._engine.rows(
                f"SELECT id, content_hash FROM _records WHERE content_hash IN ({marks})", some
            )
            self._enter_records(known)
            if known:
                ids = self._engine.words.ids([id_.bytes for id_, _ in known])
                self._copy_files(f"record IN {ids}")

    # -- the run ---------------------------------------------------------------------------------

    def note(self, found: Iterable[FileEntry | PassedOver]) -> int:
        """Note what the scan found; returns the number of images among it."""
        return self._run.note(self._copying(found))

    def _copying(self, found: Iterable[FileEntry | PassedOver]) -> Iterator[FileEntry | PassedOver]:
        pages = iter(found)
        while page := list(itertools.islice(pages, PAGE)):
            self._copy_seen([os.fsencode(item.path) for item in page])
            yield from page

    @contextlib.contextmanager
    def _capturing(self) -> Iterator[None]:
        """What changes within is sent to the server at the end."""
        self._db.execute("INSERT INTO capturing VALUES (1)")
        try:
            yield
        finally:
            self._db.execute("DELETE FROM capturing")

    def settle(self, *, retry: bool) -> int:
        """Enter what needs no reading (unchanged, passed over); returns how many are to be read."""
        with self._capturing():
            unread = self._run.settle(retry=retry)
        self._send([])
        return unread

    def to_read(self) -> Iterator[FileEntry]:
        """New and changed files, in the order of the scan; safe while ``put`` is called."""
        return self._run.to_read()

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Commit a batch: all of it is durable when this returns, or none of it was entered."""
        self._copy_contents(outcomes)
        imported = [one.entry.path for one in outcomes if one.reason is Reason.IMPORTED]
        self._copy_seen([os.fsencode(path) for path in imported])
        before = self._last_key()
        with self._capturing():
            self._run.put(outcomes)
        self._send(outcomes, before)

    def _last_key(self) -> int:
        row = self._db.execute("SELECT coalesce(max(key), 0) FROM records").fetchone()
        return int(row[0])

    def _send(self, outcomes: Sequence[Outcome], before: int | None = None) -> None:
        """What the run has changed, to the server; files last, since they make records visible."""
        with self._engine.transaction():
            if before is not None:
                self._send_records(outcomes, before)
            self._send_files()
            self._store.committed()
        self._db.execute("DELETE FROM changed")

    def _send_records(self, outcomes: Sequence[Outcome], before: int) -> None:
        names = ", ".join(name for name in RECORDS.names if name != "number")
        added = self._db.execute(
            f"SELECT {names} FROM records WHERE key > ? ORDER BY key", (before,)
        )
        rows = [(UUID(bytes=id_), *rest) for id_, *rest in added]
        made = {one.content_hash: one for one in outcomes if one.features is not None}
        content = RECORDS.names.index("content_hash") - 1
        self._store.put_features(self._space, rows, [made[row[content]] for row in rows])

    def _send_files(self) -> None:
        columns = ", ".join("ids.id" if n == "record" else f"files.{n}" for n in FILES.names)
        rows = self._db.execute(
            f"SELECT {columns} FROM changed JOIN files USING (path)"
            " LEFT JOIN records AS ids ON ids.key = files.record ORDER BY path"
        )
        own = FILES.names.index("record")
        while page := rows.fetchmany(4 * PAGE):
            self._engine.put(
                FILES,
                [
                    (*row[:own], UUID(bytes=row[own]) if row[own] else None, *row[own + 1 :])
                    for row in page
                ],
            )
        gone = self._db.execute(
            "SELECT path FROM changed WHERE path NOT IN (SELECT path FROM files)"
        ).fetchall()
        self._engine.remove(FILES, gone)
        self._removed.update(path for (path,) in gone)

    def known_under(self, root: str) -> int:
        """Live files that the library has at or under ``root``."""
        self._copy_root(root)
        return self._run.known_under(root)

    def seen_under(self, root: str) -> int:
        """Images that this run's scan found at or under ``root``."""
        return self._run.seen_under(root)

    def finish(self, roots: Sequence[str], *, complete: bool) -> None:
        """End the run. If the scan was complete, files under ``roots`` not seen become gone."""
        for root in roots if complete else ():
            self._copy_root(root)
        with self._capturing():
            self._run.finish(roots, complete=complete)
        self._send([])
        self._put_run()
        self._counts = self._run.counts()
        self._close()

    def _put_run(self) -> None:
        rows = self._db.execute("SELECT id, started, finished FROM runs ORDER BY id DESC LIMIT 1")
        self._engine.put(RUNS, rows.fetchall())

    def counts(self) -> dict[tuple[State, Reason], int]:
        """Files by state and reason, of those this run saw or missed."""
        return self._run.counts() if self._counts is None else self._counts

    def _close(self) -> None:
        self._db.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __del__(self) -> None:
        if hasattr(self, "_db"):  # else its making failed
            self._close()
