"""How a library stands, on every engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from lookalike import Library
from lookalike.errors import LibraryMissingError
from lookalike.homes import home_of
from lookalike.indexes.compact import LEAST_ROWS, LONGEST_TAIL, CodesCache
from lookalike.side_tables import TableOptions
from lookalike.status import Status
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.layout import vectors_of
from lookalike.stores.server.postgres.engine import PostgresEngine
from lookalike.types import Space
from tests.conftest import ToyEncoder, vector_table
from tests.servers import chdb_library, postgres_library

PLACES: dict[str, Callable[[Path], str]] = {
    "folder": str,
    "postgresql": postgres_library,
    "clickhouse": chdb_library,
}
SERVERS = ["postgresql", "clickhouse"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return PLACES[request.param](tmp_path / "library")


@pytest.fixture
def there(place: str, photos: Path, toy: ToyEncoder) -> Iterator[Library]:
    """The twelve pictures, one of which is gone, with a label and a side table."""
    with Library.open(place, create=True, encoder=toy) as library:
        library.add([photos])
        (photos / "002.png").unlink()
        library.add([photos])
        library.label("mine", library.matching("name = '003.png'"))
        (photos.parent / "sales.csv").write_text("name,price\n003.png,7\n005.png,8\n")
        library.add_table("sales", [photos.parent / "sales.csv"], TableOptions("name"))
        yield library


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_all_engines_count_the_same(there: Library) -> None:
    status = there.status()
    assert status.records == 11
    assert status.files == {"gone": 1, "unchanged": 11}
    (space,) = status.spaces
    assert (space.name, space.default, space.dim, space.lacking) == ("toy", True, 8, 0)
    assert (space.vectors, status.histograms) == (11, 11)
    assert (status.thumbnails, status.labels, status.side_tables) == (12, 1, {"sales": 2})
    assert status.last_indexed is not None
    assert status.checks == []


def states(status: Status) -> dict[str, str]:
    return {index.name: index.state for index in status.indexes}


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_records_without_a_vector_are_named_with_a_cure(there: Library, photos: Path) -> None:
    there.add_space(ToyEncoder("other"), [photos / "003.png"])
    there.choose_space("other")
    (check,) = there.status().checks
    assert check.startswith("space other: 10 records have no vector")
    assert "lookalike index --encoder other" in check


@pytest.mark.parametrize("place", SERVERS, indirect=True)
def test_rows_that_belong_to_nothing_are_named(there: Library, place: str) -> None:
    engine = home_of(place).open(write=True).engine  # type: ignore[union-attr]
    with closing(engine):
        (row,) = engine.rows("SELECT id FROM vectors_toy LIMIT 1")
        engine.execute(f"DELETE FROM {prefix(engine)}_records WHERE id = '{row[0]}'")
    checks = there.status().checks
    assert any(check.startswith("vectors_toy: 1 rows belong to no record") for check in checks)
    assert any(check.startswith("_histograms: 1 ") or "histograms: 1" in check for check in checks)


def prefix(engine: Any) -> str:
    return f"{engine._database}." if isinstance(engine, ClickHouseEngine) else ""


@pytest.mark.parametrize("place", ["clickhouse"], indirect=True)
def test_rows_that_are_there_twice_are_named(there: Library, place: str) -> None:
    engine = home_of(place).open(write=True).engine  # type: ignore[union-attr]
    with closing(engine):
        own = f"{engine._database}.vectors_toy"
        engine.execute(f"INSERT INTO {own} SELECT * FROM {own} LIMIT 1")
    (check,) = there.status().checks
    assert check == "vectors_toy: 1 rows are there twice; lookalike push --replace"


@pytest.mark.parametrize("place", SERVERS, indirect=True)
def test_an_index_on_a_server_is_none_then_built(there: Library, place: str) -> None:
    assert states(there.status()) == {"vectors_toy index": "none"}
    assert "pays from 20,000 records" in there.status().indexes[0].detail
    with closing(home_of(place).open(write=True)) as store:
        store.engine.build_index("vectors_toy")  # type: ignore[union-attr]
    assert states(there.status()) == {"vectors_toy index": "built"}


@pytest.mark.parametrize("place", ["clickhouse"], indirect=True)
def test_an_index_that_older_parts_lack_is_stale(there: Library, place: str) -> None:
    engine = home_of(place).open(write=True).engine  # type: ignore[union-attr]
    with closing(engine):
        engine.execute(
            f"ALTER TABLE {engine._database}.vectors_toy ADD INDEX embedding_index embedding TYPE"
            " vector_similarity('hnsw', 'cosineDistance', 8, 'bf16', 32, 128)"
        )
        (index,) = there.status().indexes
        assert index.state == "stale"
        assert "parts lack it" in index.detail
        engine.build_index("vectors_toy")
    assert states(there.status()) == {"vectors_toy index": "built"}


def test_an_index_that_is_being_made_says_how_far_it_is(tmp_path: Path) -> None:
    place = postgres_library(tmp_path / "library")
    engine = home_of(place).open(write=True).engine  # type: ignore[union-attr]
    assert isinstance(engine, PostgresEngine)
    space = Space("wide", "0" * 64, "none", 64)
    with closing(engine):
        engine.create([vectors_of(space)])
        vectors = np.random.default_rng(1).normal(size=(20_000, 64)).astype(np.float16)
        engine.add(vectors_of(space), [(uuid4(), vector) for vector in vectors])
        making = threading.Thread(target=engine.build_index, args=("vectors_wide",))
        making.start()
        seen = []
        while making.is_alive():
            seen.append(engine.index_state("vectors_wide"))
            time.sleep(0.02)
        making.join()
        building = [state.detail for state in seen if state.state == "building"]
        assert building
        assert all(" blocks" in detail or detail == "it begins" for detail in building)
        assert "stale" not in {state.state for state in seen}
        assert engine.index_state("vectors_wide").state == "built"


def test_codes_of_a_folder_are_none_built_or_stale(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    large = rng.normal(size=(LEAST_ROWS + LONGEST_TAIL + 1, 8)).astype(np.float32)
    first = CodesCache(tmp_path, vector_table(large[:LEAST_ROWS]))
    assert not first.standing().left
    assert first.refresh()
    assert first.standing().made == LEAST_ROWS
    grown = CodesCache(tmp_path, vector_table(large)).standing()
    assert (grown.rows, grown.made) == (len(large), LEAST_ROWS)
    assert grown.rows - grown.made > grown.tail
    other = CodesCache(tmp_path, vector_table(-large)).standing()
    assert (other.made, other.left) == (0, True)


def test_the_indexes_of_a_folder_are_told(filled: Library) -> None:
    assert states(filled.status()) == {"toy codes": "none", "colour codes": "none"}
    assert len(filled._current().coarse.totals) == 12  # as a search among many has it
    assert states(filled.status()) == {"toy codes": "none", "colour codes": "built"}
    for path in (filled.folder / "derived" / "colour").iterdir():
        path.rename(path.with_name(path.name.replace("-12-", "-13-")))
    assert states(filled.status())["colour codes"] == "stale"


def test_an_index_whose_making_was_interrupted_is_stale(tmp_path: Path) -> None:
    engine = home_of(postgres_library(tmp_path / "library")).open(write=True).engine  # type: ignore[union-attr]
    space = Space("small", "0" * 64, "none", 4)
    with closing(engine):
        engine.create([vectors_of(space)])
        engine.build_index("vectors_small")
        engine.execute(
            "UPDATE pg_catalog.pg_index SET indisvalid = false"
            " WHERE indexrelid = 'vectors_small_index'::regclass"
        )
        assert engine.index_state("vectors_small").state == "stale"
        engine.build_index("vectors_small")
        assert engine.index_state("vectors_small").state == "built"


def test_asking_for_a_library_that_is_not_there_makes_no_folder(tmp_path: Path) -> None:
    place = f"chdb://{tmp_path / 'none'}"
    with pytest.raises(LibraryMissingError, match="no library here"):
        Library.open(place)
    assert not home_of(place).exists()
    assert list(tmp_path.iterdir()) == []
