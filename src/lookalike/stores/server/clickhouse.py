"""ClickHouse: the store's statements in its words, over clickhouse-connect.

ClickHouse has no transactions over several tables and no rows that change. Rows that never change
lie in MergeTree tables, and what is there already is not inserted again. Others lie in
ReplacingMergeTree tables ``NAME_rows``, of which the view ``NAME`` shows the newest that is not
deleted. What makes a batch visible is written last: its files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from lookalike.errors import (
    InputError,
    LibraryError,
    LibraryLockedError,
    MissingExtraError,
    StorageError,
)
from lookalike.sql import Dialect
from lookalike.stores.server.address import Address
from lookalike.stores.server.engine import IndexState, Row, Words
from lookalike.stores.server.layout import FILES, WRITERS, Column, Table
from lookalike.stores.server.statements import view_statements
from lookalike.types import BINS, Cell, ColumnKind, DoubleArray, SideTable, SparseHistogram

_TYPES = {
    "id": "UUID",
    "bytes": "String",
    "text": "String",
    "integer": "Int64",
    "real": "Float64",
    "integers": "Array(Int32)",
    "reals": "Array(Float32)",
    "texts": "Array(String)",
    "vector": "Array(Float32)",
}
_EMPTY = {
    "id": UUID(int=0), "bytes": b"", "text": "", "integer": 0, "real": 0.0, "integers": [],
    "reals": [], "texts": [],
}  # fmt: skip
"""Values in a row that says that there is none any more."""

_BYTES = frozenset({"path", "content_hash", "jpeg"})
"""Columns of raw bytes; ClickHouse has one type for these and for text."""

HEARTBEAT_SECONDS = 10
STALE_SECONDS = 60
"""A writer that has not been heard of for so long is taken for dead."""


class ClickHouseWords:
    """Words of ClickHouse."""

    dialect: Dialect = "clickhouse"
    text = "Nullable(String)"
    megapixels = "(r.width * r.height / 1e6)"

    def histogram_columns(self, prefix: str) -> str:
        return f"{prefix}bins, {prefix}counts"

    def histogram(self, values: Sequence[Any]) -> SparseHistogram:
        bins, counts = values
        return SparseHistogram(np.array(bins, np.uint16), np.array(counts, np.uint16))

    def cosine_distance(self, column: str, vector: DoubleArray) -> str:
        return f"cosineDistance({column}, {_numbers(vector.astype('f4'))})"

    def colour_score(self, metric: str, histogram: DoubleArray) -> str:
        """The metrics' own formulas over the occupied bins, in double precision."""
        occupied = np.flatnonzero(histogram)
        bins = "[" + ",".join(map(str, occupied.tolist())) + "]"
        query = f"transform(b, {bins}, {_numbers(histogram[occupied])}, 0.)"
        share = "(c / total)"
        if metric == "intersection":
            return _sum(f"least({share}, {query})")
        if metric == "bhattacharyya":
            return f"sqrt(greatest(0., 1. - {_sum(f'sqrt({share} * {query})')}))"
        if metric == "correlation":
            own = float((histogram[occupied] ** 2).sum()) - 1 / BINS
            spread = f"({_sum(f'{share} * {share}')} - {1 / BINS!r})"
            product = f"({_sum(f'{share} * {query}')} - {1 / BINS!r})"
            return f"({product} / sqrt(greatest(1e-30, {own!r} * {spread})))"
        inverse = f"transform(b, {bins}, {_numbers(1 / histogram[occupied])}, 0.)"
        parts = f"if({inverse} > 0, {share} * {share} * {inverse} - 2. * {share}, 0.)"
        return f"({float(histogram.sum())!r} + {_sum(parts)})"

    def share(self, column: str, numbers: Sequence[int]) -> str:
        members = ",".join(map(str, numbers))
        return f"arraySum((c, s) -> if(c IN ({members}), s, 0.), {column}classes, {column}shares)"

    def ids(self, ids: Sequence[bytes]) -> str:
        return "(" + (",".join(f"toUUID('{UUID(bytes=one)}')" for one in ids) or "NULL") + ")"

    def number(self, value: int | float) -> str:
        return f"({value!r})"

    def like(self, side: str) -> str:
        return f"lower({side}) LIKE lower(?)"

    def pattern(self, pattern: str) -> str:
        return pattern.replace("\\", "\\\\")

    def within(self, column: str, query: str) -> str:
        return f"{column} IN ({query})"

    def by_id(self, column: str) -> str:
        return f"toString({column})"  # ids are ordered by their second halves first

    def quoted(self, name: str) -> str:
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

    def largest(self, parts: Sequence[str]) -> str:
        return f"greatest({', '.join(parts)})"


