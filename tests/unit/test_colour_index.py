"""Ruling rows out by bounds changes no answer of the colour index, and costs no table its cache."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import kernels
from lookalike.indexes import ColourIndex, colour
from lookalike.indexes.base import choose
from lookalike.indexes.colour import CoarseCache, coarse_rows
from lookalike.indexes.derived import DerivedFolder
from lookalike.kernels.coarse import COLUMNS, CoarseRows
from lookalike.stores.base import HistogramTable
from lookalike.types import BINS, COLOUR_MEASURES, SparseHistogram
from tests.conftest import histogram_table, histograms, picture, plain, record_ids, sparse
from tests.unit.test_histogram import histogram

every_metric = pytest.mark.parametrize("metric", COLOUR_MEASURES)
SEED = np.random.default_rng(7)


def scattered(count: int, bins: int = BINS) -> list[SparseHistogram]:
    """Random histograms of one to thirty bins."""
    rows = []
    for cells in SEED.integers(1, 30, count):
        chosen = SEED.choice(bins, cells, replace=False)
        pixels = SEED.integers(1, 2_000, cells)
        rows.append(sparse(dict(zip(chosen.tolist(), pixels.tolist(), strict=True))))
    return rows


def crowd() -> list[SparseHistogram]:
    """Rows of many kinds, among them many that are equal, in no order."""
    pictures = [histogram(picture(seed)) for seed in range(300)]
    plains = [histogram(plain((r, 80, 200), (20, 12))) for r in range(0, 256, 16)]
    edges = [sparse({7: 65_279, 8: 1}), sparse({8: 1}), sparse(dict.fromkeys(range(BINS), 15))]
    rows = [
        *pictures,
        *pictures[:50],
        *(12 * plains),
        *scattered(500),
        *scattered(200, bins=200),
        *(5 * edges),
    ]
    return [rows[n] for n in SEED.permutation(len(rows))]


ROWS = crowd()
TABLE = histogram_table(ROWS, record_ids(len(ROWS)), parts=4)
QUERIES = {
    "picture": histogram(picture(3)).dense(),  # two rows have it
    "another picture": histogram(picture(9_999)).dense(),
    "one colour": histogram(plain((80, 80, 200))).dense(),
    "a colour of no row": sparse({3_000: 9}).dense(),
    "scattered": scattered(1)[0].dense(),
    "mean of three": np.mean([row.dense() for row in ROWS[:3]], axis=0),
    "weighted mean": 0.999 * ROWS[5].dense() + 0.001 * ROWS[9].dense(),
    "all colours": sparse(dict.fromkeys(range(BINS), 3)).dense(),
}


@pytest.fixture
def ruling(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few rows at a time that a small table is searched as a large one is, by threads."""
    monkeypatch.setattr(colour, "_SEEDS", 16)
    monkeypatch.setattr(colour, "_STEP", 64)
    monkeypatch.setattr(kernels, "cores", lambda: 3)


@pytest.fixture(params=["numpy", "compiled"])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy":
        monkeypatch.setattr(kernels, "_native", None)
    elif kernels._native is None:
        pytest.skip("the kernels are not compiled here")


