"""The compact index finds nearly all of the nearest, says so, and never loses allowed rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import kernels
from lookalike.indexes import CompactIndex, ExactIndex, codes, compact
from lookalike.indexes.codes import (
    FIRST,
    Codes,
    Rotation,
    encode,
    encode_queries,
    even_sample,
    fit_rotation,
)
from lookalike.indexes.compact import CodesCache, Effort, make_codes
from lookalike.indexes.derived import DerivedFolder
from lookalike.indexes.pca import PcaCache
from lookalike.kernels import GROUP, reference
from lookalike.stores.base import VectorTable
from tests.conftest import record_ids, vector_table

ROWS, CODED, QUERIES = 5_000, 4_900, 50
SMALL = Effort(60, 20)
"""So little that all stages have something to leave out of a small table."""


def clusters(rows: int, dim: int, seed: int = 1, centres: int = 60) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(centres, dim)) + 0.5  # away from the origin, as encoders' vectors are
    return means[rng.integers(0, centres, rows)] + 0.7 * rng.normal(size=(rows, dim))


class Cloud:
    """A table of clustered vectors of which the last hundred have no codes, and queries."""

    def __init__(self, dim: int) -> None:
        points = clusters(ROWS + QUERIES, dim)
        self.table = vector_table(points[:ROWS])
        self.queries = points[ROWS:]
        (halves,) = self.table.parts
        self.index = CompactIndex(
            ExactIndex(self.table.ids, [halves[:3_000], halves[3_000:]]),
            make_codes([halves[:3_000], halves[3_000:CODED]]),
        )


@pytest.fixture(autouse=True)
def modest(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows pass as suit a few thousand; the usual effort would compare most of them."""
    of = classmethod(lambda cls, k: cls(max(1_000, 50 * k), max(200, 10 * k)))
    monkeypatch.setattr(Effort, "of", of)


@pytest.fixture(scope="module", params=[200, 1280])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return Cloud(request.param)


def index_of(points: np.ndarray[Any, Any]) -> CompactIndex:
    table = vector_table(points)
    return CompactIndex(ExactIndex(table.ids, table.parts), make_codes(list(table.parts)))


@pytest.mark.parametrize("near", [0, 4, None])
@pytest.mark.parametrize("some_allowed", [False, True])
def test_a_sample_that_misleads_loses_no_neighbour(
    monkeypatch: pytest.MonkeyPatch, near: int | None, some_allowed: bool
) -> None:
    """The sample is every eighth row: of those near the queries it may have all, none, or some."""
    for module in (codes, compact):
        monkeypatch.setattr(module, "SAMPLED", 1_024)
    rng = np.random.default_rng(4)
    points = clusters(8_192, 40)
    rows = np.arange(8_192)
    own = rng.random(8_192) < 0.1 if near is None else rows % 8 == near
    points[own] = 9.0 + rng.normal(size=(own.sum(), 40))
    index = index_of(points)
    allowed = rng.random(8_192) < 0.9 if some_allowed else None
    assert index._sample is not None
    asked, scan = [], kernels.scan

    def counting(*arguments: Any) -> Any:
        asked.append(len(arguments))
        return scan(*arguments)

    monkeypatch.setattr(kernels, "scan", counting)
    queries = 9.0 + rng.normal(size=(5, 40))
    for found, query in zip(
        index.nearest_many(queries, 10, allowed, Effort(1_200, 1_150)), queries, strict=True
    ):
        assert found.rows.tolist() == index.exact.nearest(query, 10, allowed).rows.tolist()
    # The sample; what exceeds its least; and everything, where too little did.
    assert asked == ([7, 8, 7] if near == 0 else [7, 8])


def test_rows_without_codes_alone_are_found_too(cloud: Cloud) -> None:
    tail = np.arange(ROWS) >= CODED
    for effort in (Effort(1_000, 50), Effort(60, 20)):  # fewer than pass the scan, and more
        for query in cloud.queries[:5]:
            found = cloud.index.nearest(query, 7, tail, effort).rows
            assert found.tolist() == cloud.index.exact.nearest(query, 7, tail).rows.tolist()


