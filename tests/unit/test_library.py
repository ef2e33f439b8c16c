"""The facade: many searches at once, indexes made beside searches, libraries that change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike import IndexOptions, Library, Method
from lookalike.errors import InputError
from lookalike.indexes import CompactIndex, ExactIndex, compact
from lookalike.library import Source
from lookalike.query import tables
from lookalike.types import SearchResult
from tests.conftest import fill, picture

WAYS = [Method(), Method("pca", dims=5), Method("mix"), *(
    Method("colour", metric=metric) for metric in ("intersection", "chi-square")
)]  # fmt: skip
every_way = pytest.mark.parametrize("method", WAYS, ids=lambda way: f"{way.by} {way.metric}")


# -- many searches at once -------------------------------------------------------------------------


def inputs(photos: Path) -> list[Source]:
    """Pictures of the library, one twice, a copy of one, one from outside, and a crop."""
    copy, outside = photos.parent / "copy.png", photos.parent / "outside.png"
    copy.write_bytes((photos / "004.png").read_bytes())
    picture(70).save(outside)
    known = [photos / f"{n:03d}.png" for n in (0, 7, 0)]
    return [*known, copy, outside, f"{photos / '003.png'}[0,0,0.5,1]"]


@every_way
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3, "include_self": True},
        {"k": 99, "exact": True},
        {"k": 4, "where": "name >= '003.png' and not name = '007.png'"},
        {"k": 4, "where": "width > 9999"},
        {"k": 9, "least": "maybe"},
        {"k": 4, "space": "toy"},
    ],
    ids=str,
)
def test_many_searches_are_as_one_by_one(
    filled: Library, photos: Path, method: Method, options: dict[str, Any]
) -> None:
    asked = inputs(photos)
    together = filled.search_many(asked, method=method, **options)
    assert together == [filled.search(one, method=method, **options) for one in asked]


@pytest.mark.parametrize("by", ["meaning", "pca"])
def test_terms_with_a_minus_are_as_one_by_one(filled: Library, photos: Path, by: str) -> None:
    asked = [f"-{photos / '002.png'}", f"3*{photos / '002.png'}"]
    method = Method(by, dims=5)
    together = filled.search_many(asked, 4, method, include_self=True)
    assert together == [filled.search(one, 4, method, include_self=True) for one in asked]


def test_many_searches_refuse_what_one_refuses(filled: Library, photos: Path) -> None:
    with pytest.raises(InputError, match="no input; give at least one"):
        filled.search_many([])
    with pytest.raises(InputError, match=r"nonesuch\.jpg: .*No such file"):
        filled.search_many([photos / "000.png", photos / "nonesuch.jpg"])
    with pytest.raises(InputError, match="k 0: at least 1"):
        filled.search_many([photos / "000.png"], 0)
    with pytest.raises(InputError, match="no column 'colour'"):
        filled.search_many([photos / "000.png"], where="colour = 'red'")
    with pytest.raises(InputError, match="this library has: toy"):
        filled.search_many([photos / "000.png"], space="other")
    with pytest.raises(InputError, match="no space of this library has classes"):
        filled.search_many([photos / "000.png"], category="cat")


# -- indexes ---------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of 40 rows are large, ten new rows are not many, and an index leaves rows out."""
    for module in (compact, tables):
        monkeypatch.setattr(module, "LEAST_ROWS", 40)
    monkeypatch.setattr(compact, "LONGEST_TAIL", 10)
    of = classmethod(lambda cls, k: cls(max(45, k), max(30, k)))
    monkeypatch.setattr(compact.Effort, "of", of)


def unindexed(library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Fill a library that is large, and has no index all the same."""
    paths = fill(folder, range(60))
    with monkeypatch.context() as patch:
        patch.setattr(compact, "LEAST_ROWS", 1_000)
        library.add([folder])
    return paths


def index_of(library: Library) -> CompactIndex | ExactIndex:
    return library._current().meaning(exact=False)


def wait_for_threads(before: set[threading.Thread]) -> int:
    """Wait until threads that were started since have ended; returns how many these were."""
    started = [t for t in set(threading.enumerate()) - before if not t.name.startswith("kernel")]
    for thread in started:
        thread.join(timeout=60)
        assert not thread.is_alive()
    return len(started)


@pytest.mark.usefixtures("small")
def test_the_second_search_without_an_index_makes_it_beside(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = unindexed(library, tmp_path / "many", monkeypatch)
    made = library.folder / "derived" / "compact"
    before = set(threading.enumerate())
    exactly = library.search(first, 3)
    assert exactly.exact
    assert wait_for_threads(before) == 0, "one search by itself need not pay for an index"
    assert not made.exists()
    assert library.search(second, 3).exact
    wait_for_threads(before)
    assert made.exists()
    assert isinstance(index_of(library), CompactIndex)
    again = library.search(first, 3)
    assert not again.exact
    assert again.hits == exactly.hits


@pytest.mark.usefixtures("small")
def test_searches_that_would_not_use_an_index_make_none(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = unindexed(library, tmp_path / "many", monkeypatch)
    before = set(threading.enumerate())
    for _ in range(4):
        library.search(first, 3, exact=True)
        library.search(first, 3, Method("colour"))
    wait_for_threads(before)
    assert not (library.folder / "derived" / "compact").exists()


@pytest.mark.usefixtures("small")
def test_many_searches_at_once_count_as_one(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = unindexed(library, tmp_path / "many", monkeypatch)
    before = set(threading.enumerate())
    library.search_many(paths[:10], 3)
    wait_for_threads(before)
    assert isinstance(index_of(library), ExactIndex)
    library.search_many(paths[:10], 3)
    wait_for_threads(before)
    assert isinstance(index_of(library), CompactIndex)


@pytest.mark.usefixtures("small")
def test_deleting_and_adding_keep_searches_right_without_a_new_index(
    library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    paths = fill(folder, range(60))
    library.add([folder])
    assert not library.search(paths[0], 3).exact, "there is an index, and it leaves rows out"
    steps = [
        lambda: [path.unlink() for path in paths[10:15]],  # gone, and known to be
        lambda: fill(folder, range(60, 66)),  # added: rows without codes
        lambda: [path.unlink() for path in paths[15:18]],
        lambda: fill(folder, [11]),  # back again
    ]
    for number, step in enumerate(steps):
        step()
        library.add([folder], IndexOptions(prune=number >= 2))
        _check(library, folder)
    index = index_of(library)
    assert isinstance(index, CompactIndex)
    assert index.coded_rows == 60


def _check(library: Library, folder: Path) -> None:
    """Searches with and without the index agree, and find what is there and nothing else."""
    there = {str(path) for path in folder.iterdir()}
    for path in sorted(folder.iterdir()):
        found = library.search(path, 4, include_self=True)
        exactly = library.search(path, 4, include_self=True, exact=True)
        assert (found.exact, exactly.exact) == (False, True)
        assert found.hits == exactly.hits
        assert paths_of(found)[0] == str(path)
        assert set(paths_of(found)) <= there
    every = library.search(path, 999, include_self=True)
    assert set(paths_of(every)) == there
    assert np.all(np.diff([hit.distance for hit in every.hits]) >= 0)


def paths_of(result: SearchResult) -> list[str]:
    return [path for hit in result.hits for path in hit.paths]
