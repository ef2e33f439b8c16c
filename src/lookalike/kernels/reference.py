"""The kernels in NumPy: slow and obvious, the oracle in tests, and what runs without a compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.kernels.coarse import PEAKS, STEPS, CoarseRows
from lookalike.kernels.estimates import Estimated, SecondBlock
from lookalike.types import BINS, DoubleArray, FloatArray

_ROWS = 4_096
"""Rows widened or gathered at a time."""


def count_bins(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """See ``kernels.count_bins``."""
    levels = pixels.astype(np.uint16) >> 4
    bins = (levels[:, 0] << 8) | (levels[:, 1] << 4) | levels[:, 2]
    return np.bincount(bins, minlength=BINS).astype(np.uint32)


def products(rows: FloatArray, axes: FloatArray) -> FloatArray:
    """See ``kernels.products``."""
    return np.asarray(rows @ axes.T, np.float32)


def unpack_groups(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (groups, octets, 64) as one code per number, uint8 (16 * groups, 8 * octets)."""
    groups, octets, _ = codes.shape
    bytes_ = codes.reshape(groups, octets, 16, 4)
    halves = np.stack([bytes_ & 15, bytes_ >> 4], axis=3)  # group, octet, row, half, j
    return np.ascontiguousarray(halves.transpose(0, 2, 1, 3, 4)).reshape(16 * groups, 8 * octets)


def estimates(
    codes: NDArray[np.uint8],
    scale: FloatArray,
    offset: FloatArray,
    query: NDArray[np.int8],
    query_scale: float,
) -> FloatArray:
    """Estimated products of one query with every coded row, float32 (16 * groups,)."""
    sums = unpack_groups(codes).astype(np.float32) @ query.astype(np.float32)
    correction = np.float32(-7.5) * np.float32(query.astype(np.int64).sum())
    return np.asarray(offset + scale * np.float32(query_scale) * (sums + correction))


def scan(
    codes: NDArray[np.uint8],
    scale: FloatArray,
    offset: FloatArray,
    allowed: NDArray[np.uint16],
    queries: NDArray[np.int8],
    query_scale: FloatArray,
    keep: int,
    least: FloatArray | None = None,
) -> list[tuple[NDArray[np.int32], FloatArray]]:
    """See ``kernels.scan``."""
    bits = np.unpackbits(allowed.view(np.uint8), bitorder="little").astype(bool)
    rows = np.flatnonzero(bits).astype(np.int32)
    found = []
    lowest = np.full(len(queries), -np.inf) if least is None else least
    for query, own_scale, low in zip(queries, query_scale, lowest, strict=True):
        scores = estimates(codes, scale, offset, query, float(own_scale))[rows]
        best = np.argsort(-scores, kind="stable")[:keep]
        best = best[scores[best] > low]
        found.append((rows[best], scores[best]))
    return found


def row_sums(
    codes: NDArray[np.uint8], rows: NDArray[np.int32], query: NDArray[np.int8]
) -> NDArray[np.int32]:
    """sum(code * query) for some rows of codes uint8 (n, bytes), two codes a byte; int32 (m,).

    Byte j holds dimension j in its low and dimension bytes + j in its high half; ``query`` int8
    (2 * bytes,).
    """
    own = codes[rows]
    numbers = np.concatenate([own & 15, own >> 4], axis=1)
    return (numbers.astype(np.int32) @ query.astype(np.int32)).astype(np.int32)


def cosines(
    halves: NDArray[np.float16], queries: FloatArray, rows: NDArray[np.int64] | None
) -> FloatArray:
    """See ``kernels.cosines``."""
    count = len(halves) if rows is None else len(rows)
    out = np.empty((len(queries), count), dtype=np.float32)
    for start in range(0, count, _ROWS):
        stop = min(start + _ROWS, count)
        chosen = halves[start:stop] if rows is None else halves[rows[start:stop]]
        vectors = chosen.astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        out[:, start:stop] = np.where(
            lengths > 0, (queries @ vectors.T) / np.where(lengths > 0, lengths, 1), 0
        )
    return out


