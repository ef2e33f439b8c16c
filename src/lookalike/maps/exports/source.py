"""What every export is made from: a map, and what is known of its records, read piece by piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.maps.base import Level, PictureMap
from lookalike.types import FloatArray, uuids

T = TypeVar("T")

Rows = NDArray[np.int64]
"""Rows of a map, int64 (m,)."""

CHUNK = 2_000
"""Records that are asked for at a time: their thumbnails take some 20 MB."""

_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What is known of one record.

    ``path``: where it lies, undecodable bytes as surrogates, "" where that is nowhere; ``width``
    and ``height`` in pixels; ``taken`` ISO 8601 or ""; ``category``: what it surely shows, or "";
    ``labels`` that were given to it.
    """

    path: str
    width: int
    height: int
    taken: str
    category: str
    labels: tuple[str, ...]

    @property
    def label(self) -> str:
        """All labels as one text."""
        return "; ".join(self.labels)


NOTHING = RowFacts("", 0, 0, "", "", ())
"""Of a record that has left the library since the map was made."""


@dataclass(frozen=True)
class ExportSource:
    """A map and ways to read what its records are.

    ``points()``: float32 (n, d), d at most 64, the reduced vectors of the map's rows; ``facts`` and
    ``thumbnails`` (JPEG, or None) of records by id, in the order asked for.
    """

    chart: PictureMap
    points: Callable[[], FloatArray]
    facts: Callable[[Sequence[UUID]], Sequence[RowFacts]]
    thumbnails: Callable[[Sequence[UUID]], Sequence[bytes | None]]

    def __len__(self) -> int:
        return len(self.chart)

    def require_records(self) -> None:
        """Raise InputError where there is nothing to export."""
        if not len(self):
            raise InputError("the map has no records; nothing is exported, choose a wider --where")

    def ids(self, rows: Rows) -> list[UUID]:
        """The ids of rows."""
        return uuids(self.chart.ids[rows])

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels of clusters, the widest first; may be none."""
        return self.chart.clustering.levels

    @cached_property
    def of(self) -> NDArray[np.int32]:
        """The finest cluster of every row, int32 (n,), -1 for none."""
        return self.levels[-1].of if self.levels else np.full(len(self), -1, np.int32)

    def some(self, most: int | None) -> Rows:
        """At most so many rows, drawn by cluster and shuffled; all of them if None.

        Every cluster has its share, rounded by largest remainders, and at least one row where there
        are rows enough. The map's seed decides; the same map gives the same rows.
        """
        dice = np.random.default_rng([self.chart.options.seed, 5])
        order: Rows = dice.permutation(len(self))
        if most is None or most >= len(self):
            return order
        quotas = _quotas(np.bincount(self.of + 1), most)
        taken = np.argsort(self.of[order], kind="stable")  # each cluster's rows in random order
        groups = self.of[order][taken] + 1
        starts = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=len(quotas)))[:-1]])
        kept = np.arange(len(self)) - starts[groups] < quotas[groups]
        some: Rows = order[np.sort(taken[kept])]
        return some

    def described(self, rows: Rows) -> Iterator[tuple[Rows, Sequence[RowFacts]]]:
        """Rows with what is known of them, up to ``CHUNK`` at a time, in their order."""
        for start in range(0, len(rows), CHUNK):
            piece = rows[start : start + CHUNK]
            yield piece, self.facts(self.ids(piece))

    def pictured(self, rows: Rows, made: Callable[[bytes | None], T]) -> Iterator[T]:
        """What ``made`` makes of the thumbnail of every row, in their order, by several threads."""
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(rows), CHUNK):
                jpegs = self.thumbnails(self.ids(rows[start : start + CHUNK]))
                yield from pool.map(made, jpegs)

    def name_of(self, level: Level, row: int) -> str:
        """The name of the cluster that a row has at a level, "" for none."""
        number = int(level.of[row])
        return level.clusters[number].name if number >= 0 else ""


def _quotas(sizes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """How many of each group are kept, ``most`` together, in proportion to their sizes."""
    exact = sizes * (most / sizes.sum())
    quotas: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    if np.count_nonzero(sizes) <= most:
        quotas = np.maximum(quotas, np.minimum(sizes, 1))
    while (left := most - int(quotas.sum())) > 0:
        behind = np.argsort(np.where(quotas < sizes, quotas - exact, np.inf), kind="stable")[:left]
        quotas[behind] += 1
    while (over := int(quotas.sum()) - most) > 0:  # of the largest, for the smallest ones' sake
        ahead = np.argsort(-np.where(quotas > 1, quotas, 0), kind="stable")[:over]
        quotas[ahead] -= 1
    return quotas
