"""Exact nearest colour histograms by any of the four metrics, most rows ruled out by bounds.

``features.histogram.score`` is the metric for one pair, and ``cv2.compareHist`` the oracle in the
tests. Only bins that both histograms fill add to the scores (chi-square adds a constant), so the
occupied cells give what all 4,096 bins would.

Bounds. Let A and B be the masses of two histograms a, b in 64 blocks of 4 x 4 x 4 bins. Then
sum(min(a, b)) <= sum(min(A, B)), and by Cauchy and Schwarz, block by block, sum(sqrt(a b)) <=
sum(sqrt(A B)) and sum(a b) <= sum(|a| |b|) over the blocks' lengths. 64 bytes a row thus rule out
most rows for intersection, Bhattacharyya and correlation. Chi-square has no such bound (mass
outside the query's bins costs nothing), but is soon large where a row is full and the query is not:
a row's eight fullest bins, and that its others are no fuller, rule out most rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.features.histogram import score
from lookalike.indexes.base import Mask, Neighbours, ScanIndex, choose, rerank_rows
from lookalike.indexes.derived import DAMAGED, DerivedFolder, Standing, array_writer, digest
from lookalike.kernels.coarse import COLUMNS, REST, STEPS, CoarseRows
from lookalike.stores.base import HistogramPart, HistogramTable
from lookalike.types import BINS, COLOUR_MEASURES, DoubleArray, FloatArray

MARGIN = 1e-4
"""More than a score of the kernels, in float32, is off, roots near zero apart."""

SHARE_MARGIN = 3e-4
"""The same as a share of a chi-square distance, which has no bound: 4,096 sums in float32."""

ROOT_MARGIN = 0.015
"""The same for Bhattacharyya distances near zero: the root of an error."""

ROUNDING = 0.5 / 255
"""How far a root can be off for being kept as a 255th."""

LONGEST_TAIL = 2_000
"""Rows added since coarse rows were kept at which a writer keeps theirs too."""

_SEEDS = 512
"""Rows compared first, the most promising ones, for a good bound from the start."""

_STEP = 8_192
"""Rows compared between two looks at the k-th best so far."""

_EPSILON = float(np.finfo(np.float64).eps)


def coarse_rows(parts: list[HistogramPart]) -> CoarseRows:
    """The coarse rows of segments, one after another: about 1 second for half a million rows."""
    pieces = [CoarseRows.empty(0)]
    for part in parts:

        def some(first: int, last: int, part: HistogramPart = part) -> CoarseRows:
            return kernels.coarse(part.bins, part.counts, part.ends, first, last)

        pieces += kernels.in_parallel(some, len(part), 2_048)
    return CoarseRows.joined(pieces)


class ColourIndex(ScanIndex):
    """Compares a query histogram, float64 (4096,) summing to 1, with the rows of a table."""

    def __init__(
        self, table: HistogramTable, metric: str, coarse: Callable[[], CoarseRows] | None = None
    ) -> None:
        """``coarse`` gives the table's coarse rows; without it they are made at first need."""
        self.ids = table.ids
        self.measure = COLOUR_MEASURES[metric]
        self._table = table
        self._starts = np.cumsum([0, *(len(part) for part in table.parts)])
        self._coarse = coarse or (lambda: coarse_rows(list(table.parts)))

    def scores(self, query: DoubleArray) -> DoubleArray:
        """The metric's scores against all rows, float64 (n,), off by at most ROOT_MARGIN."""
        return self.rough(query, np.arange(len(self.ids)))

    def rough(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """The metric's scores against ``rows``, ascending, as ``scores`` has them."""
        return self._rough(_Query(query, self.measure.name), rows)

    def bounds(self, query: DoubleArray, rows: NDArray[np.int64]) -> FloatArray:
        """Distances that ``rows``, ascending, are at least away, float32 (m,); quick to find."""
        return self._bounds(_Query(query, self.measure.name), rows)

    def _bounds(self, query: _Query, rows: NDArray[np.int64]) -> FloatArray:
        if 2 * len(rows) < len(self.ids):
            return query.bounds(self._coarse(), rows)
        every = query.bounds(self._coarse(), None)  # to gather most rows first takes longer
        return every if len(rows) == len(every) else every[rows]

    def score_rows(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """The metric's scores with the given rows only, one by one, float64 (m,)."""
        others = (self._table.histogram(int(row)).dense() for row in rows)
        return np.array([score(query, other, self.measure.name) for other in others])

    def nearest(self, query: DoubleArray, k: int, allowed: Mask | None = None) -> Neighbours:
        """The k nearest rows. Exact: bounds only leave out what cannot be among them."""
        query = np.asarray(query, dtype=np.float64)
        rows = np.arange(len(self.ids)) if allowed is None else np.flatnonzero(allowed)
        k = min(k, len(rows))
        if k <= 0:
            return Neighbours(rows[:0], np.empty(0))
        if len(rows) > max(2 * k, _SEEDS) + _STEP:
            rows, rough = self._promising(_Query(query, self.measure.name), k, rows)
        else:
            rough = self._rough(_Query(query, self.measure.name), rows)
        if self.measure.name == "bhattacharyya":  # a root's error is largest near 0: squares decide
            return self._by_squares(query, rows, rough, k)
        margin = MARGIN
        if self.measure.name == "chi-square":
            margin += SHARE_MARGIN * float(np.partition(rough, k - 1)[k - 1])
        return rerank_rows(
            rows, rough, margin, lambda near: self.score_rows(query, near), self.measure,
            self.ids, k,
        )  # fmt: skip

    def _by_squares(
        self, query: DoubleArray, rows: NDArray[np.int64], rough: DoubleArray, k: int
    ) -> Neighbours:
        squares = rough * rough
        near = rows[squares <= np.partition(squares, k - 1)[k - 1] + 2 * MARGIN]
        best = choose(self.score_rows(query, near), self.measure, self.ids[near], k)
        return Neighbours(near[best.rows], best.scores)

    # -- ruling out ------------------------------------------------------------------------------

    def _promising(
        self, query: _Query, k: int, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], DoubleArray]:
        """Rows among which the k nearest are, ascending, and their rough scores."""
        bounds = self._bounds(query, rows)
        seeds = np.argpartition(bounds, _SEEDS + k)[: _SEEDS + k]
        first = np.sort(rows[seeds])
        found = [(first, self._rough(query, first))]
        limit = _Limit(k)
        limit.take(self.measure.distance(found[0][1]))
        unseen = np.ones(len(rows), dtype=bool)
        unseen[seeds] = False
        left = np.flatnonzero(unseen & (bounds <= limit.distance))
        found += self._compared(query, rows[left], bounds[left], limit)
        return _together(found)

    def _compared(
        self, query: _Query, rows: NDArray[np.int64], bounds: FloatArray, limit: _Limit
    ) -> list[tuple[NDArray[np.int64], DoubleArray]]:
        """Rows that the limit, as it falls, does not rule out, and their rough scores."""
        found: list[tuple[NDArray[np.int64], DoubleArray]] = []

        def some(first: int, last: int) -> None:
            for at in range(first, last, _STEP):
                own = slice(at, min(at + _STEP, last))
                chosen = rows[own][bounds[own] <= limit.distance]
                scores = self._rough(query, chosen)
                limit.take(self.measure.distance(scores))
                found.append((chosen, scores))

        kernels.in_parallel(some, len(rows), _STEP // 4)
        return found

    # -- rough scores ----------------------------------------------------------------------------

    def _rough(self, query: _Query, rows: NDArray[np.int64]) -> DoubleArray:
        """Scores of rows, ascending, in float32."""
        out = np.empty(len(rows))

        def some(first: int, last: int) -> None:
            for number, inner, place in self._by_part(rows[first:last]):
                part = self._table.parts[number]
                sums = kernels.histogram_sums(
                    query.metric, part.bins, part.counts, part.ends, inner, query.table
                )
                out[first:last][place] = query.scores(sums.astype(np.float64))

        kernels.in_parallel(some, len(rows), 4_096)
        return out

    def _by_part(self, rows: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64], slice]]:
        """For each segment that has some of the rows: its number, its rows, their place."""
        bounds = np.searchsorted(rows, self._starts)
        return [
            (number, rows[first:last] - self._starts[number], slice(int(first), int(last)))
            for number, (first, last) in enumerate(pairwise(bounds))
            if last > first
        ]