@pytest.mark.parametrize("cores", [1, 3])
def test_chunks_of_a_batch_are_answered_as_one_by_one(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(compact, "QUERIES", 5)
    monkeypatch.setattr(kernels, "cores", lambda: cores)
    assert cloud.index.nearest_many(cloud.queries[:0], 6) == []
    many = cloud.index.nearest_many(cloud.queries[:13], 6)
    for found, query in zip(many, cloud.queries[:13], strict=True):
        alone = cloud.index.nearest(query, 6)
        assert found.rows.tolist() == alone.rows.tolist()
        np.testing.assert_array_equal(found.scores, alone.scores)


def recall(cloud: Cloud, allowed: np.ndarray[Any, Any] | None = None, k: int = 10) -> float:
    """The share of the k nearest that is found; what is found is right in all else."""
    index, shares = cloud.index, []
    for query in cloud.queries:
        truth = index.exact.nearest(query, k, allowed)
        found = index.nearest(query, k, allowed)
        assert len(found.rows) == len(truth.rows) == len(set(found.rows.tolist()))
        assert allowed is None or allowed[found.rows].all()
        exact = index.exact.score_rows(query, found.rows)
        np.testing.assert_allclose(found.scores, exact, atol=1e-12)
        assert (np.diff(found.scores) <= 0).all()
        assert not found.exact or found.rows.tolist() == truth.rows.tolist()
        shares.append(np.isin(truth.rows, found.rows).sum() / max(1, len(truth.rows)))
    return float(np.mean(shares))


# -- what is found ---------------------------------------------------------------------------------


def test_nearly_all_of_the_ten_nearest_are_found(cloud: Cloud) -> None:
    assert recall(cloud) >= 0.99
    assert not cloud.index.nearest(cloud.queries[0], 10).exact


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_filters_cost_no_results(cloud: Cloud, share: float) -> None:
    allowed = np.random.default_rng(2).random(ROWS) < share
    assert recall(cloud, allowed) >= 0.99
    assert not cloud.index.nearest(cloud.queries[0], 10, allowed).exact


@pytest.mark.parametrize("count", [0, 1, 9, 25, 200])
def test_few_allowed_rows_are_compared_exactly(cloud: Cloud, count: int) -> None:
    allowed = np.zeros(ROWS, bool)
    allowed[np.random.default_rng(count).permutation(ROWS)[:count]] = True
    assert recall(cloud, allowed) == (1.0 if count else 0.0)
    assert cloud.index.nearest(cloud.queries[0], 10, allowed).exact


@pytest.mark.parametrize("k", [1, 50, 1_000, ROWS, ROWS + 1])
def test_as_many_come_back_as_were_asked_for(cloud: Cloud, k: int) -> None:
    assert recall(with_fewer(cloud, 5), k=k) >= 0.99
    half = np.arange(ROWS) % 2 == 0
    assert recall(with_fewer(cloud, 2), half, k) >= 0.99


def with_fewer(cloud: Cloud, queries: int) -> Cloud:
    fewer = object.__new__(Cloud)
    fewer.__dict__.update(vars(cloud), queries=cloud.queries[:queries])
    return fewer


def test_rows_added_since_the_codes_are_found(cloud: Cloud) -> None:
    for row in (CODED, ROWS - 1):
        own = cloud.table.vectors(np.array([row]))[0].astype(float)
        for allowed in (None, np.arange(ROWS) >= 4_000, np.arange(ROWS) >= CODED):
            assert cloud.index.nearest(own, 1, allowed).rows.tolist() == [row]
        forbidden = np.arange(ROWS) != row
        assert row not in cloud.index.nearest(own, 10, forbidden).rows


def test_rows_that_were_deleted_are_not_found(cloud: Cloud) -> None:
    for query in cloud.queries[:10]:
        live = np.ones(ROWS, bool)
        live[cloud.index.nearest(query, 10).rows] = False
        assert live[cloud.index.nearest(query, 10, live).rows].all()


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05, 0.001])
def test_many_at_once_are_the_same_as_one_by_one(cloud: Cloud, share: float) -> None:
    queries = np.concatenate([cloud.queries[:36], np.zeros_like(cloud.queries[:1])])
    allowed = np.random.default_rng(3).random(ROWS) <= share
    together = cloud.index.nearest_many(queries, 7, allowed)
    assert len(together) == len(queries)
    for query, found in zip(queries, together, strict=True):
        alone = cloud.index.nearest(query, 7, allowed)
        assert found.rows.tolist() == alone.rows.tolist()
        assert found.scores.tolist() == alone.scores.tolist()
        assert found.exact == alone.exact