def cosines64(
    parts: Sequence[NDArray[np.float16]], query: DoubleArray, rows: NDArray[np.int64]
) -> DoubleArray:
    """See ``kernels.cosines64``."""
    out = np.empty(len(rows))
    starts = np.cumsum([0, *map(len, parts)])
    numbers = np.searchsorted(starts, rows, side="right") - 1
    for number in np.unique(numbers):
        own = np.flatnonzero(numbers == number)
        for some in np.split(own, range(_ROWS, len(own), _ROWS)):
            vectors = parts[number][rows[some] - starts[number]].astype(np.float64)
            lengths = np.sqrt(_sum_in_eights(vectors * vectors))
            products = _sum_in_eights(vectors * query)
            out[some] = products / np.where(lengths > 0, lengths, 1.0)
    return out


def _sum_in_eights(numbers: DoubleArray) -> DoubleArray:
    """Sums of rows in the order of ``kernels.c``, eight at a time and then these, bit for bit."""
    rows, dim = numbers.shape
    eights = np.zeros((-(-dim // 8), 8, rows))
    eights.reshape(-1, rows)[:dim] = numbers.T
    total = np.zeros(rows)
    for part in eights.sum(axis=0):
        total += part
    return total


def refine(
    parts: Sequence[NDArray[np.float16]],
    queries: FloatArray,
    estimated: Estimated,
    second: SecondBlock,
    k: int,
    keep: int,
    slack: float,
) -> Estimated:
    """See ``kernels.refine``."""
    refined = []
    for q, query in enumerate(queries):
        rows, estimates = estimated[q]
        values = second.queries[q]
        sums = row_sums(second.codes, rows, values) - np.float32(7.5 * values.sum(dtype=np.int64))
        estimates = estimates + second.scale[rows] * second.query_scale[q] * sums
        order = np.argsort(-estimates, kind="stable")[:keep]
        rows = rows[order]
        exact = _segment_cosines(parts, query, rows)
        if len(rows) > k:
            near = exact >= np.partition(exact, -k)[-k] - np.float32(slack)
            rows, exact = rows[near], exact[near]
        refined.append((rows, exact))
    return Estimated.of([rows for rows, _ in refined], [exact for _, exact in refined])


def _segment_cosines(
    parts: Sequence[NDArray[np.float16]], query: FloatArray, rows: NDArray[np.int32]
) -> FloatArray:
    """Cosines with some rows of parts that follow each other."""
    starts = np.cumsum([0, *map(len, parts)])
    numbers = np.searchsorted(starts, rows, side="right") - 1
    out = np.empty(len(rows), np.float32)
    for number in np.unique(numbers):
        own = numbers == number
        out[own] = cosines(parts[number], query[None], rows[own] - starts[number])[0]
    return out


def histogram_sums(
    metric: str,
    bins: NDArray[np.uint16],
    counts: NDArray[np.uint16],
    ends: NDArray[np.uint64],
    rows: NDArray[np.int64],
    table: FloatArray,
) -> FloatArray:
    """See ``kernels.histogram_sums``."""
    out = np.zeros((len(rows), 3), dtype=np.float32)
    sums = _SUMS[metric]
    for position, row in enumerate(rows):
        start = int(ends[row - 1]) if row else 0
        cells = slice(start, int(ends[row]))
        entry = table[bins[cells]].astype(np.float64)
        count = counts[cells].astype(np.float64)
        out[position] = *sums(entry, count), count.sum()
    return out


_Pair = tuple[float, float]
_SUMS: dict[str, Callable[[DoubleArray, DoubleArray], _Pair]] = {
    "correlation": lambda t, c: (float((t * c).sum()), float((c * c).sum())),
    "chi-square": lambda t, c: (float(c[t > 0].sum()), float((t * c * c).sum())),
    "intersection": lambda t, c: (float(np.minimum(t * c.sum(), c).sum()), 0.0),
    "bhattacharyya": lambda t, c: (float((t * np.sqrt(c)).sum()), 0.0),
}


def coarse(
    bins: NDArray[np.uint16],
    counts: NDArray[np.uint16],
    ends: NDArray[np.uint64],
    first: int,
    last: int,
) -> CoarseRows:
    """See ``kernels.coarse``."""
    rows = CoarseRows.empty(last - first)
    rows.peak_bins[:], rows.peak_counts[:] = BINS, 0
    for position, row in enumerate(range(first, last)):
        cells = slice(int(ends[row - 1]) if row else 0, int(ends[row]))
        bin_, count = bins[cells].astype(np.int64), counts[cells].astype(np.float64)
        block = (bin_ >> 10) << 4 | (bin_ >> 6 & 3) << 2 | (bin_ >> 2 & 3)
        mass = np.bincount(block, count, 64)
        squares = np.bincount(block, count * count, 64)
        rows.roots[position] = np.floor(255 * np.sqrt(mass / mass.sum()) + 0.5)
        rows.parts[position] = np.floor(255 * np.sqrt(squares / squares.sum()) + 0.5)
        rows.lengths[position] = np.sqrt(squares.sum()) / mass.sum()
        rows.totals[position] = mass.sum()
        fullest = np.argsort(-count, kind="stable")[:PEAKS]
        rows.peak_bins[position, : len(fullest)] = bin_[fullest]
        rows.peak_counts[position, : len(fullest)] = count[fullest]
    return rows


def chi_square_least(
    bins: NDArray[np.uint16],
    counts: NDArray[np.uint16],
    totals: FloatArray,
    shares: FloatArray,
    inverse: FloatArray,
    rest: FloatArray,
) -> FloatArray:
    """See ``kernels.chi_square_least``."""
    with np.errstate(divide="ignore", invalid="ignore"):  # totals of 0, from a damaged file
        own = counts / totals[:, None]
        most = own[:, -1]
        bins = np.minimum(bins, BINS)
        share, one_by = shares[bins], inverse[bins]
        above = np.maximum(share - most[:, None], 0)
        known = (((share - own) ** 2 - above**2) * one_by).sum(axis=1)
        sound = (most >= 0) & (most * STEPS <= STEPS // PEAKS)
        steps = np.where(sound, most * STEPS, STEPS // PEAKS).astype(np.int64)
    return np.asarray(known + rest[steps + 1], np.float32)


def products64(codes: NDArray[np.uint8], query: NDArray[np.int16]) -> NDArray[np.int32]:
    """See ``kernels.products64``."""
    return np.asarray(codes.astype(np.int32) @ query.astype(np.int32))


def least_squares64(codes: NDArray[np.uint8], query: NDArray[np.uint8]) -> NDArray[np.int32]:
    """See ``kernels.least_squares64``."""
    least = np.minimum(codes, query).astype(np.int32)
    return np.asarray((least * least).sum(axis=1, dtype=np.int32))


def offer(
    points: FloatArray,
    rows: NDArray[np.int32],
    row_ends: NDArray[np.int64],
    others: FloatArray,
    members: NDArray[np.int32],
    member_ends: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    distances: FloatArray,
    itself: bool,
) -> None:
    """See ``kernels.offer``."""
    runs = zip(np.split(rows, row_ends[:-1]), np.split(members, member_ends[:-1]), strict=True)
    for own, offered in runs:
        for row in own.tolist():
            newcomers = offered if itself else offered[offered != row]
            apart = others[newcomers] - points[row]
            far = np.sqrt((apart * apart).sum(axis=1))
            numbers = np.concatenate([neighbours[row], newcomers])
            far = np.concatenate([distances[row], far])
            best = np.lexsort((numbers, far))[: neighbours.shape[1]]
            neighbours[row], distances[row] = numbers[best], far[best]