class _Limit:
    """The k-th least distance seen so far, and what is added for rounding. Grows only smaller.

    Threads share it without a lock: an older value only rules out less.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._best = np.empty(0)
        self.distance = np.inf

    def take(self, distances: DoubleArray) -> None:
        """Distances of further rows, none of them seen before."""
        together = np.concatenate([self._best, distances])
        if len(together) > self._k:
            together = np.partition(together, self._k - 1)[: self._k]
        self._best = together
        if len(together) == self._k:
            most = float(together.max())
            # Twice what a score may be off, or, near 0, what a root of such a number may be.
            share = most * (1 + 2 * SHARE_MARGIN) + 2 * MARGIN
            slack = max(share, float(np.sqrt(most**2 + 2 * MARGIN)))
            self.distance = min(self.distance, slack)


def _together(
    found: list[tuple[NDArray[np.int64], DoubleArray]],
) -> tuple[NDArray[np.int64], DoubleArray]:
    rows = np.concatenate([rows for rows, _ in found])
    scores = np.concatenate([scores for _, scores in found])
    order = np.argsort(rows)
    return rows[order], scores[order]


class _Query:
    """A query histogram as the kernels take it, and how their sums become scores."""

    def __init__(self, query: DoubleArray, metric: str) -> None:
        self.metric = metric
        self._query = query = np.asarray(query, dtype=np.float64)
        self._mass = float(query.sum())
        filled = query > _EPSILON
        self._inverse = np.where(filled, 1.0 / np.where(filled, query, 1.0), 0.0)
        own = {"chi-square": self._inverse, "bhattacharyya": np.sqrt(query)}.get(metric, query)
        self.table: FloatArray = own.astype(np.float32)
        self._filled = query[filled]
        self._filled_mass = float(self._filled.sum())

    def scores(self, sums: DoubleArray) -> DoubleArray:
        """The metric's scores from the kernels' sums (m, 3)."""
        first, second, total = sums.T
        if self.metric == "correlation":
            return self._correlation(first / total, second / total**2)
        if self.metric == "chi-square":
            scores = self._filled_mass - 2.0 * first / total + second / total**2
            return np.asarray(np.maximum(scores, 0.0))
        if self.metric == "intersection":
            return np.asarray(first / total)
        coefficient = first / np.sqrt(total * self._mass)
        return np.asarray(np.sqrt(np.maximum(1.0 - coefficient, 0.0)))

    def _correlation(self, products: DoubleArray, squares: DoubleArray) -> DoubleArray:
        # Rows sum to 1, so their mean is 1 / BINS.
        own = float(self._query @ self._query) - self._mass**2 / BINS
        spread = own * (squares - 1.0 / BINS)
        flat = np.abs(spread) <= _EPSILON
        above = products - self._mass / BINS
        return np.asarray(np.where(flat, 1.0, above / np.sqrt(np.where(flat, 1.0, spread))))

    def bounds(self, coarse: CoarseRows, rows: NDArray[np.int64] | None) -> FloatArray:
        """A number per row, or per row of the table, that its distance is at least."""
        if self.metric == "chi-square":
            return self._chi_square_least(coarse, rows)
        parts = self.metric == "correlation"
        codes = coarse.parts if parts else coarse.roots
        own = self._blocks()
        if self.metric == "intersection":
            sums = _over(codes, rows, lambda c: kernels.least_squares64(c, own[1]))
            slack = np.float32(2 * ROUNDING * own[2])
            upper = sums.astype(np.float32) / np.float32(255 * 255) + slack
            return np.asarray(np.float32(1.0) - upper)
        sums = _over(codes, rows, lambda c: kernels.products64(c, own[0]))
        slack = np.float32(ROUNDING * own[2] + 0.5 / 2_047 * 8)
        upper = sums.astype(np.float32) / np.float32(255 * 2_047) + slack
        if not parts:
            within = np.maximum(np.float32(1.0) - upper / np.float32(self._mass**0.5), 0)
            return np.asarray(np.sqrt(within))
        lengths = coarse.lengths if rows is None else coarse.lengths[rows]
        squares = lengths.astype(np.float64) ** 2
        length = float(np.sqrt(self._query @ self._query))
        cosine = np.asarray(upper * lengths * np.float32(length), np.float64)
        return np.asarray(1.0 - self._correlation(cosine, squares), np.float32)

    def _chi_square_least(self, coarse: CoarseRows, rows: NDArray[np.int64] | None) -> FloatArray:
        shares, inverse = np.zeros(BINS + 1, np.float32), np.zeros(BINS + 1, np.float32)
        shares[:-1] = np.where(self._inverse > 0, self._query, 0)
        inverse[:-1] = self._inverse
        # The sum over filled bins above a level, (share - level)^2 / share, for all levels at once.
        levels = np.arange(REST) / STEPS
        filled = np.sort(self._filled)
        first = np.searchsorted(filled, levels, side="right")

        def above(numbers: DoubleArray) -> DoubleArray:
            return np.concatenate([np.cumsum(numbers[::-1])[::-1], [0.0]])[first]

        rest = above(filled) - 2 * levels * above(filled**0) + levels**2 * above(1 / filled)
        least = np.asarray(np.maximum(rest, 0), np.float32)
        chosen = slice(None) if rows is None else rows
        bins, counts = coarse.peak_bins[chosen], coarse.peak_counts[chosen]
        totals = coarse.totals[chosen]

        def some(first: int, last: int) -> FloatArray:
            own = slice(first, last)
            return kernels.chi_square_least(
                bins[own], counts[own], totals[own], shares, inverse, least
            )

        return np.concatenate(kernels.in_parallel(some, len(totals), 16_384))

    def _blocks(self) -> tuple[NDArray[np.int16], NDArray[np.uint8], float]:
        """The query's 64 numbers, as 2,047ths and as 255ths, and their sum."""
        cubes = self._query.reshape(4, 4, 4, 4, 4, 4)
        if self.metric == "correlation":
            squares = (cubes * cubes).sum(axis=(1, 3, 5)).ravel()
            numbers = np.sqrt(squares / max(float(squares.sum()), 1e-300))
        else:
            numbers = np.sqrt(cubes.sum(axis=(1, 3, 5)).ravel())
        return (
            np.minimum(np.rint(numbers * 2_047), 2_047).astype(np.int16),
            np.minimum(np.ceil(numbers * 255), 255).astype(np.uint8),
            float(numbers.sum()) + 64 * ROUNDING,
        )


