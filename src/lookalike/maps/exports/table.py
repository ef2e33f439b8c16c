"""A map as a table, a row per record: CSV, and Parquet that Embedding Atlas and others open.

Columns: id, path, x, y (z), cluster (number at the finest level, empty for none), cluster_1 to
cluster_3 (names, the widest level first), category, label, taken, width, height, placed.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from lookalike.maps.exports.source import ExportSource, RowFacts, Rows
from lookalike.rows.parquet import arrow
from lookalike.types import as_text
from lookalike.writing import write_whole

_AXES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """``rows``: at most so many, drawn by cluster, all if None; ``thumbnails``: Parquet's alone."""

    rows: int | None = None
    thumbnails: bool = False


def write_csv(source: ExportSource, path: Path, options: TableOptions | None = None) -> int:
    """Write a CSV file in UTF-8 whole or not at all; returns how many records are in it.

    Bytes of names that are not UTF-8 become escapes. Raises InputError for a map without records,
    OSError where the file cannot be written.
    """
    source.require_records()
    rows = _rows(source, options or TableOptions())

    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(column_names(source))
        for piece, facts in source.described(rows):
            columns = columns_of(source, piece, facts).values()
            writer.writerows(zip(*map(_cells, columns), strict=True))
        text.detach()

    write_whole(path, write)
    return len(rows)


def write_parquet(source: ExportSource, path: Path, options: TableOptions | None = None) -> int:
    """Write a Parquet file whole or not at all; returns how many records are in it.

    ``options.thumbnails`` adds a column ``thumbnail`` with JPEG files. Raises as ``write_csv``
    does, and MissingExtraError without PyArrow.
    """
    pyarrow, parquet = arrow()
    options = options or TableOptions()
    source.require_records()
    rows = _rows(source, options)
    schema = _schema(pyarrow, source, options)

    def write(file: IO[bytes]) -> None:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for piece, facts in source.described(rows):
                columns: dict[str, Any] = columns_of(source, piece, facts)
                if options.thumbnails:
                    columns["thumbnail"] = list(source.thumbnails(source.ids(piece)))
                arrays = [
                    pyarrow.array(columns[field.name], field.type, from_pandas=True)
                    for field in schema
                ]
                writer.write_batch(pyarrow.record_batch(arrays, schema=schema))

    write_whole(path, write)
    return len(rows)


def column_names(source: ExportSource) -> list[str]:
    """The names of a map's columns, thumbnails left out."""
    none = np.empty(0, np.int64)
    return list(columns_of(source, none, ()))


def columns_of(source: ExportSource, rows: Rows, facts: Any) -> dict[str, Any]:
    """Some rows by column: lists and arrays of equal length."""
    positions = source.chart.positions[rows]
    numbers = source.of[rows].tolist()
    levels = {
        f"cluster_{place}": [source.name_of(level, row) or None for row in rows.tolist()]
        for place, level in enumerate(source.levels, 1)
    }
    known: tuple[RowFacts, ...] = tuple(facts)
    return {
        "id": [str(id_) for id_ in source.ids(rows)],
        "path": [as_text(fact.path) for fact in known],
        **{_AXES[axis]: positions[:, axis] for axis in range(positions.shape[1])},
        "cluster": [number if number >= 0 else None for number in numbers],
        **levels,
        "category": [fact.category or None for fact in known],
        "label": [fact.label or None for fact in known],
        "taken": [_second(fact.taken) for fact in known],
        "width": [fact.width for fact in known],
        "height": [fact.height for fact in known],
        "placed": source.chart.placed[rows],
    }


def _rows(source: ExportSource, options: TableOptions) -> Rows:
    """The rows to write, in the order of the map."""
    return np.sort(source.some(options.rows))


def _second(taken: str) -> np.datetime64 | None:
    with contextlib.suppress(ValueError):
        if taken:
            return np.datetime64(taken, "s")
    return None


def _cells(column: Any) -> Iterator[Any]:
    """A column as text for CSV."""
    if isinstance(column, np.ndarray):
        if column.dtype == np.float32:
            return (f"{value:.6g}" for value in column.tolist())
        return ("yes" if value else "" for value in column.tolist())
    return ("" if value is None else value for value in column)


def _schema(pyarrow: Any, source: ExportSource, options: TableOptions) -> Any:
    kinds = {
        **dict.fromkeys(_AXES, pyarrow.float32()),
        **dict.fromkeys(("cluster", "width", "height"), pyarrow.int32()),
        "taken": pyarrow.timestamp("s"),
        "placed": pyarrow.bool_(),
    }
    fields = [(name, kinds.get(name, pyarrow.string())) for name in column_names(source)]
    if options.thumbnails:
        fields.append(("thumbnail", pyarrow.binary()))
    return pyarrow.schema(fields)
