"""Parquet files from elsewhere, read some rows at a time and never believed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.exchange.incoming import MOST_THUMBNAIL_BYTES
from lookalike.rows.parquet import arrow

AT_ONCE = 1_000
"""Rows in hand at a time."""

MOST_GROUP_BYTES = 2 * 2**30
"""Of the columns that are read of one row group, as it says they are when unpacked."""

LEAST_BYTES_A_ROW = 4
"""A file of distinct pictures cannot be packed tighter: what is, is no file of pictures."""


class ParquetTable:
    """One Parquet file. Raises InputError for what is none, is damaged, or blown up on purpose.

    Text and pictures are read as the dictionaries that they are packed in, so that a long value
    that many rows share is in memory once, and is seen before it is copied.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self._arrow, self._parquet = arrow()
        with self._sound():
            file = self._parquet.ParquetFile(path)
            self.rows: int = file.metadata.num_rows
            self.schema: Any = file.schema_arrow
            self._leaves = [
                column.path
                for column in map(file.schema.column, range(len(file.schema.names)))
                if column.physical_type == "BYTE_ARRAY"
            ]
            self._group_bytes = _group_bytes(file.metadata)
            file.close()
        self._require_rows()

    def _require_rows(self) -> None:
        if not self.rows:
            raise InputError(f"{self.name}: has no rows; export it anew")
        if self.rows * LEAST_BYTES_A_ROW > self.path.stat().st_size:
            raise InputError(
                f"{self.name}: says that it has {self.rows:,} rows in"
                f" {self.path.stat().st_size:,} bytes, which no pictures have; export it anew"
            )

    def require(self, columns: Collection[str]) -> None:
        """Raise InputError unless the file has all these columns."""
        lacking = [name for name in columns if name not in self.schema.names]
        if lacking:
            raise InputError(
                f"{self.name}: has no column {lacking[0]!r}, but"
                f" {', '.join(self.schema.names[:20])}; export it anew"
            )

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Record batches of these columns, each with the number of its first row, from 0.

        Row groups are read one by one: a reader of several keeps what it has read of all.
        """
        self._require_small(columns)
        first = 0
        with self._sound():
            file = self._parquet.ParquetFile(
                self.path, read_dictionary=self._leaves, page_checksum_verification=True
            )
        with file:
            for group in range(len(self._group_bytes)):
                for batch in self._batches(file, group, columns):
                    yield first, batch
                    first += batch.num_rows

    def _batches(self, file: Any, group: int, columns: Sequence[str]) -> Iterator[Any]:
        batches = file.iter_batches(
            AT_ONCE, row_groups=[group], columns=list(columns), use_threads=False
        )
        while True:
            with self._sound():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _require_small(self, columns: Sequence[str]) -> None:
        for sizes in self._group_bytes:
            size = sum(n for path, n in sizes if path.partition(".")[0] in columns)
            if size > MOST_GROUP_BYTES:
                raise InputError(
                    f"{self.name}: a row group of {size / 2**30:,.0f} GiB when unpacked, at most"
                    f" {MOST_GROUP_BYTES // 2**30} are read; write smaller ones"
                )

    @contextlib.contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except (self._arrow.ArrowException, OSError, MemoryError, ValueError, KeyError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InputError(f"{self.name}: is no sound Parquet file ({said})") from error


def _group_bytes(metadata: Any) -> list[list[tuple[str, int]]]:
    """Of every row group the columns' paths and bytes when unpacked."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return [
        [
            (column.path_in_schema, column.total_uncompressed_size)
            for column in map(group.column, range(group.num_columns))
        ]
        for group in groups
    ]


def cells(column: Any, where: str, most: int = MOST_THUMBNAIL_BYTES) -> list[Any]:
    """A column as plain values; InputError where one of text or bytes is longer than ``most``."""
    pyarrow, _ = arrow()
    from pyarrow import compute

    for values in _dictionaries(column):
        with contextlib.suppress(pyarrow.ArrowNotImplementedError):
            longest = compute.max(compute.binary_length(values)).as_py() or 0
            if longest > most:
                raise InputError(
                    f"{where}: a value of {longest:,} bytes; at most {most:,} are read"
                )
    try:
        plain: list[Any] = column.to_pylist()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: has text that is not UTF-8; write it anew") from error
    return plain


def _dictionaries(column: Any) -> Iterator[Any]:
    pyarrow, _ = arrow()
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        yield column.dictionary
    elif pyarrow.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _dictionaries(column.field(number))
    elif pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        yield from _dictionaries(column.values)


def matrix(column: Any, dim: int, where: str) -> NDArray[np.floating[Any]]:
    """A column of lists of ``dim`` numbers as an array (n, dim); InputError for any other."""
    pyarrow, _ = arrow()
    kind = column.type
    if column.null_count or not is_numbers(kind):
        raise InputError(f"{where}: is not a list of {dim} numbers in every row; export it anew")
    values = column.flatten()
    if pyarrow.types.is_fixed_size_list(kind):
        sound = kind.list_size == dim
    else:
        lengths = np.asarray(column.value_lengths())
        sound = bool((lengths == dim).all())
    if not sound or values.null_count:
        raise InputError(f"{where}: is not a list of {dim} numbers in every row; export it anew")
    numbers: NDArray[np.floating[Any]] = np.asarray(values).reshape(len(column), dim)
    return numbers


def is_numbers(kind: Any) -> bool:
    """Whether a type is one of lists of floating-point numbers."""
    pyarrow, _ = arrow()
    types = pyarrow.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and types.is_floating(kind.value_type))


def length_of(table: ParquetTable, name: str) -> int:
    """How many numbers the lists of a column have: its type says it, or its first row."""
    pyarrow, _ = arrow()
    kind = table.schema.field(name).type
    if not is_numbers(kind):
        raise InputError(f"{table.name}: column {name!r} is {kind}, not lists of numbers")
    if pyarrow.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    _, batch = next(table.batches([name]))
    first = batch.column(name)[0].as_py()
    if not first:
        raise InputError(f"{table.name}: column {name!r} is empty in the first row; export it anew")
    return len(first)
