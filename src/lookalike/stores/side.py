"""The embedded store's side tables: a user's own rows beside the pictures.

A table NAME lies in ``side_NAME`` with an index on its key; ``side_tables`` describes it. Rows,
index and description are one transaction: a killed ``put_table`` leaves what was there before.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lookalike.stores import schema
from lookalike.types import Cell, Column, ColumnKind, SideTable

_DIGITS = " || '-' || ".join(
    f"substr(hex(records.id), {start}, {length})"
    for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
)
ID_TEXT = f"lower({_DIGITS})"
"""The id of a record as text, in SQL. The index ``records_by_id_text`` is over the very same."""

DISPLAYED_PATH = "rtrim(files.folder, '/') || '/' || files.name"
"""The path of a file as text, bytes that are none as backslash escapes; in SQL."""

KEYS: Mapping[str, str] = {
    "foreign_id": "files.foreign_id",
    "path": DISPLAYED_PATH,
    "name": "files.name",
    "id": ID_TEXT,
}
"""What the key of a side table's row is compared with, in SQL over records and live files."""

_FILES = "files JOIN records ON records.key = files.record"


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def stored_name(name: str) -> str:
    """The table in which the rows of a side table lie, as an identifier of SQL."""
    return quoted(f"side_{name}")


class SideTables(ABC):
    """The part of SqliteStore that reads and writes side tables."""

    _connection: sqlite3.Connection

    @abstractmethod
    def _require_writing(self) -> None:
        """Raise LibraryError where the library was opened for reading."""

    def put_table(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> SideTable:
        """Commit a side table, all or nothing; one of the same name is replaced."""
        self._require_writing()
        db, stored = self._connection, stored_name(table.name)
        places = ", ".join("?" * len(table.columns))
        count = 0
        with schema.transaction(db):
            db.execute(f"DROP TABLE IF EXISTS {stored}")
            db.execute(f"CREATE TABLE {stored} ({', '.join(map(_declared, table.columns))})")
            for batch in batches:
                rows = zip(*batch, strict=True)
                count += db.executemany(f"INSERT INTO {stored} VALUES ({places})", rows).rowcount
            index = quoted(f"side_{table.name} by key")  # a blank: no table is called so
            db.execute(f"CREATE INDEX {index} ON {stored} ({quoted(table.key)})")
            added = replace(table, rows=count)
            own = "INSERT OR REPLACE INTO side_tables VALUES (?, ?, ?, ?, ?, ?, ?)"
            db.execute(own, row_of(added))
        self._fold_log()
        return added

    def _fold_log(self) -> None:
        """Give back the room of a log that has all rows in it, unless somebody is reading it."""
        with contextlib.suppress(sqlite3.OperationalError):  # the rows are committed in any case
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.execute("PRAGMA busy_timeout = 10000")

    def drop_table(self, name: str) -> bool:
        """Forget a side table; returns whether there was one."""
        self._require_writing()
        with schema.transaction(self._connection):
            self._connection.execute(f"DROP TABLE IF EXISTS {stored_name(name)}")
            dropped = self._connection.execute("DELETE FROM side_tables WHERE name = ?", (name,))
        return dropped.rowcount > 0

    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""
        return side_tables_of(self._connection)

    def find_keys(self, matches: str, keys: Sequence[str]) -> int:
        """How many of these keys belong to a live file."""
        found = self._connection.execute(
            "SELECT count(*) FROM json_each(?) AS asked"
            f" WHERE asked.value IN (SELECT {KEYS[matches]} FROM {_FILES} WHERE live)",
            (json.dumps(list(keys)),),
        )
        return int(found.fetchone()[0])

    def rows_matched(self, table: SideTable) -> int:
        """How many rows of a side table belong to a live file."""
        found = self._connection.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT {KEYS[table.matches]} AS own FROM {_FILES}"
            f" WHERE live) CROSS JOIN {stored_name(table.name)} AS side"
            f" ON side.{quoted(table.key)} = own"
        )
        return int(found.fetchone()[0])


def side_tables_of(connection: sqlite3.Connection) -> list[SideTable]:
    """The side tables of a catalogue, by name."""
    rows = connection.execute(
        "SELECT name, key, matches, columns, rows, source, added FROM side_tables ORDER BY name"
    )
    return list(map(described, rows))


def row_of(table: SideTable) -> tuple[Cell, ...]:
    """The description of a side table as a row, as every store keeps it: columns as JSON."""
    columns = json.dumps([[one.name, one.kind.value] for one in table.columns])
    return table.name, table.key, table.matches, columns, table.rows, table.source, table.added


def described(row: Sequence[Any]) -> SideTable:
    """A side table from such a row."""
    name, key, matches, text, *rest = row
    columns = tuple(Column(one, ColumnKind(kind)) for one, kind in json.loads(text))
    return SideTable(name, key, matches, columns, *rest)


def _declared(column: Column) -> str:
    """A column's declaration; SQLite itself would take text as a number, too."""
    name, kind = quoted(column.name), column.kind.value
    if column.kind is ColumnKind.TEXT:
        return f"{name} TEXT"
    return f"{name} {kind.upper()} CHECK (typeof({name}) IN ('{kind}', 'null'))"
