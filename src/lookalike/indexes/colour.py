"""The exact scan over all sparse colour histograms, by any of the four metrics.

Only bins that both histograms fill add to the scores (chi-square adds a constant), so a pass over
the occupied cells gives what a pass over all 4,096 bins would. ``features.histogram.score`` is the
same for one pair, and ``cv2.compareHist`` the oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lookalike.features.histogram import score
from lookalike.indexes.base import ScanIndex
from lookalike.stores.base import HistogramPart, HistogramTable
from lookalike.types import BINS, COLOUR_MEASURES, DoubleArray

_CHUNK = 4_096
"""Rows at a time: about 1.5 million cells of photographs, 12 MB a temporary."""


class ColourIndex(ScanIndex):
    """Scores a query histogram, float64 (4096,) summing to 1, against all rows of a table."""

    def __init__(self, table: HistogramTable, metric: str) -> None:
        self.ids = table.ids
        self.measure = COLOUR_MEASURES[metric]
        self._table = table
        self._score_chunk = _CHUNK_SCORES[metric]

    def scores(self, query: DoubleArray) -> DoubleArray:
        """The metric's scores, float64 (n,)."""
        query = np.asarray(query, dtype=np.float64)
        out, start = np.empty(len(self.ids)), 0
        for part in self._table.parts:
            for offset in range(0, len(part), _CHUNK):
                chunk = _Chunk(part, offset, min(offset + _CHUNK, len(part)))
                out[start : start + chunk.rows] = self._score_chunk(query, chunk)
                start += chunk.rows
        return out

    def score_rows(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """The metric's scores with the given rows only, one by one, float64 (m,)."""
        others = (self._table.histogram(int(row)).dense() for row in rows)
        return np.array([score(query, other, self.measure.name) for other in others])


class _Chunk:
    """Some rows of a part: per cell its bin and its share of the row; sums over rows."""

    def __init__(self, part: HistogramPart, first: int, last: int) -> None:
        cells = slice(part.cells(first).start, part.cells(last - 1).stop)
        ends = np.asarray(part.ends[first:last], dtype=np.int64) - cells.start
        self._starts = np.concatenate([[0], ends[:-1]])
        self.rows = last - first
        self.bins: NDArray[np.uint16] = np.asarray(part.bins[cells])
        counts = np.asarray(part.counts[cells], dtype=np.float64)
        totals = self.sum(counts)
        self.shares = counts / np.repeat(totals, np.diff(np.append(self._starts, len(counts))))

    def sum(self, cells: DoubleArray) -> DoubleArray:
        """Per row, the sum of one value per cell. Every row has at least one cell."""
        return np.asarray(np.add.reduceat(cells, self._starts))


def _correlation(query: DoubleArray, chunk: _Chunk) -> DoubleArray:
    # Both sum to 1, so both means are 1 / BINS.
    product = chunk.sum(query[chunk.bins] * chunk.shares) - query.sum() / BINS
    own = float(query @ query) - float(query.sum()) ** 2 / BINS
    others = chunk.sum(chunk.shares * chunk.shares) - 1.0 / BINS
    spread = own * others
    flat = np.abs(spread) <= np.finfo(np.float64).eps
    return np.asarray(np.where(flat, 1.0, product / np.sqrt(np.where(flat, 1.0, spread))))


def _chi_square(query: DoubleArray, chunk: _Chunk) -> DoubleArray:
    filled = query > np.finfo(np.float64).eps
    per_bin = np.where(filled, query, 1.0)
    own = per_bin[chunk.bins]
    # A cell turns its bin's share of the constant, own, into (own - share)^2 / own.
    change = ((own - chunk.shares) ** 2 / own - own) * filled[chunk.bins]
    return np.asarray(np.maximum(float(query[filled].sum()) + chunk.sum(change), 0.0))


def _intersection(query: DoubleArray, chunk: _Chunk) -> DoubleArray:
    return chunk.sum(np.minimum(query[chunk.bins], chunk.shares))


def _bhattacharyya(query: DoubleArray, chunk: _Chunk) -> DoubleArray:
    coefficient = chunk.sum(np.sqrt(query[chunk.bins] * chunk.shares)) / np.sqrt(query.sum())
    return np.asarray(np.sqrt(np.maximum(1.0 - coefficient, 0.0)))


_CHUNK_SCORES: dict[str, Callable[[DoubleArray, _Chunk], DoubleArray]] = {
    "correlation": _correlation,
    "chi-square": _chi_square,
    "intersection": _intersection,
    "bhattacharyya": _bhattacharyya,
}
