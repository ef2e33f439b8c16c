"""What goes from process to process, as bytes: Arrow's stream format, a row per picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lookalike.pipeline import Analysed
from lookalike.rows.parquet import arrow
from lookalike.types import (
    ClassLogits,
    Features,
    FileEntry,
    ImageFacts,
    Outcome,
    Reason,
    SparseHistogram,
)

_KINDS = {
    "bytes": "int64", "mtime_ns": "int64", "width": "int64", "height": "int64", "phash": "uint64",
    "latitude": "float64", "longitude": "float64", "kept": "bool",
}  # fmt: skip
"""Arrow types of columns that are not bytes."""

_ENTRY = ("path", "bytes", "mtime_ns", "foreign_id", "validator")
_OUTCOME = (*_ENTRY, "content_hash", "reason", "detail", "kept")
_FACTS = ("width", "height", "format", "taken_at", "camera", "latitude", "longitude")
_SEEN = (*_FACTS, "phash", "bins", "counts", "thumbnail", "pixels", "vector", "classes", "logits")

Packed = bytes
"""Some pictures as bytes: entries, or what was made of them."""


def pack_entries(entries: Iterable[FileEntry]) -> Packed:
    """Entries as bytes."""
    return _packed([_entry_row(entry) for entry in entries], _ENTRY)


def unpack_entries(packed: Packed) -> list[FileEntry]:
    """The entries again."""
    return [_entry(row) for row in _rows(packed)]


def pack(items: Iterable[Analysed | Outcome]) -> Packed:
    """Pictures as bytes that are read, or read and encoded."""
    return _packed([_row(item) for item in items], (*_OUTCOME, *_SEEN))


def unpack(packed: Packed) -> list[Analysed | Outcome]:
    """The pictures again."""
    return [_item(row) for row in _rows(packed)]


# -- bytes -----------------------------------------------------------------------------------------


def _packed(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Packed:
    pa, _ = arrow()
    schema = pa.schema([(name, _KINDS.get(name, "binary")) for name in names])
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def _rows(packed: Packed) -> list[dict[str, Any]]:
    pa, _ = arrow()
    with pa.ipc.open_stream(packed) as reader:
        rows: list[dict[str, Any]] = reader.read_all().to_pylist()
    return rows


def _text(text: str | None) -> bytes | None:
    """Text as bytes; half surrogates, by which paths keep undecodable bytes, are kept."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _of_text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogatepass")


# -- rows ------------------------------------------------------------------------------------------


def _entry_row(entry: FileEntry) -> dict[str, Any]:
    return {
        "path": _text(entry.path),
        "bytes": entry.bytes,
        "mtime_ns": entry.mtime_ns,
        "foreign_id": _text(entry.foreign_id),
        "validator": _text(entry.validator),
    }


def _entry(row: Mapping[str, Any]) -> FileEntry:
    return FileEntry(
        _of_text(row["path"]) or "",
        row["bytes"],
        row["mtime_ns"],
        _of_text(row["foreign_id"]),
        _of_text(row["validator"]),
    )


def _row(item: Analysed | Outcome) -> dict[str, Any]:
    row = {**_entry_row(item.entry), "content_hash": item.content_hash}
    if isinstance(item, Analysed):
        return {**row, **_seen_row(item), "pixels": item.pixels.tobytes()}
    if item.features is not None:
        own = item.features
        row |= {**_seen_row(own), "vector": own.vector.astype("<f4").tobytes()}
        if own.logits is not None:
            row["classes"] = own.logits.classes.astype("<u2").tobytes()
            row["logits"] = own.logits.logits.astype("<f4").tobytes()
    reason = None if item.reason is None else item.reason.value
    return {**row, "reason": _text(reason), "detail": _text(item.detail), "kept": item.kept}


def _seen_row(seen: Analysed | Features) -> dict[str, Any]:
    facts, histogram = seen.facts, seen.histogram
    assert histogram is not None  # of a picture that was read
    return {
        "width": facts.width,
        "height": facts.height,
        "format": _text(facts.format),
        "taken_at": _text(facts.taken_at),
        "camera": _text(facts.camera),
        "latitude": facts.latitude,
        "longitude": facts.longitude,
        "phash": seen.phash,
        "bins": histogram.bins.astype("<u2").tobytes(),
        "counts": histogram.counts.astype("<u2").tobytes(),
        "thumbnail": seen.thumbnail,
    }


def _item(row: Mapping[str, Any]) -> Analysed | Outcome:
    entry, content_hash = _entry(row), row["content_hash"]
    if row["width"] is None:
        reason = _of_text(row["reason"])
        own = None if reason is None else Reason(reason)
        return Outcome(entry, content_hash, None, own, _of_text(row["detail"]) or "", row["kept"])
    facts = ImageFacts(
        row["width"],
        row["height"],
        _of_text(row["format"]) or "",
        _of_text(row["taken_at"]),
        _of_text(row["camera"]),
        row["latitude"],
        row["longitude"],
    )
    histogram = SparseHistogram(
        np.frombuffer(row["bins"], "<u2"), np.frombuffer(row["counts"], "<u2")
    )
    seen = (facts, histogram, row["phash"], row["thumbnail"])
    if row["pixels"] is not None:
        flat = np.frombuffer(row["pixels"], np.uint8)
        side = round((len(flat) / 3) ** 0.5)
        return Analysed(entry, content_hash, *seen, flat.reshape(side, side, 3))
    vector = np.frombuffer(row["vector"], "<f4")
    return Outcome(entry, content_hash, Features(*seen, vector, _logits(row)))


def _logits(row: Mapping[str, Any]) -> ClassLogits | None:
    if row["classes"] is None:
        return None
    classes = np.frombuffer(row["classes"], "<u2")
    return ClassLogits(classes, np.frombuffer(row["logits"], "<f4"))
