"""The compact index finds nearly all of the nearest, says so, and never loses allowed rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.indexes import ColourIndex, CompactIndex, ExactIndex
from lookalike.indexes.base import choose
from lookalike.indexes.colour import CoarseCache
from lookalike.indexes.compact import CodesCache, Effort, make_codes
from lookalike.types import COLOUR_MEASURES
from tests.conftest import histogram_table, picture, record_ids, sparse, vector_table
from tests.unit.test_histogram import histogram

ROWS, DIM = 6_000, 300


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(60, DIM))
    return centres[rng.integers(0, 60, ROWS)] + 0.7 * rng.normal(size=(ROWS, DIM))


@pytest.fixture(scope="module")
def index(cloud: np.ndarray) -> CompactIndex:
    table = vector_table(cloud[:-50])
    halves = table.parts[0]
    codes = make_codes([halves[:4_000], halves[4_000:5_900]])  # the last 50 rows have none
    return CompactIndex(ExactIndex(table.ids, [halves[:4_000], halves[4_000:]]), codes)


def recall(index: CompactIndex, queries: np.ndarray, allowed: np.ndarray | None = None) -> float:
    shares = []
    for query in queries:
        truth = index.exact.nearest(query, 10, allowed).rows
        found = index.nearest(query, 10, allowed, Effort(300, 60))
        assert len(found.rows) == len(truth)
        np.testing.assert_allclose(found.scores, index.score_rows(query, found.rows), atol=1e-12)
        shares.append(np.isin(truth, found.rows).mean())
    return float(np.mean(shares))


def test_nearly_all_of_the_ten_nearest_are_found(index: CompactIndex, cloud: np.ndarray) -> None:
    assert recall(index, cloud[-50:]) > 0.97
    assert not index.nearest(cloud[0], 10).exact


@pytest.mark.parametrize("share", [0.5, 0.05, 0.005])
def test_filters_cost_no_results(index: CompactIndex, cloud: np.ndarray, share: float) -> None:
    allowed = np.random.default_rng(2).random(ROWS - 50) < share
    assert recall(index, cloud[-20:], allowed) > 0.97
    assert allowed[index.nearest(cloud[0], 30, allowed).rows].all()


def test_few_allowed_rows_are_compared_exactly(index: CompactIndex, cloud: np.ndarray) -> None:
    allowed = np.zeros(ROWS - 50, bool)
    allowed[[3, 4_500, 5_940]] = True
    found = index.nearest(cloud[0], 10, allowed)
    assert sorted(found.rows.tolist()) == [3, 4_500, 5_940]
    assert found.exact


def test_rows_added_since_the_codes_are_found(index: CompactIndex, cloud: np.ndarray) -> None:
    for row in (5_900, 5_949):
        assert index.nearest(cloud[row], 1).rows.tolist() == [row]


def test_many_at_once_are_the_same_as_one_by_one(index: CompactIndex, cloud: np.ndarray) -> None:
    together = index.nearest_many(cloud[:40], 7)
    for query, found in zip(cloud[:40], together, strict=True):
        alone = index.nearest(query, 7)
        assert found.rows.tolist() == alone.rows.tolist()


@pytest.mark.parametrize(("rows", "dim"), [(1, 5), (2, 1), (40, 3), (40, 131)])
def test_small_tables_and_few_dimensions_are_no_exception(rows: int, dim: int) -> None:
    points = np.random.default_rng(dim).normal(size=(rows, dim))
    table = vector_table(points)
    small = CompactIndex(ExactIndex(table.ids, table.parts), make_codes(list(table.parts)))
    found = small.nearest(points[0], 100)
    assert sorted(found.rows.tolist()) == list(range(rows))


def test_codes_are_kept_and_extended_and_refused_for_another_table(
    tmp_path: Path, cloud: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.indexes.compact.LEAST_ROWS", 100)
    monkeypatch.setattr("lookalike.indexes.compact.LONGEST_TAIL", 50)
    ids = record_ids(1_000)
    first, longer, more = (vector_table(cloud[:n], ids[:n]) for n in (500, 540, 700))
    assert CodesCache(tmp_path, first).load() is None
    assert CodesCache(tmp_path, first).refresh()
    assert not CodesCache(tmp_path, longer).refresh()
    kept = CodesCache(tmp_path, longer).load()
    assert kept is not None
    assert kept.rows == 500
    assert CodesCache(tmp_path, more).refresh()
    extended = CodesCache(tmp_path, more).load()
    assert extended is not None
    assert extended.rows == 700
    np.testing.assert_array_equal(extended.rotation.mean, kept.rotation.mean)
    assert CodesCache(tmp_path, vector_table(cloud[:700], record_ids(700, 5))).load() is None
    assert len(list(tmp_path.iterdir())) == 6  # the older files are gone


@pytest.mark.parametrize("name", ["groups", "scale", "second", "rotation"])
def test_damaged_codes_are_made_anew(
    tmp_path: Path, cloud: np.ndarray, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("lookalike.indexes.compact.LEAST_ROWS", 100)
    table = vector_table(cloud[:300])
    CodesCache(tmp_path, table).refresh()
    (file,) = tmp_path.glob(f"*.{name}.np*")
    file.write_bytes(file.read_bytes()[:90])
    assert CodesCache(tmp_path, table).load() is None
    assert CodesCache(tmp_path, table).refresh()
    assert CodesCache(tmp_path, table).load() is not None


@pytest.mark.parametrize("metric", COLOUR_MEASURES)
def test_ruling_out_by_colour_leaves_out_nothing(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.indexes.colour._SEEDS", 8)
    monkeypatch.setattr("lookalike.indexes.colour._STEP", 64)
    rows = [histogram(picture(seed % 150)) for seed in range(300)]  # each picture twice
    rows += [sparse({n: 9, 4_095 - n: 3}) for n in range(50)]
    index = ColourIndex(histogram_table(rows, parts=3), metric)
    queries = [rows[0].dense(), rows[320].dense(), (rows[1].dense() + rows[2].dense()) / 2]
    allowed = np.arange(350) % 3 > 0
    for query in queries:
        scores = index.score_rows(query, np.arange(350))
        for k in (1, 10, 50):
            for mask in (None, allowed):
                expected = choose(scores, index.measure, index.ids, k, mask)
                found = index.nearest(query, k, mask)
                assert found.rows.tolist() == expected.rows.tolist()


def test_coarse_rows_are_kept_and_damaged_ones_made_anew(tmp_path: Path) -> None:
    rows = [histogram(picture(seed)) for seed in range(40)]
    ids = record_ids(40)
    first = histogram_table(rows[:30], ids[:30])
    whole = histogram_table(rows, ids, parts=2)
    fresh = CoarseCache(tmp_path / "other", whole).load()
    CoarseCache(tmp_path, first).load()
    grown = CoarseCache(tmp_path, whole).load()  # 30 from disk, 10 made
    np.testing.assert_array_equal(grown.roots, fresh.roots)
    np.testing.assert_array_equal(grown.totals, fresh.totals)
    (file,) = tmp_path.glob("*.roots.npy")
    file.write_bytes(b"damaged")
    again = CoarseCache(tmp_path, whole).load()
    np.testing.assert_array_equal(again.parts, fresh.parts)
