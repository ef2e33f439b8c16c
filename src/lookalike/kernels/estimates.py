"""What a scan finds, and what refines it: rows with estimates for several queries at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.types import FloatArray

FOUND = np.dtype([("score", "=f4"), ("row", "=i4")])


@dataclass(frozen=True)
class Estimated:
    """Rows and their estimates for n queries.

    ``found`` FOUND (n, room): the first ``counts`` int64 (n,) of a query count, in no order.
    """

    found: NDArray[Any]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.int32]], scores: Sequence[FloatArray]) -> Estimated:
        """From the rows and scores of each query."""
        counts = np.array([len(own) for own in rows], np.int64)
        found = np.empty((len(rows), int(counts.max(initial=0))), FOUND)
        for q, count in enumerate(counts):
            found[q, :count]["row"], found[q, :count]["score"] = rows[q], scores[q]
        return cls(found, counts)

    def __getitem__(self, q: int) -> tuple[NDArray[np.int32], FloatArray]:
        """The rows and scores of one query."""
        own = self.found[q, : self.counts[q]]
        return own["row"], own["score"]

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class SecondBlock:
    """The second block of ``codes.Codes`` and of queries coded for it.

    Byte j of a row's code holds dimension j in its low and dimension bytes + j in its high half;
    ``queries`` int8 (n, 2 * bytes) lie in the order of dimensions.
    """

    codes: NDArray[np.uint8]
    scale: FloatArray
    queries: NDArray[np.int8]
    query_scale: FloatArray
