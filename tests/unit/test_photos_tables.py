"""System B's statements run on ClickHouse as they are, and say what the local library says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lookalike import Library
from lookalike.errors import InputError, LibraryError
from lookalike.homes import home_of
from lookalike.push import PushOptions
from lookalike.side_tables import TableOptions
from lookalike.stores.server.clickhouse.ddl import Ddl
from lookalike.stores.server.clickhouse.photos import (
    CONVERSIONS,
    PHOTOS,
    conversions_statements,
    photos_statements,
)
from lookalike.types import Space
from tests.conftest import give_foreign_ids
from tests.servers import chdb_library, postgres_library

TARGET = "photo-003"
WITH_PHOTOS = PushOptions(photos="default")


@pytest.fixture
def unsplash(filled: Library, tmp_path: Path) -> Library:
    """Twelve photos with ids of another table, and their downloads by keyword."""
    give_foreign_ids(filled)
    rows = [
        f"photo-{seed:03d}\tkeyword {(7 * seed + number) % 6}"
        for seed in range(14)
        for number in range((5 * seed) % 9)
    ]
    rows += ["photo-003\tbee"] * 3
    table = tmp_path / "conversions.tsv"
    table.write_text("photo_id\tkeyword\n" + "\n".join(rows) + "\n")
    filled.add_table("conversions", [table], TableOptions("photo_id"))
    return filled


@pytest.fixture
def server(unsplash: Library, tmp_path: Path) -> Iterator[Any]:
    """The engine of a library that was pushed with system B's tables."""
    address = chdb_library(tmp_path / "pushed")
    report = unsplash.push(address, WITH_PHOTOS)
    assert report.photos[PHOTOS] == 12
    with closing(home_of(address).open()) as store:
        yield store.engine  # type: ignore[union-attr]


def embedding(server: Any) -> str:
    """The target's vector as a statement has it."""
    query = f"SELECT photo_embed FROM default.{PHOTOS} WHERE photo_id = ?"
    return str(list(map(float, server.rows(query, (TARGET,))[0][0])))


def test_the_tables_have_system_bs_columns_and_checks(server: Any) -> None:
    columns = "SELECT name, type FROM system.columns WHERE database = 'default' AND table = ?"
    assert server.rows(columns, (PHOTOS,)) == [
        ("id", "UInt64"),
        ("photo_id", "String"),
        ("photo_image_url", "String"),
        ("photo_embed", "Array(Float32)"),
    ]
    assert server.rows(columns, (CONVERSIONS,)) == [
        ("id", "UInt64"),
        ("photo_id", "String"),
        ("keyword", "String"),
    ]
    with pytest.raises(LibraryError, match="vector_len"):
        server.execute(f"INSERT INTO default.{PHOTOS} VALUES (99, 'x', 'y', [1, 2])")
    ids = server.rows(f"SELECT id FROM default.{PHOTOS} ORDER BY id")
    assert [number for (number,) in ids] == list(range(12))


def test_the_nearest_photos_are_those_of_a_search(server: Any, unsplash: Library) -> None:
    found = server.rows(
        f"SELECT photo_id, photo_image_url, distance(photo_embed, {embedding(server)}) AS dist"
        f" FROM default.{PHOTOS} WHERE photo_id != '{TARGET}' ORDER BY dist LIMIT 10"
    )
    hits = unsplash.search([f"id:{TARGET}"], 10, exact=True).hits
    assert [url for _, url, _ in found] == [hit.paths[0] for hit in hits]
    assert [dist for *_, dist in found] == pytest.approx([1 - hit.score for hit in hits], abs=1e-3)


def test_downloads_of_the_nearest_are_those_of_one_local_statement(
    server: Any, unsplash: Library
) -> None:
    found = server.rows(
        f"SELECT photo_id, count(*) AS count FROM default.{CONVERSIONS} JOIN (SELECT photo_id,"
        f" distance(photo_embed, {embedding(server)}) AS dist FROM default.{PHOTOS}"
        f" ORDER BY dist ASC LIMIT 10) AS target_photos"
        f" ON default.{CONVERSIONS}.photo_id = target_photos.photo_id"
        " GROUP BY photo_id ORDER BY count DESC"
    )
    own = unsplash.sql(
        "SELECT c.photo_id, count(*) AS count FROM conversions AS c JOIN files AS f"
        f" ON f.foreign_id = c.photo_id JOIN similar('id:{TARGET}', 10, 'include_self') AS s"
        " ON s.id = f.id GROUP BY c.photo_id"
    )
    assert dict(found) == dict(own.rows)
    assert [count for _, count in found] == sorted((count for _, count in found), reverse=True)

    popular = found[0][0]
    keywords = server.rows(
        f"SELECT keyword, count(*) AS count FROM default.{CONVERSIONS}"
        f" WHERE photo_id='{popular}' GROUP BY keyword ORDER BY count DESC, keyword LIMIT 5"
    )
    locally = unsplash.sql(
        f"SELECT keyword, count(*) AS count FROM conversions WHERE photo_id = '{popular}'"
        " GROUP BY keyword ORDER BY count DESC, keyword LIMIT 5"
    )
    assert keywords == list(locally.rows)


def test_a_second_push_makes_the_tables_anew_and_leaves_those_of_others(
    server: Any, unsplash: Library, tmp_path: Path
) -> None:
    address = chdb_library(tmp_path / "pushed")
    assert unsplash.push(address, WITH_PHOTOS).photos[PHOTOS] == 12
    server.execute("CREATE DATABASE IF NOT EXISTS theirs")
    server.execute(f"CREATE TABLE theirs.{PHOTOS} (a Int8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(LibraryError, match=f"theirs.{PHOTOS} is there already"):
        unsplash.push(address, PushOptions(photos="theirs"))
    server.execute("DROP DATABASE theirs SYNC")


def test_other_engines_and_odd_names_are_refused(unsplash: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="on one ClickHouse or chDB"):
        unsplash.push(postgres_library(tmp_path), WITH_PHOTOS)
    with pytest.raises(InputError, match="make a name"):
        unsplash.push(chdb_library(tmp_path), PushOptions(photos="a; DROP"))


def test_many_photos_get_a_vector_index() -> None:
    space = Space("toy", "0" * 64, "box-4", 8)
    made = photos_statements(Ddl("own"), space, "default", indexed=True)[1]
    assert made == (
        "CREATE TABLE default.myscale_photos (id UInt64, photo_id String, photo_image_url String,"
        " photo_embed Array(Float32), CONSTRAINT vector_len CHECK length(photo_embed) = 8, INDEX"
        " photo_embed_index photo_embed TYPE vector_similarity('hnsw', 'cosineDistance', 8, 'bf16',"
        " 32, 128)) ENGINE = MergeTree ORDER BY id COMMENT 'made by lookalike push'"
    )
    myscale = photos_statements(Ddl("own", myscale=True), space, "default", indexed=False)
    assert myscale[-1] == (
        "ALTER TABLE default.myscale_photos ADD VECTOR INDEX photo_embed_index photo_embed TYPE"
        " MSTG('metric_type=Cosine')"
    )


def test_without_conversions_their_table_is_empty() -> None:
    assert len(conversions_statements("own", None, "default")) == 2
