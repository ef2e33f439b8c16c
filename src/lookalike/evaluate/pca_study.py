"""Which number of principal components is enough? Variance, overlap, time and size for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lookalike.errors import InputError
from lookalike.features.pca import PCA_METHODS
from lookalike.indexes import ExactIndex
from lookalike.indexes.pca import chunks, fit_table
from lookalike.stores import VectorTable
from lookalike.types import DoubleArray

NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class PcaTrial:
    """One method at one size. ``dims`` 0 stands for the full vectors.

    ``variance`` is the share explained, 0..1; ``overlap`` the mean share of the full vectors' ten
    nearest that are among the ten nearest here, 0..1; ``milliseconds`` the median of one search;
    ``bytes`` what the vectors take on disk; ``fit_seconds`` what fitting took.
    """

    method: str
    dims: int
    variance: float
    overlap: float
    milliseconds: float
    bytes: int
    fit_seconds: float


@dataclass(frozen=True, slots=True)
class PcaStudy:
    """All trials, the full vectors first, and which one is recommended and why."""

    records: int
    queries: int
    trials: tuple[PcaTrial, ...]
    recommended: PcaTrial
    why: str

    def to_dict(self) -> dict[str, Any]:
        """The study as plain values for JSON."""
        return asdict(self)


USUAL_DIMS = (50, 75, 100, 200)


def usual_dims(rows: int, dim: int) -> tuple[int, ...]:
    """The usual sizes that ``rows`` vectors of ``dim`` numbers allow; smaller ones for few rows."""
    fitting = tuple(d for d in USUAL_DIMS if d < rows and d <= dim)
    return fitting or tuple(sorted({max(1, rows // 4), max(1, rows // 2)}))


def study(
    table: VectorTable,
    dims: Sequence[int] | None,
    methods: Sequence[str],
    *,
    queries: int = 200,
    target: float = 0.8,
) -> PcaStudy:
    """Try every method at every size on the library's own vectors.

    ``queries`` records, evenly spread, are searched with; ``target`` is the overlap from which a
    size is good enough. Raises InputError for unknown methods and for sizes that cannot be had.
    """
    for method in methods:
        if method not in PCA_METHODS:
            raise InputError(f"PCA method {method!r}: not known; use {', '.join(PCA_METHODS)}")
    live = np.flatnonzero(table.live)
    if len(live) < 3:
        raise InputError(f"{len(live)} records are too few for a study; index more images")
    dims = usual_dims(len(live), table.dim) if dims is None else dims
    if not dims or min(dims) < 1:
        raise InputError(f"dims {list(dims)}: at least one size, each at least 1")
    asked = live[np.unique(np.linspace(0, len(live) - 1, min(queries, len(live))).astype(int))]
    points = table.vectors(asked).astype(np.float64)
    full = ExactIndex(table.ids, table.parts)
    truth, milliseconds = _neighbours(full, points, asked, table)
    size = len(table.ids) * 2
    trials = [PcaTrial("full", 0, 1.0, 1.0, milliseconds, size * table.dim, 0.0)]
    for method in methods:
        started = time.perf_counter()
        model = fit_table(table, method, max(dims))
        seconds = time.perf_counter() - started
        for d in sorted(set(dims)):
            reduced = [
                model.transform(chunk, d).astype(np.float16)
                for chunk in chunks(table, live_only=False)
            ]
            index = ExactIndex(table.ids, reduced)
            found, milliseconds = _neighbours(
                index, model.transform(points, d).astype(np.float64), asked, table
            )
            overlap = float(
                np.mean([len(a & b) / max(1, len(a)) for a, b in zip(truth, found, strict=True)])
            )
            variance = float(model.variance_ratio[:d].sum())
            trials.append(PcaTrial(method, d, variance, overlap, milliseconds, size * d, seconds))
    chosen, why = recommend(trials, target)
    return PcaStudy(len(live), len(asked), tuple(trials), chosen, why)


def recommend(trials: Sequence[PcaTrial], target: float) -> tuple[PcaTrial, str]:
    """The smallest size that reaches the target overlap; the full vectors if none does."""
    full, reduced = trials[0], trials[1:]
    good = [trial for trial in reduced if trial.overlap >= target]
    if good:
        best = min(good, key=lambda t: (t.dims, -round(t.overlap, 3)))
        why = (
            f"the smallest whose ten nearest agree with the full vectors' to at least {target:.0%}"
            f" ({best.overlap:.1%}), at {best.bytes / full.bytes:.1%} of the bytes"
        )
        return best, why
    best = max(reduced, key=lambda t: t.overlap)
    why = (
        f"none agrees with the full vectors' ten nearest to {target:.0%}; the best is"
        f" {best.method} at {best.dims} with {best.overlap:.1%}, so try more dimensions"
    )
    return full, why


def _neighbours(
    index: ExactIndex,
    points: DoubleArray,
    own: np.ndarray[Any, np.dtype[np.int64]],
    table: VectorTable,
) -> tuple[list[set[int]], float]:
    """For each point its ten nearest rows other than its own, and the median time of a search."""
    found, times = [], []
    for point, row in zip(points, own, strict=True):
        started = time.perf_counter()
        rows = index.nearest(point, NEIGHBOURS + 1, table.live).rows
        times.append(time.perf_counter() - started)
        found.append({int(r) for r in rows[rows != row][:NEIGHBOURS]})
    return found, float(np.median(times)) * 1e3