def _over(
    codes: NDArray[np.uint8],
    rows: NDArray[np.int64] | None,
    sums: Callable[[NDArray[np.uint8]], NDArray[np.int32]],
) -> NDArray[np.int32]:
    chosen = codes if rows is None else codes[rows]
    pieces = kernels.in_parallel(lambda a, b: sums(chosen[a:b]), len(chosen), 16_384)
    return np.concatenate(pieces)


class CoarseCache:
    """The coarse rows of a table under ``folder``; rows added since are made when it is loaded."""

    def __init__(self, folder: Path, table: HistogramTable) -> None:
        self._derived = DerivedFolder(folder)
        self._table = table

    def load(self) -> CoarseRows:
        """The whole table's coarse rows."""
        known, rows = self._known()
        if known is not None and rows == len(self._table.ids):
            return known
        fresh = coarse_rows(list(self._parts_from(rows)))
        whole = fresh if known is None else CoarseRows.joined([known, fresh])
        if known is None:
            self._keep(whole)
        return whole

    def standing(self) -> Standing:
        """For how many of the table's rows there are coarse rows."""
        _, made = self._known()
        return Standing(
            len(self._table.ids), made, self._derived.left(), LONGEST_TAIL, LONGEST_TAIL + 1
        )

    def refresh(self) -> bool:
        """Keep the rows added since, if they are many; returns whether they were."""
        known, rows = self._known()
        if len(self._table.ids) - rows <= LONGEST_TAIL:
            return False
        fresh = coarse_rows(list(self._parts_from(rows)))
        return self._keep(fresh if known is None else CoarseRows.joined([known, fresh]))

    def _known(self) -> tuple[CoarseRows | None, int]:
        """What is kept of the table's first rows, and how many these are."""
        ids = self._table.ids
        made_for = self._made_for
        for stem, rows in self._derived.sets(_VERSION, _LAST, len(ids), made_for):
            with contextlib.suppress(*DAMAGED):
                table = CoarseRows(*(self._derived.array(f"{stem}.{n}.npy") for n in COLUMNS))
                _check(table, rows)
                return table, rows
        return None, 0

    def _made_for(self, rows: int) -> str:
        return digest(self._table.ids[:rows])

    def _parts_from(self, row: int) -> Iterator[HistogramPart]:
        """The table's segments without their rows before ``row``."""
        start = 0
        for part in self._table.parts:
            first = max(0, row - start)
            start += len(part)
            if first < len(part):
                cell = part.cells(first).start
                ends = part.ends[first:] - np.uint64(cell)
                yield HistogramPart(part.bins[cell:], part.counts[cell:], ends)

    def _keep(self, table: CoarseRows) -> bool:
        rows = len(self._table.ids)
        files = {f"{n}.npy": array_writer(a) for n, a in zip(COLUMNS, table.columns(), strict=True)}
        return self._derived.keep_set(f"{_VERSION}-{rows}-{self._made_for(rows)}", files)


_VERSION = "v2"
_LAST = f"{list(COLUMNS)[-1]}.npy"


def _check(table: CoarseRows, rows: int) -> None:
    for (name, (dtype, shape)), column in zip(COLUMNS.items(), table.columns(), strict=True):
        if column.dtype != dtype or column.shape != (rows, *shape):
            raise ValueError(f"{name}: not of the expected type and shape")
