"""ClickHouse's statements that make and remove tables and indexes, as text.

On one server a table is a MergeTree. On a cluster (``cluster=NAME`` in the address) the rows of X
lie in ``X_local`` on each of its servers, a ReplicatedMergeTree, and X is a Distributed table over
these, sharded by ``cityHash64`` of the record's id; what is read and inserted goes through X. No
cluster was at hand: these statements were checked as text alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lookalike.stores.server.layout import FILES, Column, Table, expanded

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
INDEX = "embedding_index"
"""The name of the index over a table of vectors."""

LIVE = ", (record IS NOT NULL AND state IN ('indexed', 'unchanged', 'moved')) AS live"

_PLACE = "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
"""Where replicas of a table meet, and who one is: macros that every server of a cluster sets."""


_HISTOGRAM = Column("bins", "integers"), Column("counts", "integers"), Column("total", "integer")


def physical(table: Table) -> Iterator[Column]:
    """The columns of a table on ClickHouse: a histogram is three of them."""
    return expanded(table, _HISTOGRAM)


def definition(column: Column) -> str:
    """A column as ``CREATE TABLE`` has it."""
    kind = "Array(UInt16)" if column.name in ("bins", "counts") else _TYPES[column.kind]
    return f"{column.name} {f'Nullable({kind})' if column.nullable else kind}"


@dataclass(frozen=True, slots=True)
class Ddl:
    """Statements for the tables of one database; ``myscale``: in MyScale's dialect."""

    database: str
    cluster: str | None = None
    myscale: bool = False

    @property
    def on(self) -> str:
        """What lets a statement run on all servers of the cluster."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    @property
    def ending(self) -> str:
        """What follows the names of the tables that hold the rows."""
        return "_local" if self.cluster else ""

    def place(self, name: str) -> str:
        """A table by its full name."""
        return f"{self.database}.{name}"

    def database_made(self) -> str:
        """What makes the database."""
        return f"CREATE DATABASE IF NOT EXISTS {self.database}{self.on}"

    def distance_made(self) -> str | None:
        """What makes MyScale's ``distance`` known elsewhere, so that statements run unchanged."""
        if self.myscale:
            return None
        return f"CREATE FUNCTION IF NOT EXISTS distance{self.on} AS (x, y) -> cosineDistance(x, y)"

    def view(self, name: str, query: str, *, replace: bool = True) -> str:
        """What makes a view."""
        how = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
        return f"{how} {self.place(name)}{self.on} AS {query}"

    def stored(
        self, name: str, columns: Sequence[str], engine: str, order: str, shard: str
    ) -> Iterator[str]:
        """What makes a table by its columns, if it is not there.

        ``engine``: of the MergeTree family, with what it takes in parentheses; ``shard``: the
        columns by which rows are spread over a cluster.
        """
        kind, _, own = engine.rstrip(")").partition("(")
        parameters = ", ".join(part for part in (_PLACE if self.cluster else "", own) if part)
        replicated = "Replicated" if self.cluster else ""
        yield (
            f"CREATE TABLE IF NOT EXISTS {self.place(name + self.ending)}{self.on}"
            f" ({', '.join(columns)}) ENGINE = {replicated}{kind}"
            f"{f'({parameters})' if parameters else ''} ORDER BY {order}"
        )
        if self.cluster:
            yield self.distributed(name, shard)

    def distributed(self, name: str, shard: str) -> str:
        """What makes a Distributed table over the local ones."""
        return (
            f"CREATE TABLE IF NOT EXISTS {self.place(name)}{self.on} AS {self.place(name)}_local"
            f" ENGINE = Distributed(`{self.cluster}`, {self.database}, {name}_local,"
            f" cityHash64({shard}))"
        )

    def table(self, table: Table) -> Iterator[str]:
        """What makes a table of the layout, and the view over it, if it is not there."""
        columns = [definition(column) for column in physical(table)]
        key, shard = ", ".join(table.key), table.key[0]
        if table.fixed:
            columns += [
                f"CONSTRAINT vector_len CHECK length({column.name}) = {column.size}"
                for column in table.columns
                if column.kind == "vector"
            ]
            yield from self.stored(table.name, columns, "MergeTree", f"({key})", shard)
            return
        columns += ["version UInt64", "is_deleted UInt8"]
        engine = "ReplacingMergeTree(version, is_deleted)"
        yield from self.stored(f"{table.name}_rows", columns, engine, f"({key})", shard)
        shown = ", ".join(column.name for column in physical(table))
        live = LIVE if table is FILES else ""
        query = f"SELECT {shown}{live} FROM {self.place(table.name)}_rows FINAL"
        yield self.view(table.name, query, replace=False)

    def without(self, table: Table) -> Iterator[str]:
        """What removes a table of the layout."""
        if not table.fixed:
            yield f"DROP TABLE IF EXISTS {self.place(table.name)}{self.on} SYNC"
        name = table.name if table.fixed else f"{table.name}_rows"
        yield from self.dropped(name)

    def dropped(self, name: str) -> Iterator[str]:
        """What removes a table and, on a cluster, its rows."""
        yield f"DROP TABLE IF EXISTS {self.place(name)}{self.on} SYNC"
        if self.cluster:
            yield f"DROP TABLE IF EXISTS {self.place(name)}_local{self.on} SYNC"

    def deleted(self, name: str, where: str) -> str:
        """What removes rows of a table."""
        return f"DELETE FROM {self.place(name + self.ending)}{self.on} WHERE {where}"

    def index(self, name: str, dim: int) -> Iterator[str]:
        """What makes the index over a table's vectors, if it is not there, for all its rows."""
        place = f"{self.place(name + self.ending)}{self.on}"
        if self.myscale:
            yield f"ALTER TABLE {place} ADD VECTOR INDEX {INDEX} {myscale_index('embedding')}"
            return
        made = vector_index("embedding", dim)
        yield f"ALTER TABLE {place} ADD INDEX IF NOT EXISTS {INDEX} {made}"
        yield f"ALTER TABLE {place} MATERIALIZE INDEX {INDEX} SETTINGS mutations_sync = 1"

    def unindexed(self, name: str) -> str:
        """What removes an index of MyScale's."""
        return f"ALTER TABLE {self.place(name + self.ending)}{self.on} DROP VECTOR INDEX {INDEX}"

    def system(self, table: str) -> str:
        """A table of the server's own, of all servers of a cluster."""
        return (
            f"clusterAllReplicas(`{self.cluster}`, system.{table})"
            if self.cluster
            else f"system.{table}"
        )


def vector_index(column: str, dim: int) -> str:
    """An index over vectors: HNSW of bfloat16, by cosine."""
    return f"{column} TYPE vector_similarity('hnsw', 'cosineDistance', {dim}, 'bf16', 32, 128)"


def myscale_index(column: str) -> str:
    """An index over vectors in MyScale's dialect, by cosine."""
    return f"{column} TYPE MSTG('metric_type=Cosine')"
