"""The facade: tables of users beside the pictures, and SQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from lookalike.library.searching import Searching
from lookalike.types import (
    Column,
    SideTable,
    SqlResult,
)

if TYPE_CHECKING:
    from lookalike.side_tables import TableOptions, TableReport


class Asking(Searching):
    """Tables and statements."""

    def add_table(
        self,
        name: str,
        files: Sequence[str | os.PathLike[str]],
        options: TableOptions,
        stage: Callable[[str], None] = lambda name: None,
    ) -> TableReport:
        """Keep a table of the user's beside the pictures: ``files`` are paths or patterns of them.

        All rows or none are kept. ``stage`` is called with the name of each step. Raises InputError
        for files that are no table, and for a name that is none or taken.
        """
        from lookalike.side_tables import add_table

        with self._home.errors(), self._writing() as store:
            return add_table(store, name, files, options, stage)

    def drop_table(self, name: str) -> None:
        """Forget a side table. Raises InputError if there is none of that name."""
        from lookalike.side_tables import known_table

        with self._home.errors(), self._writing() as store:
            store.drop_table(known_table(store.side_tables(), name).name)

    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""
        with self._home.errors():
            return self._reader().side_tables()

    def rows_matched(self, table: SideTable) -> int:
        """How many rows of a side table belong to a picture of the library."""
        with self._home.errors():
            return self._reader().rows_matched(table)

    def sql(self, statement: str) -> SqlResult:
        """What a statement gives that reads ``sql_tables`` and ``similar('cat.jpg', 10)``.

        Rows are read as they are asked for. Raises InputError for a statement that cannot be run.
        """
        from lookalike.query.similar import run_sql

        with self._home.errors():
            return run_sql(self._reader(), self.search, statement)

    def change_by_sql(self, statement: str) -> int:
        """Let INSERT, UPDATE or DELETE change a side table; returns how many rows it changed."""
        from lookalike.query.similar import change_by_sql

        with self._home.errors(), self._writing() as store:
            return change_by_sql(store, self.search, statement)

    def records_named(self, texts: Sequence[str]) -> list[UUID | None]:
        """The records that texts name (ids, foreign ids, paths); None where one names none."""
        from lookalike.side_tables import records_named

        with self._home.errors():
            return records_named(self._reader(), texts)

    def sql_tables(self) -> dict[str, tuple[Column, ...]]:
        """The tables that statements read, with their columns."""
        with self._home.errors():
            return self._reader().sql_tables()
