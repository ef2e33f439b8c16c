"""Conditions for the catalogue: from the tree to SQLite's SQL. Values are bound, never pasted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from lookalike.conditions import (
    LABEL,
    And,
    Between,
    Compare,
    Condition,
    In,
    IsNull,
    Like,
    Not,
    Or,
    Test,
    Under,
    Value,
    uses_files,
)
from lookalike.stores.run import display_path, inside

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
_DISPLAYED_PATH = "rtrim(files.folder, '/') || '/' || files.name"
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TIME_LENGTH = len("2020-05-31T14:30:00")


class Sql(NamedTuple):
    """A piece of SQL with a question mark for each of its values."""

    text: str
    values: tuple[Bound, ...] = ()


def matching_ids(condition: Condition) -> Sql:
    """A query for the ids of records with a live file for which ``condition`` holds.

    In no order; a record comes once for every such file if the condition speaks of files.
    """
    where = where_clause(condition)
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


def where_clause(condition: Condition) -> Sql:
    """A condition as SQL over ``records`` and, if it speaks of them, ``files``."""
    match condition:
        case Or(parts):
            return _joined(" OR ", [_bracketed(part, Or) for part in parts])
        case And(parts):
            return _joined(" AND ", [_bracketed(part, And, Or) for part in parts])
        case Not(part):
            inner = _bracketed(part, And, Or)
            return Sql(f"NOT {inner.text}", inner.values)
        case _:
            return _test(condition)


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    values = tuple(value for part in parts for value in part.values)
    return Sql(word.join(part.text for part in parts), values)


def _bracketed(part: Condition, *looser: type) -> Sql:
    # No parentheses but those that are needed: SQLite's parser has a small stack.
    sql = where_clause(part)
    return Sql(f"({sql.text})", sql.values) if isinstance(part, looser) else sql


def _test(test: Test) -> Sql:
    match test:
        case Under(folder):
            return Sql("(files.path > ? AND files.path < ?)", inside(os.fsencode(folder)))
        case IsNull(column) if column == LABEL:
            return Sql("records.key NOT IN (SELECT record FROM labels)")
        case Compare(column, "!=", value) if column == LABEL:
            equal = _test(Compare(column, "=", value))
            return Sql(f"NOT {equal.text}", equal.values)
        case _ if test.column == LABEL:
            one = _of_value(test)
            return Sql(f"records.key IN (SELECT record FROM labels WHERE {one.text})", one.values)
        case _:
            return _of_value(test)


def _of_value(test: Compare | Between | In | Like | IsNull) -> Sql:
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
            side = _DISPLAYED_PATH if column == "path" else _COLUMNS[column]
            return Sql(f"{side} LIKE ?", (_displayed(pattern),))
        case IsNull(column):
            return Sql(f"{_COLUMNS[column]} IS NULL")


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
