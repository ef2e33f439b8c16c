"""Statements for ClickHouse clusters and MyScale, text for text: neither was at hand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lookalike.errors import InputError
from lookalike.stores.server.address import parse_address
from lookalike.stores.server.clickhouse import engine as engine_of
from lookalike.stores.server.clickhouse.ddl import Ddl
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.clickhouse.words import ClickHouseWords, MyScaleWords
from lookalike.stores.server.layout import LABELS, THUMBNAILS, vectors_of
from lookalike.types import Column, ColumnKind, SideTable, Space

TOY = vectors_of(Space("toy", "0" * 64, "box-4", 8))
CLUSTER = Ddl("own", "main")


class Recording:
    """A client that notes what it is asked, and answers from a list of rows by table."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self.inserted: list[str] = []
        self.database = "own"
        self._answers = answers

    def command(self, statement: str) -> None:
        self.asked.append(statement)

    def query(self, statement: str, *_: Any, **__: Any) -> Any:
        self.asked.append(statement)
        found = [rows for name, rows in self._answers.items() if name in statement]
        rows = found[0] if found else []
        names = ("one", "two")[: len(rows[0]) if rows else 1]
        return SimpleNamespace(column_names=names, result_rows=rows)

    def insert(self, name: str, *_: Any, **__: Any) -> None:
        self.inserted.append(name)

    def raw_insert(self, name: str, *_: Any, **__: Any) -> None:
        self.inserted.append(name)

    def close(self) -> None: ...


def engine(
    monkeypatch: pytest.MonkeyPatch, address: str, **answers: Any
) -> tuple[ClickHouseEngine, Recording]:
    client = Recording(**answers)
    monkeypatch.setattr(engine_of, "connect", lambda _address: client)
    return ClickHouseEngine(parse_address(address, {})), client


def test_without_a_cluster_a_table_is_one_statement() -> None:
    assert list(Ddl("own").table(TOY)) == [
        "CREATE TABLE IF NOT EXISTS own.vectors_toy (id UUID, embedding Array(Float32),"
        " CONSTRAINT vector_len CHECK length(embedding) = 8) ENGINE = MergeTree ORDER BY (id)"
    ]


def test_on_a_cluster_rows_lie_in_replicated_tables_under_distributed_ones() -> None:
    assert CLUSTER.database_made() == "CREATE DATABASE IF NOT EXISTS own ON CLUSTER `main`"
    assert list(CLUSTER.table(TOY)) == [
        "CREATE TABLE IF NOT EXISTS own.vectors_toy_local ON CLUSTER `main` (id UUID, embedding"
        " Array(Float32), CONSTRAINT vector_len CHECK length(embedding) = 8) ENGINE ="
        " ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') ORDER BY (id)",
        "CREATE TABLE IF NOT EXISTS own.vectors_toy ON CLUSTER `main` AS own.vectors_toy_local"
        " ENGINE = Distributed(`main`, own, vectors_toy_local, cityHash64(id))",
    ]
    assert list(CLUSTER.table(LABELS)) == [
        "CREATE TABLE IF NOT EXISTS own._labels_rows_local ON CLUSTER `main` (record UUID, source"
        " String, label String, confidence Float64, version UInt64, is_deleted UInt8) ENGINE ="
        " ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', version,"
        " is_deleted) ORDER BY (record, source, label)",
        "CREATE TABLE IF NOT EXISTS own._labels_rows ON CLUSTER `main` AS own._labels_rows_local"
        " ENGINE = Distributed(`main`, own, _labels_rows_local, cityHash64(record))",
        "CREATE VIEW IF NOT EXISTS own._labels ON CLUSTER `main` AS SELECT record, source, label,"
        " confidence FROM own._labels_rows FINAL",
    ]


def test_on_a_cluster_rows_indexes_and_tables_go_where_the_rows_lie() -> None:
    assert CLUSTER.deleted("_thumbnails", "record IN (NULL)") == (
        "DELETE FROM own._thumbnails_local ON CLUSTER `main` WHERE record IN (NULL)"
    )
    assert list(CLUSTER.index("vectors_toy", 8)) == [
        "ALTER TABLE own.vectors_toy_local ON CLUSTER `main` ADD INDEX IF NOT EXISTS"
        " embedding_index embedding TYPE vector_similarity('hnsw', 'cosineDistance', 8, 'bf16',"
        " 32, 128)",
        "ALTER TABLE own.vectors_toy_local ON CLUSTER `main` MATERIALIZE INDEX embedding_index"
        " SETTINGS mutations_sync = 1",
    ]
    assert list(CLUSTER.without(THUMBNAILS)) == [
        "DROP TABLE IF EXISTS own._thumbnails ON CLUSTER `main` SYNC",
        "DROP TABLE IF EXISTS own._thumbnails_local ON CLUSTER `main` SYNC",
    ]
    assert CLUSTER.system("parts") == "clusterAllReplicas(`main`, system.parts)"


def test_the_distance_function_is_made_once() -> None:
    text = "CREATE FUNCTION IF NOT EXISTS distance AS (x, y) -> cosineDistance(x, y)"
    assert Ddl("own").distance_made() == text
    assert CLUSTER.distance_made() == text.replace("distance AS", "distance ON CLUSTER `main` AS")
    assert Ddl("own", myscale=True).distance_made() is None


