"""Our own layout: one Parquet file, or a folder of parts that is a data set by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from lookalike.exchange.columns import batch_of, schema_of
from lookalike.exchange.selection import Selection
from lookalike.rows.parquet import arrow

COMPRESSION = "zstd"
"""Vectors of half precision have few distinct values: a dictionary and this make half of them."""

WRITING: Mapping[str, Any] = {"compression": COMPRESSION, "write_page_checksum": True}
"""How every Parquet file is written; a reader may check the sums of its pages."""


def write_file(selection: Selection, file: IO[bytes]) -> None:
    """Write everything into one file; OSError where that cannot be."""
    _, parquet = arrow()
    schema = schema_of(selection)
    with parquet.ParquetWriter(file, schema, **WRITING) as writer:
        for piece in selection.pieces():
            writer.write_batch(batch_of(piece, schema))


def write_parts(selection: Selection, folder: Path) -> int:
    """Write parts of ``rows_per_file`` rows into a folder; returns how many.

    Their names are those by which the Hugging Face Hub knows a data set: train-00000-of-00002.
    """
    _, parquet = arrow()
    schema, most = schema_of(selection), selection.options.rows_per_file
    count = -(-selection.count // most)
    batches = (batch_of(piece, schema) for piece in selection.pieces())
    for number, part in enumerate(_parts(batches, most)):
        path = folder / f"train-{number:05d}-of-{count:05d}.parquet"
        with parquet.ParquetWriter(path, schema, **WRITING) as writer:
            for batch in part:
                writer.write_batch(batch)
    return count


def _parts(batches: Iterator[Any], most: int) -> Iterator[Iterator[Any]]:
    """Record batches as parts of ``most`` rows each, the last may be shorter; taken in order."""
    left: list[Any] = []

    def part() -> Iterator[Any]:
        room = most
        while room:
            batch = left.pop() if left else next(batches, None)
            if batch is None:
                return
            if batch.num_rows > room:
                left.append(batch.slice(room))
            yield batch.slice(0, room)
            room -= min(room, batch.num_rows)

    while True:
        if not left:
            following = next(batches, None)
            if following is None:
                return
            left.append(following)
        yield part()
