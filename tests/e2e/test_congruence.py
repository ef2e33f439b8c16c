"""The same questions to SQLite, PostgreSQL and ClickHouse: the same answers.

A hundred random queries with filters. Exact, every engine gives the same records in the same order
with the same scores; with an index over vectors, the recall is counted.
"""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike import Library
from lookalike.query import remote
from lookalike.query.search import COMBINATIONS, WITH_COLOUR, Method
from lookalike.side_tables import TableOptions
from lookalike.stores.server import nearest, store
from lookalike.stores.server.postgres.engine import PostgresEngine
from lookalike.stores.server.store import ServerStore
from lookalike.types import COLOUR_MEASURES, SearchResult
from tests.servers import chdb_library, postgres_library

from .gallery import crops, photo

QUERIES = 100
SERVERS = ("postgresql", "clickhouse")
TOLERANCE = 1e-9
"""Of scores: the same code computes them everywhere, from the same halves and counts."""

CONDITIONS = (
    "width >= 96",
    "format = 'PNG' or name like '00%'",
    "under '{folder}/within'",
    "not under '{folder}/within' and bytes > 2000",
    "label in ('small', 'odd') and not label = 'odd'",
    "label is null",
    "sales.keyword = 'bee'",
    "sales.keyword != 'bee' and sales.price > 3",
    "some sales (keyword = 'honey' and price between 2 and 4)",
    "not some sales",
    "width > 100000",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """260 pictures: pieces of photos, and pairs of files that show the very same."""
    folder = tmp_path_factory.mktemp("congruent")
    (folder / "within").mkdir()
    for number, (name, data) in enumerate(crops(240)):
        (folder / "within" / name if number % 3 == 0 else folder / name).write_bytes(data)
    for number in range(10):  # equal pixels in two formats: equal scores, another record
        piece = photo("coffee.png").crop((number * 9, 0, number * 9 + 200, 160))
        piece.save(folder / f"twin{number}.png")
        piece.save(folder / f"twin{number}.bmp")
    return folder


@pytest.fixture(scope="module")
def libraries(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Library]]:
    """Libraries of the same pictures, labels and side table on all engines."""
    place = tmp_path_factory.mktemp("libraries")
    sales = place / "sales.csv"
    sales.write_text("file,keyword,price\n" + "".join(_sales(pictures)))
    places = {
        "sqlite": str(place / "library"),
        "postgresql": postgres_library(place),
        "clickhouse": chdb_library(place),
    }
    opened = {name: Library.open(where, create=True) for name, where in places.items()}
    for library in opened.values():
        library.add([pictures])
        ids = sorted(library.matching("width > 0"))
        library.label("small", ids[::3])
        library.label("odd", ids[1::2])
        library.add_table("sales", [sales], TableOptions("file"))
    yield opened
    for library in opened.values():
        library.close()


def _sales(pictures: Path) -> Iterator[str]:
    dice = random.Random(7)
    names = sorted(path.name for path in pictures.rglob("*.*"))
    for _ in range(900):
        name = names[int(len(names) * dice.random() ** 2 * 0.8)]
        yield f"{name},{dice.choice(['bee', 'honey', 'cup'])},{dice.randrange(6)}\n"


@pytest.fixture(scope="module")
def queries(libraries: Mapping[str, Library], pictures: Path) -> list[dict[str, Any]]:
    dice = random.Random(2026)
    ids = sorted(libraries["sqlite"].matching("width > 0"))
    return [_query(dice, ids, pictures) for _ in range(QUERIES)]


@pytest.fixture(scope="module")
def expected(libraries: Mapping[str, Library], queries: list[dict[str, Any]]) -> list[SearchResult]:
    """What the library on disk says to each query."""
    return [libraries["sqlite"].search(exact=True, **query) for query in queries]


