"""How good a map is, and how good clusters on it are, in numbers.

Scores are taken on rows drawn evenly, compared with all rows of the map exactly, so that a map of
half a million records is judged in seconds; up to ``SAMPLE`` rows they are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.types import DoubleArray, FloatArray

Ints = NDArray[np.int64]
Labels = NDArray[np.int32]
"""A group of every row, int32 (n,), -1 for none."""

SAMPLE = 1_000
"""Rows whose neighbours are compared."""

SILHOUETTE_SAMPLE = 4_000
"""Rows among which silhouettes are taken."""

NEIGHBOURS, LABELLED_NEIGHBOURS = 15, 10
_CELLS = 16_000_000
"""Distances that are held at a time: 64 MB."""


@dataclass(frozen=True, slots=True)
class LayoutScores:
    """What a layout keeps of the space that it shows.

    ``trustworthiness`` 0..1: whether neighbours on the map are neighbours in the space;
    ``neighbours_kept`` 0..1: share of the 15 nearest in the space that are among the 15 nearest on
    the map. Shares of the 10 nearest that have the record's label, of records with labels:
    ``purity`` on the map, ``purity_of_space`` in the space; None without labels.
    """

    trustworthiness: float
    neighbours_kept: float
    purity: float | None
    purity_of_space: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON has it."""
        return _rounded(asdict(self))


@dataclass(frozen=True, slots=True)
class ClusterScores:
    """What a clustering finds.

    ``clusters``: how many; ``alone`` 0..1: share of records in none. ``silhouette`` of the clusters
    on the map and ``silhouette_of_space`` in the space, -1..1, records in none left out, None where
    there are fewer than two clusters. ``together`` 0..1: share of the 15 nearest on the map that
    are in the record's own cluster, of records in one: where it is low, clusters overlap. ``nmi``
    0..1: normalised mutual information with the labels, of records with labels, those in no cluster
    as one cluster; None without labels.
    """

    clusters: int
    alone: float
    silhouette: float | None
    silhouette_of_space: float | None
    together: float | None
    nmi: float | None

    def to_dict(self) -> dict[str, float | None]:
        """As JSON has it."""
        return _rounded(asdict(self))


def _rounded(values: dict[str, float | None]) -> dict[str, float | None]:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in values.items()
    }


