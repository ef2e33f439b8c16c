"""Statements of users over the embedded store: what they may read, change, and see.

Every statement has a connection of its own. The tables that users see are temporary views in it,
each over an inner view with a name that is drawn anew: SQLite's authorizer is told which view wants
to read a table of the catalogue, and only these inner views may. ``WITH`` cannot take their place,
since nobody knows their names.
"""

from __future__ import annotations

import secrets
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from lookalike.errors import InputError
from lookalike.sql import Dialect, Statement
from lookalike.sql.tables import TABLES, with_side_tables
from lookalike.stores import schema
from lookalike.stores.side import DISPLAYED_PATH, ID_TEXT, quoted, side_tables_of, stored_name
from lookalike.types import Cell, Column, SideTable, SqlResult

_OWN = "FROM main.files WHERE files.record = records.key AND live"

_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "images": {
        "id": ID_TEXT,
        "width": "width",
        "height": "height",
        "megapixels": "width * height / 1e6",
        "format": "format",
        "taken": "taken_at",
        "camera": "camera",
        "latitude": "latitude",
        "longitude": "longitude",
        "bytes": "bytes",
        "files": "live_files",
        "path": f"(SELECT {DISPLAYED_PATH} {_OWN} ORDER BY files.path LIMIT 1)",
        "foreign_id": (
            f"(SELECT foreign_id {_OWN} AND foreign_id IS NOT NULL ORDER BY files.path LIMIT 1)"
        ),
    },
    "files": {
        "id": ID_TEXT,
        "foreign_id": "files.foreign_id",
        "path": DISPLAYED_PATH,
        "folder": "files.folder",
        "name": "files.name",
        "bytes": "records.bytes",
        "modified": "strftime('%Y-%m-%dT%H:%M:%S', nullif(mtime_ns, 0) / 1000000000, 'unixepoch')",
    },
    "labels": {
        "id": ID_TEXT,
        "label": "label",
        "source": "source",
        "confidence": "coalesce(confidence, 1.0)",
    },
}
"""What the columns of ``sql.tables`` are in the catalogue."""

_SOURCES = {
    "images": "main.records WHERE live_files > 0",
    "files": "main.files JOIN main.records ON records.key = files.record WHERE live",
    "labels": "main.labels JOIN main.records ON records.key = labels.record WHERE live_files > 0",
}

_JSON = ("json_each", "json_tree")
_NO_FUNCTIONS = ("load_extension", "fts3_tokenizer")
_LONGEST_CELL = 64 * 2**20
_STEPS_BETWEEN_LOOKS = 200_000
"""Steps of SQLite's machine, some milliseconds, after which Python sees whether to stop."""


class Statements(ABC):
    """The part of SqliteStore that runs statements of users."""

    folder: Path
    dialect: Dialect = "sqlite"

    @abstractmethod
    def _require_writing(self) -> None:
        """Raise LibraryError where the library was opened for reading."""

    @abstractmethod
    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""

    def sql_tables(self) -> dict[str, tuple[Column, ...]]:
        """The tables of ``sql`` with their columns: images, files, labels, then side tables."""
        return with_side_tables(self.side_tables())

    def sql(self, statement: Statement) -> SqlResult:
        """What a statement that only reads gives, from one snapshot that begins now."""
        statement.require_reading()
        connection = schema.connect_reader(self.folder)
        with schema.closing_on_error(connection):
            connection.execute("BEGIN")
            tables = side_tables_of(connection)
            _restrict(connection, _inner_views(connection, tables), changed=None)
            with _Refusals(statement, tables):
                cursor = connection.execute(statement.text)
            names = tuple(one[0] for one in cursor.description or ())
            rows = self._rows(connection, cursor, _Refusals(statement, tables))
            next(rows)
        return SqlResult(names, rows)

    def change(self, statement: Statement) -> int:
        """Let a statement change a side table, and nothing else; returns the rows it changed."""
        self._require_writing()
        connection = schema.connect_writer(self.folder)
        with schema.closing_on_error(connection):
            with schema.transaction(connection):
                tables = side_tables_of(connection)
                target = _target(statement, tables)
                stored = stored_name(target.name)
                _restrict(connection, _inner_views(connection, tables), changed=target)
                try:
                    with _Refusals(statement, tables):
                        text = statement.retargeted(f"main.{stored}")
                        before = connection.total_changes
                        connection.execute(text)
                        changed = connection.total_changes - before
                finally:
                    connection.set_authorizer(None)
                connection.execute(
                    f"UPDATE side_tables SET rows = (SELECT count(*) FROM {stored}) WHERE name = ?",
                    (target.name,),
                )
            connection.close()
        return changed

    def _rows(
        self, connection: sqlite3.Connection, cursor: sqlite3.Cursor, refusals: _Refusals
    ) -> Generator[tuple[Cell, ...], None, None]:
        """The rows of a statement; the first step only begins, so that closing it closes all."""
        try:
            yield ()
            while True:
                with schema.readable_errors(self.folder), refusals:
                    rows = cursor.fetchmany(1_000)
                if not rows:
                    return
                for row in rows:
                    if any(type(cell) is bytes for cell in row):
                        row = tuple(cell.hex() if isinstance(cell, bytes) else cell for cell in row)
                    yield row
        finally:
            connection.close()


