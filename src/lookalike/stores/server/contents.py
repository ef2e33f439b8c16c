"""What a library holds, row by row, in a folder and on a server alike, so that they compare.

Rows are as ``layout`` has them. A checksum is the sum, modulo 2^64, of BLAKE2b of 8 bytes of every
row: in whatever order two sides give their rows, equal rows have equal sums.
"""

from __future__ import annotations

import itertools
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.stores import schema
from lookalike.stores.base import HistogramTable, VectorTable
from lookalike.stores.segments import HISTOGRAMS as HISTOGRAM_SERIES
from lookalike.stores.segments import vector_series
from lookalike.stores.server.engine import Engine, Row
from lookalike.stores.server.layout import (
    CLASSES,
    DECISIONS,
    FILES,
    HISTOGRAMS,
    LABELS,
    PARTS,
    RECORDS,
    RUNS,
    SETTINGS,
    SIDE_TABLES,
    SPACES,
    THUMBNAILS,
    Table,
    vectors_of,
)
from lookalike.stores.server.store import Shares
from lookalike.stores.side import described, quoted, side_tables_of, stored_name
from lookalike.types import Cell, ColumnKind, FloatArray, SideTable, Space

Keys = NDArray[np.bytes_]
"""Keys of rows of a fixed table, S25: the record's id, a number, and a byte that is not zero."""

IDENTITY = "library id"
"""The setting that tells a library from others: a UUID, made when it is first pushed."""

PUSHED_FROM, PUSHED_VERSION = "pushed from", "pushed version"
OWN_SETTINGS = ("format", "version", IDENTITY, PUSHED_FROM, PUSHED_VERSION)
"""Settings that belong to a place, not to what is in it."""

PAGE = 1_000


class Contents(Protocol):
    """All that a library holds, of some of its spaces."""

    def keys(self, table: Table) -> Keys:
        """The keys of a table whose rows never change, in no order."""

    def rows(self, table: Table, only: Keys | None = None) -> Iterator[Row]:
        """Rows of a table: those with keys among ``only`` or all, in the order of its key."""

    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""

    def side_rows(self, table: SideTable) -> Iterator[tuple[Cell, ...]]:
        """The rows of a side table, in no order."""


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows a table has, and their checksum (0 where it was not asked for)."""

    rows: int
    checksum: int = 0

    def __str__(self) -> str:
        return f"{self.rows:,} rows, checksum {self.checksum:016x}"


def sum_of(digests: Iterable[bytes], advance: Callable[[int], None] = lambda rows: None) -> Sum:
    """The sum over the bytes of rows; ``advance`` hears of every so many."""
    count = total = 0
    for data in digests:
        total += int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
        count += 1
        if count % PAGE == 0:
            advance(PAGE)
    advance(count % PAGE)
    return Sum(count, total % 2**64)


def row_bytes(table: Table) -> Callable[[Row], bytes]:
    """What writes a row of a table as bytes, all but ``shares``, which follow from logits."""
    parts = [
        (place, _BYTES_OF[column.kind])
        for place, column in enumerate(table.columns)
        if column.name != "shares"
    ]

    def written(row: Row) -> bytes:
        own = [b"" if row[place] is None else b"\1" + of(row[place]) for place, of in parts]
        return b"".join(struct.pack("<I", len(one)) + one for one in own)

    return written


def side_bytes(row: Sequence[Cell]) -> bytes:
    """A row of a side table as bytes: Python's own notation of it tells all cells apart."""
    text = repr(tuple(row))
    if "\\x00" in text:  # PostgreSQL has no text with a zero byte, and gets an escape for it
        text = repr(tuple(c.replace("\0", "\\x00") if isinstance(c, str) else c for c in row))
    return text.encode("utf-8", "surrogatepass")


def _text_bytes(text: str) -> bytes:
    """PostgreSQL has no text with a zero byte, and gets an escape for it."""
    return text.replace("\0", "\\x00").encode("utf-8", "surrogatepass")


