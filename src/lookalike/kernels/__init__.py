"""The loops that a search spends its time in, compiled from ``kernels.c`` or, slowly, in NumPy.

The compiled file is made when the package is installed (``hatch_build.py``) and called without any
binding code, through ctypes; calls release the interpreter lock. Where there was no C compiler,
``reference`` does the same: same answers, 20 to 100 times the time. ``LOOKALIKE_KERNELS`` chooses
the instructions: ``numpy``, ``plain``, ``avx2``, ``avx512``; by default the best there are.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lookalike.kernels import reference
from lookalike.kernels.coarse import CoarseRows
from lookalike.kernels.estimates import FOUND, Estimated, SecondBlock
from lookalike.types import BINS, DoubleArray, FloatArray

T = TypeVar("T")

ABI = 8
"""What ``lookalike_abi`` of a fitting compiled file says."""

VARIABLE = "LOOKALIKE_KERNELS"
LEVELS = ("plain", "avx2", "avx512")
COMPILED = Path(__file__).with_name("_kernels.so")

GROUP = 16
"""Rows that are coded and scanned together."""

MOST_DIMS = 64
"""Dimensions that ``offer`` can take."""

METRICS = ("correlation", "chi-square", "intersection", "bhattacharyya")
"""The metrics in the order of their numbers in ``kernels.c``."""


def cores() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _load() -> tuple[Any, int]:
    """The compiled kernels and the level of instructions, or None and -1 for NumPy."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "numpy" or not COMPILED.exists():
        return None, -1
    try:
        library = ctypes.CDLL(str(COMPILED))
        if library.lookalike_abi() != ABI:
            return None, -1
    except (OSError, AttributeError):  # made for another machine, or by another version
        return None, -1
    best = int(library.lookalike_level())
    return library, min(best, LEVELS.index(wanted)) if wanted in LEVELS else best


_native, _level = _load()


def instructions() -> str:
    """Which instructions the kernels use: numpy, plain, avx2 or avx512."""
    return "numpy" if _native is None else LEVELS[_level]


_pool: ThreadPoolExecutor | None = None
_here = threading.local()