def _query(dice: random.Random, ids: list[Any], pictures: Path) -> dict[str, Any]:
    """What ``Library.search`` takes, drawn at random."""
    by = dice.choice(["meaning", "meaning", "colour", "mix", "shortlist", "pca"])
    metric = dice.choice(list(COLOUR_MEASURES))
    inputs: list[Any] = [f"id:{one}" for one in dice.sample(ids, dice.choice([1, 1, 2, 3]))]
    combine = dice.choice(COMBINATIONS) if by != "shortlist" else "mean"
    if combine == "mean":
        inputs[0] = f"{dice.choice(['', '2*', '0.5*'])}{inputs[0]}"
        if len(inputs) > 1 and by not in WITH_COLOUR and dice.random() < 0.4:
            inputs[-1] = f"-{inputs[-1]}"
    if dice.random() < 0.15:
        inputs = [dice.choice(["text:cup", "text:rocket", "text:cat", "text:motorcycle"])]
        by, combine = "meaning", "mean"
    where = dice.choice([None, None, *CONDITIONS])
    return {
        "inputs": inputs,
        "k": dice.choice([1, 5, 10, 40, 500]),
        "method": Method(by, dims=30, metric=metric, shortlist=dice.choice([10, 50])),
        "combine": combine,
        "where": where and where.format(folder=pictures),
        "include_self": dice.random() < 0.2,
        "category": dice.choice([None, None, None, "instrumentality", "animal"]),
        "least": dice.choice([None, None, None, "maybe"]),
    }


def _told(result: SearchResult) -> list[Any]:
    """What a result says beside its scores."""
    hits = [
        (hit.rank, hit.id, hit.paths, hit.likeness, hit.label, hit.labels) for hit in result.hits
    ]
    return [result.searched, result.exact, result.inputs, result.where, result.category, *hits]


@pytest.mark.parametrize("name", SERVERS)
def test_exact_answers_are_the_same_everywhere(
    name: str,
    libraries: Mapping[str, Library],
    queries: list[dict[str, Any]],
    expected: list[SearchResult],
) -> None:
    for query, ours in zip(queries, expected, strict=True):
        theirs = libraries[name].search(exact=True, **query)
        assert _told(theirs) == _told(ours), query
        np.testing.assert_allclose(
            [hit.score for hit in theirs.hits], [hit.score for hit in ours.hits], atol=TOLERANCE
        )
        np.testing.assert_allclose(
            [hit.input_scores for hit in theirs.hits],
            [hit.input_scores for hit in ours.hits],
            atol=TOLERANCE,
        )
    assert sum(len(ours.hits) for ours in expected) > 10 * QUERIES  # not all about nothing


@pytest.mark.parametrize("name", SERVERS)
def test_ties_go_by_id_everywhere(name: str, libraries: Mapping[str, Library]) -> None:
    twins = libraries["sqlite"].matching("name like 'twin%'")
    result = libraries[name].search([twins[0]], 20, include_self=True)
    pairs = list(itertools.pairwise(result.hits))
    assert sum(first.score == second.score for first, second in pairs) >= 9
    for first, second in pairs:
        assert first.score > second.score or first.id.bytes < second.id.bytes


