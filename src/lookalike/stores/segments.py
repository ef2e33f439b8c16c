"""Append-only files of numbers: written and synced first, then committed by the catalogue.

A series is a folder of numbered segments; a segment is one file per column. The catalogue says how
many rows of each segment are committed. What lies behind that is left from a killed process and is
cut off by the next writer; readers never look at it. ``docs/storage-format.md`` has the bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import LibraryCorruptError
from lookalike.types import ID_DTYPE, Space

MAGIC = b"LOOKALIK"
FORMAT_VERSION = 1
HEADER = struct.Struct("<8sI4sI44x")
"""Magic, format version, column kind, values per row, then zeros up to 64 bytes."""

SEGMENT_ROWS = 65_536
"""Rows after which a new segment is begun."""


@dataclass(frozen=True, slots=True)
class Column:
    """One file of a segment; ``per_cell`` columns have a value per histogram cell, not per row."""

    suffix: str
    dtype: np.dtype[Any]
    width: int = 1
    per_cell: bool = False

    @property
    def kind(self) -> bytes:
        return self.suffix.encode()[:4].ljust(4)

    @property
    def stride(self) -> int:
        return self.dtype.itemsize * self.width


HISTOGRAMS = "histograms"
"""The series, and folder, of the colour histograms."""

IDS = Column("ids", ID_DTYPE)
HISTOGRAM_COLUMNS = (
    Column("bins", np.dtype("<u2"), per_cell=True),
    Column("counts", np.dtype("<u2"), per_cell=True),
    Column("ends", np.dtype("<u8")),
    IDS,
)


def vector_series(space: Space) -> str:
    """The series, and folder, in which a space's vectors lie."""
    return f"vectors/{space.name}"


def vector_columns(dim: int) -> tuple[Column, ...]:
    """The columns of a series of vectors: half-precision rows and the ids of their records."""
    return (Column("f16", np.dtype("<f2"), dim), IDS)


@dataclass(frozen=True, slots=True)
class Segment:
    """The committed extent of one segment."""

    number: int
    rows: int
    cells: int

    def length(self, column: Column) -> int:
        """Committed values of a column, in rows of that column."""
        return self.cells if column.per_cell else self.rows


class Series:
    """One folder of segments with the same columns."""

    def __init__(self, folder: Path, columns: Sequence[Column]) -> None:
        self._folder = folder
        self._columns = tuple(columns)

    def read(self, segments: Sequence[Segment]) -> list[dict[str, NDArray[Any]]]:
        """Memory maps of the committed rows, one mapping of column suffix to array per segment."""
        return [
            {c.suffix: self._map(segment, c) for c in self._columns}
            for segment in segments
            if segment.rows
        ]

    def _map(self, segment: Segment, column: Column) -> NDArray[Any]:
        path = self._path(segment.number, column)
        length = segment.length(column)
        try:
            with open(path, "rb") as file:
                self._check_header(path, column, file.read(HEADER.size))
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise _short(path, HEADER.size + length * column.stride) from error
        expected = HEADER.size + length * column.stride
        if size < expected:
            raise _short(path, expected)
        shape = (length, column.width) if column.width > 1 else (length,)
        return np.memmap(path, column.dtype, "r", offset=HEADER.size, shape=shape)

    def _check_header(self, path: Path, column: Column, header: bytes) -> None:
        if header != HEADER.pack(MAGIC, FORMAT_VERSION, column.kind, column.width):
            raise LibraryCorruptError(
                f"{path}: the header is not that of a {column.suffix} file of version"
                f" {FORMAT_VERSION}; restore it from a backup or index into a new library"
            )

    def trim(self, segments: Sequence[Segment]) -> None:
        """Cut off what was never committed. Only the one writer may call this.

        Raises LibraryCorruptError if committed rows are missing.
        """
        committed = {segment.number: segment for segment in segments}
        self.read(segments)
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            stem, _, suffix = path.name.partition(".")
            column = next((c for c in self._columns if c.suffix == suffix), None)
            if column is None or not stem.isdigit():
                continue
            segment = committed.get(int(stem))
            if segment is None:
                path.unlink()
                continue
            length = HEADER.size + segment.length(column) * column.stride
            if path.stat().st_size > length:
                os.truncate(path, length)

    def append(
        self, segments: Sequence[Segment], row_values: Mapping[str, NDArray[Any]]
    ) -> list[Segment]:
        """Write rows behind the committed ones and sync them; returns the segments as they become.

        ``row_values`` maps every column to its values. ``ends`` are relative to the batch's first
        cell. Nothing counts until the catalogue commits the returned segments.
        """
        last = segments[-1] if segments else Segment(1, 0, 0)
        if last.rows >= SEGMENT_ROWS:
            last = Segment(last.number + 1, 0, 0)
        make_folder(self._folder)
        for column in self._columns:
            values = np.ascontiguousarray(row_values[column.suffix], dtype=column.dtype)
            if column.suffix == "ends":
                values = values + np.uint64(last.cells)
            self._write(last, column, values)
        grown = Segment(
            last.number,
            last.rows + len(row_values["ids"]),
            last.cells + len(row_values.get("bins", ())),
        )
        return [*(s for s in segments if s.number != last.number), grown]

    def _write(self, segment: Segment, column: Column, values: NDArray[Any]) -> None:
        path = self._path(segment.number, column)
        start = HEADER.size + segment.length(column) * column.stride
        created = not path.exists() and start == HEADER.size
        if not created and (not path.exists() or path.stat().st_size < start):
            raise _short(path, start)
        with open(path, "xb" if created else "r+b", buffering=0) as file:
            if created:
                _write_all(
                    file.fileno(), HEADER.pack(MAGIC, FORMAT_VERSION, column.kind, column.width)
                )
            os.lseek(file.fileno(), start, os.SEEK_SET)
            _write_all(file.fileno(), values.tobytes())
            os.fsync(file.fileno())
        if created:
            sync_folder(self._folder)

    def _path(self, number: int, column: Column) -> Path:
        return self._folder / f"{number:06d}.{column.suffix}"


def _short(path: Path, expected: int) -> LibraryCorruptError:
    size = f"{path.stat().st_size} bytes" if path.exists() else "missing: 0 bytes"
    return LibraryCorruptError(
        f"{path}: {size}, {expected} are expected; restore it from a backup or index into a"
        " new library"
    )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def make_folder(folder: Path) -> None:
    """Create a folder and what leads to it, each name durable before the next."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
