"""Pairs of pictures whose lowest frequencies have nearly the same signs, whichever way they lie.

A picture's hash has the signs of its 8 x 8 lowest frequencies, the mean excluded: 63 bits, a
perceptual hash (C. Zauner, 2010, section 3.2.1) with zero, not the median, as its threshold. So a
symmetry of the square acts on the hash itself: mirroring turns the signs of odd frequencies, and
exchanging rows and columns exchanges the two frequencies.

Hashes within a few bits are found by parts (M. Norouzi, A. Punjani, D. Fleet, "Fast Exact Search in
Hamming Space with Multi-Index Hashing", 2014): two hashes of 5 parts that differ by less than 5
bits have a part in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.types import PixelArray

HashArray = NDArray[np.uint64]

KEPT = 8
PARTS = (13, 13, 13, 12, 13)
"""Bits of each part."""

NEAREST = 512
"""Hashes that share a part are compared with so many that follow them in order, no more."""

_FAINT = 0.02
"""A frequency of less, in grey levels, has no sign: flat pictures are alike, not random."""

_CHUNK = 8_192


def _basis(side: int) -> NDArray[np.float32]:
    """The first rows of the DCT-II matrix, each of mean square 1 / side; float32 (8, side)."""
    frequency, sample = np.arange(KEPT)[:, None], np.arange(side)[None, :]
    cosines = np.cos(np.pi * frequency * (2 * sample + 1) / (2 * side))
    return (cosines / side).astype(np.float32)


def sign_hashes(rasters: PixelArray) -> HashArray:
    """Hashes of grey squares uint8 (n, side, side), uint64 (n,).

    Bit 8 v + u is for frequency v down and u across; bit 0 is never set.
    """
    basis = _basis(rasters.shape[1])
    out = np.zeros(len(rasters), np.uint64)
    for start in range(0, len(rasters), _CHUNK):
        lowest = basis @ rasters[start : start + _CHUNK].astype(np.float32) @ basis.T
        bits = (lowest > _FAINT).reshape(-1, KEPT * KEPT)
        bits[:, 0] = False
        packed = np.packbits(bits, axis=1, bitorder="little")
        out[start : start + _CHUNK] = packed.view("<u8")[:, 0]
    return out


def _mask(odd_down: bool, odd_across: bool) -> np.uint64:
    down, across = np.divmod(np.arange(KEPT * KEPT), KEPT)
    odd = (down % 2 * odd_down + across % 2 * odd_across) % 2 == 1
    return np.uint64(int(np.packbits(odd, bitorder="little").view("<u8")[0]))


_ACROSS, _DOWN = _mask(False, True), _mask(True, False)


def _exchanged(hashes: HashArray) -> HashArray:
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    turned = np.ascontiguousarray(bits.reshape(-1, KEPT, KEPT).transpose(0, 2, 1))
    packed = np.packbits(turned.reshape(-1, KEPT * KEPT), axis=1, bitorder="little")
    out: HashArray = packed.view("<u8")[:, 0]
    return out


_NO_MEAN = ~np.uint64(1)
_INVERSE = np.array([0, 1, 2, 3, 4, 6, 5, 7], np.int8)
"""Of each symmetry; a quarter turn's is the other quarter turn."""


def under_symmetry(hashes: HashArray, number: int) -> HashArray:
    """The hashes of the same pictures under a symmetry of ``align.SYMMETRIES``.

    Exact where no frequency is faint or zero.
    """
    out = hashes
    mirrored, upside_down, exchanged = number & 1, number & 2, number & 4
    if mirrored:
        out = out ^ _ACROSS
    if upside_down:
        out = out ^ _DOWN
    return (_exchanged(out) if exchanged else out) & _NO_MEAN


