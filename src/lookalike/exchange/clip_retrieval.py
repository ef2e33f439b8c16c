"""The folder that clip-retrieval makes and reads, both ways.

After ``clip_retrieval/clip_inference/writer.py`` of rom1504/clip-retrieval: ``img_emb/`` has
``img_emb_0.npy`` with float16 (n, dim), ``metadata/`` has ``metadata_0.parquet`` with a row for
each of its rows: ``image_path``, ``caption`` and what else is known. Numbers are padded with zeros
to one length. Some keep both kinds of files in one folder, which is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
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
from lookalike.exchange.seen import Made, lies_here, made_together, seen
from lookalike.exchange.selection import PIECE, Piece, Row, Selection
from lookalike.exchange.tables import ParquetTable, cells
from lookalike.places import is_url
from lookalike.rows.parquet import arrow
from lookalike.types import FileEntry, FloatArray, as_text

VECTORS, METADATA = "img_emb", "metadata"

_NUMBER = re.compile(r"img_emb_(\d+)\.npy")

# -- out -------------------------------------------------------------------------------------------


def write_clip_retrieval(selection: Selection, folder: Path) -> None:
    """Write the folder that ``clip-retrieval`` takes: vectors as float16, metadata beside them."""
    for name in (VECTORS, METADATA):
        (folder / name).mkdir()
    most = selection.options.rows_per_file
    parts = -(-selection.count // most)
    for number, rows in enumerate(_parts(selection, most)):
        _write_part(rows, folder, f"{number:0{len(str(parts))}d}")


def _parts(selection: Selection, most: int) -> Iterator[list[Piece]]:
    """Pieces whose rows together are about ``most``; a record's rows stay together."""
    held: list[Piece] = []
    for piece in selection.pieces(min(PIECE, most)):
        if held and sum(len(one.rows) for one in held) + len(piece.rows) > most:
            yield held
            held = []
        held.append(piece)
    yield held


def _write_part(pieces: Sequence[Piece], folder: Path, number: str) -> None:
    pyarrow, parquet = arrow()
    halves: list[NDArray[np.float16]] = [piece.vectors.astype(np.float16) for piece in pieces]
    path = folder / VECTORS / f"{VECTORS}_{number}.npy"
    np.save(path, np.concatenate(halves), allow_pickle=False)
    rows = [_described(row) for piece in pieces for row in piece.rows]
    schema = pyarrow.schema([(name, pyarrow.string()) for name in rows[0]])
    table = pyarrow.Table.from_pylist(rows, schema)
    path = folder / METADATA / f"{METADATA}_{number}.parquet"
    parquet.write_table(table, path, **WRITING)


def _described(row: Row) -> dict[str, str | None]:
    entry = row.files[0]
    path = as_text(entry.path)
    return {
        "image_path": path,
        "caption": ", ".join(dict.fromkeys(label.name for label in row.labels)),
        "url": path if is_url(path) else None,
        "id": str(row.record.id),
        "foreign_id": entry.foreign_id,
    }


# -- in --------------------------------------------------------------------------------------------

_COLUMNS = ("image_path", "url", "foreign_id")


def is_clip_retrieval(folder: Path) -> bool:
    """Whether a folder has files of vectors as clip-retrieval names them."""
    return bool(_vector_files(folder))


