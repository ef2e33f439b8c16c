"""Hits as a common table expression of literal rows, in the words of each engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lookalike.sql.tokens import Dialect


class HitRow(NamedTuple):
    """A row of ``similar``: a record that was found. ``path`` is the first at which it lies."""

    rank: int
    id: str
    score: float
    distance: float
    likeness: str | None
    path: str


HIT_COLUMNS = HitRow._fields

_TYPES = {
    "postgresql": ("bigint", "text", "double precision", "double precision", "text", "text"),
    "clickhouse": ("UInt64", "String", "Float64", "Float64", "Nullable(String)", "String"),
}
_NO_HIT = HitRow(0, "", 0.0, 0.0, None, "")


def expression(name: str, hits: Sequence[HitRow], dialect: Dialect) -> str:
    """``NAME AS (...)``, to stand behind WITH; also of no hits."""
    columns = ", ".join(HIT_COLUMNS)
    if dialect == "clickhouse":
        types = zip(HIT_COLUMNS, _TYPES[dialect], strict=True)
        form = ", ".join(f"{column} {type_}" for column, type_ in types)
        rows = ", ".join(_row(hit, dialect) for hit in hits or [_NO_HIT])
        some = f"SELECT * FROM values({_text(form, dialect)}, {rows})"  # noqa: S608 (literals)
        return f"{name} AS ({some}{'' if hits else ' WHERE 0'})"
    if not hits:
        return f"{name} ({columns}) AS (SELECT {_row(_NO_HIT, dialect)[1:-1]} WHERE 1 = 0)"
    # The first row of VALUES decides the types on PostgreSQL.
    typed = [_row(hits[0], dialect), *(_row(hit, "sqlite") for hit in hits[1:])]
    return f"{name} ({columns}) AS (VALUES {', '.join(typed)})"


def _row(hit: HitRow, dialect: Dialect) -> str:
    cells = [_literal(cell, dialect) for cell in hit]
    if dialect == "postgresql":
        types = _TYPES[dialect]
        cells = [f"CAST({cell} AS {type_})" for cell, type_ in zip(cells, types, strict=True)]
    return f"({', '.join(cells)})"


def _literal(cell: float | str | None, dialect: Dialect) -> str:
    if cell is None:
        return "NULL"
    return _text(cell, dialect) if isinstance(cell, str) else repr(cell)


def _text(text: str, dialect: Dialect) -> str:
    if dialect == "clickhouse":  # where a backslash means something
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", "''") + "'"