def _sum(term: str) -> str:
    return f"arraySum((b, c) -> {term}, bins, counts)"


def _numbers(values: np.ndarray[Any, Any]) -> str:
    return "[" + ",".join(repr(float(value)) for value in values) + "]"


class ClickHouseEngine:
    """An Engine on ClickHouse, or on its engine in this process (chDB)."""

    def __init__(self, address: Address) -> None:
        self.words: Words = ClickHouseWords()
        self.name = address.name
        self._database = address.namespace
        self._guard = threading.RLock()  # chDB answers one question at a time
        self._token: str | None = None
        self._beat: _Heartbeat | None = None
        self._clock = itertools.count(time.time_ns())
        with self._errors():
            self._client: Any = _connected(address)
        self._alone = address.scheme == "chdb"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the server and of the way to it, as one line each."""
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        try:
            yield
        except ClickHouseError as error:
            text = _one_line(error)
            if "NOT_ENOUGH_SPACE" in text:
                raise StorageError(
                    f"{self.name}: the server's disk is full; free some space and run the command"
                    " again, nothing that was committed is lost"
                ) from error
            if isinstance(error, OperationalError):
                text = f"cannot be reached: {text}; check host, port and network"
            raise LibraryError(f"{self.name}: {text}") from error
        except OSError as error:
            raise LibraryError(
                f"{self.name}: cannot be reached: {_one_line(error)}; check host, port and network"
            ) from error

    def close(self) -> None:
        if self._beat is not None:
            self._beat.stop()
            self._beat = None
        if self._token is not None:
            with contextlib.suppress(LibraryError):
                self.remove(WRITERS, [(self._token,)])
            self._token = None
        if self._client is not None:
            with self._guard:
                self._client.close()
            self._client = None

    # -- reading ---------------------------------------------------------------------------------

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        text, parameters = bound(query, values)
        with self._guard, self._errors():
            result = self._client.query(
                text, parameters, query_formats={"String": "bytes"}, settings=self._settings
            )
            read = _readers(result.column_names)
            return [read(row) for row in result.result_rows]

    @property
    def _settings(self) -> dict[str, Any]:
        return {"join_use_nulls": 1}

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        if self._alone:  # its engine gives one answer at a time
            yield from self.rows(query, values)
            return
        text, parameters = bound(query, values)
        with self._errors():
            blocks = self._client.query_row_block_stream(
                text, parameters, query_formats={"String": "bytes"}, settings=self._settings
            )
        with blocks:
            read = _readers(blocks.source.column_names)
            while True:
                with self._errors():
                    block = next(blocks, None)
                if block is None:
                    return
                for row in block:
                    yield read(row)

    # -- writing ---------------------------------------------------------------------------------

    def exists(self) -> bool:
        found = self.rows(
            "SELECT 1 FROM system.tables WHERE database = ? AND name = '_settings_rows'",
            (self._database,),
        )
        if found:
            self._client.database = self._database
        return bool(found)

    def execute(self, statement: str) -> None:
        """One statement of our own."""
        with self._guard, self._errors():
            self._client.command(statement)

    def create(self, tables: Sequence[Table]) -> None:
        """Make the database and those tables that are not there."""
        self.execute(f"CREATE DATABASE IF NOT EXISTS {self._database}")
        self._client.database = self._database
        for table in tables:
            for statement in self.table_statements(table):
                self.execute(statement)
        for name, query in _VIEWS if FILES in tables else ():
            self.execute(f"CREATE OR REPLACE VIEW {self._database}.{name} AS {query}")

    def table_statements(self, table: Table) -> Iterator[str]:
        """What makes a table, and the view over it, if it is not there."""
        columns = [definition(column) for column in physical(table)]
        key = ", ".join(table.key)
        place = f"{self._database}.{table.name}"
        if table.fixed:
            columns += [
                f"CONSTRAINT vector_len CHECK length({column.name}) = {column.size}"
                for column in table.columns
                if column.kind == "vector"
            ]
            yield (
                f"CREATE TABLE IF NOT EXISTS {place} ({', '.join(columns)})"
                f" ENGINE = MergeTree ORDER BY ({key})"
            )
            return
        columns += ["version UInt64", "is_deleted UInt8"]
        yield (
            f"CREATE TABLE IF NOT EXISTS {place}_rows ({', '.join(columns)})"
            f" ENGINE = ReplacingMergeTree(version, is_deleted) ORDER BY ({key})"
        )
        shown = ", ".join(column.name for column in physical(table))
        live = _LIVE if table is FILES else ""
        yield (f"CREATE VIEW IF NOT EXISTS {place} AS SELECT {shown}{live} FROM {place}_rows FINAL")

    def discard(self, tables: Sequence[Table]) -> None:
        if self._beat is not None:
            self._beat.stop()
        self._token = None
        for name, _ in _VIEWS:
            self.execute(f"DROP VIEW IF EXISTS {self._database}.{name}")
        for table in (*tables, WRITERS):
            place = f"{self._database}.{table.name}"
            for name in (place,) if table.fixed else (place, f"{place}_rows"):
                self.execute(f"DROP TABLE IF EXISTS {name} SYNC")
        left = self.rows("SELECT 1 FROM system.tables WHERE database = ?", (self._database,))
        if not left:
            self._client.database = None
            self.execute(f"DROP DATABASE IF EXISTS {self._database}")

    def put(self, table: Table, rows: Sequence[Row]) -> None:
        if table.fixed:
            rows = self._missing(table, rows)
        made = [physical_row(table, row) for row in rows]
        if not table.fixed:
            version = next(self._clock)
            made = [(*row, version, 0) for row in made]
        self._insert(table, made)

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        if not rows:
            return
        names = [column.name for column in physical(table)]
        name = table.name
        if not table.fixed:
            names, name = [*names, "version", "is_deleted"], f"{table.name}_rows"
        with self._guard, self._errors():
            self._client.insert(name, rows, column_names=names, database=self._database)

    def _missing(self, table: Table, rows: Sequence[Row]) -> list[Row]:
        """Rows whose key is not there yet; of several with one key the first."""
        places = [table.names.index(name) for name in table.key]
        distinct: dict[Row, Row] = {}
        for row in rows:
            distinct.setdefault(tuple(row[place] for place in places), row)
        ids = self.words.ids([key[0].bytes for key in distinct])
        key = ", ".join(table.key)
        found = self.rows(
            f"SELECT {key} FROM {self._database}.{table.name} WHERE {table.key[0]} IN {ids}"
        )
        known = set(found)
        return [row for key_, row in distinct.items() if key_ not in known]

    def remove(self, table: Table, keys: Sequence[Row]) -> None:
        for start in range(0, len(keys), _KEYS):
            some = keys[start : start + _KEYS]
            if table.fixed:
                ids = self.words.ids([key[0].bytes for key in some])
                self.execute(
                    f"DELETE FROM {self._database}.{table.name} WHERE {table.key[0]} IN {ids}"
                )
            else:
                self._bury(table, some)

    def _bury(self, table: Table, keys: Sequence[Row]) -> None:
        """Rows that say that there are none with these keys any more."""
        if len(keys[0]) < len(table.key):
            ids = self.words.ids([key[0].bytes for key in keys])
            keys = self.rows(
                f"SELECT {', '.join(table.key)} FROM {self._database}.{table.name}"
                f" WHERE {table.key[0]} IN {ids}"
            )
        version = next(self._clock)
        rows = []
        for key in keys:
            own = dict(zip(table.key, key, strict=True))
            values = (
                own.get(c.name, None if c.nullable else _EMPTY[c.kind]) for c in table.columns
            )
            rows.append((*values, version, 1))
        self._insert(table, rows)

    # -- side tables and statements --------------------------------------------------------------

    def load(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> int:
        quoted = self.words.quoted
        stored = f"{self._database}.{quoted(f'side_{table.name}')}"
        loading = f"{self._database}.{quoted(f'loading_{table.name}')}"
        columns = ", ".join(f"{quoted(c.name)} {_SIDE_TYPES[c.kind]}" for c in table.columns)
        self.execute(f"DROP TABLE IF EXISTS {loading} SYNC")
        self.execute(
            f"CREATE TABLE {loading} ({columns}) ENGINE = MergeTree ORDER BY {quoted(table.key)}"
            " SETTINGS allow_nullable_key = 1"
        )
        count = 0
        try:
            for batch in batches:
                if batch and len(batch[0]):
                    with self._guard, self._errors():
                        self._client.insert(
                            f"loading_{table.name}",
                            [list(column) for column in batch],
                            column_names=[c.name for c in table.columns],
                            column_oriented=True,
                            database=self._database,
                        )
                    count += len(batch[0])
        except BaseException:
            with contextlib.suppress(LibraryError):
                self.execute(f"DROP TABLE IF EXISTS {loading} SYNC")
            raise
        self.execute(f"DROP TABLE IF EXISTS {stored} SYNC")
        self.execute(f"RENAME TABLE {loading} TO {stored}")
        shown = f"{self._database}.{quoted(table.name)}"
        self.execute(f"CREATE OR REPLACE VIEW {shown} AS SELECT * FROM {stored}")
        return count

    def unload(self, name: str) -> None:
        quoted = self.words.quoted
        self.execute(f"DROP VIEW IF EXISTS {self._database}.{quoted(name)}")
        self.execute(f"DROP TABLE IF EXISTS {self._database}.{quoted(f'side_{name}')} SYNC")

    def has_table(self, namespace: str, name: str) -> bool:
        query = "SELECT 1 FROM system.tables WHERE database = ? AND name = ?"
        return bool(self.rows(query, (namespace, name)))

    def ask(self, statement: str) -> tuple[list[str], Iterator[Row]]:
        from clickhouse_connect.driver.exceptions import DatabaseError

        try:
            with self._guard, self._errors():
                result = self._client.query(
                    statement, query_formats={"String": "bytes"}, settings=_READING
                )
        except LibraryError as error:
            if isinstance(error.__cause__, DatabaseError):
                raise InputError(f"statement: {_one_line(error.__cause__)}") from error
            raise
        names = list(result.column_names) or self._columns_of(statement)
        return [name.rpartition(".")[2] for name in names], map(_decoded, result.result_rows)

    def _columns_of(self, statement: str) -> list[str]:
        """The columns of a statement that gives no row, of which an answer says nothing."""
        with self._guard, self._errors():
            return [row[0] for row in self._client.query(f"DESCRIBE ({statement})").result_rows]

    # -- indexes ---------------------------------------------------------------------------------

    def index_state(self, table: str) -> IndexState:
        """Parts that were written after the index was declared have it; older ones may not."""
        declared = self.rows(
            "SELECT 1 FROM system.data_skipping_indices WHERE database = ? AND table = ?"
            f" AND name = '{_INDEX}'",
            (self._database, table),
        )
        if not declared:
            return IndexState("none")
        running = self.rows(
            "SELECT parts_to_do, latest_fail_reason FROM system.mutations WHERE database = ?"
            " AND table = ? AND NOT is_done",
            (self._database, table),
        )
        if running:
            left, failed = running[0]
            state = "stale" if failed else "building"
            return IndexState(state, failed or f"{left} parts to do")
        without = self.rows(
            "SELECT count(*) FROM system.parts WHERE database = ? AND table = ? AND active"
            " AND secondary_indices_compressed_bytes = 0 AND rows > 0",
            (self._database, table),
        )[0][0]
        return IndexState("stale", f"{without} parts lack it") if without else IndexState("built")

    def build_index(self, table: str) -> None:
        place = f"{self._database}.{table}"
        (dim,) = self.rows(f"SELECT length(embedding) FROM {place} LIMIT 1")[0]
        self.execute(
            f"ALTER TABLE {place} ADD INDEX IF NOT EXISTS {_INDEX} embedding TYPE"
            f" vector_similarity('hnsw', 'cosineDistance', {dim}, 'bf16', 32, 128)"
        )
        self.execute(f"ALTER TABLE {place} MATERIALIZE INDEX {_INDEX} SETTINGS mutations_sync = 1")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    # -- the one writer --------------------------------------------------------------------------

    def lock(self) -> None:
        """Enter the table of writers; the first one there that is alive writes.

        There is no lock to be had, so two that come within the same moment may both be refused.
        """
        self.create([WRITERS])
        token, since = str(uuid4()), time.time_ns()
        holder = f"{socket.gethostname()} {os.getpid()}"
        self.put(WRITERS, [(token, holder, since, since)])
        writers = self.rows(f"SELECT token, holder, since, seen FROM {self._database}._writers")
        others = [row for row in writers if row[0] != token and _is_alive(*row[1:])]
        if others:
            self.remove(WRITERS, [(token,)])
            host, _, process = others[0][1].rpartition(" ")
            raise LibraryLockedError(
                f"{self.name}: process {process} on {host} is writing to this library; wait for it"
                " to end"
            )
        self.remove(WRITERS, [(row[0],) for row in writers if row[0] != token])
        self._token = token
        self._beat = _Heartbeat(lambda: self.put(WRITERS, [(token, holder, since, time.time_ns())]))


_SIDE_TYPES = {
    ColumnKind.INTEGER: "Nullable(Int64)",
    ColumnKind.REAL: "Nullable(Float64)",
    ColumnKind.TEXT: "Nullable(String)",
}
_VIEWS = list(
    view_statements(
        "String",
        "argMin({0}, path)",  # of those that are not null
        "formatDateTime(fromUnixTimestamp64Nano(nullIf(mtime_ns, 0), 'UTC'), '%Y-%m-%dT%H:%i:%S')",
    )
)
"""What users see."""

_READING = {"join_use_nulls": 1, "readonly": 2, "allow_ddl": 0, "allow_introspection_functions": 0}
"""Settings of statements that only read."""

_KEYS = 1_000
_INDEX = "embedding_index"
_LIVE = ", (record IS NOT NULL AND state IN ('indexed', 'unchanged', 'moved')) AS live"


def _is_alive(holder: str, _since: int, seen: int) -> bool:
    if time.time_ns() - seen > STALE_SECONDS * 10**9:
        return False
    host, _, process = holder.rpartition(" ")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


class _Heartbeat:
    """Says every few seconds that the writer is alive."""

    def __init__(self, tell: Any) -> None:
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(LibraryError):
                self._tell()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(HEARTBEAT_SECONDS)


def bound(query: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """A query with a named parameter for each question mark, and their values."""
    pieces = query.split("?")
    text, parameters = [pieces[0]], {}
    for number, (value, piece) in enumerate(zip(values, pieces[1:], strict=True)):
        if isinstance(value, bytes):
            text.append(f"unhex('{value.hex()}')")  # no type of a parameter takes any bytes
        else:
            kind = "Int64" if isinstance(value, int) else "String"
            text.append(f"{{p{number}:{kind}}}")
            parameters[f"p{number}"] = value
        text.append(piece)
    return "".join(text), parameters


def _readers(names: Sequence[str]) -> Any:
    """What turns a row of an answer into Python's values: text, and bytes where it is no text."""
    raw = [name.rpartition(".")[2] in _BYTES for name in names]

    def read(row: Sequence[Any]) -> Row:
        return tuple(
            value.decode("utf-8", "replace") if isinstance(value, bytes) and not as_is else value
            for value, as_is in zip(row, raw, strict=True)
        )

    return read


