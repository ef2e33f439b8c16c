"""The library's tables on PostgreSQL: what makes them, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lookalike.stores.server.engine import Row
from lookalike.stores.server.layout import Column, Table, expanded
from lookalike.types import BINS, SparseHistogram

_TYPES = {
    "id": "uuid",
    "bytes": "bytea",
    "text": 'text COLLATE "C"',
    "integer": "bigint",
    "real": "double precision",
    "integers": "integer[]",
    "reals": "real[]",
    "texts": 'text[] COLLATE "C"',
}


def key_of(table: Table) -> str:
    """What is unique in a table; a path by its hash, since an index takes no long values."""
    return ", ".join("(sha256(path))" if name == "path" else name for name in table.key)


def table_statements(table: Table) -> Iterator[str]:
    """What makes a table, if it is not there."""
    columns = [_definition(column) for column in _physical(table)]
    long_key = "path" in table.key
    key = [] if long_key else [f"PRIMARY KEY ({', '.join(table.key)})"]
    if table.name == "_files":
        columns.append(_LIVE)
    yield f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join([*columns, *key])})"
    if long_key:
        name = f"{table.name}_key"
        yield f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {table.name} ({key_of(table)})"
    yield from _INDEXES.get(table.name, ())


_LIVE = (
    "live boolean GENERATED ALWAYS AS"
    " (record IS NOT NULL AND state IN ('indexed', 'unchanged', 'moved')) STORED"
)

_INDEXES = {
    "_records": (
        "CREATE UNIQUE INDEX IF NOT EXISTS _records_by_content ON _records (content_hash)",
        "CREATE INDEX IF NOT EXISTS _records_by_number ON _records (number)",
    ),
    "_files": (
        "CREATE INDEX IF NOT EXISTS _files_by_record ON _files (record) WHERE live",
        "CREATE INDEX IF NOT EXISTS _files_by_foreign_id ON _files (foreign_id)"
        " WHERE foreign_id IS NOT NULL",
    ),
    "_labels": ("CREATE INDEX IF NOT EXISTS _labels_by_label ON _labels (label)",),
    "_histograms": (
        "ALTER TABLE _histograms ALTER shares SET STORAGE EXTERNAL,"
        " ALTER roots SET STORAGE EXTERNAL, ALTER squares SET STORAGE EXTERNAL",
    ),
}


def _definition(column: Column) -> str:
    if column.kind == "vector":
        kind = f"halfvec({column.size})"
    elif column.kind == "histogram":
        kind = f"sparsevec({column.size})"
    else:
        kind = _TYPES[column.kind]
    return f"{column.name} {kind}{'' if column.nullable else ' NOT NULL'}"


_HISTOGRAM = (
    Column("total", "integer"),
    Column("spread", "real"),
    *(Column(name, "histogram", size=BINS) for name in ("shares", "roots", "squares")),
)


def _physical(table: Table) -> Iterator[Column]:
    """The columns of a table on PostgreSQL: a histogram is five of them."""
    return expanded(table, _HISTOGRAM)


def physical_names(table: Table) -> list[str]:
    """Names of a table's columns on PostgreSQL."""
    return [column.name for column in _physical(table)]


def physical_row(table: Table, row: Row) -> Row:
    """A row as PostgreSQL's columns have it."""
    out: list[Any] = []
    for column, value in zip(table.columns, row, strict=True):
        if column.kind == "histogram":
            out.extend(_histogram_values(value))
        elif column.kind == "text" and isinstance(value, str) and "\0" in value:
            out.append(value.replace("\0", "\\x00"))  # PostgreSQL has no text with a zero byte
        else:
            out.append(value)
    return tuple(out)


def _histogram_values(histogram: SparseHistogram) -> Row:
    """Total count, spread (sum of squares less 1 / bins), shares, their roots and squares."""
    total = int(histogram.counts.sum())
    shares = histogram.counts / total
    spread = float((shares**2).sum()) - 1 / BINS
    bins = histogram.bins
    return total, spread, (bins, shares), (bins, np.sqrt(shares)), (bins, shares**2)
