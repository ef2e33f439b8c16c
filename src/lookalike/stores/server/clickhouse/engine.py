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

from lookalike.errors import InputError, LibraryError, LibraryLockedError, StorageError
from lookalike.stores.server.address import Address
from lookalike.stores.server.clickhouse.client import connect, said
from lookalike.stores.server.clickhouse.ddl import INDEX, Ddl, physical
from lookalike.stores.server.clickhouse.heartbeat import Heartbeat, is_alive
from lookalike.stores.server.clickhouse.rows import (
    EMPTY,
    binary_row,
    bound,
    decoded,
    length_bytes,
    physical_row,
    reader,
)
from lookalike.stores.server.clickhouse.words import ClickHouseWords, MyScaleWords
from lookalike.stores.server.engine import IndexState, Row, Words
from lookalike.stores.server.layout import FILES, WRITERS, Table
from lookalike.stores.server.statements import view_statements
from lookalike.types import Cell, ColumnKind, SideTable

_KINDS = ("vector_similarity (HNSW, bf16, cosine)", "MSTG of MyScale (cosine)")


class ClickHouseEngine:
    """An Engine on ClickHouse, or on its engine in this process (chDB)."""

    def __init__(self, address: Address) -> None:
        self.words: Words = MyScaleWords() if address.scheme == "myscale" else ClickHouseWords()
        self.index_kind = _KINDS[address.scheme == "myscale"]
        self.name = address.name
        self._address = address
        self._database = address.namespace
        self.ddl = Ddl(
            address.namespace, address.options.get("cluster"), address.scheme == "myscale"
        )
        self._guard = threading.RLock()  # chDB answers one question at a time
        self._token: str | None = None
        self._beat: Heartbeat | None = None
        self._clock = itertools.count(time.time_ns())
        with self._errors():
            self._client: Any = connect(address)
        self._alone = address.scheme == "chdb"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the server and of the way to it, as one line each."""
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        try:
            yield
        except ClickHouseError as error:
            text = said(error)
            if "NOT_ENOUGH_SPACE" in text:
                raise StorageError(
                    f"{self.name}: the server's disk is full; free some space and run the command"
                    " again, nothing that was committed is lost"
                ) from error
            if isinstance(error, OperationalError):
                reason = re.search(r"Failed to [^()]*|timed out[^()]*|\[Errno [^()]*", text)
                if "Max retries exceeded" in text and reason:  # what the HTTP client adds is long
                    text = reason[0].strip(" \"')")
                text = f"cannot be reached: {text}; check host, port and network"
            raise LibraryError(f"{self.name}: {text}") from error
        except OSError as error:
            raise LibraryError(
                f"{self.name}: cannot be reached: {said(error)}; check host, port and network"
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
            read = reader(result.column_names)
            return [read(row) for row in result.result_rows]

    @property
    def _settings(self) -> dict[str, Any]:
        return {"join_use_nulls": 1}

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        text, parameters = bound(query, values)
        with self._streaming() as client, self._block_stream(client, text, parameters) as blocks:
            read = reader(blocks.source.column_names)
            while True:
                with self._errors():
                    block = next(blocks, None)
                if block is None:
                    return
                for row in block:
                    yield read(row)

    def _block_stream(self, client: Any, text: str, parameters: dict[str, Any]) -> Any:
        with self._errors():
            return client.query_row_block_stream(
                text, parameters, query_formats={"String": "bytes"}, settings=self._settings
            )

    @contextlib.contextmanager
    def _streaming(self) -> Iterator[Any]:
        """A client to read from while this one is asked other things."""
        if not self._alone:
            yield self._client
            return
        with self._errors():  # a handle of chDB gives one answer at a time
            client = connect(self._address)
        client.database = self._client.database
        try:
            yield client
        finally:
            client.close()

    def each_vector(self, table: Table) -> Iterator[Row]:
        """In ClickHouse's RowBinary, whose rows are as long as each other: read at once."""
        (size,) = (column.size for column in table.columns if column.kind == "vector")
        form = binary_row(size)
        query = f"SELECT id, embedding FROM {self._database}.{table.name}"
        with self._streaming() as client:
            with self._errors():
                data = client.raw_stream(query, fmt="RowBinary")
            with contextlib.closing(data):
                while block := self._block(data, form.itemsize * _BLOCK):
                    rows = np.frombuffer(block, form)
                    ids = rows["id"][:, :, ::-1].tobytes()
                    vectors = rows["vector"].astype(np.float16)
                    for place, vector in enumerate(vectors):
                        yield UUID(bytes=ids[16 * place : 16 * place + 16]), vector

    def _block(self, data: Any, size: int) -> bytes:
        """The next bytes of a stream: so many, or those that are left."""
        parts, left = [], size
        while left:
            with self._errors():
                part = data.read(left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

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
        self.execute(self.ddl.database_made())
        self._client.database = self._database
        for table in tables:
            self._each(self.ddl.table(table))
        if FILES not in tables:
            return
        for name, query in _VIEWS:
            self.execute(self.ddl.view(name, query))
        if made := self.ddl.distance_made():
            with contextlib.suppress(LibraryError):  # a right of its own, which not all have
                self.execute(made)

    def discard(self, tables: Sequence[Table]) -> None:
        if self._beat is not None:
            self._beat.stop()
        self._token = None
        for name, _ in _VIEWS:
            self.execute(f"DROP VIEW IF EXISTS {self._database}.{name}{self.ddl.on}")
        for table in (*tables, WRITERS):
            self._each(self.ddl.without(table))
        left = self.rows("SELECT 1 FROM system.tables WHERE database = ?", (self._database,))
        if not left:
            self._client.database = None
            self.execute(f"DROP DATABASE IF EXISTS {self._database}{self.ddl.on}")

    def put(self, table: Table, rows: Sequence[Row]) -> None:
        if table.fixed:
            self.add(table, self._missing(table, rows))
            return
        version = next(self._clock)
        self._insert(table, [(*physical_row(table, row), version, 0) for row in rows])

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        if not table.fixed:
            self.put(table, rows)
        elif any(column.kind == "vector" for column in table.columns):
            self._insert_vectors(table, rows)
        else:
            self._insert(table, [physical_row(table, row) for row in rows])

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows as the table has them."""
        if not rows:
            return
        names = [column.name for column in physical(table)]
        name = table.name
        if not table.fixed:
            names, name = [*names, "version", "is_deleted"], f"{table.name}_rows"
        with self._guard, self._errors():
            self._client.insert(name, rows, column_names=names, database=self._database)

    def _insert_vectors(self, table: Table, rows: Sequence[Row]) -> None:
        """As RowBinary: ten times as fast as lists of numbers."""
        if not rows:
            return
        block = np.empty(len(rows), binary_row(table.columns[1].size))
        ids = b"".join(row[0].bytes for row in rows)
        block["id"] = np.frombuffer(ids, "u1").reshape(-1, 2, 8)[:, :, ::-1]
        block["size"] = length_bytes(table.columns[1].size)
        block["vector"] = np.stack([row[1] for row in rows])
        place = f"{self._database}.{table.name}"
        with self._guard, self._errors():
            self._client.raw_insert(place, table.names, block.tobytes(), fmt="RowBinary")

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
                self.execute(self.ddl.deleted(table.name, f"{table.key[0]} IN {ids}"))
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
            values = (own.get(c.name, None if c.nullable else EMPTY[c.kind]) for c in table.columns)
            rows.append((*values, version, 1))
        self._insert(table, rows)

    # -- side tables and statements --------------------------------------------------------------

    def load(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> int:
        quoted = self.words.quoted
        loading = f"loading_{table.name}"
        columns = [f"{quoted(c.name)} {_SIDE_TYPES[c.kind]}" for c in table.columns]
        self._each(self.ddl.dropped(loading))
        order = f"{quoted(table.key)} SETTINGS allow_nullable_key = 1"
        self._each(self.ddl.stored(loading, columns, "MergeTree", order, quoted(table.key)))
        try:
            count = sum(self._loaded(table, batch) for batch in batches)
        except BaseException:
            with contextlib.suppress(LibraryError):
                self._each(self.ddl.dropped(loading))
            raise
        self._put_in_place(table)
        return count

    def _each(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self.execute(statement)

    def _loaded(self, table: SideTable, batch: Sequence[Sequence[Cell]]) -> int:
        rows = len(batch[0]) if batch else 0
        if rows:
            with self._guard, self._errors():
                self._client.insert(
                    f"loading_{table.name}",
                    [list(column) for column in batch],
                    column_names=[c.name for c in table.columns],
                    column_oriented=True,
                    database=self._database,
                )
        return rows

    def _put_in_place(self, table: SideTable) -> None:
        """The rows that were loaded, in place of older ones."""
        quoted, ddl = self.words.quoted, self.ddl
        names = [f"{kind}_{table.name}{ddl.ending}" for kind in ("loading", "side")]
        loaded, stored = map(ddl.place, names)
        self._each(ddl.dropped(f"side_{table.name}"))
        self.execute(f"RENAME TABLE {loaded} TO {stored}{ddl.on}")
        if ddl.cluster:
            self._each(ddl.dropped(f"loading_{table.name}"))
            self.execute(ddl.distributed(f"side_{table.name}", quoted(table.key)))
        shown = ddl.place(f"side_{table.name}")
        self.execute(ddl.view(quoted(table.name), f"SELECT * FROM {shown}"))

    def unload(self, name: str) -> None:
        quoted = self.words.quoted
        self.execute(f"DROP VIEW IF EXISTS {self.ddl.place(quoted(name))}{self.ddl.on}")
        self._each(self.ddl.dropped(f"side_{name}"))

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
                raise InputError(f"statement: {said(error.__cause__)}") from error
            raise
        names = list(result.column_names) or self._columns_of(statement)
        return [name.rpartition(".")[2] for name in names], map(decoded, result.result_rows)

    def _columns_of(self, statement: str) -> list[str]:
        """The columns of a statement that gives no row, of which an answer says nothing."""
        with self._guard, self._errors():
            return [row[0] for row in self._client.query(f"DESCRIBE ({statement})").result_rows]

    # -- indexes ---------------------------------------------------------------------------------

    def index_state(self, table: str) -> IndexState:
        """Parts that were written after the index was declared have it; older ones may not."""
        own = (self._database, f"{table}{self.ddl.ending}")
        system = self.ddl.system
        if self.ddl.myscale:
            return self._myscale_state(own)
        declared = self.rows(
            f"SELECT 1 FROM {system('data_skipping_indices')} WHERE database = ? AND table = ?"
            f" AND name = '{INDEX}'",
            own,
        )
        if not declared:
            return IndexState("none")
        running = self.rows(
            f"SELECT parts_to_do, latest_fail_reason FROM {system('mutations')} WHERE database = ?"
            " AND table = ? AND NOT is_done",
            own,
        )
        if running:
            left, failed = running[0]
            state = "stale" if failed else "building"
            return IndexState(state, failed or f"{left} parts to do")
        without = self.rows(
            f"SELECT count(*) FROM {system('parts')} WHERE database = ? AND table = ? AND active"
            " AND secondary_indices_compressed_bytes = 0 AND rows > 0",
            own,
        )[0][0]
        return IndexState("stale", f"{without} parts lack it") if without else IndexState("built")

    def _myscale_state(self, own: Sequence[Any]) -> IndexState:
        """As MyScale's own table of vector indexes has it: Built, InProgress, Error."""
        rows = self.rows(
            f"SELECT status FROM {self.ddl.system('vector_indices')} WHERE database = ?"
            f" AND table = ? AND name = '{INDEX}'",
            own,
        )
        states = {str(status) for (status,) in rows}
        if not states:
            return IndexState("none")
        if states == {"Built"}:
            return IndexState("built")
        if "Error" in states:
            return IndexState("stale", "MyScale says: Error")
        return IndexState("building", f"MyScale says: {min(states)}")

    def build_index(self, table: str) -> None:
        found = self.rows(f"SELECT length(embedding) FROM {self._database}.{table} LIMIT 1")
        if not found:
            return
        if self.ddl.myscale:
            state = self.index_state(table).state
            if state == "building":
                return
            if state == "stale":
                self.execute(self.ddl.unindexed(table))
        self._each(self.ddl.index(table, int(found[0][0])))

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
        writers = self.rows(f"SELECT token, holder, seen FROM {self._database}._writers")
        others = [row for row in writers if row[0] != token and is_alive(*row[1:])]
        if others:
            self.remove(WRITERS, [(token,)])
            host, _, process = others[0][1].rpartition(" ")
            raise LibraryLockedError(
                f"{self.name}: process {process} on {host} is writing to this library; wait for it"
                " to end"
            )
        self.remove(WRITERS, [(row[0],) for row in writers if row[0] != token])
        self._token = token
        self._beat = Heartbeat(lambda: self.put(WRITERS, [(token, holder, since, time.time_ns())]))


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
_BLOCK = 1_000
"""Vectors that are read at a time."""
