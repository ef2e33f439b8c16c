"""Parquet, by pyarrow. Times become ISO text, booleans 0 and 1, lists and structures JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lookalike.errors import MissingExtraError, one_line
from lookalike.rows.base import BATCH_ROWS, Batch, Kinds, checked_names, refuse, text_of
from lookalike.types import Cell, ColumnKind


def arrow(feature: str = "a Parquet file") -> tuple[Any, Any]:
    """PyArrow, and its Parquet; MissingExtraError, which names the feature, without it."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(feature, "parquet") from error
    return pyarrow, parquet


class ParquetPart:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        with self._opened() as file:
            return checked_names(self.path, file.schema_arrow.names)

    def kinds(self, wanted: Sequence[str]) -> list[Kinds]:
        kinds = [Kinds() for _ in wanted]
        with self._opened() as file:
            for name, kind in zip(wanted, kinds, strict=True):
                kind.see(self._kind(name, file.schema_arrow.field(name).type))
        return kinds

    def batches(self, wanted: Sequence[str]) -> Iterator[Batch]:
        with self._opened() as file:
            columns = list(dict.fromkeys(wanted))
            for name in columns:
                self._kind(name, file.schema_arrow.field(name).type)
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield [self._cells(batch.column(name)) for name in wanted]

    def _kind(self, name: str, type_: Any) -> ColumnKind:
        import pyarrow.types as is_

        if is_.is_dictionary(type_):
            return self._kind(name, type_.value_type)
        if is_.is_binary(type_) or is_.is_large_binary(type_) or is_.is_fixed_size_binary(type_):
            refuse(self.path, f"column {name!r} is binary", "name the other columns: --columns")
        if is_.is_boolean(type_) or (is_.is_integer(type_) and type_ != "uint64"):
            return ColumnKind.INTEGER
        return ColumnKind.REAL if is_.is_floating(type_) else ColumnKind.TEXT

    def _cells(self, column: Any) -> list[Cell]:
        import pyarrow.types as is_

        values = column.to_pylist()
        if is_.is_floating(column.type):
            return [None if one is None or math.isnan(one) else one for one in values]
        if is_.is_boolean(column.type):
            return [None if one is None else int(one) for one in values]
        if is_.is_temporal(column.type):
            return [None if one is None else _time_text(one) for one in values]
        if is_.is_decimal(column.type):
            return [None if one is None else str(one) for one in values]
        return values if is_.is_integer(column.type) else [text_of(one) for one in values]

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        pyarrow, parquet = arrow(f"{self.path}: reading Parquet")
        try:
            with parquet.ParquetFile(self.path, memory_map=True) as file:
                yield file
        except (pyarrow.ArrowException, OSError) as error:
            what = one_line(error, 120)
            refuse(self.path, f"is no Parquet file that can be read ({what})", "get it again")


def _time_text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