def test_the_length_of_a_query_does_not_matter(cloud: Cloud) -> None:
    query = cloud.queries[0]
    near, far = cloud.index.nearest(query * 1e-3, 20), cloud.index.nearest(query * 1e3, 20)
    assert near.rows.tolist() == far.rows.tolist()
    np.testing.assert_allclose(near.scores, far.scores, atol=1e-12)


def test_single_rows_and_all_rows_are_scored_as_the_exact_index_scores_them(cloud: Cloud) -> None:
    query, rows = cloud.queries[0], np.array([4_999, 0, 17])
    exact = cloud.index.exact
    np.testing.assert_array_equal(cloud.index.scores(query), exact.scores(query))
    np.testing.assert_array_equal(
        cloud.index.score_rows(query, rows), exact.score_rows(query, rows)
    )


@pytest.mark.parametrize("dim", [1, 2, 5, 7, 67, 129, 131, 255, 300])
def test_few_and_odd_dimensions_are_no_exception(dim: int) -> None:
    points = clusters(400, dim, centres=7)
    index, shares = index_of(points), []
    for query in points[:30]:
        truth = index.exact.nearest(query, 5)
        found = index.nearest(query, 5, effort=SMALL)
        assert not found.exact
        # few dimensions are full of rows that lie closer together than any code can tell
        shares.append((found.scores >= truth.scores - 1e-3).mean())
    assert np.mean(shares) > 0.95


@pytest.mark.parametrize("dim", [1, 7, 140])
@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17])
def test_small_tables_are_no_exception(rows: int, dim: int) -> None:
    points = np.random.default_rng(dim).normal(size=(rows, dim))
    found = index_of(points).nearest(points[0], 100)
    assert sorted(found.rows.tolist()) == list(range(rows))
    assert found.exact


@pytest.mark.parametrize("effort", [None, SMALL, Effort(600, 20)])
@pytest.mark.parametrize("kind", ["equal", "zeros", "two"])
def test_rows_that_the_codes_cannot_tell_apart_come_back_all_the_same(
    kind: str, effort: Effort | None
) -> None:
    points = np.ones((500, 30)) * {"equal": 1, "zeros": 0, "two": 1}[kind]
    if kind == "two":
        points[::2, 0] = -1
    index = index_of(points)
    allowed = np.arange(500) % 5 > 0
    for query in (np.ones(30), np.zeros(30), -np.ones(30)):
        found = index.nearest(query, 20, allowed, effort)
        assert len(set(found.rows.tolist())) == 20
        assert allowed[found.rows].all()
        best = index.exact.nearest(query, 20, allowed).scores
        np.testing.assert_array_equal(found.scores, best)


# -- codes -----------------------------------------------------------------------------------------