@pytest.mark.parametrize("name", SERVERS)
def test_an_index_over_vectors_finds_nearly_all(
    name: str, libraries: Mapping[str, Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (store, nearest):
        monkeypatch.setattr(module, "LEAST_INDEXED", 50)
    library = libraries[name]
    assert library.search([library.random_record(0)]).exact  # there is none yet
    assert library.refresh()
    assert not library.refresh()  # it is there now
    found = 0
    for number in range(40):
        query = [library.random_record(number)]
        where = (None, "not under '/nowhere'", "bytes > 4000", "bytes <= 4000")[number % 4]
        quick = library.search(query, 10, where=where)
        exact = library.search(query, 10, where=where, exact=True)
        assert exact.exact
        assert not quick.exact or number % 4 > 1  # an index that finds too few is not believed
        assert len(quick.hits) == 10
        found += len({hit.id for hit in quick.hits} & {hit.id for hit in exact.hits})
    assert found / 400 >= 0.95


def test_postgresql_compares_no_rows_each_with_each(
    libraries: Mapping[str, Library],
    queries: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NOT IN of more rows than fit into memory takes minutes; joins take milliseconds."""
    asked: dict[str, tuple[PostgresEngine, Sequence[Any]]] = {}
    rows = PostgresEngine.rows

    def noted(self: PostgresEngine, query: str, values: Sequence[Any] = ()) -> list[Any]:
        asked[query] = self, values
        return rows(self, query, values)

    monkeypatch.setattr(PostgresEngine, "rows", noted)
    address = postgres_library(tmp_path)
    libraries["sqlite"].push(address)
    with Library.open(address) as library:
        for query in queries:
            library.search(**query)
        library.search(["text:cup"], where="not label = 'odd' and not some sales (price > 3)")
        library.status()
        plans = [
            "\n".join(line for (line,) in rows(engine, f"EXPLAIN {query}", values))
            for query, (engine, values) in asked.items()
            if "_records" in query or "v.id" in query
        ]
    assert any("Anti Join" in plan for plan in plans)
    assert [plan for plan in plans if "NOT (ANY" in plan] == []


@pytest.mark.parametrize("name", SERVERS)
def test_statements_give_the_same_everywhere(name: str, libraries: Mapping[str, Library]) -> None:
    target = libraries["sqlite"].matching("name = 'twin0.png'")[0]
    statements = (
        f"SELECT s.rank, s.id, f.name, count(*) AS sold FROM similar('id:{target}', 10) AS s"
        " JOIN files AS f ON f.id = s.id JOIN sales ON sales.file = f.name"
        " GROUP BY s.rank, s.id, f.name ORDER BY sold DESC, s.rank",
        "SELECT keyword, count(*) AS sold FROM sales WHERE file ="
        f" (SELECT f.name FROM similar('id:{target}', 10, 'include_self') AS s"
        " JOIN files AS f ON f.id = s.id JOIN sales AS own ON own.file = f.name"
        " GROUP BY f.name ORDER BY count(*) DESC, f.name LIMIT 1)"
        " GROUP BY keyword ORDER BY sold DESC, keyword LIMIT 5",
        f"SELECT similar.rank, id FROM similar('id:{target}', 3) ORDER BY similar.rank",
        "SELECT * FROM images ORDER BY id",
        "SELECT * FROM files ORDER BY path",
        "SELECT * FROM labels ORDER BY id, label",
        "SELECT id FROM images WHERE width < 0",
    )
    for statement in statements:
        ours, theirs = libraries["sqlite"].sql(statement), libraries[name].sql(statement)
        assert theirs.columns == ours.columns, statement
        assert [_plain(row) for row in theirs] == [_plain(row) for row in ours], statement


def _plain(row: tuple[Any, ...]) -> list[Any]:
    return [round(cell, 9) if isinstance(cell, float) else cell for cell in row]


@pytest.mark.parametrize("name", SERVERS)
def test_what_is_known_of_records_is_the_same_everywhere(
    name: str, libraries: Mapping[str, Library]
) -> None:
    ours, theirs = libraries["sqlite"], libraries[name]
    ids = sorted(ours.matching("width > 0"))
    assert sorted(theirs.matching("width > 0")) == ids
    assert theirs.get(ids) == ours.get(ids)
    assert list(theirs.ledger()) == list(ours.ledger())
    assert theirs.categories() == ours.categories()
    assert theirs.label_counts() == ours.label_counts()
    assert [theirs.random_record(seed) for seed in range(9)] == [
        ours.random_record(seed) for seed in range(9)
    ]
    assert theirs.shown_by(ids[0]) == ours.shown_by(ids[0])
    assert theirs.thumbnails(ids) == ours.thumbnails(ids)
    assert theirs.spaces() == ours.spaces()


@pytest.mark.parametrize("name", SERVERS)
def test_categories_are_counted_without_vectors(
    name: str, libraries: Mapping[str, Library], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("all vectors were fetched")

    monkeypatch.setattr(ServerStore, "_all_vectors", refuse)
    address = {"postgresql": postgres_library, "clickhouse": chdb_library}[name](tmp_path)
    libraries["sqlite"].push(address)
    with Library.open(address) as there:
        assert there.categories() == libraries["sqlite"].categories()


@pytest.mark.parametrize("name", SERVERS)
def test_a_new_picture_is_compared_everywhere(
    name: str, libraries: Mapping[str, Library], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    photo("chelsea.png").crop((30, 20, 400, 280)).save(buffer, "JPEG")
    (tmp_path / "new.jpg").write_bytes(buffer.getvalue())
    ours = libraries["sqlite"].search([tmp_path / "new.jpg"], 7)
    theirs = libraries[name].search([tmp_path / "new.jpg"], 7)
    assert _told(theirs) == _told(ours)
    assert Image.open(io.BytesIO(theirs.inputs[0].thumbnail or b"")).size == (256, 180)


def test_excerpts_are_drawn_from_as_many_records_as_whole_libraries() -> None:
    from lookalike.query import likeness, mixing

    assert remote.PAIRS_DRAWN == likeness.OTHERS == mixing.OTHERS
