"""k-means: as many clusters as asked for, each around its mean.

S. Lloyd, "Least Squares Quantization in PCM", 1982, from starts by D. Arthur and S. Vassilvitskii,
"k-means++: The Advantages of Careful Seeding", 2007, in the form that tries a few candidates for
every start and keeps the best. The nearest centre of every row is found by the kernels that make
the neighbour graph, so that equal seeds give equal clusters whatever the threads. Large tables are
first done on a sample; what that costs in inertia is in docs/adr/0014-clusters.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.regions import nearest_centres
from lookalike.maps.clusters.grouping import Numbers, means
from lookalike.types import DoubleArray, FloatArray

STARTS_FROM = 16_384
"""Rows that starts are chosen among; at least four for every start."""

SAMPLE_PER_CENTRE = 128
"""Rows of the sample for each centre; it has ``LEAST_SAMPLE`` at least."""

LEAST_SAMPLE = 50_000

_ITERATIONS, _ITERATIONS_OVER_ALL = 40, 4
_CELL_SAMPLE, _CELL_ITERATIONS = 32, 10
_SETTLED = 1e-3
"""The share of rows that change their centre below which iterating ends."""


def cells(points: FloatArray, count: int, seed: int) -> tuple[Numbers, FloatArray]:
    """As ``kmeans``, for thousands of centres that others will join: a few rounds on a sample."""
    rng = np.random.default_rng([seed, count])
    sample = _sample(points, _CELL_SAMPLE * count, rng)
    starts = np.unique(_sample(sample, count, rng), axis=0)
    return _used(points, _settled(sample, starts, _CELL_ITERATIONS))


def kmeans(points: FloatArray, count: int, seed: int) -> tuple[Numbers, FloatArray]:
    """The centre of every row of ``points`` (n, d), int32 (n,), and the centres (c, d).

    c is at most ``count``: fewer where there are fewer different points. Every centre has rows.
    """
    rng = np.random.default_rng([seed, count])
    sample = _sample(points, max(LEAST_SAMPLE, SAMPLE_PER_CENTRE * count), rng)
    centres = _starts(_sample(sample, max(STARTS_FROM, 4 * count), rng), count, rng)
    centres = _settled(sample, centres, _ITERATIONS)
    if len(sample) < len(points):
        centres = _settled(points, centres, _ITERATIONS_OVER_ALL)
    return _used(points, centres)


def _used(points: FloatArray, centres: FloatArray) -> tuple[Numbers, FloatArray]:
    """The nearest centre of every row, of those centres that have any."""
    of = nearest_centres(points, centres, 1)[:, 0]
    used, place = np.unique(of, return_inverse=True)
    return place.ravel().astype(np.int32), centres[used]


def _sample(points: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """So many rows at most, drawn at random, in their order."""
    if len(points) <= size:
        return points
    return np.ascontiguousarray(points[np.sort(rng.permutation(len(points))[:size])])


def _starts(points: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """At most ``count`` different points that lie well apart, by greedy k-means++."""
    squares = np.einsum("ij,ij->i", points, points).astype(np.float64)
    trials = 2 + int(np.log(count))
    first = int(rng.integers(len(points)))
    chosen = [first]
    apart = _squared(points, squares, np.array([first]))[0]
    while len(chosen) < min(count, len(points)):
        sums = np.cumsum(apart)
        if sums[-1] <= 1e-9 * squares.sum():  # only copies and rounding are left
            break
        drawn = np.searchsorted(sums, rng.random(trials) * sums[-1], side="right")
        candidates = np.minimum(_squared(points, squares, np.minimum(drawn, len(apart) - 1)), apart)
        best = int(np.argmin(candidates.sum(axis=1)))
        chosen.append(int(min(drawn[best], len(apart) - 1)))
        apart = candidates[best]
    return np.ascontiguousarray(points[chosen])


def _squared(points: FloatArray, squares: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
    """Squared distances of some rows to all, float64 (m, n), 0 to themselves."""
    products = (points[rows] @ points.T).astype(np.float64)
    apart: DoubleArray = np.maximum(squares[rows][:, None] + squares - 2 * products, 0)
    apart[np.arange(len(rows)), rows] = 0
    return apart


def _settled(points: FloatArray, centres: FloatArray, iterations: int) -> FloatArray:
    """Centres after Lloyd's iterations over ``points``; one without rows stays where it is."""
    before = np.full(len(points), -1, np.int32)
    for _ in range(iterations):
        of = nearest_centres(points, centres, 1)[:, 0]
        used = np.bincount(of, minlength=len(centres)) > 0
        centres = np.where(used[:, None], means(points, of, len(centres)), centres)
        if np.count_nonzero(of != before) < _SETTLED * len(points):
            break
        before = of
    return centres
