"""A space cut into regions, so that a row's neighbours are sought in the nearest ones only.

A region is what lies nearest to one of several centres, found by Lloyd's iterations on a sample; a
row is compared with all members of the regions whose centres are nearest to it (J. Sivic and
A. Zisserman, "Video Google", 2003; the "IVF" of FAISS). A few thousand rows are one region, which
makes the search exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.types import FloatArray

Rows = NDArray[np.int32]

EXACT_ROWS = 10_000
"""Up to so many rows are one region."""

CENTRES_PER_ROOT = 2.0
"""Centres per square root of the number of rows."""

PROBES = 32
"""Regions that a row is compared with."""

_SAMPLE_PER_CENTRE = 40
_ITERATIONS = 8

_BLOCK = 4_096
"""Rows whose lists are filled together: with their points, about 2 MB."""


@dataclass(frozen=True)
class Lists:
    """The nearest others of rows: ``neighbours`` int32 (n, k) and ``distances`` float32 (n, k).

    Ascending by distance, ties by row; free places are -1, at the distance that a newcomer must
    stay below.
    """

    neighbours: Rows
    distances: FloatArray

    @classmethod
    def empty(cls, rows: int, k: int) -> Lists:
        """Lists with nothing but free places."""
        return cls(np.full((rows, k), -1, np.int32), np.full((rows, k), np.inf, np.float32))


@dataclass(frozen=True)
class Regions:
    """``centres`` float32 (c, d), and the region ``of`` each row, int32 (n,), -1 for rows in none.

    Rows in none are neither compared nor found.
    """

    centres: FloatArray
    of: Rows

    @classmethod
    def cut(cls, points: FloatArray, rows: Rows) -> Regions:
        """Regions for some rows of ``points`` float32 (n, d), ascending; at least one row."""
        centres = _centres(points, rows)
        return cls(centres, np.full(len(points), -1, np.int32)).with_rows(points, rows)

    def with_rows(self, points: FloatArray, rows: Rows) -> Regions:
        """The same centres, with further rows in their regions."""
        of = self.of.copy()
        of[rows] = nearest_centres(points[rows], self.centres, 1)[:, 0]
        return Regions(self.centres, of)

    def search(self, points: FloatArray, rows: Rows, lists: Lists) -> None:
        """Offer to the lists of ``rows``, which should be empty, what lies in the nearest regions.

        Threads share the rows; who computes what changes no result.
        """
        rows = rows[np.argsort(self.of[rows], kind="stable")]  # neighbours probe the same regions
        blocks = [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]
        cores = kernels.cores()
        spread = [block for first in range(cores) for block in blocks[first::cores]]
        members = _Members(self.of, len(self.centres))

        def some(first: int, last: int) -> None:
            for block in spread[first:last]:
                offers = self._probing(points, block)
                _offer(points, offers.runs(), members.runs(offers.regions), lists)

        kernels.in_parallel(some, len(spread), 1)

    def announce(self, points: FloatArray, rows: Rows, to: Rows, lists: Lists) -> None:
        """Offer ``rows`` to the lists of those rows of ``to`` that lie in the nearest regions.

        None of ``to`` may have been offered any of ``rows`` before.
        """
        of = np.full_like(self.of, -1)
        of[to] = self.of[to]
        members = _Members(of, len(self.centres))
        rows = rows[np.argsort(self.of[rows], kind="stable")]
        for at in range(0, len(rows), _BLOCK):
            offers = self._probing(points, rows[at : at + _BLOCK])
            _offer(points, members.runs(offers.regions), offers.runs(), lists)

    def _probing(self, points: FloatArray, rows: Rows) -> _Probing:
        count = min(PROBES, len(self.centres))
        return _Probing(rows, nearest_centres(points[rows], self.centres, count))


def nearest_centres(points: FloatArray, centres: FloatArray, count: int) -> Rows:
    """The numbers of the ``count`` centres nearest to each point, int32 (n, count)."""
    lists = Lists.empty(len(points), count)
    every = np.arange(len(centres), dtype=np.int32)

    def some(first: int, last: int) -> None:
        rows = np.arange(first, last, dtype=np.int32)
        _offer(points, _Runs.one(rows), _Runs.one(every), lists, centres)

    kernels.in_parallel(some, len(points), 1_024)
    return lists.neighbours


def _centres(points: FloatArray, rows: Rows) -> FloatArray:
    """Centres by Lloyd's iterations on an even sample, starting from evenly spread rows of it."""
    if len(rows) <= EXACT_ROWS:
        mean: FloatArray = points[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean[None]
    count = int(CENTRES_PER_ROOT * len(rows) ** 0.5)
    sample = points[rows[_evenly(len(rows), count * _SAMPLE_PER_CENTRE)]]
    centres = sample[_evenly(len(sample), count)]
    for _ in range(_ITERATIONS):
        nearest = nearest_centres(sample, centres, 1)[:, 0]
        order = np.argsort(nearest, kind="stable")
        used, starts = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.float64), starts)
        sizes = np.diff([*starts, len(order)])
        centres[used] = sums / sizes[:, None]  # one that nothing is nearest to stays where it is
    return centres


def _evenly(size: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` of the numbers below ``size``, evenly spread."""
    count = min(count, size)
    return np.arange(count) * size // count


# -- runs, as the kernel takes them ----------------------------------------------------------------


@dataclass(frozen=True)
class _Runs:
    """``rows`` int32 (m,) in runs that end before ``ends`` int64 (r,)."""

    rows: Rows
    ends: NDArray[np.int64]

    @classmethod
    def one(cls, rows: Rows) -> _Runs:
        return cls(rows, np.array([len(rows)]))


class _Members:
    """The rows of each of ``count`` regions, ascending."""

    def __init__(self, of: Rows, count: int) -> None:
        rows = np.flatnonzero(of >= 0).astype(np.int32)
        self._rows = rows[np.argsort(of[rows], kind="stable")]
        self._bounds = np.searchsorted(of[self._rows], np.arange(count + 1))

    def runs(self, regions: Rows) -> _Runs:
        """A run for each of some regions, at least one."""
        pieces = [self._rows[self._bounds[one] : self._bounds[one + 1]] for one in regions.tolist()]
        return _Runs(np.concatenate(pieces), np.cumsum([len(piece) for piece in pieces]))


class _Probing:
    """Which of ``rows`` (m,) are compared with which region: ``probes`` int32 (m, p), turned round.

    ``regions`` int32 (r,) are those that any row is compared with, ascending.
    """

    def __init__(self, rows: Rows, probes: Rows) -> None:
        order = np.argsort(probes, axis=None, kind="stable")
        self._rows = rows[order // probes.shape[1]]
        self.regions, starts = np.unique(probes.ravel()[order], return_index=True)
        self._ends = np.append(starts[1:], len(order))

    def runs(self) -> _Runs:
        """The rows that are compared with each of ``regions``."""
        return _Runs(self._rows, self._ends)


def _offer(
    points: FloatArray, to: _Runs, offered: _Runs, lists: Lists, others: FloatArray | None = None
) -> None:
    """Every run of ``offered`` to the lists of the same run of ``to``; ``others`` for centres."""
    kernels.offer(
        points, to.rows, to.ends, points if others is None else others, offered.rows, offered.ends,
        lists.neighbours, lists.distances, itself=others is not None,
    )  # fmt: skip
