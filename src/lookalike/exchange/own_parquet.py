"""Our own Parquet files, back into rows: what ``parquet`` wrote, checked against all it must be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lookalike.errors import InputError
from lookalike.exchange.columns import FORMAT, OWN_METADATA
from lookalike.exchange.incoming import (
    ImportOptions,
    Incoming,
    Skipped,
    place_of,
    require_histogram,
    require_logits,
    require_space_name,
    require_text,
    require_thumbnail,
    unit_vectors,
)
from lookalike.exchange.tables import ParquetTable, cells, matrix
from lookalike.stores.base import record_id
from lookalike.stores.labels import label_name
from lookalike.types import (
    LABEL_SOURCES,
    ClassLogits,
    Features,
    FileEntry,
    FloatArray,
    ImageFacts,
    Label,
    Space,
    SparseHistogram,
)

_NEEDED = (
    "id", "content_hash", "width", "height", "format", "bytes", "phash", "embedding"
)  # fmt: skip
_OPTIONAL = (
    "foreign_id", "path", "mtime_ns", "other_paths", "other_mtimes_ns", "taken", "camera",
    "latitude", "longitude", "labels", "label_sources", "label_confidences", "classes", "logits",
    "thumbnail", "histogram_bins", "histogram_counts",
)  # fmt: skip
_MOST_DIM = 65_536
_MOST_LABELS = 1_000
_BIGINT = 2**63


def is_own(table: ParquetTable) -> bool:
    """Whether a file says that it is of our own layout."""
    return OWN_METADATA.encode() in (table.schema.metadata or {})


class OwnParquet:
    """An Arrival: one file of our own layout."""

    def __init__(self, table: ParquetTable, options: ImportOptions) -> None:
        self._table, self.name, self.rows = table, table.name, table.rows
        self.space = _space(table)
        if options.encoder not in (None, self.space.encoder):
            raise InputError(
                f"{self.name}: its vectors were made by {self.space.encoder}, not by"
                f" {options.encoder}; leave --encoder out"
            )
        table.require(_NEEDED)
        self._columns = [n for n in (*_NEEDED, *_OPTIONAL) if n in table.schema.names]
        self._normalise = options.normalise
        self.classes = 0

    def check(self) -> None:
        """Go through everything; raises InputError for the first row that is not sound."""
        for piece in self.pieces():
            for row in piece:
                if isinstance(row, Incoming) and row.features.thumbnail is not None:
                    require_thumbnail(row.features.thumbnail, f"{self.name}: {row.entries[0].path}")

    def pieces(self) -> Iterator[Sequence[Incoming | Skipped]]:
        """All rows, a thousand at a time."""
        for first, batch in self._table.batches(self._columns):
            named = {name: batch.column(name) for name in self._columns}
            vectors = unit_vectors(
                matrix(named.pop("embedding"), self.space.dim, f"{self.name}: column 'embedding'"),
                self.name,
                first,
                normalise=self._normalise,
            )
            columns = {
                name: cells(column, f"{self.name}: column {name!r}")
                for name, column in named.items()
            }
            rows = (
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            )
            yield [
                self._incoming(row, vector, f"{self.name}: row {first + number}")
                for number, (row, vector) in enumerate(zip(rows, vectors, strict=True))
            ]

    def _incoming(self, row: Mapping[str, Any], vector: FloatArray, where: str) -> Incoming:
        content_hash = _content_hash(row, where)
        features = Features(
            _facts(row, where),
            _histogram(row, where),
            _whole(row, "phash", where, 2 * _BIGINT),
            (row.get("thumbnail") or {}).get("bytes"),
            vector,
            self._logits(row, where),
        )
        return Incoming(self._entries(row, where), content_hash, features, _labels(row, where))

    def _entries(self, row: Mapping[str, Any], where: str) -> tuple[FileEntry, ...]:
        size, foreign = _whole(row, "bytes", where), _text(row, "foreign_id", where)
        first = place_of(_text(row, "path", where), foreign or row["id"], self._table.path)
        mtime = _whole(row, "mtime_ns", where) if row.get("mtime_ns") is not None else 0
        others = zip(row.get("other_paths") or (), row.get("other_mtimes_ns") or (), strict=False)
        further = tuple(
            FileEntry(require_text(path, where), size, _whole({"mtime_ns": at}, "mtime_ns", where))
            for path, at in others
        )
        return FileEntry(first, size, mtime, foreign), *further

    def _logits(self, row: Mapping[str, Any], where: str) -> ClassLogits | None:
        if row.get("classes") is None or row.get("logits") is None:
            return None
        classes = np.array(row["classes"], np.uint16)
        logits = np.array(row["logits"], np.float32)
        self.classes = self.classes or len(classes)
        require_logits(classes, logits, self.classes, self.space, where)
        return ClassLogits(classes, logits)


@dataclass(frozen=True, slots=True)
class _About:
    """What a file's metadata say."""

    format: int
    space: Mapping[str, Any]


