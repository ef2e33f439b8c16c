"""What a server's store cannot do yet: side tables, and statements of users. It says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from lookalike.errors import InputError
from lookalike.sql import Dialect, Statement
from lookalike.types import Cell, Column, SideTable, SqlResult


class WithoutSideTables:
    """Has no side tables, and refuses to add one."""

    name: str
    dialect: Dialect = "postgresql"

    def put_table(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> SideTable:
        """Refused."""
        self._refuse("side tables")

    def drop_table(self, name: str) -> bool:
        """There is none."""
        return False

    def side_tables(self) -> list[SideTable]:
        """None."""
        return []

    def find_keys(self, matches: str, keys: Sequence[str]) -> int:
        """Refused."""
        self._refuse("side tables")

    def rows_matched(self, table: SideTable) -> int:
        """Refused."""
        self._refuse("side tables")

    def sql(self, statement: Statement) -> SqlResult:
        """Refused."""
        self._refuse("SQL")

    def change(self, statement: Statement) -> int:
        """Refused."""
        self._refuse("SQL")

    def sql_tables(self) -> dict[str, tuple[Column, ...]]:
        """Refused."""
        self._refuse("SQL")

    def _refuse(self, what: str) -> NoReturn:
        raise InputError(f"{self.name}: {what} on a server is not there yet; use a local library")