class Looked:
    """Counts rows that are compared, to see that others are ruled out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        rough = ColourIndex._rough

        def counting(index: ColourIndex, query: Any, rows: Any, **options: Any) -> Any:
            self.rows += len(rows)
            return rough(index, query, rows, **options)

        monkeypatch.setattr(ColourIndex, "_rough", counting)


# -- ruling out ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ruling", "compiled")
@every_metric
@pytest.mark.parametrize("name", QUERIES)
def test_ruling_out_leaves_out_nothing(metric: str, name: str) -> None:
    index, query = ColourIndex(TABLE, metric), QUERIES[name]
    scores = index.score_rows(query, np.arange(len(ROWS)))
    rng = np.random.default_rng(1)
    for allowed in (None, rng.random(len(ROWS)) < 0.5, rng.random(len(ROWS)) < 0.15):
        for k in (0, 1, 2, 10, 50):
            expected = choose(scores, index.measure, index.ids, k, allowed)
            found = index.nearest(query, k, allowed)
            assert found.rows.tolist() == expected.rows.tolist()
            assert found.scores.tolist() == expected.scores.tolist()
            assert found.exact


@pytest.mark.usefixtures("ruling")
@every_metric
@settings(max_examples=12)
@given(
    rows=st.lists(histograms(bins=60, cells=8), min_size=100, max_size=130),
    k=st.integers(1, 15),
    mixed=st.integers(1, 3),
)
def test_ruling_out_leaves_out_nothing_of_any_table(
    metric: str, rows: list[SparseHistogram], k: int, mixed: int
) -> None:
    index = ColourIndex(histogram_table(rows, parts=3), metric)
    query = np.mean([row.dense() for row in rows[:mixed]], axis=0)
    scores = index.score_rows(query, np.arange(len(rows)))
    expected = choose(scores, index.measure, index.ids, k)
    assert index.nearest(query, k).rows.tolist() == expected.rows.tolist()


@pytest.mark.usefixtures("ruling")
@every_metric
def test_most_rows_are_ruled_out(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Looked(monkeypatch)
    index = ColourIndex(TABLE, metric)
    index.nearest(QUERIES["picture"], 2)
    assert 16 <= looked.rows < len(ROWS) / 2


@pytest.mark.usefixtures("ruling", "compiled")
def test_chi_square_distances_of_thousands_are_ranked_exactly() -> None:
    """They have no highest one, so what float32 loses of them grows with them."""
    rng = np.random.default_rng(0)
    query = np.zeros(BINS)
    query[:50] = 1.5e-5 * (1 + 1e-4 * rng.random(50))
    query[4000] = 1.0
    query /= query.sum()
    counts = rng.integers(1, 1_300, 50)
    rows = [
        sparse(dict(enumerate(rng.permutation(counts).tolist()))) for _ in range(300)
    ]  # nearly equally far, but not quite
    index = ColourIndex(histogram_table(rows, parts=3), "chi-square")
    scores = index.score_rows(query, np.arange(300))
    assert scores.min() > 1_000
    for k in range(1, 50, 4):
        expected = choose(scores, index.measure, index.ids, k)
        assert index.nearest(query, k).rows.tolist() == expected.rows.tolist()


@pytest.mark.usefixtures("ruling")
@every_metric
def test_a_limit_that_another_thread_sets_back_changes_no_answer(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Restless(colour._Limit):
        """Is what it was at first, no limit, in every second reading or so."""

        reads = 0

        @property
        def distance(self) -> float:
            Restless.reads += 1
            return self._least if rng.random() < 0.5 else float("inf")

        @distance.setter
        def distance(self, value: float) -> None:
            self._least = min(value, getattr(self, "_least", value))

    rng = np.random.default_rng(0)
    monkeypatch.setattr(kernels, "cores", lambda: 1)
    index = ColourIndex(TABLE, metric)
    expected = {name: index.nearest(query, 20).rows.tolist() for name, query in QUERIES.items()}
    monkeypatch.setattr(colour, "_Limit", Restless)
    found = {name: index.nearest(query, 20).rows.tolist() for name, query in QUERIES.items()}
    assert Restless.reads > 0
    assert found == expected


@pytest.mark.usefixtures("ruling", "compiled")
@every_metric
def test_no_thread_waits_for_other_threads(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them could wait: they share one pool, and searches may run side by side."""
    monkeypatch.setattr(colour, "_STEP", 9_000)  # as many as are worth several threads
    index = ColourIndex(histogram_table((8 * ROWS)[:11_000], parts=2), metric)
    within, depths, in_parallel = threading.local(), [], kernels.in_parallel

    def watched(function: Any, count: int, least: int) -> list[Any]:
        depth = getattr(within, "depth", 0)

        def deeper(first: int, last: int) -> Any:
            within.depth = getattr(within, "depth", 0) + 1
            try:
                return function(first, last)
            finally:
                within.depth -= 1

        parts = in_parallel(deeper, count, least)
        if len(parts) > 1:  # one part is the caller's own work
            depths.append(depth)
        return parts

    monkeypatch.setattr(kernels, "in_parallel", watched)
    index.nearest(QUERIES["picture"], 5)
    assert set(depths) == {0}


