"""Conditions for servers: from the tree to an engine's SQL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from uuid import UUID

from lookalike.conditions import Condition, Value, is_of_table, resolved
from lookalike.stores.clauses import Clauses, Sql, displayed
from lookalike.stores.server.engine import Words
from lookalike.stores.server.layout import DISPLAYED_PATH, matched
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


def matching(condition: Condition, words: Words, tables: Sequence[SideTable] = ()) -> Sql:
    """Records ``r`` and their live files ``f`` for which ``condition`` holds: what follows FROM.

    Raises InputError for side tables that are not among ``tables``, and columns that they do not
    have.
    """
    where = _Clauses(words, tables).where(resolved(condition, tables))
    return Sql(
        f"_records AS r JOIN _files AS f ON f.record = r.id WHERE f.live AND ({where.text})",
        where.values,
    )


class _Clauses(Clauses):
    """Conditions in an engine's words over a record ``r`` and one of its files ``f``."""

    def __init__(self, words: Words, tables: Sequence[SideTable]) -> None:
        super().__init__(tables)
        self._words = words

    def column(self, column: str) -> str:
        if is_of_table(column):
            return f"side.{self._words.quoted(column.partition('.')[2])}"
        return self._words.megapixels if column == "megapixels" else _COLUMNS[column]

    def bound(self, column: str, value: Value) -> Sql:
        if not isinstance(value, str):
            return Sql(self._words.number(value or 0))  # -0.0 is not 0.0 to ClickHouse's IN
        if column == "id":
            return Sql(self._words.ids([UUID(value).bytes])[1:-1])
        return Sql("?", (os.fsencode(value) if column == "path" else displayed(value),))

    def like(self, column: str, pattern: str) -> Sql:
        place = DISPLAYED_PATH if column == "path" else self.column(column)
        return Sql(self._words.like(place), (self._words.pattern(displayed(pattern)),))

    def with_label(self, one: Sql) -> Sql:
        own = f"_labels AS l WHERE ({one.text})"
        return Sql(self._words.among("r.id", "l.record", own), one.values)

    def with_row(self, table: SideTable, one: Sql | None) -> Sql:
        quoted = self._words.quoted
        key = f"side.{quoted(table.key)}"
        rows = f"{quoted(f'side_{table.name}')} AS side WHERE {key} IS NOT NULL"
        if one is not None:
            rows += f" AND ({one.text})"
        named = self._words.among(matched(table.matches, self._words.text), key, rows)
        files = f"_files AS f WHERE f.live AND {named}"
        return Sql(self._words.among("r.id", "f.record", files), () if one is None else one.values)
