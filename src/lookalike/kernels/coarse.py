"""Histograms seen coarsely: what bounds on their distances are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.types import FloatArray

PEAKS = 8
"""Bins of a row that are known by themselves."""

STEPS = 8_192
"""Parts of a row's share in which ``kernels.chi_square_least`` takes ``rest``."""

REST = STEPS // PEAKS + 2
"""Entries of ``rest``: the last of the fullest bins has at most one part in PEAKS."""

COLUMNS: dict[str, tuple[type, tuple[int, ...]]] = {
    "roots": (np.uint8, (64,)),
    "parts": (np.uint8, (64,)),
    "lengths": (np.float32, ()),
    "totals": (np.float32, ()),
    "peak_bins": (np.uint16, (PEAKS,)),
    "peak_counts": (np.uint16, (PEAKS,)),
}
"""Type and shape of what is known of a row."""


@dataclass(frozen=True)
class CoarseRows:
    """Rows of a histogram table, through 64 blocks of 4 x 4 x 4 bins and by their fullest bins.

    ``roots`` uint8 (n, 64), the roots of the blocks' masses, and ``parts`` uint8 (n, 64), the
    lengths of the blocks within the row's length, both as 255ths rounded to the nearest;
    ``lengths`` float32 (n,), the length of the row's shares; ``totals`` float32 (n,), its pixels;
    ``peak_bins`` and ``peak_counts`` uint16 (n, 8), the fullest bins, descending, ties by bin; a
    row of fewer has bin 4,096 with a count of 0 in their place.
    """

    roots: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    lengths: FloatArray
    totals: FloatArray
    peak_bins: NDArray[np.uint16]
    peak_counts: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.totals)

    def columns(self) -> list[NDArray[Any]]:
        """The arrays in the order of COLUMNS."""
        return [getattr(self, name) for name in COLUMNS]

    @classmethod
    def empty(cls, count: int) -> CoarseRows:
        """So many rows, to be filled."""
        return cls(*(np.empty((count, *shape), dtype) for dtype, shape in COLUMNS.values()))

    @classmethod
    def joined(cls, pieces: Sequence[CoarseRows]) -> CoarseRows:
        """The rows of several, one after another."""
        columns = zip(*(piece.columns() for piece in pieces), strict=True)
        return cls(*(np.concatenate(column) for column in columns))