def score_layout(
    points: FloatArray,
    positions: FloatArray,
    labels: Labels | None = None,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
) -> LayoutScores:
    """Scores of a layout: ``points`` (n, d), ``positions`` (n, 2 or 3), labels of rows if any."""
    rows = _drawn(np.arange(len(points)), sample, seed)
    k = min(NEIGHBOURS, max(1, (len(points) - 1) // 2))
    trust, kept = _neighbourhood(points, positions, rows, k)
    purity = purity_of_space = None
    if labels is not None and (labels >= 0).sum() > 1:
        rows = _drawn(np.flatnonzero(labels >= 0), sample, seed)
        purity = label_purity(positions, labels, rows)
        purity_of_space = label_purity(points, labels, rows)
    return LayoutScores(trust, kept, purity, purity_of_space)


def score_clusters(
    points: FloatArray,
    positions: FloatArray,
    of: Labels,
    labels: Labels | None = None,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
) -> ClusterScores:
    """Scores of a clustering ``of`` (n,) of the rows of a map, and of the labels if there are."""
    inside = np.flatnonzero(of >= 0)
    known = None if labels is None else labels >= 0
    rows = _drawn(inside, sample, seed)
    spread = _drawn(inside, SILHOUETTE_SAMPLE, seed)
    return ClusterScores(
        len(np.unique(of[inside])),
        float((of < 0).mean()) if len(of) else 0.0,
        silhouette(positions[spread], of[spread]),
        silhouette(points[spread], of[spread]),
        label_purity(positions, of, rows, NEIGHBOURS, only_labelled=False) if len(rows) else None,
        mutual_information(of[known], labels[known])
        if labels is not None and known is not None and known.any()
        else None,
    )


def _drawn(rows: Ints, most: int, seed: int) -> Ints:
    """At most so many of some rows, drawn evenly, ascending."""
    if len(rows) <= most:
        return rows
    chosen: Ints = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return chosen


# -- neighbours ------------------------------------------------------------------------------------


def trustworthiness(
    points: FloatArray, positions: FloatArray, k: int = NEIGHBOURS, rows: Ints | None = None
) -> float:
    """How far neighbours on the map are from being neighbours in the space, 1 for not at all.

    1 - 2 / (m k (2n - 3k - 1)) times the sum, over the m rows and those of their k nearest on the
    map that are not among their k nearest in the space, of their rank in the space less k (J. Venna
    and S. Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001). ``rows``
    (m,): all n if None; k below n / 2. Equal distances have the best of their ranks.
    """
    every = np.arange(len(points)) if rows is None else rows
    return _neighbourhood(points, positions, every, k)[0]


def _neighbourhood(
    points: FloatArray, positions: FloatArray, rows: Ints, k: int
) -> tuple[float, float]:
    """Trustworthiness, and the share of neighbours that the map keeps; 1 where there are none."""
    n, m = len(points), len(rows)
    if n < 3 or not m:
        return 1.0, 1.0
    penalty, kept = 0, 0
    in_space, on_map = _squared(points, rows), _squared(positions, rows)
    for far, near in zip(in_space, on_map, strict=True):
        theirs = _nearest(far, k)
        for place, own in enumerate(_nearest(near, k)):
            lost = own[~np.isin(own, theirs[place])]
            kept += k - len(lost)
            for other in lost.tolist():
                rank = 1 + int(np.count_nonzero(far[place] < far[place, other]))
                penalty += max(0, rank - k)
    return 1 - penalty * 2 / (m * k * (2 * n - 3 * k - 1)), kept / (m * k)


def label_purity(
    vectors: FloatArray,
    labels: Labels,
    rows: Ints,
    k: int = LABELLED_NEIGHBOURS,
    *,
    only_labelled: bool = True,
) -> float:
    """The mean share of the k nearest that have the row's label, of rows that have one.

    With ``only_labelled`` among rows that have a label; others count as of another one.
    """
    if only_labelled:
        among = np.flatnonzero(labels >= 0)
        rows = np.searchsorted(among, rows)
        vectors, labels = vectors[among], labels[among]
    k = min(k, len(vectors) - 1)
    if k < 1:
        return 1.0
    same, start = 0, 0
    for distances in _squared(vectors, rows):
        own = labels[rows[start : start + len(distances)]]
        same += int(np.count_nonzero(labels[_nearest(distances, k)] == own[:, None]))
        start += len(distances)
    return same / (len(rows) * k)


def _nearest(distances: FloatArray, k: int) -> Ints:
    """The k nearest of every row, int64 (m, k), in no order."""
    found: Ints = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return found


def _squared(vectors: FloatArray, rows: Ints) -> Iterator[FloatArray]:
    """Squared distances of rows to all rows, some rows at a time; to themselves infinite."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    vectors = vectors - vectors.mean(axis=0)
    lengths = np.square(vectors).sum(axis=1)
    step = max(1, _CELLS // len(vectors))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        distances = vectors[some] @ vectors.T
        distances *= -2
        distances += lengths
        distances += lengths[some, None]
        distances[np.arange(len(some)), some] = np.inf
        yield distances


# -- clusters --------------------------------------------------------------------------------------


def silhouette(vectors: FloatArray, of: Labels) -> float | None:
    """How much nearer rows lie to their own cluster than to the next one, -1..1, the mean.

    (b - a) / max(a, b) with a the mean distance to the others of the own cluster, b the least mean
    distance to another cluster, 0 in a cluster of one (P. J. Rousseeuw, "Silhouettes", Journal of
    Computational and Applied Mathematics 20, 1987). All rows are in a cluster; None if all are in
    one. Clusters are favoured that are round and far apart.
    """
    numbers, own = np.unique(of, return_inverse=True)
    if len(numbers) < 2:
        return None
    sizes = np.bincount(own)
    members = np.zeros((len(of), len(numbers)), np.float32)
    members[np.arange(len(of)), own] = 1
    total = 0.0
    start = 0
    for squares in _squared(vectors, np.arange(len(of))):
        rows = np.arange(start, start + len(squares))
        squares[np.arange(len(rows)), rows] = 0
        sums = (np.sqrt(np.maximum(squares, 0)) @ members).astype(np.float64)
        start += len(rows)
        total += float(_silhouettes(sums, own[rows], sizes).sum())
    return total / len(of)


def _silhouettes(sums: DoubleArray, own: Ints, sizes: Ints) -> DoubleArray:
    """Of rows with summed distances to all clusters, (m, clusters)."""
    place = np.arange(len(own))
    inner = sums[place, own] / np.maximum(1, sizes[own] - 1)
    means = sums / sizes
    means[place, own] = np.inf
    outer = means.min(axis=1)
    scale = np.maximum(inner, outer)
    values = np.divide(outer - inner, scale, out=np.zeros(len(own)), where=scale > 0)
    return np.where(sizes[own] > 1, values, 0.0)


def mutual_information(first: Labels, second: Labels) -> float:
    """Normalised mutual information of two groupings of the same rows, 0..1.

    Divided by the mean of both entropies (A. Strehl and J. Ghosh, "Cluster ensembles", JMLR 3,
    2002, with the arithmetic mean); 1 where both are a single group. -1 is a group like others.
    """
    _, one = np.unique(first, return_inverse=True)
    _, two = np.unique(second, return_inverse=True)
    shares = np.zeros((one.max() + 1, two.max() + 1))
    np.add.at(shares, (one, two), 1 / len(one))
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    some = shares > 0
    shared = float((shares[some] * np.log(shares[some] / np.outer(rows, columns)[some])).sum())
    mean = (_entropy(rows) + _entropy(columns)) / 2
    return min(1.0, max(0.0, shared / mean)) if mean > 0 else 1.0


def _entropy(shares: DoubleArray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def numbered(labels: Sequence[str]) -> Labels:
    """Labels as numbers by name, -1 for empty ones."""
    names = {name: number for number, name in enumerate(sorted({*labels} - {""}))}
    return np.array([names.get(label, -1) for label in labels], np.int32)
