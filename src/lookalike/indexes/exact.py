"""The exact scan over all vectors of a space: slow, obvious, and the oracle for faster ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.base import Mask, Neighbours, ScanIndex, rerank
from lookalike.types import COSINE, DoubleArray, FloatArray, IdArray

_CHUNK = 256
"""Rows widened at a time: 1.3 MB at 1,280 dimensions, which stays in a core's cache."""

_SCALE = np.float32(2.0**112)
"""What ``_widened`` leaves out: the difference of the exponents' offsets, 127 - 15."""

MARGIN = 1e-3
"""More than a float32 product with a row of halves can be off: rounding to halves changes a unit
row's length by up to 3e-4 (few dimensions) or 1e-4 (many)."""

_EXACT_ROWS = 2_048
"""Rows scored in float64 at a time."""


class ExactIndex(ScanIndex):
    """Cosine over unit vectors: ``parts`` are float16 or float32 (n_i, dim), one after another."""

    measure = COSINE

    def __init__(self, ids: IdArray, parts: Sequence[NDArray[np.floating]]) -> None:
        self.ids = ids
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def scores(self, query: DoubleArray) -> DoubleArray:
        """Cosines of one query with all rows, float64 (n,), off by at most MARGIN.

        The query may have any length. A query of zeros is alike to nothing: all scores are 0.
        """
        target = unit_vector(query).astype(np.float32)
        out = np.empty(len(self.ids))
        for start, part in zip(self._starts, self._parts, strict=False):
            for offset in range(0, len(part), _CHUNK):
                chunk = part[offset : offset + _CHUNK]
                rows = slice(int(start) + offset, int(start) + offset + len(chunk))
                out[rows] = _dot(chunk, target)
        return np.clip(out, -1.0, 1.0)

    def nearest(self, query: DoubleArray, k: int, allowed: Mask | None = None) -> Neighbours:
        """The k nearest: a rough scan, then those that may be among them scored in float64.

        Equal vectors get equal scores, wherever they lie; ties by id.
        """
        rough = self.scores(query)
        return rerank(
            rough, MARGIN, lambda rows: self.score_rows(query, rows), COSINE, self.ids, k, allowed
        )

    def score_rows(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """Cosines with the given rows only, float64 (m,)."""
        target = unit_vector(query)
        out = np.empty(len(rows))
        for start in range(0, len(rows), _EXACT_ROWS):
            chosen = rows[start : start + _EXACT_ROWS]
            vectors = self._take(chosen)
            # einsum sums each row by itself, so that its score does not depend on its neighbours
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            products = np.einsum("ij,j->i", vectors, target)
            out[start : start + len(chosen)] = products / np.where(lengths > 0, lengths, 1.0)
        return np.clip(out, -1.0, 1.0)

    def _take(self, rows: NDArray[np.int64]) -> DoubleArray:
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        out = np.empty((len(rows), self._parts[0].shape[1] if self._parts else 0))
        for number in np.unique(numbers):
            of_part = numbers == number
            out[of_part] = self._parts[number][rows[of_part] - self._starts[number]]
        return out


def _dot(rows: NDArray[np.floating], target: FloatArray) -> FloatArray:
    """Products of each row with a float32 vector."""
    if rows.dtype != np.float16:
        return np.asarray(rows.astype(np.float32) @ target)
    return np.asarray(_widened(rows) @ (target * _SCALE))


def _widened(halves: NDArray[np.float16]) -> FloatArray:
    """Finite halves as float32, scaled by 2**-112, exactly and ten times faster than ``astype``.

    The bits are moved to where float32 has sign, exponent and fraction (IEEE 754); the scale, due
    to the exponents' different offsets, is made good in the other factor of a product.
    """
    bits = halves.view(np.int16).astype(np.int32)  # the sign fills the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70000001), out=bits)  # one sign bit is enough
    return bits.view(np.float32)


def unit_vector(query: DoubleArray) -> DoubleArray:
    """A vector of length 1, float64 (dim,); zeros, also by cancellation, stay zeros."""
    vector = np.asarray(query, dtype=np.float64)
    length = float(np.sqrt(np.sum(vector * vector)))
    return vector / length if length > 1e-12 else np.zeros_like(vector)
