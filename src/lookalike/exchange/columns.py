"""The columns of our own layout: names, types, what Hugging Face's ``datasets`` makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lookalike.exchange.selection import ExportOptions, Piece, Row
from lookalike.rows.parquet import arrow
from lookalike.types import FloatArray, Space, as_text
from lookalike.version import __version__

FORMAT = 1
"""Of the layout; a reader refuses what is newer."""

OWN_METADATA, HUB_METADATA = "lookalike", "huggingface"
"""Keys of the schema's metadata: what a file is, in JSON; and the features for ``datasets``."""


def identity(space: Space) -> dict[str, Any]:
    """A space as plain values."""
    return {
        "encoder": space.encoder,
        "weights_digest": space.weights_digest,
        "preprocessing": space.preprocessing,
        "dim": space.dim,
    }


class Form(Protocol):
    """What decides the columns of an export; a Selection has it."""

    @property
    def space(self) -> Space: ...

    @property
    def by(self) -> str: ...

    @property
    def options(self) -> ExportOptions: ...

    @property
    def shows_classes(self) -> bool: ...


def schema_of(selection: Form) -> Any:
    """The Arrow schema of an export, with its metadata."""
    pyarrow, _ = arrow()
    fields = _fields(pyarrow, selection)
    about = {
        "format": FORMAT,
        "version": __version__,
        "by": selection.by,
        "space": identity(selection.space),
    }
    features = {"info": {"features": {field.name: feature(field.type) for field in fields}}}
    for field in fields:
        if field.name == "thumbnail":
            features["info"]["features"]["thumbnail"] = {"_type": "Image"}
    metadata = {OWN_METADATA: json.dumps(about), HUB_METADATA: json.dumps(features)}
    return pyarrow.schema(fields, metadata)


def _fields(pa: Any, selection: Form) -> list[Any]:
    options = selection.options
    number = pa.float16() if options.half else pa.float32()
    columns = {"id": pa.string(), "content_hash": pa.string(), "foreign_id": pa.string()}
    if options.paths:
        columns |= {"path": pa.string(), "mtime_ns": pa.int64()}
        if selection.by == "records":
            columns |= {
                "other_paths": pa.list_(pa.string()),
                "other_mtimes_ns": pa.list_(pa.int64()),
            }
    columns |= {
        "width": pa.int32(),
        "height": pa.int32(),
        "format": pa.string(),
        "taken": pa.string(),
        "camera": pa.string(),
        "latitude": pa.float64(),
        "longitude": pa.float64(),
        "bytes": pa.int64(),
        "phash": pa.uint64(),
        "labels": pa.list_(pa.string()),
        "label_sources": pa.list_(pa.string()),
        "label_confidences": pa.list_(pa.float64()),
    }
    if selection.shows_classes:
        columns |= {"classes": pa.list_(pa.uint16()), "logits": pa.list_(pa.float32())}
    if options.thumbnails:
        columns["thumbnail"] = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    if options.histograms:
        columns |= {
            "histogram_bins": pa.list_(pa.uint16()),
            "histogram_counts": pa.list_(pa.uint16()),
        }
    columns["embedding"] = pa.list_(number, selection.space.dim)
    return [pa.field(name, kind) for name, kind in columns.items()]


def feature(kind: Any) -> dict[str, Any]:
    """An Arrow type as ``datasets`` writes its features down; lists in the form all versions read.

    (``Features.to_dict`` of the ``datasets`` library, versions 2 to 5.)
    """
    pyarrow, _ = arrow()
    if pyarrow.types.is_fixed_size_list(kind):
        inner = feature(kind.value_type)
        return {"feature": inner, "length": kind.list_size, "_type": "Sequence"}
    if pyarrow.types.is_list(kind):
        return {"feature": feature(kind.value_type), "_type": "Sequence"}
    if pyarrow.types.is_struct(kind):
        return {"_type": "Image"}
    name = {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind))
    return {"dtype": name or str(kind), "_type": "Value"}


def batch_of(piece: Piece, schema: Any) -> Any:
    """A piece as a record batch of the schema."""
    pyarrow, _ = arrow()
    made = columns_of(piece)
    arrays = [
        vectors_array(piece.vectors, field.type)
        if field.name == "embedding"
        else pyarrow.array(made[field.name], field.type)
        for field in schema
    ]
    return pyarrow.record_batch(arrays, schema=schema)


def vectors_array(vectors: FloatArray, kind: Any) -> Any:
    """Vectors (n, dim) as an array of a type of lists: of fixed size, or of any."""
    pyarrow, _ = arrow()
    count, dim = vectors.shape
    flat = np.ascontiguousarray(vectors, kind.value_type.to_pandas_dtype()).ravel()
    values = pyarrow.array(flat, kind.value_type)
    if pyarrow.types.is_fixed_size_list(kind):
        return pyarrow.FixedSizeListArray.from_arrays(values, type=kind)
    offsets = pyarrow.array(np.arange(0, (count + 1) * dim, dim, dtype=np.int32))
    return pyarrow.ListArray.from_arrays(offsets, values, type=kind)


def columns_of(piece: Piece) -> dict[str, list[Any]]:
    """A piece by column, all but the vectors; more than every schema has."""
    rows = piece.rows
    return {
        **fact_columns(rows),
        "content_hash": [row.record.content_hash.hex() for row in rows],
        "mtime_ns": [row.files[0].mtime_ns for row in rows],
        "other_paths": [[as_text(one.path) for one in row.files[1:]] for row in rows],
        "other_mtimes_ns": [[one.mtime_ns for one in row.files[1:]] for row in rows],
        "phash": [row.record.phash for row in rows],
        "labels": [[label.name for label in row.labels] for row in rows],
        "label_sources": [[label.source for label in row.labels] for row in rows],
        "label_confidences": [[label.confidence for label in row.labels] for row in rows],
        "classes": list(piece.classes),
        "logits": list(piece.logits),
        "thumbnail": [
            None if jpeg is None else {"bytes": jpeg, "path": f"{row.record.id}.jpg"}
            for row, jpeg in zip(rows, piece.thumbnails, strict=True)
        ],
        "histogram_bins": [None if one is None else one.bins for one in piece.histograms],
        "histogram_counts": [None if one is None else one.counts for one in piece.histograms],
    }


def fact_columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """What is said of rows in plain values: numbers, text, None where it is not known."""
    facts = [row.record.facts for row in rows]
    return {
        "id": [str(row.record.id) for row in rows],
        "foreign_id": [row.files[0].foreign_id for row in rows],
        "path": [as_text(row.files[0].path) for row in rows],
        "width": [one.width for one in facts],
        "height": [one.height for one in facts],
        "format": [one.format for one in facts],
        "taken": [one.taken_at for one in facts],
        "camera": [one.camera for one in facts],
        "latitude": [one.latitude for one in facts],
        "longitude": [one.longitude for one in facts],
        "bytes": [row.record.bytes for row in rows],
    }
