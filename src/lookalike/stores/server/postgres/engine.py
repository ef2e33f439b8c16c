"""PostgreSQL with pgvector: the store's statements in its words, over asyncpg."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lookalike.errors import InputError, LibraryError, LibraryLockedError, StorageError, one_line
from lookalike.stores.server.address import Address
from lookalike.stores.server.engine import IndexState, Row, Words, pieces
from lookalike.stores.server.layout import FILES, Table
from lookalike.stores.server.postgres.loop import Loop
from lookalike.stores.server.postgres.tables import (
    key_of,
    physical_names,
    physical_row,
    table_statements,
)
from lookalike.stores.server.postgres.values import load_asyncpg, teach
from lookalike.stores.server.postgres.words import PostgresWords
from lookalike.stores.server.statements import view_statements
from lookalike.types import Cell, ColumnKind, SideTable

LOCK_KEY = 0x4C4B414C
"""With the namespace's hash: the advisory lock of the writer."""

PAGE = 2_000
_NAME_BYTES = 63
_PATIENCE_SECONDS = 5
MOST_INDEXING_MEGABYTES = 2_048
"""What making an index may take of the server's memory; a graph beyond it is made slowly."""
CONNECTIONS = 4


class PostgresEngine:
    """An Engine on PostgreSQL. A pool of connections serves reading, one connection writes."""

    def __init__(self, address: Address) -> None:
        self.words: Words = PostgresWords()
        self.index_kind = "HNSW of pgvector (halfvec, cosine)"
        self.name = address.name
        self._address = address
        self._schema = address.namespace
        self._loop = Loop()
        self._locked: Any = None
        self._writer: Any = None
        self._writing = 0
        self._pool: Any = None
        self._closed = False
        with self._errors():
            self._pool = self._loop.run(self._opened())

    # -- connecting ------------------------------------------------------------------------------

    async def _opened(self) -> Any:
        asyncpg = load_asyncpg()
        address = self._address
        return await asyncpg.create_pool(
            host=address.options.get("host", address.host) or None,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database or None,
            ssl=_tls(address),
            server_settings={
                "search_path": f'"{self._schema}", public',
                "application_name": "lookalike",
                "hnsw.iterative_scan": "relaxed_order",  # a filter loses no rows; we order them
                "hnsw.ef_search": "200",
                "jit": "off",  # compiling a search takes longer than it
            },
            min_size=0,
            max_size=CONNECTIONS,
            timeout=20,
            init=teach,
        )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the server and of the way to it, as one line each."""
        import asyncpg

        try:
            yield
        except asyncpg.exceptions.DiskFullError as error:
            raise StorageError(
                f"{self.name}: the server's disk is full; free some space and run the command"
                " again, nothing that was committed is lost"
            ) from error
        except asyncpg.exceptions.InsufficientPrivilegeError as error:
            raise LibraryError(
                f"{self.name}: {one_line(error)}; ask its owner for the rights"
            ) from error
        except asyncpg.exceptions.PostgresConnectionError as error:
            raise LibraryError(
                f"{self.name}: {one_line(error)}; see that the server runs, and run the command"
                " again: it continues"
            ) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LibraryError(f"{self.name}: {one_line(error)}") from error
        except (OSError, TimeoutError) as error:
            reason = one_line(error) if str(error) else "no answer in time"
            raise LibraryError(
                f"{self.name}: cannot be reached: {reason}; check host, port and network"
            ) from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Exception):
            self._loop.run(self._shut())
        self._loop.close()

    def __del__(self) -> None:
        """Who forgot to close it leaves no connection open; waits for nothing."""
        if not self._closed and self._pool is not None:
            self._closed = True
            self._loop.end_after(self._pool.terminate)

    async def _shut(self) -> None:
        """End the connections: the lock goes with its own."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if self._locked is not None:
                    await self._pool.release(self._locked)
                await self._pool.close()
        except Exception:  # noqa: BLE001 (the server is gone, a query is not read to its end)
            self._pool.terminate()

    # -- reading ---------------------------------------------------------------------------------

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        own = self._writer if threading.get_ident() == self._writing else None
        with self._errors():
            return [tuple(row) for row in self._loop.run(self._fetched(query, values, own))]

    async def _fetched(self, query: str, values: Sequence[Any], own: Any) -> list[Any]:
        if own is not None:  # what a transaction has written it sees itself
            return list(await own.fetch(numbered(query), *values))
        async with self._pool.acquire() as connection:
            return list(await connection.fetch(numbered(query), *values))

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        return self._read(self._pages(numbered(query), values))

    async def _pages(self, query: str, values: Sequence[Any]) -> Any:
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(query, *values)
            while page := await cursor.fetch(PAGE):
                yield page

    # -- writing ---------------------------------------------------------------------------------

    def exists(self) -> bool:
        found = self.rows(
            "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = ? AND tablename = '_settings'",
            (self._schema,),
        )
        return bool(found)

    def create(self, tables: Sequence[Table]) -> None:
        """Make the schema and those tables that are not there; pgvector must be installed."""
        with self._errors():
            self._loop.run(self._created(tables))

    async def _created(self, tables: Sequence[Table]) -> None:
        async with self._own() as connection:
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"')
            for table in tables:
                for statement in table_statements(table):
                    await connection.execute(statement)
            for name, query in _VIEWS if FILES in tables else ():
                await connection.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")

    def execute(self, statement: str) -> None:
        """One statement of our own."""
        with self._errors():
            self._loop.run(self._executed(statement))

    async def _executed(self, statement: str) -> None:
        async with self._own() as connection:
            await connection.execute(statement)

    @contextlib.asynccontextmanager
    async def _own(self) -> Any:
        """The connection of the transaction that is open, or another one."""
        if self._writer is not None:
            yield self._writer
            return
        async with self._pool.acquire() as connection:
            yield connection

    def discard(self, tables: Sequence[Table]) -> None:
        for name, _ in _VIEWS:
            self.execute(f"DROP VIEW IF EXISTS {name}")
        for table in tables:
            self.execute(f"DROP TABLE IF EXISTS {table.name}")
        left = self.rows(
            "SELECT 1 FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS own"
            " ON own.oid = relnamespace WHERE nspname = ? LIMIT 1",
            (self._schema,),
        )
        if not left:
            self.execute(f'DROP SCHEMA IF EXISTS "{self._schema}"')

    def put(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            with self._errors():
                self._loop.run(self._put(table, rows))

    async def _put(self, table: Table, rows: Sequence[Row]) -> None:
        names = physical_names(table)
        columns = ", ".join(names)
        changed = ", ".join(f"{name} = excluded.{name}" for name in names)
        then = "NOTHING" if table.fixed else f"UPDATE SET {changed}"
        async with self._own() as connection, connection.transaction():
            stage = f"stage{table.name}"
            await connection.execute(
                f"CREATE TEMP TABLE {stage} ON COMMIT DROP AS SELECT {columns} FROM {table.name}"
                " WITH NO DATA"
            )
            await connection.copy_records_to_table(
                stage, columns=names, records=[physical_row(table, row) for row in rows]
            )
            await connection.execute(
                f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {stage}"
                f" ON CONFLICT ({key_of(table)}) DO {then}"
            )
            await connection.execute(f"DROP TABLE {stage}")

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            with self._errors():
                self._loop.run(self._added(table, rows))

    async def _added(self, table: Table, rows: Sequence[Row]) -> None:
        records = [physical_row(table, row) for row in rows]
        async with self._own() as connection:
            await connection.copy_records_to_table(
                table.name, columns=physical_names(table), records=records
            )

    def each_vector(self, table: Table) -> Iterator[Row]:
        return self.stream(f"SELECT id, embedding FROM {table.name}")

    def remove(self, table: Table, keys: Sequence[Row]) -> None:
        if not keys:
            return
        names = table.key[: len(keys[0])]
        where = " AND ".join(f"{name} = ${n}" for n, name in enumerate(names, 1))
        with self._errors():
            self._loop.run(self._removed(f"DELETE FROM {table.name} WHERE {where}", keys))

    async def _removed(self, statement: str, keys: Sequence[Row]) -> None:
        async with self._own() as connection, connection.transaction():
            await connection.executemany(statement, keys)

    # -- side tables and statements --------------------------------------------------------------

    def load(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> int:
        quoted = self.words.quoted
        _check_names(self.name, table)
        stored, shown = quoted(f"side_{table.name}"), quoted(table.name)
        columns = ", ".join(f"{quoted(c.name)} {_SIDE_TYPES[c.kind]}" for c in table.columns)
        count = 0
        with self.transaction():
            self.execute(f"DROP VIEW IF EXISTS {shown}")
            self.execute(f"DROP TABLE IF EXISTS {stored}")
            self.execute(f"CREATE TABLE {stored} ({columns})")
            for batch in batches:
                rows = list(zip(*(_without_zeros(column) for column in batch), strict=True))
                with self._errors():
                    self._loop.run(self._copied(table, rows))
                count += len(rows)
            self.execute(f"CREATE INDEX ON {stored} ({quoted(table.key)})")
            self.execute(f"CREATE VIEW {shown} AS SELECT * FROM {stored}")
        self.execute(f"ANALYZE {stored}")
        return count

    async def _copied(self, table: SideTable, rows: Sequence[Row]) -> None:
        async with self._own() as connection:
            await connection.copy_records_to_table(
                f"side_{table.name}", columns=[c.name for c in table.columns], records=rows
            )

    def unload(self, name: str) -> None:
        self.execute(f"DROP VIEW IF EXISTS {self.words.quoted(name)}")
        self.execute(f"DROP TABLE IF EXISTS {self.words.quoted(f'side_{name}')}")

    def has_table(self, namespace: str, name: str) -> bool:
        query = (
            "SELECT 1 FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS own"
            " ON own.oid = relnamespace WHERE nspname = ? AND relname = ?"
        )
        return bool(self.rows(query, (namespace, name)))

    def ask(self, statement: str) -> tuple[list[str], Iterator[Row]]:
        import asyncpg

        answer = self._answer(statement)
        try:
            with self._errors():
                names = self._loop.run(_next(answer))
        except LibraryError as error:
            if isinstance(error.__cause__, asyncpg.PostgresError):
                raise InputError(f"statement: {one_line(error.__cause__, 600)}") from error
            raise
        return names, self._read(answer)

    async def _answer(self, statement: str) -> Any:
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            prepared = await connection.prepare(statement)
            cursor = await prepared.cursor()
            page = await cursor.fetch(PAGE)  # errors come with the first rows
            yield [attribute.name for attribute in prepared.get_attributes()]
            while page:
                yield page
                page = await cursor.fetch(PAGE)

    def _read(self, pages: Any) -> Iterator[Row]:
        """The rows of pages that are fetched one after the other."""
        try:
            while True:
                with self._errors():
                    page = self._loop.run(_next(pages))
                if page is None:
                    return
                for row in page:
                    yield tuple(row)
        finally:
            with contextlib.suppress(Exception):
                self._loop.run(pages.aclose())

    # -- indexes ---------------------------------------------------------------------------------

    def index_state(self, table: str) -> IndexState:
        """An HNSW index of pgvector takes every row that is added: it is never stale."""
        making = self.rows(
            "SELECT blocks_done, blocks_total FROM pg_catalog.pg_stat_progress_create_index"
            " WHERE relid = to_regclass(?)",  # an index is not seen by others before it is made
            (f'"{self._schema}".{table}',),
        )
        if making:
            done, total = making[0]
            return IndexState("building", f"{done} of {total} blocks" if total else "it begins")
        rows = self.rows(
            "SELECT i.indisvalid FROM pg_catalog.pg_index AS i"
            " JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ? AND c.relname = ?",
            (self._schema, f"{table}_index"),
        )
        if not rows:
            return IndexState("none")
        if rows[0][0]:
            return IndexState("built")
        return IndexState("stale", "its making was interrupted")

    def build_index(self, table: str) -> None:
        if self.index_state(table).state == "stale":
            self.execute(f"DROP INDEX {table}_index")
        (size,) = self.rows(f"SELECT pg_table_size('{table}'::regclass)")[0]
        memory = min(max(64, size * 2 // 2**20), MOST_INDEXING_MEGABYTES)
        # One string is one transaction, for which the setting holds.
        self.execute(
            f"SET LOCAL maintenance_work_mem = '{memory}MB'; CREATE INDEX IF NOT EXISTS"
            f" {table}_index ON {table} USING hnsw (embedding halfvec_cosine_ops)"
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self._writer is not None:  # one within another is part of it
            yield
            return
        with self._errors():
            connection = self._loop.run(self._pool.acquire())
            transaction = connection.transaction()
            self._loop.run(transaction.start())
        self._writer, self._writing = connection, threading.get_ident()
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):
                self._loop.run(transaction.rollback())
            raise
        else:
            with self._errors():
                self._loop.run(transaction.commit())
        finally:
            self._writer, self._writing = None, 0
            with contextlib.suppress(Exception):
                self._loop.run(self._pool.release(connection))

    def lock(self) -> None:
        """Hold an advisory lock for as long as this engine is open; it ends with the connection."""
        with self._errors():
            self._locked = self._loop.run(self._pool.acquire())
            query = f"SELECT pg_try_advisory_lock({LOCK_KEY}, hashtext($1))"
            got = self._loop.run(self._locked.fetchval(query, self._schema))
            if not got:
                holder = self._loop.run(self._locked.fetchval(_HOLDER, self._schema))
        if not got:
            raise LibraryLockedError(
                f"{self.name}: {holder or 'another process'} is writing to this library; wait for"
                " it to end"
            )
        told = f"lookalike writer {os.getpid()}"
        with self._errors():
            self._loop.run(self._locked.execute(f"SET application_name = '{told}'"))


_SIDE_TYPES = {
    ColumnKind.INTEGER: "bigint",
    ColumnKind.REAL: "double precision",
    ColumnKind.TEXT: 'text COLLATE "C"',
}
_VIEWS = list(
    view_statements(
        "text",
        "(array_agg({0} ORDER BY path) FILTER (WHERE {0} IS NOT NULL))[1]",
        "to_char(to_timestamp(nullif(mtime_ns, 0) / 1000000000) AT TIME ZONE 'UTC',"
        " 'YYYY-MM-DD\"T\"HH24:MI:SS')",
    )
)
"""What users see."""


def _check_names(name: str, table: SideTable) -> None:
    """Raise InputError for names of which PostgreSQL would drop the end, and mix two up."""
    for one, what in (
        (f"side_{table.name}", f"table {table.name}"),
        *((column.name, f"table {table.name}, column {column.name}") for column in table.columns),
    ):
        if len(one.encode()) > _NAME_BYTES:
            raise InputError(
                f"{name}: {what}: PostgreSQL takes names of tables up to {_NAME_BYTES - 5} bytes,"
                f" of columns up to {_NAME_BYTES}; shorten this one and add the table again"
            )


def _without_zeros(column: Sequence[Cell]) -> Sequence[Cell]:
    """Text without zero bytes, which PostgreSQL has none of."""
    if not any(isinstance(cell, str) and "\0" in cell for cell in column):
        return column
    return [c.replace("\0", "\\x00") if isinstance(c, str) else c for c in column]


_HOLDER = f"""
SELECT regexp_replace(application_name, '^lookalike writer ', 'process ')
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = {LOCK_KEY} AND objid = hashtext($1)::oid LIMIT 1
"""


async def _next(pages: Any) -> Any:
    try:
        return await anext(pages)
    except StopAsyncIteration:
        return None


def numbered(query: str) -> str:
    """A query with ``$1`` for its first question mark, and so on."""
    *parts, last = pieces(query)
    return "".join(f"{part}${n}" for n, part in enumerate(parts, 1)) + last


def _tls(address: Address) -> Any:
    """Encrypted and certain of whom it talks to off this machine, unless ``sslmode`` says else."""
    mode = address.options.get("sslmode")
    if mode is not None:
        return mode
    return None if address.local else ssl.create_default_context()
