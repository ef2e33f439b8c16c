"""Conditions for servers: from the tree to an engine's SQL. Values are bound, never pasted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

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
    resolved,
)
from lookalike.stores.run import display_path, inside
from lookalike.stores.server.engine import Words
from lookalike.stores.server.layout import MATCHES
from lookalike.types import SideTable

_COLUMNS = {
    "bytes": "r.bytes",
    "camera": "r.camera",
    "folder": "f.folder",
    "foreign_id": "f.foreign_id",
    "format": "r.format",
    "height": "r.height",
    "id": "r.id",
    "label": "label",
    "latitude": "r.latitude",
    "longitude": "r.longitude",
    "name": "f.name",
    "path": "f.path",
    "taken": "r.taken_at",
    "width": "r.width",
}
_DISPLAYED_PATH = "concat(trim(TRAILING '/' FROM f.folder), '/', f.name)"
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TIME_LENGTH = len("2020-05-31T14:30:00")


class Sql(NamedTuple):
    """A piece of SQL with a question mark for each of its values."""

    text: str
    values: tuple[Any, ...] = ()


def matching_ids(condition: Condition, words: Words, tables: Sequence[SideTable] = ()) -> Sql:
    """A query for the ids of records with a live file for which ``condition`` holds.

    In no order, each once. Raises InputError for side tables that are not among ``tables``, and
    columns that they do not have.
    """
    where = _Clauses(words, tables).clause(resolved(condition, tables))
    return Sql(
        "SELECT DISTINCT r.id FROM _records AS r JOIN _files AS f ON f.record = r.id"
        f" WHERE f.live AND ({where.text})",
        where.values,
    )


class _Clauses:
    """A condition in an engine's words."""

    def __init__(self, words: Words, tables: Sequence[SideTable]) -> None:
        self._words = words
        self._tables = {table.name: table for table in tables}

    def clause(self, condition: Condition) -> Sql:
        """A condition over a record ``r`` and one of its files ``f``."""
        match condition:
            case Or(parts):
                return _joined(" OR ", [self._bracketed(part) for part in parts])
            case And(parts):
                return _joined(" AND ", [self._bracketed(part) for part in parts])
            case Not(part):
                inner = self._bracketed(part)
                return Sql(f"NOT {inner.text}", inner.values)
            case _:
                return self._test(condition)

    def _bracketed(self, part: Condition) -> Sql:
        sql = self.clause(part)
        return Sql(f"({sql.text})", sql.values)

    def _test(self, test: Test) -> Sql:
        match test:
            case Under(folder):
                return Sql("(f.path > ? AND f.path < ?)", inside(os.fsencode(folder)))
            case Some(name, condition):
                row = _Rows(self._words, self._tables.values())
                return self._with_row(name, None if condition is None else row.clause(condition))
            case _ if test.column == LABEL:
                return self._of_several(test, self._of_label)
            case _ if is_of_table(test.column):
                return self._of_several(test, self._of_table)
            case _:
                return self._of_value(test)

    def _of_several(self, test: ColumnTest, holds_for_one: Callable[[ColumnTest], Sql]) -> Sql:
        """A test of a column of which a picture may have several values, or none."""
        match test:
            case IsNull():
                some = holds_for_one(test)
            case Compare(column, "!=", value):
                some = holds_for_one(Compare(column, "=", value))
            case _:
                return holds_for_one(test)
        return Sql(f"NOT {some.text}", some.values)

    def _of_one(self, test: ColumnTest) -> Sql:
        """What one of several values must be; for ``is null``, whose opposite is asked, any."""
        if isinstance(test, IsNull):
            return Sql(f"{self._column(test.column)} IS NOT NULL")
        return self._of_value(test)

    def _of_label(self, test: ColumnTest) -> Sql:
        one = self._of_one(test)
        return Sql(f"r.id IN (SELECT record FROM _labels WHERE {one.text})", one.values)

    def _of_table(self, test: ColumnTest) -> Sql:
        return self._with_row(test.column.partition(".")[0], self._of_one(test))

    def _with_row(self, name: str, one: Sql | None) -> Sql:
        """The picture has a row in a side table for which ``one`` holds."""
        table, quoted = self._tables[name], self._words.quoted
        key = f"side.{quoted(table.key)}"
        rows = f"SELECT {key} FROM {quoted(f'side_{name}')} AS side WHERE {key} IS NOT NULL"
        if one is not None:
            rows += f" AND ({one.text})"
        own = MATCHES[table.matches].format(text=self._words.text).replace("f.", "o.")
        files = f"SELECT o.record FROM _files AS o WHERE o.live AND {own} IN ({rows})"
        return Sql(f"r.id IN ({files})", () if one is None else one.values)

    def _of_value(self, test: ColumnTest) -> Sql:
        match test:
            case Compare(column, operator, value):
                bound = self._bound(column, value)
                side = self._side(column, value)
                return Sql(f"{side} {_OPERATORS[operator]} {bound.text}", bound.values)
            case Between(column, low, high):
                least = self._of_value(Compare(column, ">=", low))
                most = self._of_value(Compare(column, "<=", high))
                return Sql(f"({least.text} AND {most.text})", least.values + most.values)
            case In(column, values):
                return self._in(column, values)
            case Like(column, pattern):
                place = _DISPLAYED_PATH if column == "path" else self._column(column)
                like = self._words.like(place)
                return Sql(like, (self._words.pattern(_displayed(pattern)),))
            case IsNull(column):
                return Sql(f"{self._column(column)} IS NULL")

    def _in(self, column: str, values: Sequence[Value]) -> Sql:
        sides: dict[str, list[Sql]] = {}
        for value in values:
            sides.setdefault(self._side(column, value), []).append(self._bound(column, value))
        parts = []
        for side, bound in sides.items():
            every = _joined(", ", bound)
            parts.append(Sql(f"{side} IN ({every.text})", every.values))
        joined = _joined(" OR ", parts)
        return joined if len(parts) == 1 else Sql(f"({joined.text})", joined.values)

    def _column(self, column: str) -> str:
        if is_of_table(column):
            return f"side.{self._words.quoted(column.partition('.')[2])}"
        return self._words.megapixels if column == "megapixels" else _COLUMNS[column]

    def _side(self, column: str, value: Value) -> str:
        """What is compared with a value; of a time as much as the value says."""
        short = isinstance(value, str) and len(value) < _TIME_LENGTH
        if column == "taken" and short:
            return f"substr(r.taken_at, 1, {len(str(value))})"
        return self._column(column)

    def _bound(self, column: str, value: Value) -> Sql:
        if not isinstance(value, str):
            return Sql(self._words.number(value or 0))  # -0.0 is not 0.0 to ClickHouse's IN
        if column == "id":
            return Sql(self._words.ids([UUID(value).bytes])[1:-1])
        if column == "path":
            return Sql("?", (os.fsencode(value),))
        return Sql("?", (_displayed(value),))


class _Rows(_Clauses):
    """A condition over one row of a side table."""

    def __init__(self, words: Words, tables: Iterable[SideTable]) -> None:
        super().__init__(words, list(tables))

    def _test(self, test: Test) -> Sql:
        assert not isinstance(test, Under | Some)  # resolved() lets none through
        return self._of_value(test)


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    values = tuple(value for part in parts for value in part.values)
    return Sql(word.join(part.text for part in parts), values)


def _displayed(text: str) -> str:
    """Text as the tables have it, with undecodable bytes as backslash escapes."""
    return display_path(os.fsencode(text))
