"""Conditions for servers: from the tree to an engine's SQL. Values are bound, never pasted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from lookalike.conditions import (
    COLUMNS,
    LABEL,
    And,
    Between,
    Compare,
    Condition,
    In,
    IsNull,
    Kind,
    Like,
    Not,
    Or,
    Some,
    Test,
    Under,
    Value,
    is_of_table,
)
from lookalike.errors import InputError
from lookalike.stores.run import display_path, inside
from lookalike.stores.server.engine import Words

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


def matching_ids(condition: Condition | None, words: Words) -> Sql:
    """A query for the ids of records with a live file for which ``condition`` holds; all if None.

    In no order, each once.
    """
    where = Sql("1 = 1") if condition is None else _Clauses(words).clause(condition)
    return Sql(
        "SELECT DISTINCT r.id FROM _records AS r JOIN _files AS f ON f.record = r.id"
        f" WHERE f.live AND ({where.text})",
        where.values,
    )


class _Clauses:
    """A condition in an engine's words."""

    def __init__(self, words: Words) -> None:
        self._words = words

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
            case Some():
                return _refuse_side_table(test)
            case _ if is_of_table(test.column):
                return _refuse_side_table(test)
            case IsNull(column) if column == LABEL:
                return Sql("r.id NOT IN (SELECT record FROM _labels)")
            case Compare(column, "!=", value) if column == LABEL:
                equal = self._test(Compare(column, "=", value))
                return Sql(f"NOT {equal.text}", equal.values)
            case _ if test.column == LABEL:
                one = self._of_value(test)
                return Sql(f"r.id IN (SELECT record FROM _labels WHERE {one.text})", one.values)
            case _:
                return self._of_value(test)

    def _of_value(self, test: Compare | Between | In | Like | IsNull) -> Sql:
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
        return self._words.megapixels if column == "megapixels" else _COLUMNS[column]

    def _side(self, column: str, value: Value) -> str:
        """What is compared with a value; of a time as much as the value says."""
        short = isinstance(value, str) and len(value) < _TIME_LENGTH
        if column == "taken" and short:
            return f"substr(r.taken_at, 1, {len(str(value))})"
        return self._column(column)

    def _bound(self, column: str, value: Value) -> Sql:
        if not isinstance(value, str):
            return Sql(self._words.number(value))
        if COLUMNS[column] is Kind.ID:
            return Sql(self._words.ids([UUID(value).bytes])[1:-1])
        if column == "path":
            return Sql("?", (os.fsencode(value),))
        return Sql("?", (_displayed(value),))


def _refuse_side_table(test: Test) -> NoReturn:
    raise InputError(f"{test}: this server's library has no side tables yet; ask a local one")


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    values = tuple(value for part in parts for value in part.values)
    return Sql(word.join(part.text for part in parts), values)


def _displayed(text: str) -> str:
    """Text as the tables have it, with undecodable bytes as backslash escapes."""
    return display_path(os.fsencode(text))