def decoded(codes: Codes) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What the codes stand for, in both blocks."""
    first = reference.unpack_groups(codes.groups)[: codes.rows] - 7.5
    second = np.concatenate([codes.second & 15, codes.second >> 4], axis=1) - 7.5
    return first * codes.scale[: codes.rows, None], second * codes.second_scale[:, None]


@pytest.mark.parametrize("dim", [3, 64, 129, 200, 300])
def test_codes_are_off_by_half_a_step_at_most(dim: int) -> None:
    points = clusters(100, dim).astype(np.float32)
    points[0], points[1] = 0, points[:].mean(axis=0)
    rotation = fit_rotation(points)
    codes = encode(rotation, [points], 100)
    first, second = ((points - rotation.mean) @ r for r in (rotation.first, rotation.second))
    for found, expected, step in zip(
        decoded(codes), (first, second), (codes.scale[:100], codes.second_scale), strict=True
    ):
        assert (np.abs(found - expected) <= 0.5 * step[:, None] + 1e-4).all()
    np.testing.assert_allclose(codes.offset[:100], points @ rotation.mean, rtol=1e-4, atol=1e-4)
    assert len(codes.scale) == len(codes.offset) == len(codes.groups) * GROUP == 112


@pytest.mark.parametrize("dim", [40, 200])
@given(cuts=st.lists(st.integers(0, 300), max_size=4))
def test_codes_do_not_depend_on_how_the_rows_are_split(dim: int, cuts: list[int]) -> None:
    points = clusters(300, dim).astype(np.float16)
    rotation = fit_rotation(points.astype(np.float32))
    whole = encode(rotation, [points], 300)
    split = encode(rotation, np.split(points, sorted(cuts)), 300)
    for name in ("scale", "offset", "second_scale"):
        np.testing.assert_allclose(getattr(split, name), getattr(whole, name), rtol=1e-5, atol=1e-6)
    for name in ("groups", "second"):  # a number that lies on the border of two codes may change
        differing = getattr(split, name) != getattr(whole, name)
        assert differing.sum() <= 1e-3 * differing.size


def test_rows_are_encoded_in_chunks_and_numbered_through(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clusters(90, 20).astype(np.float16)
    rotation = fit_rotation(points.astype(np.float32))
    whole = encode(rotation, [points], 90)
    monkeypatch.setattr("lookalike.indexes.codes._CHUNK", 7)
    chunked = encode(rotation, [points[:50], points[50:]], 90)
    np.testing.assert_allclose(chunked.scale, whole.scale, rtol=1e-5)
    assert (chunked.groups != whole.groups).mean() <= 1e-3


@given(seed=st.integers(0, 999), dim=st.integers(1, FIRST), rows=st.integers(1, 40))
def test_full_rank_keeps_products(seed: int, dim: int, rows: int) -> None:
    points = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    rotation = fit_rotation(points)
    assert rotation.first.shape == (dim, -(-dim // 8) * 8)
    assert rotation.second.shape == (dim, 0)
    turned = points @ rotation.first
    np.testing.assert_allclose(turned @ turned.T, points @ points.T, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dim", [129, 150, 256])
def test_two_blocks_of_full_rank_keep_products(dim: int) -> None:
    points = clusters(50, dim).astype(np.float32)
    rotation = fit_rotation(points)
    turned = points @ np.concatenate([rotation.first, rotation.second], axis=1)
    np.testing.assert_allclose(turned @ turned.T, points @ points.T, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("dim", "width"), [(128, 0), (200, 72), (512, 384), (520, 384)])
def test_the_columns_of_a_rotation_are_orthonormal(dim: int, width: int) -> None:
    rotation = fit_rotation(clusters(300, dim).astype(np.float32))
    assert rotation.second.shape == (dim, width)
    both = np.concatenate([rotation.first, rotation.second], axis=1)
    np.testing.assert_allclose(both.T @ both, np.eye(both.shape[1]), atol=1e-5)


def test_the_first_block_has_the_components_of_greatest_variance() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2_000, 300)) * np.where(np.arange(300) < 100, 5, 0.1)
    rotation = fit_rotation(points.astype(np.float32))
    np.testing.assert_allclose(rotation.mean, points.mean(axis=0), atol=1e-4)
    kept = np.linalg.norm(rotation.first[:100], axis=1)
    np.testing.assert_allclose(kept, 1.0, atol=1e-3)


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(any), size=st.integers(1, 60)
)
def test_a_sample_is_spread_evenly_over_all_parts(sizes: list[int], size: int) -> None:
    numbers = np.arange(sum(sizes), dtype=np.float32)[:, None]
    parts = np.split(numbers, np.cumsum(sizes)[:-1])
    taken = even_sample(parts, size)[:, 0]
    assert taken[0] == 0
    assert len(set(np.diff(taken).tolist())) <= 1
    assert min(size, len(numbers)) <= len(taken) < 2 * size + 1


def test_estimates_of_few_rows_are_those_of_the_scan() -> None:
    points = clusters(100, 150)
    codes = index_of(points)._codes
    queries = (points[:3] / np.linalg.norm(points[:3], axis=1, keepdims=True)).astype(np.float32)
    coded, rows = encode_queries(codes.rotation, queries), np.array([99, 0, 16, 41], np.int32)
    for q in range(3):
        found = index_of(points)._estimates(coded, rows)[q]
        expected = reference.estimates(
            codes.groups, codes.scale, codes.offset, coded.first[q], float(coded.first_scale[q])
        )
        np.testing.assert_allclose(found, expected[rows], rtol=1e-5, atol=1e-5)
        # and these are the products, but for a constant and what the first block leaves out
        products = queries[q] @ vector_table(points).vectors(np.arange(100)).T
        assert np.corrcoef(expected[:100], products)[0, 1] > 0.95


# -- codes on disk ---------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are made from 100 rows on, and for new rows when there are more than 50."""
    monkeypatch.setattr(compact, "LEAST_ROWS", 100)
    monkeypatch.setattr(compact, "LONGEST_TAIL", 50)


