"""Conditions for the catalogue: from the tree to SQLite's SQL. Values are bound, never pasted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple
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
    uses_files,
)
from lookalike.stores.run import display_path, inside
from lookalike.stores.side import DISPLAYED_PATH, ID_TEXT, KEYS, quoted, stored_name
from lookalike.types import SideTable

Bound = int | float | str | bytes

_COLUMNS = {
    "bytes": "records.bytes",
    "camera": "records.camera",
    "folder": "files.folder",
    "foreign_id": "files.foreign_id",
    "format": "records.format",
    "height": "records.height",
    "id": "records.id",
    "label": "labels.label",
    "latitude": "records.latitude",
    "longitude": "records.longitude",
    "megapixels": "(records.width * records.height / 1e6)",
    "name": "files.name",
    "path": "files.path",
    "taken": "records.taken_at",
    "width": "records.width",
}
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TIME_LENGTH = len("2020-05-31T14:30:00")


class Sql(NamedTuple):
    """A piece of SQL with a question mark for each of its values."""

    text: str
    values: tuple[Bound, ...] = ()


def matching_ids(condition: Condition, tables: Sequence[SideTable] = ()) -> Sql:
    """A query for the ids of records with a live file for which ``condition`` holds.

    In no order; a record comes once for every such file if the condition speaks of files. Raises
    InputError for side tables that are not among ``tables``, and columns that they do not have.
    """
    where = _Clauses(tables).where(resolved(condition, tables))
    if not uses_files(condition):
        query = f"SELECT id FROM records WHERE live_files > 0 AND ({where.text})"
    else:
        # CROSS JOIN fixes the order: files by a range of paths or in one pass, and then their
        # records by row id, which lie in about the same order. The other way round jumps.
        query = (
            "SELECT id FROM files CROSS JOIN records ON records.key = files.record"
            f" WHERE files.live AND ({where.text})"
        )
    return Sql(query, where.values)


class _Clauses:
    """Conditions as SQL over ``records`` and, if they speak of them, ``files``."""

    def __init__(self, tables: Sequence[SideTable]) -> None:
        self._tables = {table.name: table for table in tables}

    def where(self, condition: Condition, *, of_row: bool = False) -> Sql:
        """``of_row``: it speaks of a row of a side table, not of a picture."""
        match condition:
            case Or(parts):
                return _joined(" OR ", [self._bracketed(part, of_row, Or) for part in parts])
            case And(parts):
                return _joined(" AND ", [self._bracketed(part, of_row, And, Or) for part in parts])
            case Not(part):
                inner = self._bracketed(part, of_row, And, Or)
                return Sql(f"NOT {inner.text}", inner.values)
            case Compare() | Like() | In() | Between() | IsNull() if of_row:
                return _of_value(condition)
            case _:
                return self._test(condition)

    def _bracketed(self, part: Condition, of_row: bool, *looser: type) -> Sql:
        # No parentheses but those that are needed: SQLite's parser has a small stack.
        sql = self.where(part, of_row=of_row)
        return Sql(f"({sql.text})", sql.values) if isinstance(part, looser) else sql

    def _test(self, test: Test) -> Sql:
        match test:
            case Under(folder):
                return Sql("(files.path > ? AND files.path < ?)", inside(os.fsencode(folder)))
            case Some(name, condition):
                one = None if condition is None else self.where(condition, of_row=True)
                return self._with_row(name, one)
            case _ if test.column == LABEL:
                return _of_several(test, _of_label)
            case _ if is_of_table(test.column):
                return _of_several(test, self._of_table)
            case _:
                return _of_value(test)

    def _of_table(self, test: ColumnTest) -> Sql:
        """A test that holds for one of the rows of a picture in a side table."""
        return self._with_row(test.column.partition(".")[0], _of_one(test))

    def _with_row(self, name: str, one: Sql | None) -> Sql:
        """The picture has a row for which ``one`` holds."""
        table = self._tables[name]
        rows = f"SELECT side.{quoted(table.key)} FROM {stored_name(name)} AS side"
        if one is not None:
            rows += f" WHERE {one.text}"
        values = () if one is None else one.values
        if table.matches == "id":
            return Sql(f"{ID_TEXT} IN ({rows})", values)
        files = f"SELECT files.record FROM files WHERE live AND {KEYS[table.matches]} IN ({rows})"
        return Sql(f"records.key IN ({files})", values)


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    values = tuple(value for part in parts for value in part.values)
    return Sql(word.join(part.text for part in parts), values)


def _of_several(test: ColumnTest, holds_for_one: Callable[[ColumnTest], Sql]) -> Sql:
    """A test of a column of which a picture may have several values, or none."""
    match test:
        case IsNull():
            some = holds_for_one(test)
            return Sql(f"NOT {some.text}", some.values)
        case Compare(column, "!=", value):
            equal = holds_for_one(Compare(column, "=", value))
            return Sql(f"NOT {equal.text}", equal.values)
        case _:
            return holds_for_one(test)


def _of_one(test: ColumnTest) -> Sql:
    """What one of several values must be; for ``is null``, whose opposite is asked, any."""
    if isinstance(test, IsNull):
        return Sql(f"{_sql_of(test.column)} IS NOT NULL")
    return _of_value(test)


def _of_label(test: ColumnTest) -> Sql:
    one = _of_one(test)
    return Sql(f"records.key IN (SELECT record FROM labels WHERE {one.text})", one.values)


def _of_value(test: ColumnTest) -> Sql:
    """A test of one value."""
    match test:
        case Compare(column, operator, value):
            side = _side(column, value)
            return Sql(f"{side} {_OPERATORS[operator]} ?", (_bound(column, value),))
        case Between(column, low, high):
            text = f"({_side(column, low)} >= ? AND {_side(column, high)} <= ?)"
            return Sql(text, (_bound(column, low), _bound(column, high)))
        case In(column, values):
            return _in(column, values)
        case Like(column, pattern):
            # SQLite's LIKE folds the case of ASCII letters only, and matches no BLOB.
            side = DISPLAYED_PATH if column == "path" else _sql_of(column)
            return Sql(f"{side} LIKE ?", (_displayed(pattern),))
        case IsNull(column):
            return Sql(f"{_sql_of(column)} IS NULL")


def _in(column: str, values: Sequence[Value]) -> Sql:
    sides: dict[str, list[Bound]] = {}
    for value in values:
        sides.setdefault(_side(column, value), []).append(_bound(column, value))
    parts = [
        Sql(f"{side} IN ({', '.join('?' * len(bound))})", tuple(bound))
        for side, bound in sides.items()
    ]
    joined = _joined(" OR ", parts)
    return joined if len(parts) == 1 else Sql(f"({joined.text})", joined.values)


def _side(column: str, value: Value) -> str:
    """What is compared with a value; of a time as much as the value says."""
    if column == "taken" and isinstance(value, str) and len(value) < _TIME_LENGTH:
        return f"substr(records.taken_at, 1, {len(value)})"
    return _sql_of(column)


def _sql_of(column: str) -> str:
    if is_of_table(column):
        return f"side.{quoted(column.partition('.')[2])}"
    return _COLUMNS[column]


def _bound(column: str, value: Value) -> Bound:
    if not isinstance(value, str):
        return value
    if column == "id":
        return UUID(value).bytes
    return os.fsencode(value) if column == "path" else _displayed(value)


def _displayed(text: str) -> str:
    """Text as the catalogue has it, with undecodable bytes as backslash escapes."""
    return display_path(os.fsencode(text))