_BYTES_OF: dict[str, Callable[[Any], bytes]] = {
    "id": lambda id_: bytes(id_.bytes),
    "bytes": bytes,
    "text": _text_bytes,
    "integer": struct.Struct("<q").pack,
    "real": lambda number: struct.pack("<d", float(number)),
    "integers": lambda numbers: np.asarray(numbers, "<i4").tobytes(),
    "reals": lambda numbers: np.asarray(numbers, "<f4").tobytes(),
    "vector": lambda vector: np.asarray(vector, "<f2").tobytes(),
    "histogram": lambda own: own.bins.astype("<u2").tobytes() + own.counts.astype("<u2").tobytes(),
}


def _keys(pairs: Iterable[tuple[bytes, int]]) -> Keys:
    joined = b"".join(id_ + number.to_bytes(8, "big") + b"\1" for id_, number in pairs)
    return np.frombuffer(joined, "S25")


def key_of(table: Table, row: Row) -> bytes:
    """The key of a row of a fixed table, as ``Keys`` have it."""
    number = row[1] if table in (RECORDS, CLASSES) else 0
    return bytes(row[0].bytes + number.to_bytes(8, "big") + b"\1")


def id_of(key: bytes) -> UUID:
    """The id in a key."""
    return UUID(bytes=key[:16])


# -- in a folder -----------------------------------------------------------------------------------


class Numbers(Protocol):
    """What a folder's store has in files."""

    def vectors(self, space: Space) -> VectorTable:
        """All committed vectors of a space."""

    def histograms(self) -> HistogramTable:
        """All committed histograms."""


