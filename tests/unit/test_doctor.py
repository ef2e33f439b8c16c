"""Recall is counted rightly, and what is off with a library is said with what mends it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import IndexOptions, Library, Method, kernels
from lookalike.cli.main import build_parser
from lookalike.cli.map_options import map_options
from lookalike.errors import InputError
from lookalike.evaluate.recall import (
    NEIGHBOURS,
    Query,
    Trial,
    every_row,
    interval,
    nearest,
    try_out,
)
from lookalike.indexes import ColourIndex, ExactIndex, Neighbours, colour, compact
from lookalike.maps import MapOptions
from lookalike.query import tables
from lookalike.query.search import ByColour, ByVector, Point
from lookalike.types import COLOUR_MEASURES
from tests.conftest import (
    ToyEncoder,
    fill,
    histogram_table,
    record_ids,
    sparse,
    vector_table,
)

# -- recall ----------------------------------------------------------------------------------------

TABLE = vector_table(np.random.default_rng(0).normal(size=(100, 8)))
ALL = np.ones(100, bool)


class Stub(ByVector):
    """A comparison whose index finds what a test wants of the true nearest rows."""

    def __init__(self, change: Any = lambda found: found, table: Any = TABLE) -> None:
        super().__init__(ExactIndex(table.ids, table.parts))
        self._change = change

    def nearest(self, point: Point, k: int, allowed: Any) -> Neighbours:
        found: Neighbours = self._change(super().nearest(point, k, allowed))
        return found


def queries(count: int = 5, table: Any = TABLE) -> list[Query]:
    rows = np.arange(count)
    points = table.vectors(rows).astype(np.float64)
    return [Query(Point(p, None), row) for p, row in zip(points, range(count), strict=True)]


def tried(change: Any, **options: Any) -> Trial:
    return try_out("stub", Stub(change), nearest, queries(), ALL, oracle=Stub(), **options)


def rows_of(found: Neighbours, rows: Any) -> Neighbours:
    return replace(found, rows=np.asarray(rows, np.int64), scores=np.ones(len(rows)), exact=False)


def test_an_index_that_finds_all_has_a_recall_of_one() -> None:
    trial = tried(lambda found: found)
    assert (trial.recall, trial.exact, trial.queries, trial.compared) == (1.0, True, 5, 5)
    assert 0 < trial.p50_ms <= trial.p99_ms
    assert trial.full_ms > 0


@pytest.mark.parametrize("missing", [1, 3, 10])
def test_recall_is_the_share_of_the_best_ten_that_came_back(missing: int) -> None:
    trial = tried(lambda found: rows_of(found, found.rows[missing:]))
    assert trial.recall == pytest.approx(1 - missing / NEIGHBOURS)
    assert not trial.exact


def test_rows_named_twice_and_rows_that_are_not_allowed_do_not_count() -> None:
    assert tried(lambda found: rows_of(found, found.rows[[0] * 10])).recall == pytest.approx(0.1)
    own = tried(lambda found: rows_of(found, [0, 1, 2, 3, 4]))  # the inputs themselves
    without = tried(lambda found: rows_of(found, []))
    assert without.recall == 0
    assert own.recall < 0.5


def test_scores_that_an_index_claims_are_not_believed() -> None:
    liar = tried(lambda found: rows_of(found, np.arange(90, 100)))
    assert liar.recall < 0.6


def test_a_row_as_good_as_the_tenth_is_right() -> None:
    twice = vector_table(np.repeat(np.eye(6), 20, axis=0))
    found = Stub(lambda found: rows_of(found, np.arange(10, 20)), twice)
    trial = try_out(
        "ties", found, nearest, queries(3, twice), np.ones(120, bool), oracle=Stub(table=twice)
    )
    assert trial.recall == 1.0


def test_fewer_than_ten_allowed_rows_are_all_that_is_wanted() -> None:
    few = np.arange(100) >= 97
    trial = try_out("few", Stub(), nearest, queries(), few, 0.03)
    assert (trial.recall, trial.share) == (1.0, 0.03)
    none = try_out("none", Stub(), nearest, queries(1), np.arange(100) == 0)
    assert none.recall == 1.0


def test_no_query_is_begun_after_the_time_is_over() -> None:
    trial = tried(lambda found: found, seconds=0.0)
    assert (trial.queries, trial.compared) == (1, 1)
    assert tried(lambda found: found, compared=2).compared == 2


@pytest.mark.parametrize("metric", COLOUR_MEASURES)
@given(seed=st.integers(0, 50))
def test_scoring_every_row_finds_what_the_colour_index_finds(metric: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        sparse({int(b): int(n) for b, n in zip(bins, rng.integers(1, 99, 8), strict=True)})
        for bins in rng.integers(0, 30, (60, 8))
    ]
    table = histogram_table(rows, record_ids(60), parts=2)
    comparison = ByColour(ColourIndex(table, metric))
    allowed = rng.random(60) < 0.8
    point = Point(None, rows[0].dense())
    expected, found = (search(comparison, point, allowed) for search in (nearest, every_row))
    assert found.rows.tolist() == expected.rows.tolist()
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [(1.0, 100, 0.9630, 1.0), (0.5, 4, 0.1500, 0.8500), (0.0, 10, 0.0, 0.2775)],
)
def test_the_interval_is_wilsons(share: float, count: int, low: float, high: float) -> None:
    assert interval(share, count) == pytest.approx((low, high), abs=1e-4)


# -- a library -------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of 40 rows are large, and five new rows are many."""
    for module in (compact, tables):
        monkeypatch.setattr(module, "LEAST_ROWS", 40)
    for module in (compact, colour):
        monkeypatch.setattr(module, "LONGEST_TAIL", 5)