def in_parallel(function: Callable[[int, int], T], count: int, least: int) -> list[T]:
    """``function(first, last)`` over equal parts of ``count``, a thread each; results in order.

    Parts have at least ``least`` members, so that little work starts no thread. Within a part, the
    work is not split again: threads that wait for each other's would wait forever.
    """
    global _pool
    within = getattr(_here, "within_a_part", False)
    parts = 1 if within else max(1, min(cores(), count // max(1, least)))
    if parts == 1:
        return [function(0, count)]
    bounds = [count * part // parts for part in range(parts + 1)]

    def part(first: int, last: int) -> T:
        _here.within_a_part = True
        try:
            return function(first, last)
        finally:
            _here.within_a_part = False

    if _pool is None:
        _pool = ThreadPoolExecutor(cores(), "kernel")
    futures = [_pool.submit(part, *bounds[i : i + 2]) for i in range(1, parts)]
    return [part(*bounds[:2]), *(future.result() for future in futures)]


def _pointer(array: NDArray[Any] | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def _long(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)


def _as(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """As C reads it: the array itself if it lies so. To be bound to a name until C has read it."""
    return np.ascontiguousarray(array, dtype=dtype)


def _cells(
    bins: NDArray[Any], counts: NDArray[Any], ends: NDArray[Any]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint64]]:
    return _as(bins, np.uint16), _as(counts, np.uint16), _as(ends, np.uint64)


# -- pixels and colour histograms ------------------------------------------------------------------


def resample(
    pixels: NDArray[np.uint8],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    *,
    cubic: bool,
) -> NDArray[np.uint8] | None:
    """The part ``box`` of pixels uint8 (height, width, 4) at another size, uint8 (h, w, 3).

    The fourth byte of a pixel means nothing. The same bytes as Pillow's ``resize`` with BICUBIC
    or BOX gives; None where there is nothing faster than Pillow.
    """
    if _level < 1:
        return None
    (height, width), (out_width, out_height) = pixels.shape[:2], size
    part = np.asarray(box, np.float32)
    reach = 2.0 if cubic else 0.5
    rooms = [
        2 * math.ceil(reach * max(1.0, float(part[2 + axis] - part[axis]) / size[axis])) + 1
        for axis in (0, 1)
    ]
    stride = -(-4 * out_width // 32) * 32
    spans = np.empty(2 * (out_width + out_height), np.int32)
    weights = np.empty(4 * out_width * rooms[0] + out_height * rooms[1], np.int32)
    rows = np.empty((height + 1) * stride, np.uint8)
    out = np.empty((out_height, out_width, 3), np.uint8)
    _native.lookalike_resample(
        _pointer(pixels), ctypes.c_int(width), ctypes.c_int(height),
        _pointer(part), ctypes.c_int(cubic), ctypes.c_int(out_width), ctypes.c_int(out_height),
        ctypes.c_int(rooms[0]), ctypes.c_int(rooms[1]), _pointer(spans),
        _pointer(weights), _pointer(rows), _pointer(out),
    )  # fmt: skip
    return out


def count_bins(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Pixels uint8 (n, 3) per bin of 16 levels a channel, order R, G, B; uint32 (4096,)."""
    if _native is None:
        return reference.count_bins(pixels)
    pixels = _as(pixels, np.uint8)
    counts = np.zeros(BINS, np.uint32)
    _native.lookalike_count_bins(
        _pointer(pixels), _long(len(pixels)), ctypes.c_int(pixels.shape[1]), _pointer(counts)
    )
    return counts


def histogram_sums(
    metric: str,
    bins: NDArray[np.uint16],
    counts: NDArray[np.uint16],
    ends: NDArray[np.uint64],
    rows: NDArray[np.int64],
    table: FloatArray,
) -> FloatArray:
    """What a metric's score of each row of one segment is made of, float32 (m, 3).

    With c a cell's count and t its bin's entry in ``table`` float32 (4096,): correlation (t the
    query's share): sum(t c), sum(c c); chi-square (t one by the share, or 0): sum(c where t > 0),
    sum(t c c); intersection (t the share): sum(min(t * total, c)), 0; bhattacharyya (t the share's
    root): sum(t sqrt(c)), 0. The third is the total of c.
    """
    if _native is None:
        return reference.histogram_sums(metric, bins, counts, ends, rows, table)
    bins, counts, ends = _cells(bins, counts, ends)
    rows, table = _as(rows, np.int64), _as(table, np.float32)
    out = np.empty((len(rows), 3), np.float32)
    _native.lookalike_histogram_sums(
        ctypes.c_int(_level), ctypes.c_int(METRICS.index(metric)), _pointer(bins),
        _pointer(counts), _pointer(ends), _pointer(rows), _long(len(rows)), _pointer(table),
        _pointer(out),
    )  # fmt: skip
    return out


def coarse(
    bins: NDArray[np.uint16],
    counts: NDArray[np.uint16],
    ends: NDArray[np.uint64],
    first: int,
    last: int,
) -> CoarseRows:
    """Rows ``first`` to ``last`` (excluded) of one segment, seen coarsely."""
    if _native is None:
        return reference.coarse(bins, counts, ends, first, last)
    bins, counts, ends = _cells(bins, counts, ends)
    rows = CoarseRows.empty(last - first)
    _native.lookalike_coarse(
        _pointer(bins), _pointer(counts), _pointer(ends), _long(first), _long(last),
        *map(_pointer, rows.columns()),
    )  # fmt: skip
    return rows


def chi_square_least(
    bins: NDArray[np.uint16],
    counts: NDArray[np.uint16],
    totals: FloatArray,
    shares: FloatArray,
    inverse: FloatArray,
    rest: FloatArray,
) -> FloatArray:
    """Numbers that a query's chi-square distances from rows are at least, float32 (n,).

    ``bins``, ``counts`` and ``totals`` are columns of ``coarse.CoarseRows``: the fullest bins and
    the pixels of rows. ``shares`` float32 (4097,) are the query's and a 0, ``inverse`` (4097,) one
    by them or 0; ``rest`` float32 (REST,) has at j the sum over all bins of
    max(share - j / STEPS, 0)^2 / share.
    """
    if _native is None:
        return reference.chi_square_least(bins, counts, totals, shares, inverse, rest)
    bins, counts = _as(bins, np.uint16), _as(counts, np.uint16)
    totals, shares = _as(totals, np.float32), _as(shares, np.float32)
    inverse, rest = _as(inverse, np.float32), _as(rest, np.float32)
    out = np.empty(len(totals), np.float32)
    _native.lookalike_chi_square_least(
        ctypes.c_int(_level), _pointer(bins), _pointer(counts), _pointer(totals),
        _long(len(totals)), _pointer(shares), _pointer(inverse), _pointer(rest), _pointer(out),
    )  # fmt: skip
    return out


def products64(codes: NDArray[np.uint8], query: NDArray[np.int16]) -> NDArray[np.int32]:
    """Products of codes uint8 (n, 64) with a query int16 (64,) of at most 2,047, int32 (n,)."""
    if _native is None:
        return reference.products64(codes, query)
    codes, query = _as(codes, np.uint8), _as(query, np.int16)
    out = np.empty(len(codes), np.int32)
    _native.lookalike_products64(
        ctypes.c_int(_level), _pointer(codes), _long(len(codes)), _pointer(query), _pointer(out)
    )
    return out


def least_squares64(codes: NDArray[np.uint8], query: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Sums of min(code, query)^2 over codes uint8 (n, 64) and a query uint8 (64,), int32 (n,)."""
    if _native is None:
        return reference.least_squares64(codes, query)
    codes, query = _as(codes, np.uint8), _as(query, np.uint8)
    out = np.empty(len(codes), np.int32)
    _native.lookalike_least_squares64(
        ctypes.c_int(_level), _pointer(codes), _long(len(codes)), _pointer(query), _pointer(out)
    )
    return out


# -- vectors ---------------------------------------------------------------------------------------


def cosines(
    halves: NDArray[np.float16], queries: FloatArray, rows: NDArray[np.int64] | None = None
) -> FloatArray:
    """Cosines of unit queries float32 (m, dim) with rows of (n, dim), float32 (m, n or less).

    ``rows`` int64, or None for all of them; rows of 0 give 0. Off by at most 2e-6 times the
    dimension's root. A row is read once for all queries.
    """
    if _native is None:
        return reference.cosines(halves, queries, rows)
    halves, queries = _as(halves, np.float16), _as(queries, np.float32)
    rows = None if rows is None else _as(rows, np.int64)
    out = np.empty((len(queries), len(halves) if rows is None else len(rows)), np.float32)
    _native.lookalike_cosines(
        ctypes.c_int(_level), _pointer(halves), ctypes.c_int(halves.shape[1]), _pointer(rows),
        _long(out.shape[1]), _pointer(queries), ctypes.c_int(len(queries)), _pointer(out),
    )  # fmt: skip
    return out


def cosines64(
    parts: Sequence[NDArray[np.float16]], query: DoubleArray, rows: NDArray[np.int64]
) -> DoubleArray:
    """As ``cosines``, in float64: a unit query float64 (dim,), some rows (m,) of several parts."""
    if _native is None:
        return reference.cosines64(parts, query, rows)
    query, rows = _as(query, np.float64), _as(rows, np.int64)
    held, segments, starts = _segments(parts)
    out = np.empty(len(rows))
    _native.lookalike_cosines64(
        _pointer(segments), _pointer(starts), ctypes.c_int(len(held)), ctypes.c_int(len(query)),
        _pointer(rows), _long(len(rows)), _pointer(query), _pointer(out),
    )  # fmt: skip
    return out


def _segments(
    parts: Sequence[NDArray[np.float16]],
) -> tuple[list[NDArray[np.float16]], NDArray[np.uintp], NDArray[np.int64]]:
    """Parts that have rows, to be held until C has read them; their addresses and first rows."""
    held = [_as(part, np.float16) for part in parts if len(part)]
    addresses = np.array([part.ctypes.data for part in held], np.uintp)
    starts = np.cumsum([0, *(len(part) for part in held)])[:-1].astype(np.int64)
    return held, addresses, starts


def products(rows: FloatArray, axes: FloatArray) -> FloatArray:
    """Products of rows float32 (n, dim) with axes float32 (m, dim), float32 (n, m).

    ``rows @ axes.T`` for few rows. NumPy's own leaves threads that wait busily for a while, on the
    cores that a scan needs next: it made searches twice as slow.
    """
    if _native is None:
        return reference.products(rows, axes)
    rows, axes = _as(rows, np.float32), _as(axes, np.float32)
    out = np.empty((len(rows), len(axes)), np.float32)

    def some(first: int, last: int) -> None:
        own, results = rows[first:last], out[first:last]
        _native.lookalike_products(
            ctypes.c_int(_level), _pointer(own), _long(len(own)), ctypes.c_int(rows.shape[1]),
            _pointer(axes), _long(len(axes)), _pointer(results),
        )  # fmt: skip

    in_parallel(some, len(rows), least=8)
    return out


def scan(
    codes: NDArray[np.uint8],
    scale: FloatArray,
    offset: FloatArray,
    allowed: NDArray[np.uint16],
    queries: NDArray[np.int8],
    query_scale: FloatArray,
    keep: int,
    least: FloatArray | None = None,
) -> Estimated:
    """Per query, rows with the highest estimates and these: ``keep`` or more, if so many allowed.

    ``codes`` uint8 (groups, octets, 64), see ``kernels.c``; ``scale`` and ``offset`` float32
    (16 * groups,); ``allowed`` uint16 (groups,), a bit per row; ``queries`` int8 (n, 8 * octets).
    A row's estimate is offset + scale * query_scale * (sum(code * query) - 7.5 * sum(query)). With
    ``least`` float32 (n,), only rows with more than that are found: where they are at most twice
    ``keep``, none is kept for a while only, which takes most of the time otherwise. The same rows,
    however many threads there are, but for ties. Groups with no allowed row are not even read.
    """
    if _native is None:
        slow = reference.scan(codes, scale, offset, allowed, queries, query_scale, keep, least)
        return Estimated.of([rows for rows, _ in slow], [scores for _, scores in slow])
    n, room = len(queries), keep + max(keep, 256)
    codes, allowed = _as(codes, np.uint8), _as(allowed, np.uint16)
    scale, offset = _as(scale, np.float32), _as(offset, np.float32)
    queries, query_scale = _as(queries, np.int8), _as(query_scale, np.float32)
    correction = _correction(queries)
    lowest = np.full(n, -3e38, np.float32) if least is None else _as(least, np.float32)

    def some(rows: tuple[int, int], asked: slice, found: NDArray[Any], counts: Any) -> None:
        """The best of groups ``rows`` for the queries ``asked``, into theirs of found (n, room)."""
        own = [array[asked] for array in (queries, query_scale, correction, lowest)]
        places, numbers = found[asked], counts[asked]
        _native.lookalike_scan(
            ctypes.c_int(_level), _pointer(codes), _long(rows[0]), _long(rows[1]),
            ctypes.c_int(codes.shape[1]), _pointer(scale), _pointer(offset), _pointer(allowed),
            *map(_pointer, own), ctypes.c_int(len(numbers)), _long(keep), _long(room),
            _pointer(places), _pointer(numbers),
        )  # fmt: skip

    if n >= 4 * cores():  # each thread has its queries
        found, counts = np.empty((n, room), FOUND), np.empty(n, np.int64)
        in_parallel(lambda a, b: some((0, len(codes)), slice(a, b), found, counts), n, least=1)
        return Estimated(found, np.abs(counts))

    def part(first: int, last: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        found, counts = np.empty((n, room), FOUND), np.empty(n, np.int64)
        some((first, last), slice(None), found, counts)
        return found, counts

    return _joined(in_parallel(part, len(codes), least=2_048), keep)


def _joined(parts: Sequence[tuple[NDArray[Any], NDArray[np.int64]]], keep: int) -> Estimated:
    """What several threads found for the same queries.

    Where one left rows out, only the ``keep`` best of all are sure to be there.
    """
    found, counts = parts[0]
    if len(parts) > 1:
        together = [
            np.concatenate([found[q, : abs(numbers[q])] for found, numbers in parts])
            for q in range(len(counts))
        ]
        short = np.any([numbers < 0 for _, numbers in parts], axis=0)
        short |= np.array([len(own) > found.shape[1] for own in together], bool)  # as one thread
        found = np.empty((len(counts), max(map(len, together), default=0)), FOUND)
        for q, own in enumerate(together):
            if short[q]:
                own = own[np.argpartition(-own["score"], keep - 1)[:keep]]
            counts[q] = len(own)
            found[q, : len(own)] = own
    return Estimated(found, np.abs(counts))


def _correction(queries: NDArray[np.int8]) -> FloatArray:
    """What brings sums of codes 0 to 15 to those of -7.5 to 7.5 steps, float32 (n,)."""
    return np.asarray(-7.5 * queries.sum(axis=1, dtype=np.int64), np.float32)


def refine(
    parts: Sequence[NDArray[np.float16]],
    queries: FloatArray,
    estimated: Estimated,
    second: SecondBlock,
    k: int,
    keep: int,
    slack: float,
) -> Estimated:
    """Exact cosines of the rows that may be among the k nearest of unit queries float32 (n, dim).

    The estimates gain the second block's share; the best ``keep`` of a query are compared with
    whole vectors. Rows more than ``slack`` below the k-th are left out. ``parts`` float16 (n_i,
    dim) follow each other. What was ``estimated`` is overwritten.
    """
    if _native is None:
        return reference.refine(parts, queries, estimated, second, k, keep, slack)
    held, segments, starts = _segments(parts)
    found, counts = _as(estimated.found, FOUND), _as(estimated.counts, np.int64)
    queries, values = _as(queries, np.float32), _as(second.queries, np.int8)
    codes, scale = _as(second.codes, np.uint8), _as(second.scale, np.float32)
    query_scale, correction = _as(second.query_scale, np.float32), _correction(values)
    block = (
        _pointer(codes), ctypes.c_int(codes.shape[1]), _pointer(scale), _pointer(values),
        _pointer(query_scale), _pointer(correction),
    )  # fmt: skip
    alone = len(queries) == 1 and codes.shape[1] > 0
    if alone:  # several threads share the query

        def sift(first: int, last: int) -> None:
            _native.lookalike_sift(
                ctypes.c_int(_level), *block, _long(0), _pointer(found), _long(first), _long(last)
            )

        in_parallel(sift, int(counts[0]), least=2_000)
    out, filled = np.empty((len(queries), keep), FOUND), np.empty(len(queries), np.int64)

    def some(first: int, last: int) -> None:
        _native.lookalike_refine(
            ctypes.c_int(_level), _pointer(segments), _pointer(starts), ctypes.c_int(len(held)),
            ctypes.c_int(queries.shape[1]), *block, ctypes.c_int(alone), _pointer(queries),
            _long(first), _long(last), _long(k), _long(keep), ctypes.c_float(slack),
            _pointer(found), _long(found.shape[1]), _pointer(counts), _pointer(out),
            _pointer(filled),
        )  # fmt: skip

    in_parallel(some, len(queries), least=1)
    return Estimated(out, filled)


def offer(
    points: FloatArray,
    rows: NDArray[np.int32],
    row_ends: NDArray[np.int64],
    others: FloatArray,
    members: NDArray[np.int32],
    member_ends: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    distances: FloatArray,
    *,
    itself: bool = False,
) -> None:
    """Offer members to the lists of rows, run by run; the nearest stay, in place.

    ``points`` (n, dim) and ``others`` (m, dim) are float32, dim at most 64. Run j offers every one
    of ``members[member_ends[j - 1] : member_ends[j]]``, rows of ``others``, to all of
    ``rows[row_ends[j - 1] : row_ends[j]]``, rows of ``points``; a row to itself only with
    ``itself``. A row's list is ``neighbours`` int32 (n, k) and Euclidean ``distances`` float32
    (n, k), ascending, ties by number. A free place has -1 and the distance that a newcomer must
    stay below, which may be infinity. A row must not be offered the same member twice. Distances
    are off by at most 1e-6 times their size, the same both ways round, and 0 for equal points.
    """
    assert points.shape[1] == others.shape[1] <= MOST_DIMS
    assert neighbours.dtype == np.int32
    assert distances.dtype == np.float32
    assert neighbours.flags.c_contiguous
    assert distances.flags.c_contiguous
    if _native is None:
        reference.offer(
            points, rows, row_ends, others, members, member_ends, neighbours, distances, itself
        )
        return
    points, others = _as(points, np.float32), _as(others, np.float32)
    rows, members = _as(rows, np.int32), _as(members, np.int32)
    row_ends, member_ends = _as(row_ends, np.int64), _as(member_ends, np.int64)
    _native.lookalike_offer(
        ctypes.c_int(_level), _pointer(points), ctypes.c_int(points.shape[1]), _pointer(rows),
        _pointer(row_ends), _pointer(others), _pointer(members), _pointer(member_ends),
        _long(len(row_ends)), ctypes.c_int(itself), ctypes.c_int(neighbours.shape[1]),
        _pointer(neighbours), _pointer(distances),
    )  # fmt: skip
