"""Conditions as SQL, as far as all engines have it in common. Values are bound, never pasted."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lookalike.conditions import (
    LABEL,
    And,
    Between,
    ColumnTest,
    Compare,
    Condition,
    In,
    IsNull,
    Like,
    Not,
    Or,
    Some,
    Test,
    Under,
    Value,
    is_of_table,
)
from lookalike.stores.run import display_path, inside
from lookalike.types import SideTable

_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TIME_LENGTH = len("2020-05-31T14:30:00")


class Sql(NamedTuple):
    """A piece of SQL with a question mark for each of its values."""

    text: str
    values: tuple[Any, ...] = ()


class Clauses(ABC):
    """Turns resolved conditions into SQL over a record and one of its files.

    An engine says how it calls a column, binds a value, and finds labels and rows of side tables.
    """

    def __init__(self, tables: Sequence[SideTable]) -> None:
        self._tables = {table.name: table for table in tables}

    # -- what engines say differently ------------------------------------------------------------

    @abstractmethod
    def column(self, column: str) -> str:
        """A column of pictures, or of a side table's row: ``table.column``."""

    @abstractmethod
    def bound(self, column: str, value: Value) -> Sql:
        """A value that is compared with a column."""

    @abstractmethod
    def like(self, column: str, pattern: str) -> Sql:
        """Whether a text matches: letters a to z in either case, ``%`` and ``_`` not escaped."""

    @abstractmethod
    def with_label(self, one: Sql) -> Sql:
        """The picture has a label for which ``one`` holds."""

    @abstractmethod
    def with_row(self, table: SideTable, one: Sql | None) -> Sql:
        """The picture has a row in a side table, for which ``one`` holds."""

    # -- what they have in common ----------------------------------------------------------------

    def where(self, condition: Condition, *, of_row: bool = False) -> Sql:
        """``of_row``: it speaks of a row of a side table, not of a picture."""
        match condition:
            case Or(parts):
                return joined(" OR ", [self._bracketed(part, of_row, Or) for part in parts])
            case And(parts):
                return joined(" AND ", [self._bracketed(part, of_row, And, Or) for part in parts])
            case Not(part):
                inner = self._bracketed(part, of_row, And, Or)
                return Sql(f"NOT {inner.text}", inner.values)
            case Compare() | Like() | In() | Between() | IsNull() if of_row:
                return self._of_value(condition)
            case _:
                return self._test(condition)

    def _bracketed(self, part: Condition, of_row: bool, *looser: type) -> Sql:
        # No parentheses but those that are needed: SQLite's parser has a small stack.
        sql = self.where(part, of_row=of_row)
        return Sql(f"({sql.text})", sql.values) if isinstance(part, looser) else sql

    def _test(self, test: Test) -> Sql:
        match test:
            case Under(folder):
                path = self.column("path")
                return Sql(f"({path} > ? AND {path} < ?)", inside(os.fsencode(folder)))
            case Some(name, condition):
                one = None if condition is None else self.where(condition, of_row=True)
                return self.with_row(self._tables[name], one)
            case _ if test.column == LABEL:
                return _of_several(test, self._of_label)
            case _ if is_of_table(test.column):
                return _of_several(test, self._of_table)
            case _:
                return self._of_value(test)

    def _of_label(self, test: ColumnTest) -> Sql:
        return self.with_label(self._of_one(test))

    def _of_table(self, test: ColumnTest) -> Sql:
        """A test that holds for one of the rows of a picture in a side table."""
        return self.with_row(self._tables[test.column.partition(".")[0]], self._of_one(test))

    def _of_one(self, test: ColumnTest) -> Sql:
        """What one of several values must be; for ``is null``, whose opposite is asked, any."""
        if isinstance(test, IsNull):
            return Sql(f"{self.column(test.column)} IS NOT NULL")
        return self._of_value(test)

    def _of_value(self, test: ColumnTest) -> Sql:
        match test:
            case Compare(column, operator, value):
                bound = self.bound(column, value)
                side = self._side(column, value)
                return Sql(f"{side} {_OPERATORS[operator]} {bound.text}", bound.values)
            case Between(column, low, high):
                least = self._of_value(Compare(column, ">=", low))
                most = self._of_value(Compare(column, "<=", high))
                return Sql(f"({least.text} AND {most.text})", least.values + most.values)
            case In(column, values):
                return self._in(column, values)
            case Like(column, pattern):
                return self.like(column, pattern)
            case IsNull(column):
                return Sql(f"{self.column(column)} IS NULL")

    def _in(self, column: str, values: Sequence[Value]) -> Sql:
        sides: dict[str, list[Sql]] = {}
        for value in values:
            sides.setdefault(self._side(column, value), []).append(self.bound(column, value))
        parts = []
        for side, bound in sides.items():
            every = joined(", ", bound)
            parts.append(Sql(f"{side} IN ({every.text})", every.values))
        any_ = joined(" OR ", parts)
        return any_ if len(parts) == 1 else Sql(f"({any_.text})", any_.values)

    def _side(self, column: str, value: Value) -> str:
        """What is compared with a value; of a time as much as the value says."""
        if column == "taken" and isinstance(value, str) and len(value) < _TIME_LENGTH:
            return f"substr({self.column(column)}, 1, {len(value)})"
        return self.column(column)


def _of_several(test: ColumnTest, holds_for_one: Callable[[ColumnTest], Sql]) -> Sql:
    """A test of a column of which a picture may have several values, or none."""
    match test:
        case IsNull():
            some = holds_for_one(test)
        case Compare(column, "!=", value):
            some = holds_for_one(Compare(column, "=", value))
        case _:
            return holds_for_one(test)
    return Sql(f"NOT {some.text}", some.values)


def joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Pieces of SQL with a word between them."""
    values = tuple(value for part in parts for value in part.values)
    return Sql(word.join(part.text for part in parts), values)


def displayed(text: str) -> str:
    """Text as the tables have it, with undecodable bytes as backslash escapes."""
    return display_path(os.fsencode(text))
