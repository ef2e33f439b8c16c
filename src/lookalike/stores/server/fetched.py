"""Tables of numbers of all records of a server, fetched when they are first looked at.

Maps, duplicates and studies need all vectors. They come over the network once for each opened
library, into a temporary file on disk; that nobody asked for them costs nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from lookalike.stores.base import HistogramPart
from lookalike.types import SparseHistogram

T = TypeVar("T")


class Fetched(Sequence[T]):
    """The one part of a table of ``rows`` rows, which ``fetch`` gives; no part of none."""

    def __init__(self, rows: int, fetch: Callable[[], T]) -> None:
        self._rows, self._fetch = rows, fetch

    @cached_property
    def _part(self) -> T:
        return self._fetch()

    def __len__(self) -> int:
        return 1 if self._rows else 0

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...

    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return ([self._part] if len(self) else [])[place]


def vectors_on_disk(
    rows: int, dim: int, found: Iterable[tuple[int, NDArray[Any]]]
) -> NDArray[np.float16]:
    """Vectors by their rows, in a file that goes when nobody uses it: float16 (rows, dim)."""
    with tempfile.TemporaryFile(prefix="lookalike-") as file:
        vectors = np.memmap(file, np.float16, "w+", shape=(rows, dim))
    for row, vector in found:
        vectors[row] = vector
    return vectors


def histograms_in_order(found: Sequence[SparseHistogram]) -> HistogramPart:
    """Histograms of rows, one behind the other."""
    return HistogramPart(
        np.concatenate([one.bins for one in found]),
        np.concatenate([one.counts for one in found]),
        np.cumsum([len(one.bins) for one in found], dtype=np.uint64),
    )