POINTS = clusters(1_000, 150)
IDS = record_ids(1_000)


def first(rows: int) -> VectorTable:
    return vector_table(POINTS[:rows], IDS[:rows])


def same(found: Codes | None, expected: Codes) -> bool:
    """Whether two codes are equal, number for number."""
    assert found is not None
    pairs = [(getattr(found, n), getattr(expected, n)) for n in compact._SHAPES]
    pairs += [
        (getattr(found.rotation, n), getattr(expected.rotation, n))
        for n in Rotation.__dataclass_fields__
    ]
    return found.rows == expected.rows and all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("small")
def test_small_tables_get_no_codes(tmp_path: Path) -> None:
    assert not CodesCache(tmp_path, first(99)).refresh()
    assert CodesCache(tmp_path, first(99)).load() is None
    assert list(tmp_path.iterdir()) == []
    assert CodesCache(tmp_path, first(100)).refresh()


@pytest.mark.usefixtures("small")
def test_codes_that_were_kept_are_those_that_were_made(tmp_path: Path) -> None:
    cache = CodesCache(tmp_path / "deep" / "folder", first(333))
    assert cache.load() is None
    assert cache.refresh()
    assert same(cache.load(), make_codes(list(first(333).parts)))
    assert not cache.refresh()  # nothing is left to do


@pytest.mark.usefixtures("small")
def test_codes_outlive_added_rows_and_are_made_for_them_when_they_are_many(tmp_path: Path) -> None:
    CodesCache(tmp_path, first(500)).refresh()
    assert not CodesCache(tmp_path, first(550)).refresh()
    kept = CodesCache(tmp_path, first(550)).load()
    assert same(kept, make_codes(list(first(500).parts)))
    assert CodesCache(tmp_path, first(551)).refresh()
    extended = CodesCache(tmp_path, first(551)).load()
    assert extended is not None
    assert extended.rows == 551
    assert CodesCache(tmp_path, first(500)).load() is None  # codes of rows it does not have
    assert len(list(tmp_path.iterdir())) == 6  # the older files are gone


@pytest.mark.usefixtures("small")
def test_the_rotation_is_fitted_anew_only_after_the_table_has_grown_much(tmp_path: Path) -> None:
    means = []
    for rows in (400, 460, 540, 600, 660, 980):
        assert CodesCache(tmp_path, first(rows)).refresh()
        codes = CodesCache(tmp_path, first(rows)).load()
        assert codes is not None
        assert codes.rows == rows
        means.append(codes.rotation.mean.tolist())
    # 400 rows fitted are good up to 600, and then 660 up to 990
    assert means[0] == means[1] == means[2] == means[3] != means[4]
    assert means[4] == means[5]


