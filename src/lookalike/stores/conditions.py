"""Conditions for the catalogue: from the tree to SQLite's SQL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from uuid import UUID

from lookalike.conditions import Condition, Value, is_of_table, resolved, uses_files
from lookalike.stores.clauses import Clauses, Sql, displayed
from lookalike.stores.side import DISPLAYED_PATH, ID_TEXT, KEYS, quoted, stored_name
from lookalike.types import SideTable

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


class _Clauses(Clauses):
    """Conditions as SQL over ``records`` and, if they speak of them, ``files``."""

    def column(self, column: str) -> str:
        if is_of_table(column):
            return f"side.{quoted(column.partition('.')[2])}"
        return _COLUMNS[column]

    def bound(self, column: str, value: Value) -> Sql:
        if not isinstance(value, str):
            return Sql("?", (value,))
        if column == "id":
            return Sql("?", (UUID(value).bytes,))
        return Sql("?", (os.fsencode(value) if column == "path" else displayed(value),))

    def like(self, column: str, pattern: str) -> Sql:
        # SQLite's LIKE folds the case of ASCII letters only, and matches no BLOB.
        side = DISPLAYED_PATH if column == "path" else self.column(column)
        return Sql(f"{side} LIKE ?", (displayed(pattern),))

    def with_label(self, one: Sql) -> Sql:
        return Sql(f"records.key IN (SELECT record FROM labels WHERE {one.text})", one.values)

    def with_row(self, table: SideTable, one: Sql | None) -> Sql:
        rows = f"SELECT side.{quoted(table.key)} FROM {stored_name(table.name)} AS side"
        if one is not None:
            rows += f" WHERE {one.text}"
        values = () if one is None else one.values
        if table.matches == "id":
            return Sql(f"{ID_TEXT} IN ({rows})", values)
        files = f"SELECT files.record FROM files WHERE live AND {KEYS[table.matches]} IN ({rows})"
        return Sql(f"records.key IN ({files})", values)
