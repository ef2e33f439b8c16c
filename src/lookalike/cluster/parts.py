"""Parquet parts that workers write: each block its own, so that a block done again replaces it.

``data/part-NAME.parquet`` has records in our own layout (see ``exchange.columns``), as ``import``
takes in; ``ledger/part-NAME.parquet`` the pictures of the same block that could not be read, and
``ledger/passed-NUMBER.parquet`` what the scan passed over. NAME follows from the block's paths.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.errors import InputError, MissingExtraError, StorageError, one_line
from lookalike.exchange.columns import OWN_METADATA, batch_of, identity, schema_of
from lookalike.exchange.parquet import WRITING
from lookalike.exchange.selection import ExportOptions, Piece, Row
from lookalike.pipeline import batched
from lookalike.places import is_url
from lookalike.rows.parquet import arrow
from lookalike.stores.base import record_id
from lookalike.stores.run import FINAL_REASONS
from lookalike.types import FileEntry, Outcome, PassedOver, Reason, Record, Space, State, as_text
from lookalike.writing import write_whole

DATA, LEDGER = "data", "ledger"
PASSED_ROWS = 50_000
"""Rows of a part of what was passed over."""

Counts = Counter[tuple[State, Reason]]


@dataclass(frozen=True)
class Form:
    """What decides the columns of parts: all of our layout, a row per file."""

    space: Space
    shows_classes: bool
    options: ExportOptions = ExportOptions(by="files").whole
    by: str = "files"


@dataclass(frozen=True)
class PartsFolder:
    """A folder on disk that all workers see, or a place in an object store like ``s3://b/parts``.

    Raises MissingExtraError without fsspec, InputError for a place that it cannot use.
    """

    place: str

    @property
    def is_local(self) -> bool:
        return "://" not in self.place

    def filesystem(self) -> tuple[Any, str]:
        """The file system of the place, by fsspec, and the path in it."""
        try:
            import fsspec
        except ImportError as error:
            raise MissingExtraError("a folder of parts", "ray") from error
        try:
            system, root = fsspec.core.url_to_fs(self.place)
        except (ImportError, ValueError) as error:
            raise InputError(f"{self.place}: {one_line(error)}") from error
        return system, str(root)

    def begin(self) -> None:
        """Make the folders if they are not there, and clear away what lost workers left."""
        system, root = self.filesystem()
        with self._writing():
            for name in (DATA, LEDGER):
                system.makedirs(f"{root}/{name}", exist_ok=True)
        if self.is_local:
            for left in (one for name in (DATA, LEDGER) for one in Path(root, name).glob(".*")):
                left.unlink(missing_ok=True)

    def files(self, kind: str) -> list[str]:
        """The parts of a kind, by name."""
        system, root = self.filesystem()
        return sorted(str(one) for one in system.glob(f"{root}/{kind}/*.parquet"))

    def write(self, name: str, data: bytes | None) -> None:
        """Put a file in place whole, or take it away if there is nothing for it."""
        system, root = self.filesystem()
        path = f"{root}/{name}"
        with self._writing():
            if data is None:
                with contextlib.suppress(FileNotFoundError):
                    system.rm_file(path)
            elif self.is_local:
                write_whole(Path(path), lambda file: file.write(data))
            else:
                system.pipe_file(path, data)  # an object is there whole, or not

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or one_line(error)
            raise StorageError(
                f"{self.place}: parts cannot be written ({why}); name another place"
            ) from error


# -- writing ---------------------------------------------------------------------------------------


def part_name(outcomes: Sequence[Outcome]) -> str:
    """The name of the part of these pictures: it follows from their paths, in any order."""
    paths = sorted(as_text(one.entry.path) for one in outcomes)
    return f"part-{hashlib.sha256(json.dumps(paths).encode()).hexdigest()[:32]}"


def write_part(folder: PartsFolder, outcomes: Sequence[Outcome], form: Form) -> Counts:
    """Write what the pictures of a block gave; returns how many became what."""
    name = part_name(outcomes)
    seen = [one for one in outcomes if one.features is not None]
    refused = [_refusal(one) for one in outcomes if one.features is None]
    folder.write(f"{DATA}/{name}.parquet", records_file(seen, form) if seen else None)
    folder.write(f"{LEDGER}/{name}.parquet", ledger_file(refused) if refused else None)
    counts = Counter((row.passed.state, row.passed.reason) for row in refused)
    return counts + Counter({(State.INDEXED, Reason.NEW): len(seen)})


def write_passed(folder: PartsFolder, passed: Iterable[PassedOver]) -> Counts:
    """Write what a scan passed over; what an earlier run wrote of it goes."""
    counts: Counts = Counter()
    written = set()
    for number, some in enumerate(batched(passed, PASSED_ROWS)):
        name = f"{LEDGER}/passed-{number:05d}.parquet"
        folder.write(name, ledger_file([_LedgerRow(one) for one in some]))
        written.add(os.path.basename(name))
        counts.update((one.state, one.reason) for one in some)
    for path in folder.files(LEDGER):
        name = os.path.basename(path)
        if name.startswith("passed-") and name not in written:
            folder.write(f"{LEDGER}/{name}", None)
    return counts


def records_file(seen: Sequence[Outcome], form: Form) -> bytes:
    """A Parquet file of our own layout with pictures that were read."""
    pa, parquet = arrow()
    schema = schema_of(form)
    sink = pa.BufferOutputStream()
    with parquet.ParquetWriter(sink, schema, **WRITING) as writer:
        writer.write_batch(batch_of(_piece(seen), schema))
    made: bytes = sink.getvalue().to_pybytes()
    return made


def _piece(seen: Sequence[Outcome]) -> Piece:
    features = [one.features for one in seen if one.features is not None]
    logits = [own.logits for own in features]
    return Piece(
        [_record_row(one, place) for place, one in enumerate(seen)],
        np.stack([own.vector for own in features]),
        [None if own is None else own.classes for own in logits],
        [None if own is None else own.logits for own in logits],
        [own.thumbnail for own in features],
        [own.histogram for own in features],
    )


def _record_row(one: Outcome, place: int) -> Row:
    entry, own, content_hash = one.entry, one.features, one.content_hash
    assert own is not None
    assert content_hash is not None
    record = Record(
        record_id(content_hash), content_hash, entry.bytes, own.facts, own.phash, (entry.path,)
    )
    return Row(record, (entry,), (), place)


@dataclass(frozen=True, slots=True)
class _LedgerRow:
    passed: PassedOver
    entry: FileEntry | None = None


def _refusal(one: Outcome) -> _LedgerRow:
    reason = one.reason or Reason.READ_ERROR
    return _LedgerRow(PassedOver(one.entry.path, State.UNREADABLE, reason, one.detail), one.entry)


def ledger_file(rows: Sequence[_LedgerRow]) -> bytes:
    """A Parquet file of what did not become records, as the ledger has it."""
    pa, parquet = arrow()
    table = pa.table(
        {
            "path": pa.array([as_text(row.passed.path) for row in rows], pa.string()),
            "bytes": pa.array([row.entry and row.entry.bytes for row in rows], pa.int64()),
            "mtime_ns": pa.array([row.entry and row.entry.mtime_ns for row in rows], pa.int64()),
            "state": pa.array([row.passed.state.value for row in rows], pa.string()),
            "reason": pa.array([row.passed.reason.value for row in rows], pa.string()),
            "detail": pa.array([as_text(row.passed.detail) for row in rows], pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, **WRITING)
    made: bytes = sink.getvalue().to_pybytes()
    return made


# -- what is there already -------------------------------------------------------------------------


class KnownPictures:
    """What the parts of a folder have, in a temporary file; a run that goes on leaves it out.

    Raises InputError where they have vectors of another space.
    """

    def __init__(self, folder: PartsFolder, space: Space, *, retry: bool = False) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE known (path TEXT PRIMARY KEY, bytes INTEGER, mtime_ns INTEGER)"
            " WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        data = folder.files(DATA)
        if data:
            _require_space(folder, data[0], space)
        for path in data:
            self._enter(_columns(folder, path, ["path", "bytes", "mtime_ns"]))
        for path in folder.files(LEDGER) if not retry else ():
            names = ["path", "bytes", "mtime_ns", "reason"]
            final = (row[:3] for row in _columns(folder, path, names) if row[3] in FINAL_REASONS)
            self._enter(final)

    def _enter(self, rows: Iterable[Sequence[Any]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", rows)

    def __contains__(self, entry: FileEntry) -> bool:
        row = self._db.execute(
            "SELECT bytes, mtime_ns FROM known WHERE path = ?", (as_text(entry.path),)
        ).fetchone()
        if row is None:
            return False
        return is_url(entry.path) or row == (entry.bytes, entry.mtime_ns)

    def close(self) -> None:
        self._db.close()


def _require_space(folder: PartsFolder, path: str, space: Space) -> None:
    _, parquet = arrow()
    system, _ = folder.filesystem()
    with system.open(path, "rb") as file:
        metadata = parquet.read_schema(file).metadata or {}
    try:
        said = json.loads(metadata[OWN_METADATA.encode()])["space"]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is no part of lookalike's; name another folder") from error
    if said != identity(space):
        raise InputError(
            f"{folder.place}: its parts have vectors of {said.get('encoder')}"
            f" {str(said.get('weights_digest'))[:12]}, not of {space.name}"
            f" {space.weights_digest[:12]}; name another folder"
        )


def _columns(folder: PartsFolder, path: str, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    _, parquet = arrow()
    system, _ = folder.filesystem()
    with system.open(path, "rb") as file:
        for batch in parquet.ParquetFile(file).iter_batches(columns=names):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
