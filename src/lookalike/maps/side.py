"""What side tables say of a map's records: colourings by their columns, keywords for clusters.

Asked by the same SQL as users ask, so that it holds for every store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import numpy as np

from lookalike.errors import InputError
from lookalike.maps.colourings import STEPS, Colouring, grouped
from lookalike.sql import Statement
from lookalike.stores import Store
from lookalike.types import Cell, Column, ColumnKind, IdArray, SideTable, uuids

LOOKED_AT = 10_000
"""Rows of a table from which it is told whether a column parts pictures into groups."""

KEYWORDS_KEPT = 5
"""Of a record's keywords, the most frequent."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_WORDS = re.compile(r"keyword|tag|label|topic|subject|species|caption", re.IGNORECASE)


def column_names(store: Store) -> list[str]:
    """Columns by which a map can be coloured, as ``table.column``.

    Numbers, and texts of which most rows share one with others: no column of times or of ids.
    """
    return [
        f"{table.name}.{column.name}"
        for table in store.side_tables()
        for column in table.columns
        if _PLAIN.fullmatch(column.name) and column.name != table.key
        if column.kind is not ColumnKind.TEXT or _repeats(store, table, column)
    ]


def _repeats(store: Store, table: SideTable, column: Column) -> bool:
    name = f'"{column.name}"'
    text = (
        f"SELECT count(DISTINCT {name}), count({name}) FROM"  # noqa: S608 (names were checked)
        f" (SELECT {name} FROM {table.name} WHERE {name} IS NOT NULL LIMIT {LOOKED_AT}) AS part"
    )
    ((distinct, rows),) = store.sql(Statement(text, store.dialect))
    return 1 < int(distinct or 0) <= int(rows or 0) / 2


def by_column(store: Store, name: str, ids: IdArray) -> Colouring:
    """Rows of a map by what a side table says most often of each; by the mean of numbers.

    Raises InputError for a name that is none of ``column_names``' form, or of no column.
    """
    table, column = _found(store, name)
    values: dict[UUID, list[tuple[Cell, int]]] = {}
    for id_, value, count in _values(store, table, column):
        values.setdefault(id_, []).append((value, count))
    own = [values.get(id_, []) for id_ in uuids(ids)]
    if column.kind is ColumnKind.TEXT:
        return grouped([str(some[0][0]) if some else None for some in own])
    return _scale([_mean(some) for some in own])


def keywords(store: Store) -> dict[UUID, list[str]]:
    """The most frequent keywords of records, from columns that are called so or alike."""
    found: dict[UUID, list[str]] = {}
    for table in store.side_tables():
        for column in table.columns:
            if column.kind is not ColumnKind.TEXT or column.name == table.key:
                continue
            if _WORDS.search(column.name) is not None and '"' not in column.name:
                _add_keywords(found, _values(store, table, column))
    return found


def _add_keywords(found: dict[UUID, list[str]], values: Iterator[tuple[UUID, Cell, int]]) -> None:
    taken: dict[UUID, int] = {}
    for id_, value, _ in values:
        taken[id_] = taken.get(id_, 0) + 1
        if taken[id_] <= KEYWORDS_KEPT:
            found.setdefault(id_, []).append(str(value))


def _found(store: Store, name: str) -> tuple[SideTable, Column]:
    wanted, _, column_name = name.partition(".")
    table = next((one for one in store.side_tables() if one.name == wanted), None)
    column = None if table is None else table.column(column_name)
    if table is None or column is None or _PLAIN.fullmatch(column.name) is None:
        raise InputError(
            f"colouring {name!r}: no column of a side table; see: lookalike table list"
        )
    return table, column


def _values(store: Store, table: SideTable, column: Column) -> Iterator[tuple[UUID, Cell, int]]:
    """Of every record its values and how often it has each, the most frequent first."""
    name, key = f'side."{column.name}"', f'side."{table.key}"'
    text = (
        f"SELECT files.id, {name}, count(*) AS n FROM files"  # noqa: S608 (names were checked)
        f" JOIN {table.name} AS side ON {key} = files.{table.matches}"
        f" WHERE {name} IS NOT NULL GROUP BY files.id, {name} ORDER BY 1, 3 DESC, 2"
    )
    for id_, value, count in store.sql(Statement(text, store.dialect)):
        yield UUID(str(id_)), value, int(count or 0)


def _mean(some: Sequence[tuple[Cell, int]]) -> float | None:
    if not some:
        return None
    rows = sum(count for _, count in some)
    return sum(float(value or 0) * count for value, count in some) / rows


def _scale(means: Sequence[float | None]) -> Colouring:
    """Steps with about as many rows in each, named by their lowest and highest value."""
    some = np.array([mean for mean in means if mean is not None], np.float64)
    if not len(some):
        return Colouring("ordered", (), np.full(len(means), -1, np.int32))
    edges = np.unique(np.quantile(some, np.linspace(0, 1, STEPS + 1)[1:-1], method="nearest"))
    steps = np.searchsorted(edges, some, side="left")
    kept, steps = np.unique(steps, return_inverse=True)
    legend = []
    for step in range(len(kept)):
        own = some[steps == step]
        low, high = f"{own.min():.4g}", f"{own.max():.4g}"
        legend.append((low if low == high else f"{low} to {high}", len(own)))
    of = np.full(len(means), -1, np.int32)
    of[[mean is not None for mean in means]] = steps
    return Colouring("ordered", tuple(legend), of)


def title(name: str, titles: Mapping[str, tuple[str, object]]) -> str:
    """What a colouring is called: its own title, or table and column."""
    return titles[name][0] if name in titles else name.replace(".", ": ", 1)