class ClipRetrieval:
    """An Arrival: a folder of clip-retrieval.

    What lies at an ``image_path`` is read, for its content, colours and thumbnail; other rows
    become records of their vector alone.
    """

    classes = 0

    def __init__(self, folder: Path, options: ImportOptions) -> None:
        self.name, self._folder, self._options = str(folder), folder, options
        self._parts = [_Part(path) for path in _vector_files(folder)]
        self.rows = sum(part.rows for part in self._parts)
        dims = {part.vectors.shape[1]: part.name for part in self._parts}
        if len(dims) > 1:
            raise InputError(f"{folder}: has vectors of {sorted(dims)} numbers; import one kind")
        self.space = space_from(options, next(iter(dims)), self.name)

    def check(self) -> None:
        """Go through all vectors and names; raises InputError for the first unsound row."""
        for part in self._parts:
            for _ in part.read(normalise=self._options.normalise):
                pass

    def pieces(self) -> Iterator[Sequence[Incoming | Skipped]]:
        """All rows, some at a time."""
        return made_together(self._made())

    def _made(self) -> Iterator[Made]:
        for part in self._parts:
            for row, vector in part.read(normalise=self._options.normalise):
                yield partial(self._incoming, row, vector)

    def _incoming(self, row: Mapping[str, str | None], vector: FloatArray) -> Incoming | Skipped:
        path, url = row.get("image_path"), row.get("url")
        name = row.get("foreign_id") or path or url or ""
        if path and path.startswith("/") and lies_here(path):
            return seen(path, vector, row.get("foreign_id"))
        entry = FileEntry(place_of(url or path, name, self._folder), 0, 0, name)
        return Incoming((entry,), stand_in_hash(self.space, name), vector_alone(vector))


class _Part:
    """One file of vectors and the metadata of its rows."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.vectors = _array(path)
        self.rows = len(self.vectors)
        self._table = ParquetTable(_metadata_of(path))
        if self._table.rows != self.rows:
            raise InputError(
                f"{self._table.name}: has {self._table.rows:,} rows, {path.name} {self.rows:,};"
                " they belong to different runs"
            )
        self._columns = [name for name in _COLUMNS if name in self._table.schema.names]
        if not {"image_path", "url"} & {*self._columns}:
            raise InputError(f"{self._table.name}: has neither image_path nor url; add one")

    def read(self, *, normalise: bool) -> Iterator[tuple[dict[str, str | None], FloatArray]]:
        """What is said of every row, and its vector."""
        for first, batch in self._table.batches(self._columns):
            some = np.asarray(self.vectors[first : first + batch.num_rows])
            vectors = unit_vectors(some, self.name, first, normalise=normalise)
            columns = [
                cells(batch.column(name), f"{self._table.name}: {name}", MOST_TEXT_BYTES)
                for name in self._columns
            ]
            for number, (row, vector) in enumerate(
                zip(zip(*columns, strict=True), vectors, strict=True)
            ):
                where = f"{self._table.name}: row {first + number}"
                yield _named(dict(zip(self._columns, row, strict=True)), where), vector


def _named(row: Mapping[str, Any], where: str) -> dict[str, str | None]:
    said = {
        name: require_text(str(value), where) if value not in (None, "") else None
        for name, value in row.items()
    }
    if not said.get("image_path") and not said.get("url"):
        raise InputError(f"{where}: has neither image_path nor url; leave that row out")
    return said


def _vector_files(folder: Path) -> list[Path]:
    below = folder / VECTORS if (folder / VECTORS).is_dir() else folder
    found = [path for path in below.glob(f"{VECTORS}_*.npy") if _NUMBER.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.stem.rpartition("_")[2]))


def _metadata_of(path: Path) -> Path:
    name = f"{METADATA}_{path.stem.rpartition('_')[2]}.parquet"
    beside = (
        path.parent.parent / METADATA / name if path.parent.name == VECTORS else path.parent / name
    )
    if not beside.is_file():
        raise InputError(f"{beside}: missing, and {path.name} alone does not say what it is of")
    return beside


def _array(path: Path) -> NDArray[np.floating[Any]]:
    """A file of vectors, mapped; InputError for anything else. Nothing is unpickled."""
    try:
        vectors: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if vectors.ndim != 2 or vectors.dtype.kind != "f" or 0 in vectors.shape:
            raise ValueError(f"{vectors.dtype} {vectors.shape}")
    except (ValueError, OSError, EOFError, AttributeError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise InputError(f"{path}: is no NumPy file of vectors ({said}); make it anew") from error
    return vectors