# -- bounds ----------------------------------------------------------------------------------------


def never_above(
    metric: str, rows: list[SparseHistogram], query: np.ndarray[Any, Any], parts: int = 2
) -> None:
    table = histogram_table(rows, parts=parts)
    index = ColourIndex(table, metric)
    everything = np.arange(len(rows))
    true = index.measure.distance(index.score_rows(query, everything))
    coarse, asked = coarse_rows(list(table.parts)), colour._Query(query, metric)
    whole = asked.bounds(coarse, None)
    assert (whole <= true * (1 + 1e-5) + 1e-6).all()
    np.testing.assert_array_equal(asked.bounds(coarse, everything[::2]), whole[::2])


@every_metric
@given(
    inputs=st.lists(histograms(bins=300), min_size=1, max_size=3),
    others=st.lists(histograms(bins=300), min_size=1, max_size=5),
    weights=st.lists(st.floats(1e-6, 1), min_size=3, max_size=3),
)
def test_a_bound_is_never_above_the_distance(
    metric: str,
    inputs: list[SparseHistogram],
    others: list[SparseHistogram],
    weights: list[float],
) -> None:
    shares = np.array(weights[: len(inputs)])
    query = (shares / shares.sum()) @ np.stack([row.dense() for row in inputs])
    never_above(metric, [*others, *inputs], query)


@every_metric
@pytest.mark.parametrize("name", QUERIES)
def test_a_bound_is_never_above_the_distance_of_any_row(metric: str, name: str) -> None:
    never_above(metric, ROWS, QUERIES[name], parts=4)


@every_metric
def test_bounds_hold_for_rows_that_are_nearly_flat(metric: str) -> None:
    """There the spread that correlations are divided by is nearly nothing."""
    flat = dict.fromkeys(range(BINS), 15)
    rows = [sparse({**flat, bin_: 15 + more}) for bin_ in (0, 77, 4_095) for more in (0, 1, 3, 90)]
    for query in (*rows, sparse({77: 1}), sparse({77: 1, 78: 999}), ROWS[0]):
        never_above(metric, rows, query.dense())


# -- coarse rows on disk ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse rows are kept when more than ten have been added."""
    monkeypatch.setattr(colour, "LONGEST_TAIL", 10)


IDS = record_ids(200)


def first(rows: int, parts: int = 1) -> HistogramTable:
    return histogram_table(ROWS[:rows], IDS[:rows], parts)


