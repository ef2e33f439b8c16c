"""The tables that statements see beside the side tables, with their columns, on every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lookalike.types import Column, ColumnKind, SideTable

_INTEGER, _REAL, _TEXT = ColumnKind.INTEGER, ColumnKind.REAL, ColumnKind.TEXT

TABLES: Mapping[str, tuple[Column, ...]] = {
    "images": (
        Column("id", _TEXT),
        Column("width", _INTEGER),
        Column("height", _INTEGER),
        Column("megapixels", _REAL),
        Column("format", _TEXT),
        Column("taken", _TEXT),
        Column("camera", _TEXT),
        Column("latitude", _REAL),
        Column("longitude", _REAL),
        Column("bytes", _INTEGER),
        Column("files", _INTEGER),
        Column("path", _TEXT),
        Column("foreign_id", _TEXT),
    ),
    "files": (
        Column("id", _TEXT),
        Column("foreign_id", _TEXT),
        Column("path", _TEXT),
        Column("folder", _TEXT),
        Column("name", _TEXT),
        Column("bytes", _INTEGER),
        Column("modified", _TEXT),
    ),
    "labels": (
        Column("id", _TEXT),
        Column("label", _TEXT),
        Column("source", _TEXT),
        Column("confidence", _REAL),
    ),
}


def with_side_tables(tables: Sequence[SideTable]) -> dict[str, tuple[Column, ...]]:
    """All tables that a statement may name, by name: images, files, labels, then side tables."""
    return {**TABLES, **{table.name: table.columns for table in tables}}
