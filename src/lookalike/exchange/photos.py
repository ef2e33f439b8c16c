"""The layout of photos.parquet and conversions.parquet, by which pictures are joined in SQL.

photos: ``id`` int64, ``photo_id`` string, ``photo_image_url`` string, ``photo_embed`` list<double>.
conversions: ``id`` int64, ``photo_id`` string, ``keyword`` string. These are the types that PyArrow
(26.0) makes of a pandas (2.3) table of whole numbers, text, and lists of Python's floats; pandas 3
says large_string for the text, which is the same in the file. Rows are counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lookalike.errors import InputError
from lookalike.exchange.columns import vectors_array
from lookalike.exchange.incoming import (
    MOST_TEXT_BYTES,
    ImportOptions,
    Incoming,
    Skipped,
    place_of,
    require_text,
    space_from,
    stand_in_hash,
    unit_vectors,
    vector_alone,
)
from lookalike.exchange.parquet import WRITING
from lookalike.exchange.selection import Piece, Selection
from lookalike.exchange.tables import ParquetTable, cells, length_of, matrix
from lookalike.rows.parquet import arrow
from lookalike.types import FileEntry, FloatArray, as_text

PHOTOS, CONVERSIONS = "photos.parquet", "conversions.parquet"

Conversion = tuple[str, str | None]
"""A photo's id, and the keyword by which somebody found and downloaded it."""

_AT_ONCE = 50_000


def photos_schema() -> Any:
    """The columns of photos.parquet."""
    pa, _ = arrow()
    embed = pa.list_(pa.field("item", pa.float64()))
    text = pa.string()
    return pa.schema(
        [("id", pa.int64()), ("photo_id", text), ("photo_image_url", text), ("photo_embed", embed)]
    )


def conversions_schema() -> Any:
    """The columns of conversions.parquet."""
    pa, _ = arrow()
    return pa.schema([("id", pa.int64()), ("photo_id", pa.string()), ("keyword", pa.string())])


def write_photos(
    selection: Selection, folder: Path, conversions: Iterable[Conversion] | None
) -> None:
    """Write both files into a folder; no conversions.parquet where there are no conversions.

    A photo's id is its foreign id, or the record's where it has none. Of ``conversions`` only those
    of photos that are written are kept, in their order.
    """
    _, parquet = arrow()
    schema, photo_ids, number = photos_schema(), set[str](), 0
    with parquet.ParquetWriter(folder / PHOTOS, schema, **WRITING) as writer:
        for piece in selection.pieces():
            ids = [photo_id(row.files[0].foreign_id, str(row.record.id)) for row in piece.rows]
            photo_ids.update(ids)
            writer.write_batch(_batch(piece, ids, number, schema))
            number += len(ids)
    if conversions is not None:
        kept = ((one, word) for one, word in conversions if one in photo_ids)
        _write_conversions(kept, folder / CONVERSIONS)


def photo_id(foreign_id: str | None, record: str) -> str:
    """What a photo is called: by another table, or by us."""
    return record if foreign_id is None else foreign_id


def _batch(piece: Piece, ids: list[str], first: int, schema: Any) -> Any:
    pyarrow, _ = arrow()
    columns = [
        pyarrow.array(range(first, first + len(ids)), schema.field("id").type),
        pyarrow.array(ids, schema.field("photo_id").type),
        pyarrow.array(
            [as_text(row.files[0].path) for row in piece.rows],
            schema.field("photo_image_url").type,
        ),
        vectors_array(piece.vectors, schema.field("photo_embed").type),
    ]
    return pyarrow.record_batch(columns, schema=schema)


def _write_conversions(rows: Iterator[Conversion], path: Path) -> None:
    pyarrow, parquet = arrow()
    schema, number = conversions_schema(), 0
    with parquet.ParquetWriter(path, schema, **WRITING) as writer:
        while some := list(islice(rows, _AT_ONCE)):
            ids, words = zip(*some, strict=True)
            numbers = range(number, number + len(some))
            arrays = [
                pyarrow.array(values, field.type)
                for values, field in zip((numbers, ids, words), schema, strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
            number += len(some)


# -- in --------------------------------------------------------------------------------------------

_NEEDED = ("photo_id", "photo_embed")


def is_photos(table: ParquetTable) -> bool:
    """Whether a file has the columns of photos.parquet."""
    return set(_NEEDED) <= {*table.schema.names}


class PhotosParquet:
    """An Arrival: photos.parquet, whose vectors become records without pictures.

    A row's ``photo_id`` is its foreign id, and its ``photo_image_url`` its path, if it has one.
    """

    classes = 0

    def __init__(self, table: ParquetTable, options: ImportOptions) -> None:
        table.require(_NEEDED)
        self._table, self.name, self.rows = table, table.name, table.rows
        self.space = space_from(options, length_of(table, "photo_embed"), table.name)
        self._columns = [n for n in (*_NEEDED, "photo_image_url") if n in table.schema.names]
        self._normalise = options.normalise

    def check(self) -> None:
        """Go through everything; raises InputError for the first row that is not sound."""
        for _ in self.pieces():
            pass

    def pieces(self) -> Iterator[Sequence[Incoming | Skipped]]:
        """All rows, a thousand at a time."""
        for first, batch in self._table.batches(self._columns):
            vectors = unit_vectors(
                matrix(batch.column("photo_embed"), self.space.dim, f"{self.name}: photo_embed"),
                self.name,
                first,
                normalise=self._normalise,
            )
            ids = cells(batch.column("photo_id"), f"{self.name}: photo_id", MOST_TEXT_BYTES)
            urls: list[Any] = [None] * len(ids)
            if "photo_image_url" in self._columns:
                column = batch.column("photo_image_url")
                urls = cells(column, f"{self.name}: photo_image_url", MOST_TEXT_BYTES)
            yield [
                self._incoming(*row, f"{self.name}: row {first + number}")
                for number, row in enumerate(zip(ids, urls, vectors, strict=True))
            ]

    def _incoming(self, photo: Any, url: Any, vector: FloatArray, where: str) -> Incoming:
        if photo is None or photo == "":
            raise InputError(f"{where}: has no photo_id; leave that row out")
        name = require_text(str(photo), where)
        own = require_text(str(url), where) if url is not None else None
        entry = FileEntry(place_of(own, name, self._table.path), 0, 0, name)
        return Incoming((entry,), stand_in_hash(self.space, name), vector_alone(vector))
