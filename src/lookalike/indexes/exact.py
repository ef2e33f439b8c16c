"""The exact scan over all vectors of a space: slow, obvious, and the oracle for faster ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.base import Mask, Neighbours, ScanIndex, choose
from lookalike.types import COSINE, DoubleArray, IdArray

_CHUNK = 8_192
"""Rows widened to float32 at a time: 40 MB at 1,280 dimensions."""

_MARGIN = 1e-4
"""More than the rounding of a float32 dot product of unit vectors; rows this close to the k-th are
scored again in float64, so that equal vectors get equal scores wherever they lie."""


class ExactIndex(ScanIndex):
    """Cosine over unit vectors: ``parts`` are float16 or float32 (n_i, dim), one after another."""

    measure = COSINE

    def __init__(self, ids: IdArray, parts: Sequence[NDArray[np.floating]]) -> None:
        self.ids = ids
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def scores(self, query: DoubleArray) -> DoubleArray:
        """Cosines of one query, of any length greater than zero, with all rows, float64 (n,).

        A query of zeros is alike to nothing: all scores are 0.
        """
        target = _unit(query).astype(np.float32)
        out = np.empty(len(self.ids))
        for start, chunk in self._chunks():
            out[start : start + len(chunk)] = chunk.astype(np.float32) @ target
        return np.clip(out, -1.0, 1.0)

    def nearest(self, query: DoubleArray, k: int, allowed: Mask | None = None) -> Neighbours:
        """The k nearest, scored in float64; ties by id."""
        scores = self.scores(query)
        rows = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
        if not len(rows) or k <= 0:
            return Neighbours(np.empty(0, dtype=np.int64), np.empty(0))
        k = min(k, len(rows))
        threshold = -np.partition(-scores[rows], k - 1)[k - 1] - _MARGIN
        candidates = rows[scores[rows] >= threshold]
        best = choose(self.score_rows(query, candidates), COSINE, self.ids[candidates], k)
        return Neighbours(candidates[best.rows], best.scores)

    def score_rows(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """Cosines with the given rows only, in float64 (m,)."""
        target = _unit(query)
        out = np.empty(len(rows))
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        for position, (number, row) in enumerate(zip(numbers, rows, strict=True)):
            vector = self._parts[number][row - self._starts[number]].astype(np.float64)
            length = np.sqrt(np.sum(vector * vector)) or 1.0
            out[position] = np.sum(vector * target) / length
        return np.clip(out, -1.0, 1.0)

    def _chunks(self) -> list[tuple[int, NDArray[np.floating]]]:
        return [
            (int(start) + offset, part[offset : offset + _CHUNK])
            for start, part in zip(self._starts, self._parts, strict=False)
            for offset in range(0, len(part), _CHUNK)
        ]


def _unit(query: DoubleArray) -> DoubleArray:
    vector = np.asarray(query, dtype=np.float64)
    length = float(np.sqrt(np.sum(vector * vector)))
    return vector / length if length > 0 else vector
