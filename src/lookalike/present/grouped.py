"""Which column of a user's rows names pictures, and which is drawn: rows as a bar chart."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from uuid import UUID

from lookalike.present.bars import Bar, BarChart
from lookalike.types import Cell

MOST_BARS = 100

Find = Callable[[Sequence[str]], Sequence[UUID | None]]
"""The records that texts name (ids, foreign ids, paths), None where one names none."""
Thumbnails = Callable[[Sequence[UUID]], Sequence[bytes | None]]


def number_column(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> int | None:
    """The last column that has numbers and nothing else; None if there is none."""
    for place in reversed(range(len(columns))):
        values = [row[place] for row in rows if row[place] is not None]
        if values and all(isinstance(value, int | float) for value in values):
            return place
    return None


def bar_chart(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], find: Find, thumbnails: Thumbnails
) -> BarChart | None:
    """The chart of rows, a bar each in their order; None if no column has numbers.

    The first column whose texts name pictures for the most part says which stand beside the bars;
    bars are named by the first other column of text, if there is one, else by that.
    """
    drawn = number_column(columns, rows)
    if rows and drawn is None:
        return None
    texts = [place for place in range(len(columns)) if place != drawn]
    pictured, records = _pictured(rows, texts, find)
    named = next((place for place in texts if place != pictured), pictured)
    known = list(dict.fromkeys(record for record in records if record))
    jpegs = dict(zip(known, thumbnails(known), strict=True))
    bars = [
        Bar(
            _name(row, named) or f"{number}",
            None if drawn is None else _number(row[drawn]),
            "" if named == pictured else _name(row, pictured),
            jpegs.get(record) if record else None,
        )
        for number, (row, record) in enumerate(zip(rows, records, strict=True), start=1)
    ]
    what = columns[drawn] if drawn is not None else ""
    by = "" if named is None else f"by {columns[named]}"
    many = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    return BarChart(f"{what} {by}".strip() or "nothing", many, bars, pictured is not None)


def _pictured(
    rows: Sequence[Sequence[Cell]], places: Sequence[int], find: Find
) -> tuple[int | None, Sequence[UUID | None]]:
    for place in places:
        values = [row[place] for row in rows]
        if values and all(value is None or isinstance(value, str) for value in values):
            records = find([str(value or "") for value in values])
            if sum(record is not None for record in records) * 2 > len(rows):
                return place, records
    return None, [None] * len(rows)


def _name(row: Sequence[Cell], place: int | None) -> str:
    """A row's name; of a path its last part."""
    value = None if place is None else row[place]
    if value is None:
        return "" if place is None else "NULL"
    text = str(value)
    return os.path.basename(text.rstrip("/")) if text.startswith("/") else text


def _number(value: Cell) -> float | None:
    return value if isinstance(value, int | float) else None
