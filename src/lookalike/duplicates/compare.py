"""Are two pictures the same, and what was done to one of them? First coarsely, then finely.

The thresholds were chosen on half of the classes of Caltech-101 and their changed copies;
``docs/duplicates.md`` has what they give on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.duplicates.align import (
    SYMMETRIES,
    Agreement,
    Alignments,
    Placer,
    agreement,
    refined,
)
from lookalike.duplicates.connected import components
from lookalike.duplicates.rasters import FINE, colour_rasters
from lookalike.kernels import in_parallel
from lookalike.kernels.pictures import planes_apart
from lookalike.types import FloatArray, PixelArray

Rows = NDArray[np.int64]

PLACED = 0.55
"""Correlation with which the middle of a picture must be found in another."""

COARSE_DETAIL, COARSE_AGREEING, LEAST_COMMON = 0.55, 0.6, 0.3
"""What two pictures must reach coarsely to be compared finely; see ``align.Agreement``."""

_PLACED_AT_ONCE, _REFINED_AT_ONCE, _FINE_AT_ONCE = 4_096, 256, 512
_FIRST_STEPS, _MORE_STEPS, _FINE_STEPS = 4, 3, 3
SURE = 0.95
"""Detail from which an alignment is good enough as it is."""

_HOPELESS = 0.5
"""Correlation below which the first steps have led nowhere."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Candidates:
    """Pairs of rows int64 (m,), and where the second may lie in the first."""

    first: Rows
    second: Rows
    start: Alignments

    def take(self, chosen: NDArray[np.generic]) -> Candidates:
        """Some of them."""
        return Candidates(self.first[chosen], self.second[chosen], self.start.take(chosen))

    def __len__(self) -> int:
        return len(self.first)


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All candidates of several parts."""
    none = Candidates(
        np.empty(0, np.int64), np.empty(0, np.int64), Alignments.of_symmetries(np.empty(0, int))
    )
    parts = [none, *parts]
    return Candidates(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        Alignments(
            np.concatenate([part.start.matrix for part in parts]),
            np.concatenate([part.start.shift for part in parts]),
        ),
    )


class CoarseComparer:
    """Tells pairs that may be the same picture from rasters uint8 (n, COARSE, COARSE)."""

    def __init__(self, rasters: PixelArray) -> None:
        self._rasters = rasters
        self._placer = Placer(rasters)

    def placed(self, first: Rows, second: Rows) -> Candidates:
        """Pairs in which the middle of one is found in the other, and where."""

        def some(start: int, end: int) -> Candidates:
            parts = []
            for at in range(start, end, _PLACED_AT_ONCE):
                own = slice(at, min(end, at + _PLACED_AT_ONCE))
                score, found = self._placer.place(first[own], second[own])
                good = np.flatnonzero(score >= PLACED)
                parts.append(Candidates(first[own][good], second[own][good], found.take(good)))
            return joined(parts)

        order = np.lexsort((second, first))
        first, second = first[order], second[order]
        return joined(in_parallel(some, len(first), least=2 * _PLACED_AT_ONCE))

    def alike(self, pairs: Candidates) -> Candidates:
        """Pairs that are alike once one is laid over the other as well as can be."""

        def some(start: int, end: int) -> Candidates:
            parts = []
            for at in range(start, end, _REFINED_AT_ONCE):
                own = np.arange(at, min(end, at + _REFINED_AT_ONCE))
                parts.append(self._alike(pairs.take(own)))
            return joined(parts)

        return joined(in_parallel(some, len(pairs), least=2 * _REFINED_AT_ONCE))

    def _alike(self, pairs: Candidates) -> Candidates:
        good, pairs = self._after(pairs, 0, 1)
        done, unsure = [pairs.take(_where(good.detail >= SURE))], good.detail < SURE
        pairs = pairs.take(_where(unsure))
        for steps, stride in ((_FIRST_STEPS, 2), (_MORE_STEPS, 1)):
            if len(pairs):
                seen, pairs = self._after(pairs, steps, stride)
                pairs = pairs.take(_where(_hopeful(seen) if stride > 1 else _good(seen)))
        return joined([*done, pairs])

    def _after(self, pairs: Candidates, steps: int, stride: int) -> tuple[Agreement, Candidates]:
        """What pairs are like once their alignment is improved."""
        rows, places = np.unique(np.stack([pairs.first, pairs.second]), return_inverse=True)
        images, (one, two) = self._rasters[rows].astype(np.float32), places.reshape(2, -1)
        at = refined(images, one, two, pairs.start, steps, stride) if steps else pairs.start
        return agreement(images, one, two, at, reach=2), Candidates(pairs.first, pairs.second, at)


def _where(mask: NDArray[np.bool_]) -> Rows:
    return np.flatnonzero(mask)


def _hopeful(seen: Agreement) -> NDArray[np.bool_]:
    return (seen.common >= LEAST_COMMON) & (seen.overall >= _HOPELESS)


def _good(seen: Agreement) -> NDArray[np.bool_]:
    enough = (seen.detail >= COARSE_DETAIL) & (seen.agreeing >= COARSE_AGREEING)
    return enough & (seen.common >= LEAST_COMMON)


@dataclass(frozen=True)
class Compared:
    """Pairs compared finely: what ``agreement`` says of brightness, and differences of colour.

    ``colour`` float32 (n,): the mean difference of chroma where both lie, in levels, the gain taken
    into account; ``greyer`` float32 (n,): the mean chroma of the picture that has less; ``moved``
    float32 (n,): how far a corner of the second lies from the same corner of the first under the
    nearest ``symmetry`` int64 (n,), as a share of the side.
    """

    pairs: Candidates
    seen: Agreement
    colour: FloatArray
    greyer: FloatArray
    moved: FloatArray
    symmetry: NDArray[np.int64]


def compare_finely(
    pairs: Candidates, thumbnails: Callable[[Rows], Sequence[bytes | None]]
) -> list[Compared]:
    """Compare pairs by their thumbnails, which are asked for by rows; in parts.

    Pairs that hang together come together, so that a thumbnail is seldom decoded twice.
    """
    out = []
    order = np.lexsort((pairs.second, pairs.first, components(pairs.first, pairs.second)))
    for at in range(0, len(pairs), _FINE_AT_ONCE):
        own = pairs.take(order[at : at + _FINE_AT_ONCE])
        rows, places = np.unique(np.concatenate([own.first, own.second]), return_inverse=True)
        out += _compared(own, places.reshape(2, -1), colour_rasters(thumbnails(rows), FINE))
    return out


def _compared(pairs: Candidates, places: Rows, colours: PixelArray) -> list[Compared]:
    """Compare pairs whose pictures are at ``places`` int64 (2, n) in ``colours``."""
    grey, chroma = colours @ _LUMA, _chroma(colours)

    def some(start: int, end: int) -> Compared:
        part = np.arange(start, end)
        return _compare(pairs.take(part), places[:, start:end], grey, chroma)

    return in_parallel(some, len(pairs), least=32)


def _compare(pairs: Candidates, places: Rows, grey: FloatArray, chroma: FloatArray) -> Compared:
    one, two = places
    matrix, shift = pairs.start.matrix.copy(), pairs.start.shift.copy()
    seen = agreement(grey, one, two, pairs.start)
    unsure = _where(seen.detail < SURE)
    if len(unsure):
        own, other, start = one[unsure], two[unsure], pairs.start.take(unsure)
        better = refined(grey, own, other, start, _FINE_STEPS, stride=2)
        matrix[unsure], shift[unsure] = better.matrix, better.shift
        seen = seen.updated(unsure, agreement(grey, own, other, better))
    aligned = Candidates(pairs.first, pairs.second, Alignments(matrix, shift))
    colour = planes_apart(chroma, one, two, matrix, shift, seen.gain)
    strength = np.abs(chroma).mean((1, 2, 3))
    greyer = np.minimum(strength[one], strength[two])
    return Compared(aligned, seen, colour, greyer, *_moved(aligned.start))


def _moved(at: Alignments) -> tuple[FloatArray, NDArray[np.int64]]:
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]], np.float32)
    place = corners @ at.matrix.transpose(0, 2, 1) + at.shift[:, None]  # (n, 4, 2)
    whole = corners @ SYMMETRIES.transpose(0, 2, 1)  # (8, 4, 2)
    apart = np.linalg.norm(place[:, None] - whole[None], axis=3).max(2)
    symmetry = apart.argmin(1)
    moved: FloatArray = apart[np.arange(len(apart)), symmetry]
    return moved, symmetry


def _chroma(colours: PixelArray) -> FloatArray:
    """Red and blue less green, of blocks of 4 x 4 pixels; float32 (n, 2, side / 4, side / 4)."""
    side = colours.shape[1] // 4
    blocks = colours.reshape(-1, side, 4, side, 4, 3).mean((2, 4), dtype=np.float32)
    chroma = blocks[..., 0::2] - blocks[..., 1:2]
    return np.ascontiguousarray(chroma.transpose(0, 3, 1, 2))
