"""Every kernel gives what its slow twin gives, whatever instructions it uses."""

from __future__ import annotations

import _ctypes
import ctypes
import importlib.util
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import kernels
from lookalike.indexes import ColourIndex, CompactIndex, ExactIndex
from lookalike.indexes.colour import ROUNDING
from lookalike.indexes.compact import Effort, make_codes
from lookalike.kernels import METRICS, reference
from lookalike.kernels.coarse import PEAKS, REST
from lookalike.kernels.estimates import Estimated, SecondBlock
from lookalike.stores.base import HistogramPart
from lookalike.types import BINS, SparseHistogram
from tests.conftest import histogram_table, histograms, picture, sparse, vector_table
from tests.unit.test_histogram import histogram

BEST = -1 if kernels._native is None else int(kernels._native.lookalike_level())
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc"))), None)
EXTREMES = [
    sparse({0: 1}),
    sparse({4095: 65_280}),
    sparse(dict.fromkeys(range(15), 1)),
    sparse(dict.fromkeys(range(16), 4_080)),
    sparse(dict.fromkeys(range(0, 17 * 64, 64), 3)),
    sparse(dict.fromkeys(range(BINS), 15)),
    sparse({7: 65_279, 8: 1}),
]


def use(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the kernels use these instructions; skips where there are none such."""
    if name == "numpy":
        monkeypatch.setattr(kernels, "_native", None)
        return
    if kernels._native is None:
        pytest.skip("the kernels are not compiled here")
    if kernels.LEVELS.index(name) > BEST:
        pytest.skip(f"this processor has no {name}")
    monkeypatch.setattr(kernels, "_level", kernels.LEVELS.index(name))


@pytest.fixture(params=["numpy", *kernels.LEVELS])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of instructions that this processor has, and none at all."""
    use(monkeypatch, request.param)
    return str(request.param)


def edge(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy that ends where memory does: reading one byte past its end kills the process."""
    pages = -(-max(1, array.nbytes) // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    guard = ctypes.c_void_p(start + pages * mmap.PAGESIZE)
    failed = ctypes.CDLL(None).mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), 0)
    assert not failed
    offset = pages * mmap.PAGESIZE - array.nbytes
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    return copy


def unit(rng: np.random.Generator, dim: int) -> np.ndarray[Any, Any]:
    query = rng.normal(size=dim)
    return (query / np.linalg.norm(query)).astype(np.float32)


# -- which kernels ---------------------------------------------------------------------------------


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_kernels_are_compiled_and_used_where_there_is_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    native, level = kernels._load()
    assert native is not None
    assert level == native.lookalike_level() >= 0


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_the_kernels_need_no_header_and_no_function_of_the_c_library(tmp_path: Path) -> None:
    """Debian's compiler comes without them; so a clone must do there with what it has."""
    place = Path(kernels.__file__).parents[3] / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("hatch_build", place)
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    source, target = Path(kernels.__file__).with_name("kernels.c"), tmp_path / "kernels.so"
    flags = [*build.FLAGS, "-o", str(target), str(source), *build.FREESTANDING]
    subprocess.run([str(COMPILER), *flags], check=True)
    assert ctypes.CDLL(str(target)).lookalike_abi() == kernels.ABI
    headers = re.findall("#include <(.*)>", source.read_text())
    assert set(headers) == {"stddef.h", "stdint.h", "immintrin.h"}  # the compiler's own


def test_the_level_is_the_one_asked_for_but_none_that_the_processor_lacks(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kernels.VARIABLE, level)
    native, number = kernels._load()
    assert (native is None) == (level == "numpy")
    assert number == (-1 if level == "numpy" else kernels.LEVELS.index(level))
    assert kernels.instructions() == level
    monkeypatch.setenv(kernels.VARIABLE, kernels.LEVELS[-1])
    assert kernels._load()[1] == BEST


@pytest.mark.parametrize("content", [b"", b"no library", None])
def test_a_file_that_is_no_library_falls_back_to_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "_kernels.so").write_bytes(content)
    monkeypatch.setattr(kernels, "COMPILED", tmp_path / "_kernels.so")
    assert kernels._load() == (None, -1)


def test_kernels_of_another_version_fall_back_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    monkeypatch.setattr(kernels, "ABI", kernels.ABI + 1)
    assert kernels._load() == (None, -1)
    monkeypatch.undo()
    monkeypatch.setattr(kernels, "COMPILED", Path(_ctypes.__file__))  # a library, but not ours
    assert kernels._load() == (None, -1)


def answers() -> dict[str, list[Any]]:
    """Rows and scores that every index finds in tables made from a fixed seed."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(20, 150))
    vectors = centres[rng.integers(0, 20, 1_500)] + rng.normal(size=(1_500, 150))
    table = vector_table(vectors)
    exact = ExactIndex(table.ids, table.parts)
    compact = CompactIndex(exact, make_codes([np.asarray(part) for part in table.parts]))
    found = {
        "exact": exact.nearest(vectors[3], 10),
        "compact": compact.nearest(vectors[3], 10, effort=Effort(400, 80)),
    }
    rows = [histogram(picture(seed)) for seed in range(60)]
    for metric in METRICS:
        index = ColourIndex(histogram_table(rows, parts=2), metric)
        found[metric] = index.nearest(rows[5].dense(), 10)
    return {name: [one.rows.tolist(), one.scores.tolist()] for name, one in found.items()}


@pytest.mark.parametrize("name", ["numpy", *kernels.LEVELS])
def test_the_environment_chooses_instructions_and_changes_no_answer(name: str) -> None:
    code = (
        "import json; from lookalike import kernels; from tests.unit.test_kernels import answers;"
        "print(json.dumps([kernels.instructions(), answers()]))"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, kernels.VARIABLE: name, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    used, found = json.loads(done.stdout)
    possible = -1 if name == "numpy" else min(kernels.LEVELS.index(name), BEST)
    assert used == ("numpy" if possible < 0 else kernels.LEVELS[possible])
    assert found == answers()


# -- threads ---------------------------------------------------------------------------------------


@given(cores=st.integers(1, 5), count=st.integers(0, 60), least=st.integers(0, 20))
def test_work_is_split_without_gaps_and_comes_back_in_order(
    monkeypatch: pytest.MonkeyPatch, cores: int, count: int, least: int
) -> None:
    monkeypatch.setattr(kernels, "cores", lambda: cores)
    parts = kernels.in_parallel(lambda first, last: range(first, last), count, least)
    assert [number for part in parts for number in part] == list(range(count))
    assert len(parts) <= cores
    assert len(parts) == 1 or min(map(len, parts)) >= least


def test_work_within_a_part_is_not_split_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads would wait for each other's, and none would be left to do the work."""
    monkeypatch.setattr(kernels, "cores", lambda: 4)

    def outer(first: int, last: int) -> list[tuple[int, int]]:
        return kernels.in_parallel(lambda a, b: (first + a, first + b), last - first, 1)

    for _ in range(20):
        assert kernels.in_parallel(outer, 40, 1) == [
            [(0, 10)], [(10, 20)], [(20, 30)], [(30, 40)],
        ]  # fmt: skip
    assert len(kernels.in_parallel(lambda a, b: (a, b), 40, 1)) == 4


def test_what_a_thread_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "cores", lambda: 3)

    def fail(first: int, _last: int) -> None:
        if first:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        kernels.in_parallel(fail, 30, 1)