def test_a_side_table_on_a_cluster_is_loaded_and_then_renamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, client = engine(monkeypatch, "clickhouse://127.0.0.1/own?cluster=main")
    table = SideTable("sales", "name", "name", (Column("name", ColumnKind.TEXT),))
    with closing(own):
        assert own.load(table, [[["a", "b"]]]) == 2
    assert client.inserted == ["loading_sales"]
    on = "ON CLUSTER `main`"
    assert client.asked == [
        f"DROP TABLE IF EXISTS own.loading_sales {on} SYNC",
        f"DROP TABLE IF EXISTS own.loading_sales_local {on} SYNC",
        f"CREATE TABLE IF NOT EXISTS own.loading_sales_local {on} (`name` Nullable(String)) ENGINE"
        " = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') ORDER BY `name`"
        " SETTINGS allow_nullable_key = 1",
        f"CREATE TABLE IF NOT EXISTS own.loading_sales {on} AS own.loading_sales_local ENGINE ="
        " Distributed(`main`, own, loading_sales_local, cityHash64(`name`))",
        f"DROP TABLE IF EXISTS own.side_sales {on} SYNC",
        f"DROP TABLE IF EXISTS own.side_sales_local {on} SYNC",
        f"RENAME TABLE own.loading_sales_local TO own.side_sales_local {on}",
        f"DROP TABLE IF EXISTS own.loading_sales {on} SYNC",
        f"DROP TABLE IF EXISTS own.loading_sales_local {on} SYNC",
        f"CREATE TABLE IF NOT EXISTS own.side_sales {on} AS own.side_sales_local ENGINE ="
        " Distributed(`main`, own, side_sales_local, cityHash64(`name`))",
        f"CREATE OR REPLACE VIEW own.`sales` {on} AS SELECT * FROM own.side_sales",
    ]


def test_a_cluster_has_a_plain_name() -> None:
    with pytest.raises(InputError, match="is no name of a cluster"):
        parse_address("clickhouse://host/db?cluster=a`b", {})


def test_an_index_on_clickhouse_says_how_far_it_is_or_why_it_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for mutation, state in (
        ((3, ""), ("building", "3 parts to do")),
        ((1, "full"), ("stale", "full")),
    ):
        own, client = engine(
            monkeypatch, "clickhouse://127.0.0.1/own?cluster=main",
            data_skipping_indices=[(1,)], mutations=[mutation],
        )  # fmt: skip
        with closing(own):
            found = own.index_state("vectors_toy")
        assert (found.state, found.detail) == state
        assert "clusterAllReplicas(`main`, system.mutations)" in client.asked[1]


# -- MyScale ---------------------------------------------------------------------------------------


def state_of(monkeypatch: pytest.MonkeyPatch, *rows: str) -> Sequence[str]:
    own, client = engine(
        monkeypatch, "myscale://127.0.0.1/own", vector_indices=[(row,) for row in rows]
    )
    with closing(own):
        found = own.index_state("vectors_toy")
    assert client.asked == [
        "SELECT status FROM system.vector_indices WHERE database = {p0:String} AND table ="
        " {p1:String} AND name = 'embedding_index'"
    ]
    return found.state, found.detail


def test_myscale_says_how_its_index_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    assert state_of(monkeypatch) == ("none", "")
    assert state_of(monkeypatch, "Built") == ("built", "")
    assert state_of(monkeypatch, "InProgress") == ("building", "MyScale says: InProgress")
    assert state_of(monkeypatch, "Error") == ("stale", "MyScale says: Error")


def test_myscale_gets_its_own_index(monkeypatch: pytest.MonkeyPatch) -> None:
    own, client = engine(monkeypatch, "myscale://127.0.0.1/own", length=[(8,)])
    with closing(own):
        own.build_index("vectors_toy")
    assert client.asked[-1] == (
        "ALTER TABLE own.vectors_toy ADD VECTOR INDEX embedding_index embedding"
        " TYPE MSTG('metric_type=Cosine')"
    )


def test_myscale_is_asked_for_its_distance_where_its_index_may_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, _ = engine(monkeypatch, "myscale://127.0.0.1/own")
    vector = np.array([0.5, -1.0])
    assert own.words.indexed_distance("v.embedding", vector) == "distance(v.embedding, [0.5,-1.0])"
    assert own.words.cosine_distance("v.embedding", vector) == (
        "cosineDistance(v.embedding, [0.5,-1.0])"
    )


def test_a_condition_comes_after_the_nearest_of_all_parts_are_known() -> None:
    """Else parts of the table where none of the nearest meets it would be missing."""
    words = ClickHouseWords()
    near = words.indexed_distance("v.embedding", np.array([1.0, 0.5]))
    assert words.by_index(near, "vectors_toy", "v.id IN (SELECT 1)", 48, 4) == (
        "SELECT v.id, v.d FROM (SELECT v.id AS id, cosineDistance(v.embedding, [1.0,0.5]) AS d"
        " FROM vectors_toy AS v ORDER BY d LIMIT 192"
        " SETTINGS max_limit_for_vector_search_queries = 100000) AS v"
        " WHERE v.id IN (SELECT 1) ORDER BY v.d LIMIT 48"
    )


def test_myscale_keeps_conditions_by_itself() -> None:
    words = MyScaleWords()
    near = words.indexed_distance("v.embedding", np.array([1.0, 0.5]))
    assert words.by_index(near, "vectors_toy", "v.id IN (SELECT 1)", 48, 1) == (
        "SELECT v.id, distance(v.embedding, [1.0,0.5]) AS d FROM vectors_toy AS v"
        " WHERE v.id IN (SELECT 1) ORDER BY d LIMIT 48"
    )