class HashPairs(NamedTuple):
    """Rows ``first`` < ``second`` int64 (m,), and the symmetry under which they are alike.

    Symmetries are numbered as in ``align.SYMMETRIES`` and say where the second's points lie in the
    first.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    symmetry: NDArray[np.int8]


def near_pairs(hashes: HashArray, bits: int) -> tuple[HashPairs, int]:
    """Pairs whose hashes differ by at most ``bits``, under any symmetry, and what was left out.

    All of them below 5 bits, most beyond. A pair comes once, under the symmetry of its least
    difference. Where more than ``NEAREST`` hashes share a part, as those of flat pictures do, each
    is compared with the ``NEAREST`` that follow it in order; the number of comparisons that were
    not made is returned.
    """
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], int]] = []
    left_out = 0
    for number in range(8):
        own = hashes if number == 0 else under_symmetry(hashes, number)
        for first, second, apart, missed in _sharing(hashes, own, bits, number == 0):
            found.append((first, second, apart, number))
            left_out += missed
    return _once(found, len(hashes)), left_out


def _once(
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], int]], count: int
) -> HashPairs:
    """Every pair once, with its best symmetry."""
    empty = np.empty(0, np.int64)
    first = np.concatenate([empty, *(np.minimum(f[0], f[1]) for f in found)])
    second = np.concatenate([empty, *(np.maximum(f[0], f[1]) for f in found)])
    apart = np.concatenate([np.empty(0, np.uint8), *(f[2] for f in found)])
    numbers = [np.where(f[0] < f[1], np.int8(f[3]), _INVERSE[f[3]]) for f in found]
    symmetry = np.concatenate([np.empty(0, np.int8), *numbers])
    order = np.lexsort((symmetry, apart, first * count + second))
    key = (first * count + second)[order]
    new = np.ones(len(key), bool)
    new[1:] = key[1:] != key[:-1]
    kept = order[new]
    return HashPairs(first[kept], second[kept], symmetry[kept])


def _sharing(
    hashes: HashArray, others: HashArray, bits: int, same: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], int]]:
    """Pairs (row, other) that share a part and differ by at most ``bits``, and by how many."""
    shift = 0
    for width in PARTS:
        part = (hashes >> np.uint64(shift)) & np.uint64(2**width - 1)
        wanted = (others >> np.uint64(shift)) & np.uint64(2**width - 1)
        shift += width
        order = np.lexsort((hashes, part))
        keys = part[order]
        start = np.searchsorted(keys, wanted, "left")
        end = np.searchsorted(keys, wanted, "right")
        if same:  # each is compared with those behind it
            start[order] = np.arange(1, len(order) + 1)
        elif (end - start > NEAREST).any():
            # The nearest in order: where the other's whole hash would lie.
            full = _place(part, hashes, order, wanted, others)
            start = np.where(
                end - start > NEAREST, np.clip(full - NEAREST // 2, start, end - NEAREST), start
            )
        many = np.minimum(end - start, NEAREST)
        missed = int((end - start - many).sum())
        yield from _compared(hashes, others, order, start, many, bits, missed)


def _place(
    part: HashArray, hashes: HashArray, order: NDArray[np.int64], wanted: HashArray,
    others: HashArray,
) -> NDArray[np.int64]:  # fmt: skip
    """Where (wanted, other) would lie among (part, hash) in order."""
    count = len(order)
    both = np.lexsort((np.concatenate([hashes, others]), np.concatenate([part, wanted])))
    known = np.cumsum(both < count)
    out = np.empty(count, np.int64)
    is_other = both >= count
    out[both[is_other] - count] = known[is_other]
    return out


def _compared(
    hashes: HashArray,
    others: HashArray,
    order: NDArray[np.int64],
    start: NDArray[np.int64],
    many: NDArray[np.int64],
    bits: int,
    missed: int,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], int]]:
    """Compare each other with ``many`` hashes from ``start`` on in order, in bounded steps."""
    ends = np.cumsum(many)
    step = 4_000_000
    rows = 0
    while rows < len(many):
        done = ends[rows - 1] if rows else 0
        last = max(rows + 1, int(np.searchsorted(ends, done + step, "right")))
        own = np.repeat(np.arange(rows, last), many[rows:last])
        within = np.arange(len(own)) - np.repeat(
            ends[rows:last] - many[rows:last] - done, many[rows:last]
        )
        with_ = order[start[own] + within]
        apart = np.bitwise_count(hashes[with_] ^ others[own])
        near = np.flatnonzero((apart <= bits) & (with_ != own))
        yield own[near], with_[near], apart[near], missed
        rows, missed = last, 0
