"""Tables of numbers of all records of a server, fetched when they are first looked at.

Maps, duplicates and studies need all vectors. They come over the network once for each opened
library, into a temporary file on disk; that nobody asked for them costs nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, overload
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import LibraryError
from lookalike.stores.base import HistogramPart, VectorTable
from lookalike.types import FloatArray, SparseHistogram

FEW = 100
"""Vectors that are asked for by themselves."""

T = TypeVar("T")


class Fetched(Sequence[T]):
    """The one part of a table of ``rows`` rows, which ``fetch`` gives; no part of none."""

    def __init__(self, rows: int, fetch: Callable[[], T]) -> None:
        self._rows, self._fetch = rows, fetch

    @cached_property
    def _part(self) -> T:
        return self._fetch()

    @property
    def is_here(self) -> bool:
        """Whether it was fetched already."""
        return "_part" in self.__dict__

    def __len__(self) -> int:
        return 1 if self._rows else 0

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...

    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return ([self._part] if len(self) else [])[place]


@dataclass(frozen=True)
class FetchedVectors(VectorTable):
    """The vectors of a server: few are asked for by themselves, more make all come."""

    parts: Fetched[NDArray[np.float16]]
    ask: Callable[[Sequence[UUID]], VectorTable]

    def vectors(self, rows: NDArray[np.int64]) -> FloatArray:
        """As the table of a folder has it; raises LibraryError for a record that has gone."""
        if len(rows) > FEW or self.parts.is_here:
            return super().vectors(rows)
        ids = self.ids[rows]
        few = self.ask([UUID(bytes=one.tobytes()) for one in ids])
        found = few.rows_of(ids)
        if (found < 0).any():
            raise LibraryError("records were deleted meanwhile; try again")
        return few.vectors(found)


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