def _target(statement: Statement, tables: list[SideTable]) -> SideTable:
    name = statement.target()
    found = next((table for table in tables if table.name == (name or "").lower()), None)
    if found is None:
        there = ", ".join(table.name for table in tables) or "none yet"
        what = "changes no table" if name is None else f"{name!r} is no side table"
        raise InputError(f"statement: {what}; --write changes side tables, which are: {there}")
    return found


# -- what users see --------------------------------------------------------------------------------


def _inner_views(connection: sqlite3.Connection, tables: list[SideTable]) -> set[str]:
    """Make the views that users see; returns the names of those that may read the catalogue."""
    inner = set()
    bodies = {name: f"SELECT {_selected(name)} FROM {_SOURCES[name]}" for name in TABLES}
    bodies |= {table.name: f"SELECT * FROM main.{stored_name(table.name)}" for table in tables}
    for name, body in bodies.items():
        secret = f"{name} {secrets.token_hex(16)}"
        connection.execute(f"CREATE TEMP VIEW {quoted(secret)} AS {body}")
        connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {quoted(secret)}")
        inner.add(secret)
    return inner


def _selected(table: str) -> str:
    """The columns of a table of users."""
    own = _COLUMNS[table]
    return ", ".join(f"{own[column.name]} AS {column.name}" for column in TABLES[table])


def _restrict(
    connection: sqlite3.Connection, inner: set[str], *, changed: SideTable | None
) -> None:
    """From now on the connection reads what users see, and changes one side table or nothing."""
    for name in _JSON:  # made now, since making it writes into the schema that is in memory
        connection.execute(f"SELECT 1 FROM {name}('[]')").fetchall()
    connection.execute(f"PRAGMA query_only = {'OFF' if changed else 'ON'}")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_CELL)
    seen = {name.split(" ")[0] for name in inner}
    stored = f"side_{changed.name}" if changed else None

    def may(action: int, one: Any, other: Any, database: Any, view: Any) -> int:
        match action:
            case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_RECURSIVE:
                allowed = True
            case sqlite3.SQLITE_FUNCTION:
                allowed = other not in _NO_FUNCTIONS
            case sqlite3.SQLITE_READ if view in inner or one in inner or one == stored:
                allowed = True
            case sqlite3.SQLITE_READ:  # of tables that are only counted, no column is named
                allowed = (database == "temp" and one in seen) or one in _JSON or not other
            case sqlite3.SQLITE_INSERT | sqlite3.SQLITE_UPDATE | sqlite3.SQLITE_DELETE:
                allowed = one == stored and database == "main"
            case _:
                allowed = False
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    connection.set_authorizer(may)
    # Looks in now and then, so that Python can be told to stop (Ctrl-C).
    connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)


# -- errors ----------------------------------------------------------------------------------------

_OF_THE_DISK = (
    "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_BUSY",
    "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM",
)  # fmt: skip


class _Refusals:
    """Turns what SQLite says of a statement into one line; what it says of the disk passes."""

    def __init__(self, statement: Statement, tables: list[SideTable]) -> None:
        self._statement = statement
        self._tables = tables

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error | sqlite3.Warning):
            name = getattr(error, "sqlite_errorname", None) or ""
            if name == "SQLITE_INTERRUPT":  # the progress handler was told to stop
                raise KeyboardInterrupt from error
            if not name.startswith(_OF_THE_DISK):
                self._refuse(str(error), error)

    def _refuse(self, said: str, error: BaseException) -> NoReturn:
        problem, cure = said, "see docs/sql.md and: lookalike sql --schema"
        known = with_side_tables(self._tables)
        if said.startswith(("no such column", "no such table", "ambiguous column")):
            cure = self._cure(said, known)
        elif "prohibited" in said or said.startswith("not authorized"):
            problem = "asks for more than it may"
            cure = f"it may read {', '.join(known)}, and change a side table with --write"
        elif said.startswith("Incorrect number of bindings"):
            problem, cure = "has a place for a value (? or :name)", "write the value itself"
        elif "CHECK constraint failed" in said:
            problem, cure = f"a value does not fit its column ({said})", "see: lookalike table show"
        raise InputError(f"statement: {problem}; {cure}") from error

    def _cure(self, said: str, known: Mapping[str, tuple[Column, ...]]) -> str:
        if said.startswith("no such table"):
            return f"tables are {', '.join(known)}, and similar('cat.jpg', 10)"
        return self._statement.columns_named(known) or "text stands in single quotes"
