"""Every kernel gives what its slow twin gives, whatever instructions it uses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from lookalike import kernels
from lookalike.kernels import reference
from lookalike.types import BINS
from tests.conftest import histogram_table, picture
from tests.unit.test_histogram import histogram


@pytest.fixture(params=range(kernels._level + 1), ids=lambda n: kernels.LEVELS[n])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Each kind of instructions that this processor has."""
    monkeypatch.setattr(kernels, "_level", request.param)
    return request.param


@pytest.mark.skipif(
    shutil.which("cc") is None and shutil.which("gcc") is None, reason="no C compiler here"
)
def test_kernels_are_compiled_where_there_is_a_compiler() -> None:
    assert kernels.COMPILED.exists()


def test_a_file_that_is_no_library_falls_back_to_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_kernels.so").write_bytes(b"no library")
    monkeypatch.setattr(kernels, "COMPILED", tmp_path / "_kernels.so")
    assert kernels._load() == (None, -1)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_pixels_are_counted(level: int, count: int) -> None:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 3), dtype=np.uint8)
    np.testing.assert_array_equal(kernels.count_bins(pixels), reference.count_bins(pixels))


@pytest.mark.parametrize("dim", [1, 7, 8, 31, 67, 1280])
@pytest.mark.parametrize("chosen", [False, True])
def test_cosines(level: int, dim: int, chosen: bool) -> None:
    rng = np.random.default_rng(dim)
    halves = rng.normal(size=(50, dim)).astype(np.float16)
    halves[7] = 0
    query = rng.normal(size=dim)
    query = (query / np.linalg.norm(query)).astype(np.float32)
    rows = np.array([0, 7, 8, 49]) if chosen else None
    found = kernels.cosines(halves, query, rows)
    np.testing.assert_allclose(found, reference.cosines(halves, query, rows), atol=1e-5)
    assert found[1 if chosen else 7] == 0


@pytest.mark.parametrize("queries", [1, 3, 4, 37])
@pytest.mark.parametrize(("groups", "keep"), [(1, 1), (5, 10), (40, 100), (3, 500)])
def test_the_scan_finds_the_best_estimates(
    level: int, queries: int, groups: int, keep: int
) -> None:
    rng = np.random.default_rng(groups)
    codes = rng.integers(0, 256, (groups, 16, 64), dtype=np.uint8)
    scale, offset = (rng.random(16 * groups).astype(np.float32) for _ in range(2))
    asked = rng.integers(-127, 128, (queries, 128)).astype(np.int8)
    sizes = rng.random(queries).astype(np.float32)
    for allowed in (np.full(groups, 65_535), np.zeros(groups), rng.integers(0, 65_536, groups)):
        mask = allowed.astype(np.uint16)
        found = kernels.scan(codes, scale, offset, mask, asked, sizes, keep)
        expected = reference.scan(codes, scale, offset, mask, asked, sizes, keep)
        for (rows, scores), (best, best_scores) in zip(found, expected, strict=True):
            assert len(set(rows.tolist())) == len(rows) >= len(best)
            ours = np.sort(scores)[::-1][: len(best)]
            np.testing.assert_allclose(ours, best_scores, rtol=1e-4, atol=1e-3)


def test_sums_of_single_rows(level: int) -> None:
    rng = np.random.default_rng(0)
    for bytes_ in (1, 4, 64, 128):
        codes = rng.integers(0, 256, (30, bytes_), dtype=np.uint8)
        query = rng.integers(-127, 128, 2 * bytes_).astype(np.int8)
        rows = np.array([3, 0, 29], np.int32)
        np.testing.assert_array_equal(
            kernels.row_sums(codes, rows, query), reference.row_sums(codes, rows, query)
        )


@pytest.mark.parametrize("metric", kernels.METRICS)
def test_sums_of_histograms(level: int, metric: str) -> None:
    rows = [histogram(picture(seed)) for seed in range(20)]
    part = histogram_table(rows).parts[0]
    table = np.where(rows[3].dense() > 0, 1 / np.maximum(rows[3].dense(), 1e-9), 0)
    table = (table if metric == "chi-square" else rows[3].dense()).astype(np.float32)
    chosen = np.array([0, 5, 19])
    arguments = (metric, part.bins, part.counts, part.ends, chosen, table)
    np.testing.assert_allclose(
        kernels.histogram_sums(*arguments), reference.histogram_sums(*arguments), rtol=1e-5
    )


def test_coarse_rows() -> None:
    part = histogram_table([histogram(picture(seed)) for seed in range(20)]).parts[0]
    ours = kernels.coarse(part.bins, part.counts, part.ends, 3, 20)
    theirs = reference.coarse(part.bins, part.counts, part.ends, 3, 20)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.astype(float), other.astype(float), rtol=1e-6, atol=1)


def test_products_and_least_squares_of_64(level: int) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (33, 64), dtype=np.uint8)
    query = rng.integers(0, 2_048, 64).astype(np.int16)
    np.testing.assert_array_equal(
        kernels.products64(codes, query), reference.products64(codes, query)
    )
    least = rng.integers(0, 256, 64, dtype=np.uint8)
    np.testing.assert_array_equal(
        kernels.least_squares64(codes, least), reference.least_squares64(codes, least)
    )


def test_chi_square_is_given_up_only_beyond_the_bound() -> None:
    rows = [histogram(picture(seed)) for seed in range(30)]
    part, query = histogram_table(rows).parts[0], rows[0].dense()
    filled = query > np.finfo(float).eps
    inverse = np.where(filled, 1 / np.where(filled, query, 1), 0).astype(np.float32)
    passed = np.concatenate([[0], np.cumsum(query)]).astype(np.float32)
    totals = np.array([row.counts.sum() for row in rows], np.float32)
    exact = np.array([((query - r.dense())[filled] ** 2 / query[filled]).sum() for r in rows])
    most = float(np.median(exact))
    found = kernels.chi_square(
        part.bins, part.counts, part.ends, totals, np.arange(30), inverse, passed, most
    )
    assert len(passed) == BINS + 1
    if found is None:
        pytest.skip("nothing is compiled here, so every row is compared in full")
    near = exact <= most
    np.testing.assert_allclose(found[near], exact[near], rtol=1e-4, atol=1e-4)
    assert (found[~near] > most * 0.9999).all()
    assert (found[~near] <= exact[~near] * 1.0001).all()
