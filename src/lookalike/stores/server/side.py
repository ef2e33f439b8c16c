"""Side tables on a server: a user's own rows beside the pictures.

The rows of NAME lie in ``side_NAME``, and users see the view NAME over it; ``_side_tables`` says
what its columns are. A table that is being written is not seen before all of it is there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lookalike.errors import InputError
from lookalike.sql import Dialect, Statement
from lookalike.sql.tables import with_side_tables
from lookalike.stores.server.asking import ServerAsking
from lookalike.stores.server.layout import SIDE_TABLES, matched
from lookalike.stores.server.statements import checked, readable
from lookalike.stores.side import row_of
from lookalike.types import Cell, Column, SideTable, SqlResult

KEYS_A_QUERY = 1_000
_OWN = ("side_", "vectors_", "_")


class ServerSideTables(ServerAsking, ABC):
    """The part of ServerStore that has side tables, and runs statements of users."""

    @abstractmethod
    def _require_writing(self) -> None:
        """Raise LibraryError where the library was opened for reading."""

    @abstractmethod
    def committed(self) -> None:
        """Something was written."""

    def put_table(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> SideTable:
        """Commit a side table, all or nothing; one of the same name is replaced."""
        self._require_writing()
        if table.name.startswith(_OWN):
            raise InputError(
                f"{self.name}: table {table.name}: names that begin so are the library's own on a"
                " server; add the table again by another name"
            )
        count = self.engine.load(table, batches)
        added = replace(table, rows=count)
        self.engine.put(SIDE_TABLES, [row_of(added)])
        self.committed()
        return added

    def drop_table(self, name: str) -> bool:
        """Forget a side table; returns whether there was one."""
        self._require_writing()
        if all(table.name != name for table in self.side_tables()):
            return False
        self.engine.remove(SIDE_TABLES, [(name,)])
        self.engine.unload(name)
        self.committed()
        return True

    def find_keys(self, matches: str, keys: Sequence[str]) -> int:
        """How many of these keys belong to a live file."""
        own = matched(matches, self.engine.words.text)
        distinct = list(dict.fromkeys(keys))
        count = 0
        for start in range(0, len(distinct), KEYS_A_QUERY):
            some = distinct[start : start + KEYS_A_QUERY]
            marks = ", ".join("?" * len(some))
            found = self.engine.rows(
                f"SELECT count(DISTINCT own) FROM (SELECT {own} AS own"
                f" FROM _files AS f WHERE live) AS t WHERE own IN ({marks})",
                some,
            )
            count += int(found[0][0])
        return count

    def rows_matched(self, table: SideTable) -> int:
        """How many rows of a side table belong to a live file."""
        quoted = self.engine.words.quoted
        own = matched(table.matches, self.engine.words.text)
        found = self.engine.rows(
            f"SELECT count(*) FROM {quoted(f'side_{table.name}')} AS s WHERE s.{quoted(table.key)}"
            f" IN (SELECT {own} FROM _files AS f WHERE f.live)"
        )
        return int(found[0][0])

    # -- statements of users ---------------------------------------------------------------------

    @property
    def dialect(self) -> Dialect:
        """Whose SQL ``sql`` and ``change`` take."""
        return self.engine.words.dialect

    def sql_tables(self) -> dict[str, tuple[Column, ...]]:
        """The tables of ``sql`` with their columns: images, files, labels, then side tables."""
        return with_side_tables(self.side_tables())

    def sql(self, statement: Statement) -> SqlResult:
        """What a statement that only reads gives, from one snapshot that begins now."""
        statement.require_reading()
        for name in checked(statement, self.dialect):
            if not self.engine.has_table("default", name):
                raise InputError(f"statement: default.{name}: there is no such table")
        try:
            names, rows = self.engine.ask(statement.text)
        except InputError as error:
            has = statement.columns_named(self.sql_tables())
            raise InputError(f"{error}; {has}" if has else str(error)) from error
        return SqlResult(tuple(names), readable(rows))

    def change(self, statement: Statement) -> int:
        """Statements that change are for libraries in folders; a server has its own tools."""
        raise InputError(
            f"{self.name}: statements only read here; add the table again with --replace, or change"
            " it with the server's own tools"
        )