def _decoded(row: Sequence[Any]) -> Row:
    """Text as text; bytes that are none as backslash escapes."""
    return tuple(
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
        for value in row
    )


def physical(table: Table) -> Iterator[Column]:
    """The columns of a table on ClickHouse: a histogram is three of them."""
    for column in table.columns:
        if column.kind != "histogram":
            yield column
            continue
        yield Column("bins", "integers")
        yield Column("counts", "integers")
        yield Column("total", "integer")


def definition(column: Column) -> str:
    """A column as ``CREATE TABLE`` has it."""
    kind = "Array(UInt16)" if column.name in ("bins", "counts") else _TYPES[column.kind]
    return f"{column.name} {f'Nullable({kind})' if column.nullable else kind}"


def physical_row(table: Table, row: Row) -> Row:
    """A row as ClickHouse's columns have it."""
    out: list[Any] = []
    for column, value in zip(table.columns, row, strict=True):
        if column.kind == "histogram":
            counts = value.counts.tolist()
            out += [value.bins.tolist(), counts, sum(counts)]
        elif column.kind == "vector":
            out.append(value.astype(np.float32).tolist())
        else:
            out.append(value)
    return tuple(out)


def _connected(address: Address) -> Any:
    try:
        import clickhouse_connect
    except ImportError as error:
        raise MissingExtraError("a library on ClickHouse", "clickhouse") from error
    settings = {"mutations_sync": 1, "lightweight_deletes_sync": 2}
    if address.scheme == "chdb":
        try:
            client = clickhouse_connect.get_client(interface="chdb", path=address.path)
        except ImportError as error:
            raise MissingExtraError("ClickHouse's engine in this process", "chdb") from error
    else:
        secure = address.options.get("secure", "0" if address.local else "1") != "0"
        client = clickhouse_connect.get_client(
            host=address.host,
            port=address.port or (8443 if secure else 8123),
            username=address.user or "default",
            password=address.password or "",
            secure=secure,
            verify=address.options.get("verify", "1") != "0",
            settings=settings,
            autogenerate_session_id=False,
            connect_timeout=20,
        )
    return client


_NO_NEWS = (
    " (for url", " Stack trace", " In scope ", ": In scope ", ": While executing",
    " SETTINGS join_use_nulls",
)  # fmt: skip


def _one_line(error: BaseException) -> str:
    """An error without what servers add to it: stack traces, versions, the statement."""
    text = " ".join(str(error).split())
    for start in _NO_NEWS:
        text = text.partition(start)[0]
    return re.sub(r"^.*?DB::Exception: ", "", text).removesuffix(".")[:600]
