"""The compact index: scan 4-bit codes, sift by more of them, re-rank the rest exactly.

Three stages, each with fewer rows and more of their numbers: 64 bytes of every row, 192 more of a
few thousand, the whole vector of a few hundred. A filter that leaves fewer rows than a stage
would pass on skips that stage, so few allowed rows are compared exactly, and k rows come back if k
exist. Rows that were added since the codes were made are compared exactly.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.indexes.base import Mask, Neighbours
from lookalike.indexes.codes import (
    FITTED_ROWS,
    SAMPLED,
    CodedQueries,
    Codes,
    Rotation,
    Sample,
    draw_sample,
    encode,
    encode_queries,
    even_sample,
    fit_rotation,
    group_bits,
)
from lookalike.indexes.derived import (
    DAMAGED,
    DerivedFolder,
    Standing,
    array_writer,
    table_digest,
)
from lookalike.indexes.exact import MARGIN, ExactIndex, unit_vector
from lookalike.kernels import GROUP
from lookalike.kernels.estimates import Estimated, SecondBlock
from lookalike.stores.base import VectorTable
from lookalike.types import COSINE, DoubleArray, FloatArray

LEAST_ROWS = 20_000
"""Tables smaller than this are scanned exactly: that takes less than 3 ms at 1,280 dimensions."""

LONGEST_TAIL = 2_000
"""Rows without codes at which a writer makes codes for them too."""

REFIT_GROWTH = 1.5
"""The rotation is fitted anew when the table has grown by this factor."""

_PIECE = 65_536
"""Rows whose codes are unpacked together."""

QUERIES = 64
"""Queries that go through the stages together; what they keep fits the cache."""

_VERSION = "v2"
_ROTATION = "rotation.npz"


@dataclass(frozen=True, slots=True)
class Effort:
    """Rows that pass the first and the second stage; the latter are compared exactly."""

    first: int
    second: int

    @classmethod
    def of(cls, k: int) -> Effort:
        """Enough for a recall of 0.999 at k = 10 of 444,668 (docs/adr/0005-compact-index.md)."""
        return cls(max(8_000, 200 * k), max(400, 40 * k))


class CompactIndex:
    """Approximate nearest rows by cosine; scores of what it returns are exact."""

    measure = COSINE

    def __init__(self, exact: ExactIndex, codes: Codes) -> None:
        self.ids = exact.ids
        self.exact = exact
        self.coded_rows = codes.rows
        self._codes = codes
        self._everything = group_bits(np.ones(codes.rows, bool))

    def scores(self, query: DoubleArray) -> DoubleArray:
        """Cosines with all rows, by the exact index."""
        return self.exact.scores(query)

    def rough_each(
        self, queries: Sequence[DoubleArray], rows: NDArray[np.int64] | None
    ) -> FloatArray:
        """Cosines with some rows, or all, by the exact index."""
        return self.exact.rough_each(queries, rows)

    def score_rows(self, query: DoubleArray, rows: NDArray[np.int64]) -> DoubleArray:
        """Cosines with some rows, by the exact index."""
        return self.exact.score_rows(query, rows)

    def nearest(
        self,
        query: DoubleArray,
        k: int,
        allowed: Mask | None = None,
        effort: Effort | None = None,
    ) -> Neighbours:
        """The k nearest rows, nearly always; exactly those where few are allowed."""
        return self.nearest_many(np.asarray(query)[None], k, allowed, effort)[0]

    def nearest_many(
        self,
        queries: DoubleArray,
        k: int,
        allowed: Mask | None = None,
        effort: Effort | None = None,
    ) -> list[Neighbours]:
        """``nearest`` for each of several queries (m, dim), which share one pass over the codes."""
        effort = effort or self._usual_effort(k)
        count = len(self.ids) if allowed is None else int(np.count_nonzero(allowed))
        if count <= effort.second:
            rows = np.arange(count) if allowed is None else np.flatnonzero(allowed)
            return [self.exact.nearest_of(query, k, rows) for query in queries]
        chunks = np.array_split(queries, _chunk_count(len(queries))) if len(queries) else []

        def some(first: int, last: int) -> list[Neighbours]:
            return [
                neighbours
                for chunk in chunks[first:last]
                for neighbours in self._nearest_of_many(chunk, k, allowed, count, effort)
            ]

        return list(itertools.chain(*kernels.in_parallel(some, len(chunks), least=1)))

    def _usual_effort(self, k: int) -> Effort:
        usual = Effort.of(k)
        sifted = self._codes.second.shape[1] > 0
        return usual if sifted else Effort(usual.second, usual.second)

    def _nearest_of_many(
        self, queries: DoubleArray, k: int, allowed: Mask | None, count: int, effort: Effort
    ) -> list[Neighbours]:
        units = np.stack([unit_vector(query) for query in queries]).astype(np.float32)
        coded = encode_queries(self._codes.rotation, units)
        if count <= effort.first:
            mask = np.ones(count, bool) if allowed is None else allowed
            few = np.asarray(np.flatnonzero(mask[: self._codes.rows]), np.int32)
            estimated = Estimated.of([few] * len(units), self._estimates(coded, few))
        else:
            estimated = self._scan(coded, allowed, effort.first)
        refined = self._refined(units, coded, estimated, k, effort)
        tail = self._tail(allowed)
        return [self._ranked(query, k, *refined[q], tail) for q, query in enumerate(queries)]

    def _ranked(
        self,
        query: DoubleArray,
        k: int,
        rows: NDArray[np.int32],
        cosines: FloatArray,
        tail: NDArray[np.int64],
    ) -> Neighbours:
        """The k nearest of rows with cosines, and of the tail."""
        if len(tail):
            rows = np.concatenate([rows, tail])
            cosines = np.concatenate([cosines, self.exact.rough(query, tail)])
        return replace(self.exact.nearest_of(query, k, rows.astype(np.int64), cosines), exact=False)

    def _scan(self, coded: CodedQueries, allowed: Mask | None, keep: int) -> Estimated:
        """The ``keep`` coded rows whose estimates are highest, and some more."""
        codes = self._codes
        bits = self._everything if allowed is None else group_bits(allowed[: codes.rows])
        table = (codes.groups, codes.scale, codes.offset, bits)
        queries = (coded.first, coded.first_scale, keep)
        least = self._least(coded, allowed, keep)
        if least is not None:
            found = kernels.scan(*table, *queries, least)
            if found.counts.min() >= keep:
                return found
        return kernels.scan(*table, *queries)

    def _least(self, coded: CodedQueries, allowed: Mask | None, keep: int) -> FloatArray | None:
        """What ``keep`` of the coded rows and some more exceed, by the sample; None if unknown.

        Four standard deviations above the share of the sample that ``keep`` rows should have.
        """
        sample = self._sample
        if sample is None:
            return None
        rows = self._codes.rows
        coded_count = rows if allowed is None else int(np.count_nonzero(allowed[:rows]))
        own = np.ones(len(sample.rows), bool) if allowed is None else allowed[sample.rows]
        sampled = int(np.count_nonzero(own))
        share = keep * sampled / max(1, coded_count)
        rank = int(share + 4.0 * share**0.5) + 8
        if share < 64 or 4 * rank > sampled:
            return None
        best = kernels.scan(
            sample.groups, sample.scale, sample.offset, group_bits(own), coded.first,
            coded.first_scale, rank,
        )  # fmt: skip
        if best.counts.min() < rank:
            return None
        beyond = np.arange(best.found.shape[1]) >= best.counts[:, None]
        scores = np.where(beyond, -np.inf, best.found["score"])
        return np.asarray(np.partition(scores, -rank, axis=1)[:, -rank], np.float32)

    @cached_property
    def _sample(self) -> Sample | None:
        return draw_sample(self._codes) if self._codes.rows >= 4 * SAMPLED else None

    def _estimates(self, coded: CodedQueries, rows: NDArray[np.int32]) -> list[FloatArray]:
        """The first block's estimates of some rows, for each query; they are few."""
        codes, pieces = self._codes, [np.empty((0, len(coded.first)), np.float32)]
        for some in np.split(rows, range(_PIECE, len(rows), _PIECE)):
            own = codes.first_of(some)
            numbers = np.stack([own & 15, own >> 4], axis=2).reshape(len(some), own.shape[1] * 8)
            steps = numbers.astype(np.float32) - np.float32(7.5)
            pieces.append(kernels.products(steps, coded.first.astype(np.float32)))
        sums = np.concatenate(pieces)
        return [
            codes.offset[rows] + codes.scale[rows] * coded.first_scale[q] * sums[:, q]
            for q in range(len(coded.first))
        ]

    def _refined(
        self, units: FloatArray, coded: CodedQueries, estimated: Estimated, k: int, effort: Effort
    ) -> Estimated:
        codes = self._codes
        second = SecondBlock(codes.second, codes.second_scale, coded.second, coded.second_scale)
        return kernels.refine(
            self.exact.parts, units, estimated, second, k, effort.second, 2 * MARGIN
        )

    def _tail(self, allowed: Mask | None) -> NDArray[np.int64]:
        rows = np.arange(self._codes.rows, len(self.ids))
        return rows if allowed is None else rows[allowed[self._codes.rows :]]