class FolderContents:
    """What a library in a folder holds; of one commit within ``snapshot``."""

    def __init__(
        self, db: sqlite3.Connection, numbers: Numbers, spaces: Sequence[Space], shares: Shares
    ) -> None:
        self._db, self._numbers, self._shares = db, numbers, shares
        self._spaces = {vectors_of(space).name: space for space in spaces}
        names = ", ".join("'" + space.name.replace("'", "''") + "'" for space in spaces)
        self._own = f"(SELECT id FROM spaces WHERE name IN ({names}))"

    def snapshot(self) -> AbstractContextManager[None]:
        """Reads within see one commit."""
        return schema.snapshot(self._db)

    def keys(self, table: Table) -> Keys:
        if table.name in self._spaces:
            vectors = self._numbers.vectors(self._spaces[table.name])
            rows = self._kept(vector_series(self._spaces[table.name]), vectors)
            return _keys((id_.tobytes(), 0) for id_ in vectors.ids[rows])
        if table is HISTOGRAMS:
            histograms = self._numbers.histograms()
            rows = self._kept(HISTOGRAM_SERIES, histograms)
            return _keys((id_.tobytes(), 0) for id_ in histograms.ids[rows])
        query = _FOLDER_KEYS[table.name].format(own=self._own)
        return _keys(self._db.execute(query))

    def rows(self, table: Table, only: Keys | None = None) -> Iterator[Row]:
        wanted = None if only is None else set(only.tolist())
        for row in self._all(table):
            if wanted is None or key_of(table, row) in wanted:
                yield row

    def _all(self, table: Table) -> Iterator[Row]:
        if table.name in self._spaces:
            return self._vectors(self._spaces[table.name])
        if table is HISTOGRAMS:
            return self._histograms()
        query = _FOLDER_ROWS[table.name].format(own=self._own)
        rows = self._db.execute(query, OWN_SETTINGS if table is SETTINGS else ())
        ids = [place for place, column in enumerate(table.columns) if column.kind == "id"]
        if table in (CLASSES, PARTS):
            return self._with_shares(rows)
        return (_with_ids(row, ids) for row in rows)

    def _kept(self, series: str, table: VectorTable | HistogramTable) -> NDArray[np.int64]:
        """Rows of a series that belong to a record; the first where there are several."""
        kept = np.ones(len(table.ids), bool)
        dead = self._db.execute("SELECT row FROM tombstones WHERE series = ?", (series,))
        kept[[row for (row,) in dead]] = False
        rows = np.flatnonzero(kept)
        _, first = np.unique(table.ids[rows].view("S16"), return_index=True)
        found: NDArray[np.int64] = rows[np.sort(first)]
        return found

    def _vectors(self, space: Space) -> Iterator[Row]:
        table = self._numbers.vectors(space)
        rows = self._kept(vector_series(space), table)
        ends = np.cumsum([len(part) for part in table.parts])
        for start in range(0, len(rows), PAGE):
            some = rows[start : start + PAGE]
            parts = np.searchsorted(ends, some, side="right")
            for row, part in zip(some.tolist(), parts.tolist(), strict=True):
                inner = row - (int(ends[part - 1]) if part else 0)
                yield UUID(bytes=table.ids[row].tobytes()), np.array(table.parts[part][inner])
        table.release()

    def _histograms(self) -> Iterator[Row]:
        table = self._numbers.histograms()
        for row in self._kept(HISTOGRAM_SERIES, table).tolist():
            yield UUID(bytes=table.ids[row].tobytes()), table.histogram(row)

    def _with_shares(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Rows that end with classes and logits, and then have their shares."""
        spaces = dict(self._db.execute("SELECT id, name FROM spaces"))
        known = {space.name: space for space in self._spaces.values()}
        for number, own in itertools.groupby(rows, key=lambda row: row[1]):
            while page := list(itertools.islice(own, PAGE)):
                classes = [np.frombuffer(row[-2], "<u2").tolist() for row in page]
                logits = [np.frombuffer(row[-1], "<f4") for row in page]
                shares = self._shares_of(known[spaces[number]], logits)
                for row, some, these, parts in zip(page, classes, logits, shares, strict=True):
                    id_ = UUID(bytes=row[0])
                    yield id_, *row[1:-2], some, these.tolist(), parts.tolist()

    def _shares_of(self, space: Space, logits: Sequence[FloatArray]) -> Iterable[FloatArray]:
        if len({len(one) for one in logits}) == 1:
            return self._shares(space, np.stack(logits))
        return (self._shares(space, one[None])[0] for one in logits)

    def side_tables(self) -> list[SideTable]:
        return side_tables_of(self._db)

    def side_rows(self, table: SideTable) -> Iterator[tuple[Cell, ...]]:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        yield from self._db.execute(f"SELECT {columns} FROM {stored_name(table.name)}")


def _with_ids(row: Row, places: Sequence[int]) -> Row:
    out = list(row)
    for place in places:
        out[place] = None if row[place] is None else UUID(bytes=row[place])
    return tuple(out)


_FOLDER_KEYS = {
    "_records": "SELECT id, key FROM records",
    "_thumbnails": "SELECT id, 0 FROM records JOIN thumbnails ON thumbnails.record = records.key",
    "_classes": (
        "SELECT records.id, space FROM logits JOIN records ON records.key = logits.record"
        " WHERE space IN {own}"
    ),
}
_FOLDER_ROWS = {
    "_records": (
        "SELECT id, key, content_hash, bytes, width, height, format, taken_at, camera, latitude,"
        " longitude, phash FROM records ORDER BY key"
    ),
    "_thumbnails": (
        "SELECT id, jpeg FROM records JOIN thumbnails ON thumbnails.record = records.key"
        " ORDER BY key"
    ),
    "_classes": (
        "SELECT records.id, space, classes, logits FROM logits"
        " JOIN records ON records.key = logits.record WHERE space IN {own} ORDER BY space, key"
    ),
    "_parts": (
        "SELECT records.id, space, number, box_left, box_top, tiles.width, tiles.height, classes,"
        " logits FROM tiles JOIN records ON records.key = tiles.record WHERE space IN {own}"
        " ORDER BY records.id, space, number"
    ),
    "_files": (
        "SELECT path, folder, name, files.bytes, mtime_ns, records.id, state, reason, detail, run,"
        " foreign_id, validator FROM files LEFT JOIN records ON records.key = files.record"
        " ORDER BY path"
    ),
    "_spaces": (
        "SELECT id, name, encoder, weights_digest, preprocessing, dim FROM spaces"
        " WHERE id IN {own} ORDER BY id"
    ),
    "_labels": (
        "SELECT records.id, source, label, coalesce(confidence, 1.0) FROM labels"
        " JOIN records ON records.key = labels.record ORDER BY records.id, source, label"
    ),
    "_decisions": "SELECT first, second, decision, decided FROM decisions ORDER BY first, second",
    "_settings": (
        "SELECT name, CAST(value AS TEXT) FROM settings WHERE name NOT IN (?, ?, ?, ?, ?)"
        " ORDER BY name"
    ),
    "_runs": "SELECT id, started, finished FROM runs ORDER BY id",
    "_side_tables": (
        "SELECT name, key, matches, columns, rows, source, added FROM side_tables ORDER BY name"
    ),
}


# -- on a server -----------------------------------------------------------------------------------


class ServerContents:
    """What a library on a server holds, of some of its spaces."""

    def __init__(self, engine: Engine, spaces: Sequence[Space]) -> None:
        self._engine = engine
        self._vectors = {vectors_of(space).name for space in spaces}
        names = ", ".join("'" + space.name.replace("'", "''") + "'" for space in spaces)
        self._own = f"(SELECT number FROM _spaces WHERE name IN ({names}))"

    def keys(self, table: Table) -> Keys:
        number = {RECORDS.name: "number", CLASSES.name: "space"}.get(table.name, "0")
        query = f"SELECT {table.key[0]}, {number} FROM {table.name}{self._where(table)}"
        return _keys((row[0].bytes, int(row[1])) for row in self._engine.stream(query))

    def rows(self, table: Table, only: Keys | None = None) -> Iterator[Row]:
        if table.name in self._vectors:
            return self._engine.each_vector(table)
        words = self._engine.words
        columns = ", ".join(
            words.histogram_columns("") if column.kind == "histogram" else column.name
            for column in table.columns
        )
        order = "" if table.fixed else f" ORDER BY {self._order(table)}"
        rows = self._engine.stream(f"SELECT {columns} FROM {table.name}{self._where(table)}{order}")
        if table is HISTOGRAMS:
            return ((row[0], words.histogram(row[1:])) for row in rows)
        return rows

    def _where(self, table: Table) -> str:
        if table in (CLASSES, PARTS):
            return f" WHERE space IN {self._own}"
        if table is SPACES:
            return f" WHERE number IN {self._own}"
        if table is SETTINGS:
            names = ", ".join(f"'{name}'" for name in OWN_SETTINGS)
            return f" WHERE name NOT IN ({names})"
        return ""

    def _order(self, table: Table) -> str:
        kinds = {column.name: column.kind for column in table.columns}
        by_id = self._engine.words.by_id
        return ", ".join(by_id(name) if kinds[name] == "id" else name for name in table.key)

    def side_tables(self) -> list[SideTable]:
        return [described(row) for row in self.rows(SIDE_TABLES)]

    def side_rows(self, table: SideTable) -> Iterator[tuple[Cell, ...]]:
        own = self._engine.words.quoted
        columns = ", ".join(own(column.name) for column in table.columns)
        texts = [n for n, c in enumerate(table.columns) if c.kind is ColumnKind.TEXT]
        for row in self._engine.stream(f"SELECT {columns} FROM {own(f'side_{table.name}')}"):
            if any(isinstance(row[n], bytes) for n in texts):  # a column called as one of ours
                row = tuple(c.decode() if isinstance(c, bytes) else c for c in row)
            yield row


FIXED = (HISTOGRAMS, THUMBNAILS, CLASSES, RECORDS)
"""Tables of rows that never change, besides the vectors; the one that others belong to last."""

CHANGING = (RUNS, PARTS, LABELS, DECISIONS, SETTINGS, FILES)
"""Tables of rows that may change, in an order that shows nothing before all of it is there."""


def differences(
    table: Table, here: Iterable[Row], there: Iterable[Row]
) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows of two sides, both in the order of their keys, that are not the same on both.

    None where a side has no row with the key of the other one.
    """
    written = row_bytes(table)
    places = [table.names.index(name) for name in table.key]

    def key(row: Row) -> tuple[Any, ...]:
        values = (row[place] for place in places)
        return tuple(v.bytes if isinstance(v, UUID) else v for v in values)

    own, other = iter(here), iter(there)
    mine, theirs = next(own, None), next(other, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and key(mine) < key(theirs)):
            yield mine, None
            mine = next(own, None)
        elif mine is None or key(theirs) < key(mine):
            yield None, theirs
            theirs = next(other, None)
        else:
            if written(mine) != written(theirs):
                yield mine, theirs
            mine, theirs = next(own, None), next(other, None)