def large(library: Library, folder: Path, count: int = 60) -> Library:
    fill(folder, range(count))
    library.add([folder])
    return library


def test_a_small_library_is_well(filled: Library, photos: Path) -> None:
    (photos / "broken.png").write_bytes(b"none")
    filled.add([photos])
    found = filled.checkup()
    own = found.library
    assert (own.records, own.files, own.unreadable, own.rows) == (12, 12, 1, 12)
    assert (own.dead_rows, own.index, own.uncoded_rows) == (0, "none", 0)
    assert own.folder == str(filled.folder)
    assert own.bytes.vectors == 2 * 64 + 12 * (8 * 2 + 16)
    sizes = [len(jpeg or b"") for jpeg in filled.thumbnails([r.record for r in _rows(filled)])]
    assert own.bytes.thumbnails == pytest.approx(sum(sizes), rel=0.01)
    assert own.bytes.catalogue > own.bytes.thumbnails
    assert found.machine.kernels == kernels.instructions()
    assert found.machine.encoder == "toy, a plug-in"
    names = ["meaning", *(f"colour, {metric}" for metric in COLOUR_MEASURES)]
    assert [trial.name for trial in found.searches] == names
    assert [trial.share for trial in found.filters] == [0.5, 0.05]  # the others hold for none
    for trial in (*found.searches, *found.filters):
        assert (trial.queries, trial.recall, trial.exact) == (12, 1.0, True)
    assert found.advice == () or found.machine.kernels == "numpy"
    assert json.loads(json.dumps(found.to_dict()))["searches"][0]["recall"] == 1.0


def _rows(library: Library) -> list[Any]:
    return [row for row in library.ledger() if row.record]


def test_a_check_up_of_the_same_library_asks_the_same_queries(filled: Library) -> None:
    first, second = (filled.checkup(queries=3) for _ in range(2))
    assert [t.queries for t in first.searches] == [3] * 5
    assert [t.recall for t in first.searches] == [t.recall for t in second.searches]


def test_a_map_that_is_to_be_made_anew_is_told_with_the_command_for_it(
    library: Library, tmp_path: Path
) -> None:
    asked = MapOptions(method="umap", where="width > 3", seed=2, clusters="kmeans")
    for first in (0, 10):  # half of them later
        fill(tmp_path / "more", range(first, first + 10))
        library.add([tmp_path / "more"])
        library.map(asked)
    (line,) = [line for line in library.checkup(queries=2).advice if line.startswith("map ")]
    command = line.partition("lookalike map ")[2]
    parsed = map_options(build_parser(["map"]).parse_args(["map", *shlex.split(command)]))
    assert replace(parsed, clusters="kmeans") == replace(asked, space=library.spaces()[0].name)


def test_less_than_one_query_is_refused(filled: Library) -> None:
    with pytest.raises(InputError, match="queries 0: at least 1"):
        filled.checkup(queries=0)


def test_a_library_of_one_record_is_not_searched(library: Library, tmp_path: Path) -> None:
    fill(tmp_path / "one", [1])
    library.add([tmp_path / "one"])
    found = library.checkup(every=True)
    assert (found.library.records, found.searches, found.filters) == (1, (), ())