def _chunk_count(queries: int) -> int:
    """Chunks of at most QUERIES; where there are several, each processor gets as many."""
    count = -(-queries // QUERIES)
    return count if count <= 1 else -(-count // kernels.cores()) * kernels.cores()


def make_codes(parts: list[NDArray[np.float16]]) -> Codes:
    """Codes of a whole table, at least one row."""
    rotation = fit_rotation(even_sample(parts, FITTED_ROWS))
    return encode(rotation, parts, sum(len(part) for part in parts))


class CodesCache:
    """The codes of one table under ``folder``; see docs/storage-format.md for the files."""

    def __init__(self, folder: Path, table: VectorTable) -> None:
        self._derived = DerivedFolder(folder)
        self._table = table

    def load(self) -> Codes | None:
        """The codes of the table's first rows, or None if there are none that fit."""
        found = self._derived.sets(_VERSION, _ROTATION, len(self._table.ids), self._made_for)
        for stem, rows in found:
            with contextlib.suppress(*DAMAGED):
                return self._read(stem, rows)
        return None

    def _made_for(self, rows: int) -> str:
        return table_digest(self._table, rows)

    def _read(self, stem: str, rows: int) -> Codes:
        with open(self._derived.folder / f"{stem}.{_ROTATION}", "rb") as file:
            stored = np.load(file, allow_pickle=False)
            rotation = Rotation(stored["mean"], stored["first"], stored["second"])
        arrays = {name: self._derived.array(f"{stem}.{name}.npy") for name in _SHAPES}
        for name, shape in _shapes(rows, rotation).items():
            if arrays[name].shape != shape or arrays[name].dtype != _SHAPES[name]:
                raise ValueError(f"{stem}.{name}: not of the expected shape")
        if rotation.mean.shape != (self._table.dim,):
            raise ValueError(f"{stem}: made for another dimension")
        return Codes(rotation, rows, **arrays)

    def standing(self) -> Standing:
        """For how many of the table's rows there are codes."""
        known = self.load()
        rows, made = len(self._table.ids), known.rows if known else 0
        return Standing(rows, made, self._derived.left(), LONGEST_TAIL, LEAST_ROWS)

    def refresh(self) -> bool:
        """Make codes for rows that have none, if that pays; returns whether any were kept."""
        table, known = self._table, self.load()
        rows = len(table.ids)
        if rows < LEAST_ROWS or (known and rows - known.rows <= LONGEST_TAIL):
            return False
        fitted = self._fitted_rows() if known else 0
        if known and rows <= fitted * REFIT_GROWTH:
            codes = encode(known.rotation, table.parts, rows)
        else:
            codes, fitted = make_codes(list(table.parts)), rows
        return self._keep(codes, f"{_VERSION}-{rows}-{fitted}-{self._made_for(rows)}")

    def _fitted_rows(self) -> int:
        names = [path.name for path in self._derived.folder.glob(f"{_VERSION}-*.{_ROTATION}")]
        return max((int(name.split("-")[2]) for name in names), default=0)

    def _keep(self, codes: Codes, stem: str) -> bool:
        """All files of the codes; the rotation comes last and makes them count."""

        def write_rotation(path: Path) -> None:
            with open(path, "wb") as file:
                own = codes.rotation
                np.savez(file, mean=own.mean, first=own.first, second=own.second)

        files = {f"{name}.npy": array_writer(getattr(codes, name)) for name in _SHAPES}
        return self._derived.keep_set(stem, {**files, _ROTATION: write_rotation})


_SHAPES = {
    "groups": np.dtype(np.uint8),
    "scale": np.dtype(np.float32),
    "offset": np.dtype(np.float32),
    "second": np.dtype(np.uint8),
    "second_scale": np.dtype(np.float32),
}
"""The arrays of codes and their types, each a file."""


def _shapes(rows: int, rotation: Rotation) -> dict[str, tuple[int, ...]]:
    groups = -(-rows // GROUP)
    return {
        "groups": (groups, rotation.first.shape[1] // 8, 64),
        "scale": (groups * GROUP,),
        "offset": (groups * GROUP,),
        "second": (rows, rotation.second.shape[1] // 2),
        "second_scale": (rows,),
    }
