"""Opening a catalogue: identity, version, migrations, locks, and errors made readable."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from lookalike.errors import (
    LibraryCorruptError,
    LibraryError,
    LibraryLockedError,
    LibraryNewerError,
    LibraryOlderError,
    StorageError,
)
from lookalike.stores.base import missing

CATALOG = "catalog.sqlite"
APPLICATION_ID = 0x4C4B414C
"""Marks an SQLite file as a lookalike catalogue."""

WRITER_CACHE_BYTES = 64 * 2**20
"""What a writer keeps of the catalogue in memory: ids and digests of new records go all over it."""

READER_CACHE_BYTES = 16 * 2**20
"""What a reader keeps of it: searches ask for a few records here and there."""

IDS_A_QUERY = 500
"""Ids bound in one statement; SQLite takes at least 999."""

LOG_PAGES = 8_192
"""Pages of 4 KiB after which the log is folded into the catalogue; a page that many commits changed
is then copied once."""

MIGRATIONS = ("m001_initial.sql", "m002_meaning.sql", "m003_sources.sql")
"""Append only; the catalogue's ``user_version`` is how many of these were applied."""


def is_library(folder: str | Path) -> bool:
    """Whether a folder holds a catalogue."""
    return os.path.isfile(os.path.join(folder, CATALOG))


def connect_reader(folder: Path, *, shared: bool = False) -> sqlite3.Connection:
    """A read-only connection; raises a LibraryError if there is nothing sound to read."""
    path = folder / CATALOG
    if not path.is_file():
        raise missing(str(folder))
    with readable_errors(folder):
        connection = _open_reading(path, shared)
    with closing_on_error(connection), readable_errors(folder):
        version = _check_identity(connection, path)
        if not version:
            raise LibraryCorruptError(
                f"{path}: its creation was interrupted; index into it again to complete it"
            )
        if version < len(MIGRATIONS):
            raise LibraryOlderError(
                f"{path}: format {version}, this version reads {len(MIGRATIONS)}, and it cannot be"
                " brought up to date here; make its folder writable, or wait for its writer to end"
            )
    return connection


def _open_reading(path: Path, shared: bool) -> sqlite3.Connection:
    def connect(mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?{mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=not shared,
            timeout=10.0,
        )
        with closing_on_error(connection):
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            connection.execute(f"PRAGMA cache_size = -{READER_CACHE_BYTES // 1024}")
        return connection

    try:
        return connect("mode=ro")
    except sqlite3.OperationalError:
        # A folder that cannot be written to may have no room for the log's shared memory; without
        # a log there is nothing to share.
        log = path.with_name(path.name + "-wal")
        if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        return connect("mode=ro&immutable=1")


def connect_writer(folder: Path) -> sqlite3.Connection:
    """A writing connection to a catalogue that is created or migrated as needed."""
    path = folder / CATALOG
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    with closing_on_error(connection), readable_errors(folder):
        version = _check_identity(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_BYTES // 1024}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        _migrate(connection, version)
    return connection


def _check_identity(connection: sqlite3.Connection, path: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and tables:
        raise LibraryCorruptError(
            f"{path}: an SQLite file of another program; choose another --library"
        )
    if version > len(MIGRATIONS):
        raise LibraryNewerError(
            f"{path}: format {version}, this version reads up to {len(MIGRATIONS)};"
            " upgrade lookalike"
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for number, name in enumerate(MIGRATIONS[version:], start=version + 1):
        script = files("lookalike.stores.migrations").joinpath(name).read_text("utf-8")
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};"
            f"\nPRAGMA user_version = {number};\nCOMMIT;"
        )


@contextlib.contextmanager
def closing_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Closes the connection if the block raises."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: committed when the block ends, rolled back when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def of_records(
    connection: sqlite3.Connection, ids: Sequence[UUID], query: str
) -> Iterator[tuple[Any, ...]]:
    """The rows of a query for any number of records, whose ids stand in place of ``{ids}`` in it.

    In the order that the query gives, for every ``IDS_A_QUERY`` records by themselves.
    """
    for start in range(0, len(ids), IDS_A_QUERY):
        own = [id_.bytes for id_ in ids[start : start + IDS_A_QUERY]]
        yield from connection.execute(query.format(ids=", ".join("?" * len(own))), own)


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Several reads of one and the same commit."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def readable_errors(folder: str | Path) -> Iterator[None]:
    """Turns errors of SQLite and the disk into LibraryErrors of one line."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise  # a mistake of ours, not of the library's
    except sqlite3.Error as error:
        raise _from_sqlite(folder, error) from error
    except OSError as error:
        if error.errno in _FULL:
            raise _full(folder, error.strerror) from error
        if error.errno in _REFUSED:
            raise _unwritable(folder, error.strerror) from error
        raise LibraryError(
            f"{error.filename or folder}: {error.strerror or error};"
            " check the disk and the folder's permissions"
        ) from error


def _from_sqlite(folder: str | Path, error: sqlite3.Error) -> LibraryError:
    text = str(error)
    code = getattr(error, "sqlite_errorname", None) or ""
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE")):
        return _full(folder, text)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LibraryLockedError(f"{folder}: another process holds the library; try again later")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return _unwritable(folder, text)
    if code.startswith("SQLITE_IOERR"):
        return StorageError(f"{folder}: the disk failed ({text}); free space or check it")
    return LibraryCorruptError(
        f"{Path(folder) / CATALOG}: damaged ({text}); restore it from a backup or index into a"
        " new library"
    )


def _full(folder: str | Path, text: str | None) -> StorageError:
    return StorageError(
        f"{folder}: the disk is full ({text}); free some space and run the command again,"
        " nothing that was committed is lost"
    )


def _unwritable(folder: str | Path, text: str | None) -> StorageError:
    return StorageError(f"{folder}: cannot be written or opened ({text}); check its permissions")