def test_pca_is_tried_if_a_model_is_there_or_all_is_asked_for(
    filled: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "PCA-100" not in [t.name for t in filled.checkup(every=True).searches]  # has eight
    monkeypatch.setattr("lookalike.evaluate.doctor.PCA_DIMS", 5)
    assert "PCA-5" not in [t.name for t in filled.checkup().searches]
    assert not (filled.folder / "derived" / "pca").exists()
    assert filled.checkup(every=True).searches[1].name == "PCA-5"
    assert filled.checkup().searches[1].name == "PCA-5"
    assert filled.search(photos / "000.png", 3, Method("pca", dims=5)).exact


@pytest.mark.usefixtures("small")
def test_a_missing_index_is_told_and_mended_by_what_is_advised(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(compact, "LEAST_ROWS", 1_000)  # an older version made none
        large(library, tmp_path / "many")
    found = library.checkup(queries=5)
    assert found.library.index == "missing"
    assert [line for line in found.advice if line.startswith("no index")]
    library.add([tmp_path / "many"])
    mended = library.checkup(queries=5)
    assert (mended.library.index, mended.library.uncoded_rows) == ("ready", 0)
    assert not [line for line in mended.advice if "index" in line]


@pytest.mark.usefixtures("small")
def test_a_stale_index_is_told(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(library, tmp_path / "many")
    fill(tmp_path / "many", range(60, 66))
    with monkeypatch.context() as patch:
        patch.setattr(compact.CodesCache, "refresh", lambda _self: False)  # a full disk
        library.add([tmp_path / "many"])
    found = library.checkup(queries=5)
    assert (found.library.index, found.library.uncoded_rows) == ("ready", 6)
    assert [line for line in found.advice if "6 rows are not in it" in line]
    library.add([tmp_path / "many"])
    assert library.checkup(queries=5).library.uncoded_rows == 0


@pytest.mark.usefixtures("small")
def test_an_index_that_misses_rows_is_told(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(library, tmp_path / "many")
    one = classmethod(lambda cls, k: cls(10, 10))
    monkeypatch.setattr(compact.Effort, "of", one)
    (path,) = (library.folder / "derived" / "compact" / "toy").glob("*.offset.npy")
    damaged = np.load(path)
    damaged[::2] -= 9
    np.save(path, damaged)
    meaning = library.checkup().searches[0]
    assert meaning.recall < 0.99
    assert not meaning.exact
    (line,) = [line for line in library.checkup().advice if line.startswith("meaning: recall")]
    assert str(library.folder / "derived") in line
    assert "--exact" in line


def test_colour_bounds_that_lie_are_told(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(colour, "_SEEDS", 2)
    monkeypatch.setattr(colour, "_STEP", 5)
    large(library, tmp_path / "many")
    assert all(trial.recall == 1 for trial in library.checkup().searches)
    for path in (library.folder / "derived" / "colour").glob("*.roots.npy"):
        np.save(path, np.zeros_like(np.load(path)))
    with Library.open(library.folder, encoder=ToyEncoder()) as again:
        lines = [line for line in again.checkup().advice if "claim to be exact" in line]
    assert any(line.startswith("colour, intersection") for line in lines)


def test_many_dead_rows_are_told(filled: Library, photos: Path) -> None:
    for path in sorted(photos.iterdir())[:5]:
        path.unlink()
    filled.add([photos], IndexOptions(prune=True))
    found = filled.checkup()
    assert (found.library.records, found.library.rows, found.library.dead_rows) == (7, 12, 5)
    assert [line for line in found.advice if line.startswith("42% of the rows")]


def test_an_encoder_that_does_not_fit_is_told(filled: Library) -> None:
    with Library.open(filled.folder, encoder=ToyEncoder("other")) as library:
        assert [line for line in library.checkup().advice if "encoder other is not" in line]
    with Library.open(filled.folder) as library:  # toy is no plug-in that is installed
        found = library.checkup()
    assert found.machine.encoder == "none"
    assert [line for line in found.advice if "encoder 'toy': not known" in line]


def test_kernels_in_numpy_are_told_with_the_cure(
    filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_native", None)
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    (line,) = [line for line in filled.checkup().advice if "NumPy" in line]
    assert "install a C compiler" in line
    monkeypatch.setenv(kernels.VARIABLE, "numpy")
    (line,) = [line for line in filled.checkup().advice if "NumPy" in line]
    assert "unset it" in line


def test_looking_changes_nothing_that_counts(filled: Library) -> None:
    before = {p: p.read_bytes() for p in filled.folder.rglob("*") if _counts(p, filled.folder)}
    filled.checkup()
    after = {p: p.read_bytes() for p in filled.folder.rglob("*") if _counts(p, filled.folder)}
    assert after == before


def _counts(path: Path, folder: Path) -> bool:
    derived = folder / "derived"
    return (
        path.is_file() and derived not in path.parents and not path.name.endswith(("-shm", "-wal"))
    )