# -- pixels and colour histograms ------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 1000, 65_280])
@pytest.mark.parametrize("channels", [3, 4])
def test_pixels_are_counted(level: str, count: int, channels: int) -> None:
    rng = np.random.default_rng(count)
    pixels = edge(rng.integers(0, 256, (count, channels), dtype=np.uint8))
    found = kernels.count_bins(pixels)
    np.testing.assert_array_equal(found, reference.count_bins(pixels))
    assert (found.dtype, found.sum()) == (np.uint32, count)
    assert kernels.count_bins(np.full((count, channels), 255, np.uint8))[4095] == count
    np.testing.assert_array_equal(
        kernels.count_bins(pixels[::2]), reference.count_bins(pixels[::2])
    )


def part_of(rows: list[SparseHistogram]) -> HistogramPart:
    part = histogram_table(rows).parts[0]
    return HistogramPart(edge(part.bins), edge(part.counts), edge(part.ends))


def entries(metric: str, query: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the kernels take of a query, as ``ColourIndex`` makes it."""
    if metric == "chi-square":
        query = np.where(query > 0, 1 / np.where(query > 0, query, 1), 0)
    return (np.sqrt(query) if metric == "bhattacharyya" else query).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
@given(rows=st.lists(histograms(cells=40), min_size=1, max_size=9), data=st.data())
def test_sums_of_histograms(
    level: str, metric: str, rows: list[SparseHistogram], data: st.DataObject
) -> None:
    part = part_of([*rows, *EXTREMES, rows[0]])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(part) - 1), max_size=20)), np.int64)
    query = data.draw(st.sampled_from([*rows, *EXTREMES])).dense()
    arguments = (metric, part.bins, part.counts, part.ends, chosen, entries(metric, query))
    found, expected = kernels.histogram_sums(*arguments), reference.histogram_sums(*arguments)
    assert found.shape == (len(chosen), 3)
    np.testing.assert_array_equal(found[:, 2], expected[:, 2])
    # rows of all 4,096 bins are added up in float32
    np.testing.assert_allclose(found, expected, rtol=2e-4 if level in ("plain", "avx2") else 1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_sums_of_histograms_are_those_of_the_dense_rows(level: str, metric: str) -> None:
    rows = [histogram(picture(seed)) for seed in range(12)]
    part, q = part_of(rows), rows[3].dense()
    table = entries(metric, q)
    found = kernels.histogram_sums(metric, *vars(part).values(), np.arange(12), table)
    for row, (first, second, total) in zip(rows, found, strict=True):
        assert total == row.counts.sum(dtype=int)
        c = row.dense() * total
        by_hand = {
            "correlation": (q @ c, c @ c),
            "chi-square": (c[q > 0].sum(), (c[q > 0] ** 2 / q[q > 0]).sum()),
            "intersection": (np.minimum(q * total, c).sum(), 0),
            "bhattacharyya": (np.sqrt(q * c).sum(), 0),
        }
        assert (first, second) == pytest.approx(by_hand[metric], rel=1e-4)


@given(rows=st.lists(histograms(cells=40), min_size=1, max_size=9), data=st.data())
def test_coarse_rows_are_what_the_bounds_take_them_for(
    level: str, rows: list[SparseHistogram], data: st.DataObject
) -> None:
    rows = [*rows, *EXTREMES]
    part = part_of(rows)
    first = data.draw(st.integers(0, len(rows)))
    last = data.draw(st.integers(first, len(rows)))
    coarse = kernels.coarse(part.bins, part.counts, part.ends, first, last)
    assert coarse.roots.shape == coarse.parts.shape == (last - first, 64)
    for n, row in enumerate(rows[first:last]):
        cubes = row.dense().reshape(4, 4, 4, 4, 4, 4)
        mass, squares = cubes.sum(axis=(1, 3, 5)).ravel(), (cubes**2).sum(axis=(1, 3, 5)).ravel()
        assert np.abs(coarse.roots[n] / 255 - np.sqrt(mass)).max() <= ROUNDING * 1.001
        assert (
            np.abs(coarse.parts[n] / 255 - np.sqrt(squares / squares.sum())).max()
            <= ROUNDING * 1.001
        )
        assert coarse.lengths[n] == pytest.approx(np.sqrt(squares.sum()), rel=1e-6)
        assert coarse.totals[n] == row.counts.sum(dtype=int)
        fullest = sorted(zip(-row.counts.astype(int), row.bins, strict=True))[:PEAKS]
        fullest += [(0, BINS)] * (PEAKS - len(fullest))
        assert coarse.peak_counts[n].tolist() == [-count for count, _ in fullest]
        assert coarse.peak_bins[n].tolist() == [bin_ for _, bin_ in fullest]


@pytest.mark.parametrize("count", [0, 1, 9])
def test_the_least_chi_square_distance_is_that_of_the_reference(level: str, count: int) -> None:
    rng = np.random.default_rng(count)
    rows = [
        sparse(dict.fromkeys(rng.choice(BINS, 3 + 5 * n).tolist(), 7 + n)) for n in range(count)
    ]
    part = part_of([*rows, *EXTREMES])
    coarse = kernels.coarse(part.bins, part.counts, part.ends, 0, len(part))
    shares, rest = np.zeros(BINS + 1, np.float32), edge(rng.random(REST).astype(np.float32))
    shares[rng.choice(BINS, 700)] = rng.random(700) / 350
    inverse = np.where(shares > 0, 1 / np.where(shares > 0, shares, 1), 0).astype(np.float32)
    asked = (coarse.peak_bins, coarse.peak_counts, coarse.totals, edge(shares), inverse, rest)
    np.testing.assert_allclose(
        kernels.chi_square_least(*asked), reference.chi_square_least(*asked), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("count", [0, 1, 33])
@pytest.mark.parametrize("filled", [None, 0, 255])
def test_products_and_least_squares_of_64(level: str, count: int, filled: int | None) -> None:
    rng = np.random.default_rng(count)
    codes = rng.integers(0, 256, (count, 64), dtype=np.uint8)
    codes = edge(codes if filled is None else np.full_like(codes, filled))
    for query in (rng.integers(0, 2_048, 64), np.full(64, 2_047), np.full(64, -2_047)):
        own = query.astype(np.int16)
        expected = codes.astype(int) @ query
        np.testing.assert_array_equal(kernels.products64(codes, edge(own)), expected)
        np.testing.assert_array_equal(reference.products64(codes, own), expected)
    for least in (rng.integers(0, 256, 64), np.full(64, 255), np.zeros(64)):
        query8 = edge(least.astype(np.uint8))
        squares = (np.minimum(codes.astype(int), least) ** 2).sum(axis=1)
        np.testing.assert_array_equal(kernels.least_squares64(codes, query8), squares)
        np.testing.assert_array_equal(reference.least_squares64(codes, query8), squares)


# -- vectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 7, 8, 15, 16, 31, 32, 33, 67, 200, 1280])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_cosines(level: str, dim: int, count: int) -> None:
    rng = np.random.default_rng(dim)
    halves = rng.normal(size=(count, dim)).astype(np.float16)
    halves[7:8] = 0
    halves[8:9] *= np.float16(6e-8)  # zeros and the smallest numbers that halves can hold
    halves[9:10] = 65_504 * np.sign(halves[9:10])
    halves, queries = edge(halves), np.stack([unit(rng, dim) for _ in range(3)])
    rows = halves.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    exact = queries @ rows.T / np.where(lengths > 0, lengths, 1)
    for chosen in (None, np.arange(count)[::-1], np.arange(count)[[-1, 0]] if count else None):
        found = kernels.cosines(halves, edge(queries), chosen)
        expected = exact if chosen is None else exact[:, chosen]
        np.testing.assert_allclose(found, expected, atol=2e-6 * dim**0.5)
        np.testing.assert_allclose(
            reference.cosines(halves, queries, chosen), expected, atol=2e-6 * dim**0.5
        )
        if level != "numpy":  # alone a query has the same ones, bit for bit
            alone = [kernels.cosines(halves, query[None], chosen)[0] for query in queries]
            np.testing.assert_array_equal(found, np.stack(alone))
    assert (kernels.cosines(halves[7:8], queries) == 0).all()
    assert (kernels.cosines(halves, np.zeros((1, dim), np.float32)) == 0).all()


def test_vectors_that_do_not_lie_one_after_another_are_read_all_the_same(level: str) -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(40, 130)).astype(np.float16)
    query = unit(rng, 65)[None]
    for halves in (wide[:, ::2], np.asfortranarray(wide[:, :65]), wide[::-1, 65:]):
        np.testing.assert_allclose(
            kernels.cosines(halves, query), reference.cosines(halves, query, None), atol=2e-5
        )


@pytest.mark.parametrize("dim", [1, 3, 8, 64])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_lists_take_in_the_nearest(level: str, dim: int, k: int) -> None:
    rng = np.random.default_rng(dim)
    points = rng.normal(size=(700, dim)).astype(np.float32)
    points[100:140] = points[60]  # equal ones, more than a list holds
    points = edge(points)
    own = [np.arange(600), np.array([3]), np.array([], int), np.arange(7), np.array([699])]
    offered = [np.arange(0, 300), np.arange(300, 309), np.arange(9), np.array([], int), own[0][:8]]
    runs = [
        edge(array)
        for some in (own, offered)
        for array in (
            np.concatenate(some).astype(np.int32),
            np.cumsum([len(one) for one in some], dtype=np.int64),
        )
    ]
    for itself in (False, True):
        found, expected = (
            (edge(np.full((700, k), -1, np.int32)), edge(np.full((700, k), np.inf, np.float32)))
            for _ in range(2)
        )
        found[1][5] = expected[1][5] = 0.5  # free places that take only what is nearer
        kernels.offer(points, *runs[:2], points, *runs[2:], *found, itself=itself)
        reference.offer(points, *runs[:2], points, *runs[2:], *expected, itself)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
        assert (found[0] == expected[0]).mean() > 0.999
        apart = np.sqrt(((points[found[0]] - points[:, None]) ** 2).sum(axis=2))
        free = found[0] < 0
        np.testing.assert_allclose(found[1][~free], apart[~free], rtol=1e-5)
        assert free[[600, 640]].all()  # rows in no run
        assert free[699].sum() == max(0, k - 8)
        assert not free[6:600].any()
        assert (found[0][6:60, 0] == np.arange(6, 60)).all() == itself


def test_equal_points_are_at_no_distance_and_in_order(level: str) -> None:
    points = np.tile(np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32), (50, 1))
    rows, ends = np.arange(50, dtype=np.int32), np.array([50])
    neighbours, distances = np.full((50, 4), -1, np.int32), np.full((50, 4), np.inf, np.float32)
    shuffled = np.random.default_rng(1).permutation(rows)
    kernels.offer(points, rows, ends, points, shuffled, ends, neighbours, distances)
    assert (distances == 0).all()
    assert neighbours[[0, 2, 9]].tolist() == [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]]


def test_a_pair_has_one_distance_wherever_it_is_computed(level: str) -> None:
    points = np.random.default_rng(2).normal(size=(90, 64)).astype(np.float32)
    tables = []
    for seed in (None, 1, 2):
        order = np.arange(90) if seed is None else np.random.default_rng(seed).permutation(90)
        rows, ends = order.astype(np.int32), np.array([90])
        lists = np.full((90, 89), -1, np.int32), np.full((90, 89), np.inf, np.float32)
        kernels.offer(points, rows, ends, points, rows[::-1], ends, *lists)
        table = np.zeros((90, 90), np.float32)
        np.put_along_axis(table, lists[0].astype(np.int64), lists[1], axis=1)
        tables.append(table)
    for table in tables:
        np.testing.assert_array_equal(table, table.T)
        np.testing.assert_array_equal(table, tables[0])


@pytest.mark.parametrize(
    ("rows", "axes", "dim"), [(0, 3, 8), (1, 1, 1), (3, 7, 41), (40, 130, 256)]
)
def test_products_are_those_of_the_matrices(level: str, rows: int, axes: int, dim: int) -> None:
    rng = np.random.default_rng(dim)
    own = edge(rng.normal(size=(rows, dim)).astype(np.float32))
    others = edge(rng.normal(size=(axes, dim)).astype(np.float32))
    found = kernels.products(own, others)
    np.testing.assert_allclose(found, own.astype(float) @ others.astype(float).T, atol=1e-4)
    if rows:  # one by one it is the same, bit for bit
        each = [kernels.products(row[None], others)[0] for row in own]
        if level != "numpy":
            np.testing.assert_array_equal(found, np.stack(each))


def coded(groups: int, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (groups, 16, 64), dtype=np.uint8)
    scale, offset = (rng.random(16 * groups).astype(np.float32) for _ in range(2))
    return edge(codes), edge(scale), edge(offset)


def asked(count: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-127, 128, (count, 128)).astype(np.int8)
    return edge(queries), edge(rng.random(count).astype(np.float32))


def scan_is_right(
    codes: Any, scale: Any, offset: Any, allowed: Any, queries: Any, sizes: Any, keep: int
) -> None:
    """The rows found are allowed, have the estimates they should have, and are the best."""
    found = kernels.scan(codes, scale, offset, allowed, queries, sizes, keep)
    permitted = np.flatnonzero(np.unpackbits(allowed.view(np.uint8), bitorder="little"))
    assert len(found) == len(queries)
    for (rows, scores), query, size in zip(found, queries, sizes, strict=True):
        every = reference.estimates(codes, scale, offset, query, float(size))
        slack = 1e-6 * max(1.0, float(np.abs(every).max(initial=0)))
        best = np.sort(every[permitted])[::-1][:keep]
        assert len(set(rows.tolist())) == len(rows) >= len(best) == min(keep, len(permitted))
        assert np.isin(rows, permitted).all()
        np.testing.assert_allclose(scores, every[rows], atol=slack)
        np.testing.assert_allclose(np.sort(scores)[::-1][: len(best)], best, atol=slack)


@pytest.mark.parametrize("queries", [1, 3, 4, 5, 31, 32, 33, 70])
@pytest.mark.parametrize(("groups", "keep"), [(1, 1), (5, 10), (40, 100), (3, 500), (60, 300)])
def test_the_scan_finds_the_best_estimates(
    level: str, queries: int, groups: int, keep: int
) -> None:
    rng = np.random.default_rng(groups)
    one_each = np.uint16(1) << rng.integers(0, 16, groups).astype(np.uint16)
    some = np.where(rng.random(groups) < 0.5, 0, rng.integers(0, 65_536, groups))
    for allowed in (np.full(groups, 65_535), np.zeros(groups), some, one_each):
        mask = edge(allowed.astype(np.uint16))
        scan_is_right(*coded(groups), mask, *asked(queries), keep)


def test_a_scan_of_nothing_finds_nothing(level: str) -> None:
    ((rows, scores),) = kernels.scan(*coded(0), np.empty(0, np.uint16), *asked(1), 5)
    assert len(rows) == len(scores) == 0
    assert not len(kernels.scan(*coded(2), np.full(2, 65_535, np.uint16), *asked(0), 5))


@pytest.mark.parametrize("order", ["equal", "few", "rising", "falling"])
@pytest.mark.parametrize("keep", [1, 7, 256, 300, 900])
def test_the_best_are_chosen_from_many_equal_or_ordered_estimates(
    level: str, order: str, keep: int
) -> None:
    count = 16 * 100
    offset = {
        "equal": np.zeros(count),
        "few": np.arange(count) * 7 % 3,
        "rising": np.arange(count),
        "falling": -np.arange(count),
    }[order].astype(np.float32)
    codes, _, _ = coded(100)
    mask, nothing = np.full(100, 65_535, np.uint16), np.zeros(count, np.float32)
    scan_is_right(codes, nothing, offset, mask, *asked(5), keep)


def test_damaged_coarse_rows_read_nothing_beyond_the_tables(level: str) -> None:
    bins, counts = np.full((2, PEAKS), 65_535, np.uint16), np.full((2, PEAKS), 65_535, np.uint16)
    tables = edge(np.zeros(BINS + 1, np.float32)), edge(np.zeros(BINS + 1, np.float32))
    rest = edge(np.ones(REST, np.float32))
    for total in (0.0, 1.0, -1.0, -1e30, np.nan, np.inf):
        totals = np.full(2, total, np.float32)
        assert len(kernels.chi_square_least(bins, counts, totals, *tables, rest)) == 2


@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_only_what_exceeds_the_least_is_found(level: str, queries: int, share: float) -> None:
    groups, keep = 4_100, 2_000
    codes, scale, offset = coded(groups)
    values, sizes = asked(queries)
    some = np.random.default_rng(3).integers(0, 65_536, groups).astype(np.uint16)
    permitted = np.flatnonzero(np.unpackbits(some.view(np.uint8), bitorder="little"))
    every = [
        reference.estimates(codes, scale, offset, query, float(size))
        for query, size in zip(values, sizes, strict=True)
    ]
    least = edge(np.array([np.quantile(own, 1 - share) for own in every], np.float32))
    found = kernels.scan(codes, scale, offset, edge(some), values, sizes, keep, least)
    for (rows, scores), own, low in zip(found, every, least, strict=True):
        slack = 1e-6 * float(np.abs(own).max())
        above = permitted[own[permitted] > low + slack]
        best = above[np.argsort(-own[above])[:keep]]
        assert np.isin(best, rows).sum() >= len(best) - 1  # ties at the end
        assert (scores > low).all()
        assert len(set(rows.tolist())) == len(rows)
        np.testing.assert_allclose(scores, own[rows], atol=slack)


@pytest.mark.parametrize("code", [0, 255])
@pytest.mark.parametrize("number", [-127, 127])
def test_the_largest_sums_do_not_overflow(level: str, code: int, number: int) -> None:
    codes, ones = np.full((2, 16, 64), code, np.uint8), np.ones(32, np.float32)
    queries = np.full((5, 128), number, np.int8)
    mask, size = np.full(2, 65_535, np.uint16), np.ones(5, np.float32)
    for rows, scores in kernels.scan(codes, ones, ones, mask, queries, size, 40):
        assert sorted(rows.tolist()) == list(range(32))
        assert set(scores.tolist()) == {1.0 + 128 * number * ((code & 15) - 7.5)}


def test_estimates_are_the_products_with_the_rows_that_the_codes_stand_for() -> None:
    codes, scale, offset = coded(3)
    queries, sizes = asked(1)
    expected = np.zeros(48)
    for row in range(48):
        for dim in range(128):
            byte = codes[row // 16, dim // 8, 4 * (row % 16) + dim % 4]
            number = int(byte >> 4 if dim % 8 >= 4 else byte & 15) - 7.5
            expected[row] += number * float(queries[0, dim])
    expected = offset + scale * sizes[0] * expected
    found = reference.estimates(codes, scale, offset, queries[0], float(sizes[0]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


def test_several_threads_find_the_best_of_all(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "cores", lambda: 3)
    parts = []
    in_parallel = kernels.in_parallel

    def counted(function: Any, count: int, least: int) -> list[Any]:
        parts.append(min(3, count // least))
        return in_parallel(function, count, least)

    monkeypatch.setattr(kernels, "in_parallel", counted)
    allowed = np.random.default_rng(1).integers(0, 65_536, 6_201).astype(np.uint16)
    scan_is_right(*coded(6_201), allowed, *asked(2), 1_000)
    assert parts == ([] if level == "numpy" else [3])


@pytest.mark.parametrize("bytes_", [0, 1, 4, 63, 64, 65, 128])
@pytest.mark.parametrize("rows", [[], [3, 0, 29, 29, *range(30)]])
def test_sums_of_single_rows(bytes_: int, rows: list[int]) -> None:
    rng = np.random.default_rng(bytes_)
    for codes in (rng.integers(0, 256, (30, bytes_)), np.full((30, bytes_), 255)):
        for query in (rng.integers(-127, 128, 2 * bytes_), np.full(2 * bytes_, -127)):
            own = codes[rows] if rows else codes[:0]
            expected = np.concatenate([own & 15, own >> 4], axis=1) @ query
            found = reference.row_sums(
                edge(codes.astype(np.uint8)),
                edge(np.array(rows, np.int32)),
                edge(query.astype(np.int8)),
            )
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dim", [1, 8, 13, 1280])
def test_cosines_in_double_are_the_same_bits_on_any_level(level: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    halves = edge(rng.normal(size=(40, dim)).astype(np.float16))
    halves[7] = 0
    query = rng.normal(size=dim)
    rows = np.array([39, 7, 0, 7, 12])
    for parts in ([halves], [halves[:0], halves[:7], halves[7:]]):
        found = kernels.cosines64(parts, query, rows)
        np.testing.assert_array_equal(found, reference.cosines64(parts, query, rows))
    vectors = halves[rows].astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    expected = vectors @ query / np.where(lengths > 0, lengths, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


class Refinement:
    """Vectors whose estimates miss part of them, as those of a scan do, in two segments."""

    def __init__(
        self,
        rows: int = 900,
        dim: int = 200,
        queries: int = 5,
        bytes_: int = 64,
        step: float = 1e-6,
    ) -> None:
        rng = np.random.default_rng(rows)
        vectors = rng.normal(size=(rows, dim)) * np.linspace(2, 0.2, dim)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        halves = vectors.astype(np.float16)
        self.parts = [edge(halves[:300]), edge(halves[300:])]
        self.queries = (vectors[:queries] + 0.03 * rng.normal(size=(queries, dim))).astype("f4")
        self.queries /= np.linalg.norm(self.queries, axis=1, keepdims=True)
        codes = edge(rng.integers(0, 256, (rows, bytes_), dtype=np.uint8))
        values = edge(rng.integers(-127, 128, (queries, 2 * bytes_)).astype(np.int8))
        self.second = SecondBlock(
            codes, np.full(rows, step, np.float32), values, np.ones(queries, np.float32)
        )
        self.cosines = self.queries @ halves.astype(np.float32).T
        near = self.cosines + 0.01 * rng.normal(size=self.cosines.shape)
        every = np.arange(rows, dtype=np.int32)
        self.estimated = Estimated.of(
            [rng.permutation(every) for _ in range(queries)], [np.empty(rows, "f4")] * queries
        )
        for q in range(queries):
            own = self.estimated.found[q]
            own["score"] = near[q, own["row"]]


@pytest.mark.parametrize(("k", "keep"), [(10, 400), (10, 900), (1, 5), (50, 40), (10, 2_000)])
@pytest.mark.parametrize("queries", [1, 6])
def test_refining_finds_what_its_twin_finds(level: str, k: int, keep: int, queries: int) -> None:
    given = Refinement(rows=5_000, queries=queries)
    arguments = (given.parts, given.queries, given.estimated, given.second, k, keep, 1e-4)
    expected = reference.refine(*arguments)
    found = kernels.refine(*arguments)  # which overwrites the estimates
    assert len(found) == len(expected) == len(given.queries)
    for (rows, cosines), (own, _), truth in zip(found, expected, given.cosines, strict=True):
        assert sorted(rows.tolist()) == sorted(own.tolist())
        np.testing.assert_allclose(cosines, truth[rows], atol=1e-4)  # halves, made unit again


@pytest.mark.parametrize("bytes_", [0, 1, 4, 31, 32, 63, 64, 65, 128])
def test_refining_by_a_second_block_of_any_width(level: str, bytes_: int) -> None:
    given = Refinement(bytes_=bytes_, step=1.0)  # so that the second block decides who goes on
    what = (given.parts, given.queries, given.estimated, given.second, 10, 30, 2.0)
    expected = reference.refine(*what)
    found = kernels.refine(*what)
    for (rows, _), (own, _) in zip(found, expected, strict=True):
        assert sorted(rows.tolist()) == sorted(own.tolist())
        assert len(rows) == 30


def test_refining_compares_few_rows_and_loses_none_of_the_nearest(level: str) -> None:
    given = Refinement()
    found = kernels.refine(given.parts, given.queries, given.estimated, given.second, 10, 400, 1e-4)
    for (rows, _), truth in zip(found, given.cosines, strict=True):
        nearest = np.argsort(-truth)[:10]
        assert set(nearest.tolist()) <= set(rows.tolist())
        assert len(rows) < 15
