"""The exact scan over all vectors of a space: slow, obvious, and the oracle for faster ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.indexes.base import Mask, Neighbours, ScanIndex, rerank_rows
from lookalike.types import COSINE, DoubleArray, FloatArray, IdArray

MARGIN = 1e-4
"""More than a float32 cosine with a row of halves can be off."""

_ROWS_A_THREAD = 2_048


class ExactIndex(ScanIndex):
    """Cosine over unit vectors: ``parts`` are float16 (n_i, dim), one after another."""

    measure = COSINE

    def __init__(self, ids: IdArray, parts: Sequence[NDArray[np.float16]]) -> None:
        self.ids = ids
        self.parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def scores(self, query: DoubleArray) -> DoubleArray:
        """Cosines of one query with all rows, float64 (n,), off by at most MARGIN.

        The query may have any length. A query of zeros is alike to nothing: all scores are 0.
        """
        return self.rough(query, None).astype(np.float64)

    def nearest(self, query: DoubleArray, k: int, allowed: Mask | None = None) -> Neighbours:
        """The k nearest: a rough scan, then those that may be among them scored in float64.

        Equal vectors get equal scores, wherever they lie; ties by id.
        """
        if allowed is None or bool(allowed.all()):
            return self._nearest(query, k, np.arange(len(self.ids)), self.rough(query, None))
        return self.nearest_of(query, k, np.flatnonzero(allowed))

    def nearest_of(
        self,
        query: DoubleArray,
        k: int,
        rows: NDArray[np.int64],
        rough: FloatArray | None = None,
    ) -> Neighbours:
        """The k nearest of some rows (m,), as ``nearest`` finds them.

        ``rough`` float32 (m,) are their cosines, off by at most MARGIN; without them, rows ascend.
        """
        return self._nearest(query, k, rows, self.rough(query, rows) if rough is None else rough)

    def _nearest(
        self, query: DoubleArray, k: int, rows: NDArray[np.int64], rough: FloatArray
    ) -> Neighbours:
        return rerank_rows(
            rows, rough, MARGIN, lambda near: self.score_rows(query, near), COSINE, self.ids, k
        )

    def rough(self, query: DoubleArray, rows: NDArray[np.int64] | None) -> FloatArray:
        """Cosines with ``rows``, ascending, or with all; float32, off by at most MARGIN."""
        cosines: FloatArray = self.rough_each([query], rows)[0]
        return cosines

    def rough_each(
        self, queries: Sequence[DoubleArray], rows: NDArray[np.int64] | None
    ) -> FloatArray:
        """``rough`` of several queries, which share one pass over the rows; (queries, rows)."""
        targets = np.stack([unit_vector(query) for query in queries]).astype(np.float32)
        count = len(self.ids) if rows is None else len(rows)
        out = np.empty((len(targets), count), np.float32)
        for start, part in zip(self._starts, self.parts, strict=False):
            first, last = (int(start), int(start) + len(part))
            if rows is not None:
                first, last = np.searchsorted(rows, [first, last]).tolist()
            inner = None if rows is None else rows[first:last] - start
            _cosines(part, targets, inner, out[:, first:last])
        return np.clip(out, -1.0, 1.0, out=out)

    def score_rows(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """Cosines with the given rows only, float64 (m,)."""
        return np.clip(kernels.cosines64(self.parts, unit_vector(query), rows), -1.0, 1.0)


def _cosines(
    part: NDArray[np.float16],
    targets: FloatArray,
    rows: NDArray[np.int64] | None,
    out: FloatArray,
) -> None:
    """Cosines with some rows of a part, or all, into ``out``; large parts by several threads."""

    def some(first: int, last: int) -> None:
        if rows is None:
            out[:, first:last] = kernels.cosines(part[first:last], targets)
        else:
            out[:, first:last] = kernels.cosines(part, targets, rows[first:last])

    kernels.in_parallel(some, out.shape[1], _ROWS_A_THREAD)


def unit_vector(query: DoubleArray) -> DoubleArray:
    """A vector of length 1, float64 (dim,); zeros, also by cancellation, stay zeros."""
    vector = np.asarray(query, dtype=np.float64)
    length = float(np.sqrt(np.sum(vector * vector)))
    return vector / length if length > 1e-12 else np.zeros_like(vector)