@pytest.mark.usefixtures("small")
def test_codes_of_another_table_are_refused(tmp_path: Path) -> None:
    CodesCache(tmp_path, first(300)).refresh()
    swapped = IDS[:300].copy()
    swapped[[7, 8]] = swapped[[8, 7]]
    for other in (
        vector_table(POINTS[:300], record_ids(300, seed=5)),
        vector_table(POINTS[:300], swapped),
        vector_table(POINTS[:300, :140], IDS[:300]),
        vector_table(-POINTS[:300], IDS[:300]),  # as a PCA fitted anew may give
    ):
        assert CodesCache(tmp_path, other).load() is None
    assert CodesCache(tmp_path, first(300)).load() is not None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other", "header", "swapped"])
@pytest.mark.parametrize("name", [*compact._SHAPES, "rotation"])
def test_a_damaged_file_of_the_codes_is_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    cache = CodesCache(tmp_path, first(300))
    cache.refresh()
    (path,) = tmp_path.glob(f"*.{name}.np*")
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "truncated": content[:-1],
        "other": b"no array" * 99,
        # What a header's closing brace may become; in an archive, an unknown way of packing.
        "header": content.replace(b"}", b"{").replace(b"PK\x01\x02\x14", b"PK\x01\x02\xff"),
    }
    if damage == "missing":
        path.unlink()
    elif damage == "swapped":
        (other,) = tmp_path.glob("*.offset.npy" if name == "second" else "*.second.npy")
        path.write_bytes(other.read_bytes())
    else:
        path.write_bytes(damaged[damage])
    assert cache.load() is None
    assert cache.refresh()
    assert same(cache.load(), make_codes(list(first(300).parts)))


@pytest.mark.usefixtures("small")
def test_no_damaged_byte_of_the_codes_ends_a_search(tmp_path: Path) -> None:
    cache = CodesCache(tmp_path, first(100))
    cache.refresh()
    rng = np.random.default_rng(0)
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(content)
            place = int(rng.integers(0, min(len(content), 200))) * int(rng.choice([1, -1]))
            damaged[place] ^= 1 << int(rng.integers(0, 8))
            path.write_bytes(damaged)
            codes = cache.load()  # may be none, or off by that byte, but does not raise
            assert codes is None or codes.rows == 100
        path.write_bytes(content)


@pytest.mark.usefixtures("small")
def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = CodesCache(tmp_path / "file" / "compact", first(300))
    assert not cache.refresh()
    assert cache.load() is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", [*compact._SHAPES, "rotation"])
def test_a_disk_that_fills_up_leaves_the_older_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    CodesCache(tmp_path, first(300)).refresh()
    keep = DerivedFolder.keep

    def full(self: DerivedFolder, file: str, *rest: Any) -> bool:
        return f".{name}." not in file and keep(self, file, *rest)

    monkeypatch.setattr(DerivedFolder, "keep", full)
    assert not CodesCache(tmp_path, first(400)).refresh()
    assert same(CodesCache(tmp_path, first(400)).load(), make_codes(list(first(300).parts)))


@pytest.mark.usefixtures("small")
def test_codes_of_reduced_vectors_are_made_anew_with_the_model(tmp_path: Path) -> None:
    points = clusters(2_000, 60, centres=30)
    ids = record_ids(2_000)
    for rows in (800, 2_000):  # so many more that the model is fitted anew
        cache = PcaCache(tmp_path, vector_table(points[:rows], ids[:rows]))
        model, reduced = cache.index("linear", 40)
        codes = cache.codes("linear", 40, reduced)
        assert codes is not None
        assert codes.rows == rows
        index, shares = CompactIndex(reduced, codes), []
        for query in model.transform(points[:50].astype(np.float32), 40).astype(np.float64):
            truth = reduced.nearest(query, 10).rows
            found = index.nearest(query, 10, effort=Effort(100, 30)).rows
            shares.append(np.isin(truth, found).mean())
        assert np.mean(shares) > 0.99