def _space(table: ParquetTable) -> Space:
    try:
        said = json.loads(table.schema.metadata[OWN_METADATA.encode()])
        about = _About(said["format"], said["space"])
        if about.format > FORMAT:
            raise InputError(f"{table.name}: was written by a newer lookalike; upgrade")
        space = Space(**about.space)
        texts = (space.encoder, space.weights_digest, space.preprocessing)
        if not all(isinstance(text, str) and len(text) < 200 for text in texts):
            raise ValueError("names")
        if not (isinstance(space.dim, int) and 0 < space.dim <= _MOST_DIM):
            raise ValueError("dim")
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{table.name}: does not say soundly who made its vectors; export it anew"
        ) from error
    require_space_name(space.encoder)
    return space


def _content_hash(row: Mapping[str, Any], where: str) -> bytes:
    try:
        content_hash = bytes.fromhex(row["content_hash"])
        if len(content_hash) != 32 or str(record_id(content_hash)) != row["id"]:
            raise ValueError("another")
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{where}: its id does not follow from its content_hash; export it anew"
        ) from error
    return content_hash


def _facts(row: Mapping[str, Any], where: str) -> ImageFacts:
    return ImageFacts(
        _whole(row, "width", where),
        _whole(row, "height", where),
        _text(row, "format", where) or "",
        _text(row, "taken", where),
        _text(row, "camera", where),
        _degrees(row, "latitude", 90.0, where),
        _degrees(row, "longitude", 180.0, where),
    )


def _whole(row: Mapping[str, Any], name: str, where: str, below: int = _BIGINT) -> int:
    value = row.get(name)
    least = -below if name == "mtime_ns" else 0
    if not isinstance(value, int) or not least <= value < below:
        raise InputError(f"{where}: {name} is {value!r}; export it anew")
    return value


def _text(row: Mapping[str, Any], name: str, where: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{where}: {name} is no text; export it anew")
    return require_text(value, f"{where}: {name}")


def _degrees(row: Mapping[str, Any], name: str, most: float, where: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, float) or not -most <= value <= most:
        raise InputError(f"{where}: {name} is {value!r}, not within {most:g}; export it anew")
    return value


def _histogram(row: Mapping[str, Any], where: str) -> SparseHistogram | None:
    bins, counts = row.get("histogram_bins"), row.get("histogram_counts")
    if bins is None or counts is None:
        return None
    try:
        made = np.array(bins, np.uint16), np.array(counts, np.uint16)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{where}: its histogram is none; export it anew") from error
    return require_histogram(*made, where)


def _labels(row: Mapping[str, Any], where: str) -> tuple[Label, ...]:
    names = row.get("labels") or []
    sources, shares = row.get("label_sources"), row.get("label_confidences")
    sources = ["table"] * len(names) if sources is None else sources
    shares = [None] * len(names) if shares is None else shares
    if not len(names) == len(sources) == len(shares) <= _MOST_LABELS:
        raise InputError(f"{where}: labels, sources and confidences differ in number; export anew")
    return tuple(
        _label(name, source, share, where)
        for name, source, share in zip(names, sources, shares, strict=True)
    )


def _label(name: Any, source: Any, share: Any, where: str) -> Label:
    share = 1.0 if share is None else share
    if not isinstance(name, str) or not isinstance(share, float) or not 0.0 <= share <= 1.0:
        raise InputError(f"{where}: label {name!r} with confidence {share!r}; export it anew")
    return Label(label_name(name), share, None, source if source in LABEL_SOURCES else "table")