def equal(found: CoarseRows, table: HistogramTable) -> bool:
    expected = coarse_rows(list(table.parts))
    return all(np.array_equal(getattr(found, n), getattr(expected, n)) for n in COLUMNS)


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Made:
    """The numbers of rows for which coarse rows were made, call by call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []

        def counting(parts: list[Any]) -> CoarseRows:
            self.rows.append(sum(map(len, parts)))
            return coarse_rows(parts)

        monkeypatch.setattr(colour, "coarse_rows", counting)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def test_coarse_rows_are_made_once_and_kept(tmp_path: Path, made: Made) -> None:
    assert equal(CoarseCache(tmp_path / "colour", first(60)).load(), first(60))
    assert equal(CoarseCache(tmp_path / "colour", first(60, parts=3)).load(), first(60))
    assert made.rows == [60]


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_rows_added_since_are_made_when_loaded_and_kept_when_many(
    tmp_path: Path, made: Made, parts: int
) -> None:
    assert CoarseCache(tmp_path, first(60)).refresh()
    files = kept(tmp_path)
    assert not CoarseCache(tmp_path, first(70, parts)).refresh()
    assert equal(CoarseCache(tmp_path, first(70, parts)).load(), first(70))
    assert kept(tmp_path) == files
    assert CoarseCache(tmp_path, first(71, parts)).refresh()
    assert equal(CoarseCache(tmp_path, first(71, parts)).load(), first(71))
    assert made.rows == [60, 10, 11]
    assert len(kept(tmp_path)) == len(COLUMNS)  # the older files are gone
    assert not kept(tmp_path) & files


def test_few_rows_are_not_worth_a_file(tmp_path: Path) -> None:
    assert not CoarseCache(tmp_path, first(10)).refresh()
    assert kept(tmp_path) == set()


def test_coarse_rows_of_another_table_are_made_anew(tmp_path: Path, made: Made) -> None:
    CoarseCache(tmp_path, first(60)).refresh()
    other = histogram_table(ROWS[60:120], record_ids(60, seed=3))
    assert equal(CoarseCache(tmp_path, other).load(), other)
    assert equal(CoarseCache(tmp_path, first(40)).load(), first(40))  # fewer than were kept
    assert made.rows == [60, 60, 40]


def test_an_empty_table_has_no_coarse_rows(tmp_path: Path) -> None:
    empty = CoarseCache(tmp_path, histogram_table([])).load()
    assert empty.roots.shape == empty.parts.shape == (0, 64)
    assert empty.lengths.shape == empty.totals.shape == (0,)


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other", "header", "swapped"])
@pytest.mark.parametrize("name", COLUMNS)
def test_damaged_coarse_rows_are_made_anew(
    tmp_path: Path, made: Made, name: str, damage: str
) -> None:
    CoarseCache(tmp_path, first(60)).refresh()
    (path,) = tmp_path.glob(f"*.{name}.npy")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "swapped":
        (other,) = tmp_path.glob("*.totals.npy" if name in ("roots", "parts") else "*.roots.npy")
        path.write_bytes(other.read_bytes())
    else:
        damaged = {"empty": b"", "truncated": content[:-1], "other": b"no array" * 99}
        path.write_bytes(damaged.get(damage, content.replace(b"}", b"{")))
    for _ in range(2):  # the second time they are those kept
        assert equal(CoarseCache(tmp_path, first(60)).load(), first(60))
    assert made.rows == [60, 60]


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = CoarseCache(tmp_path / "file" / "colour", first(60))
    assert not cache.refresh()
    assert equal(cache.load(), first(60))
    assert kept(tmp_path) == {"file"}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_disk_that_fills_up_leaves_the_older_coarse_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Made, name: str
) -> None:
    CoarseCache(tmp_path, first(60)).refresh()
    keep = DerivedFolder.keep

    def full(self: DerivedFolder, file: str, *rest: Any) -> bool:
        return f".{name}." not in file and keep(self, file, *rest)

    monkeypatch.setattr(DerivedFolder, "keep", full)
    assert not CoarseCache(tmp_path, first(90)).refresh()
    assert equal(CoarseCache(tmp_path, first(90)).load(), first(90))
    assert made.rows == [60, 30, 30]


@every_metric
@pytest.mark.usefixtures("ruling")
def test_an_index_asks_for_coarse_rows_only_when_it_rules_out(metric: str) -> None:
    asked = []

    def coarse() -> CoarseRows:
        asked.append(1)
        return coarse_rows(list(TABLE.parts))

    few, many = (np.arange(len(ROWS)) < count for count in (80, 81))
    index = ColourIndex(TABLE, metric, coarse)
    index.nearest(QUERIES["picture"], 5, few)
    assert asked == []
    index.nearest(QUERIES["picture"], 5, many)
    assert asked == [1]
