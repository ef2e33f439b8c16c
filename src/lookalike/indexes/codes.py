"""Vectors as 4-bit codes of their leading principal components: what the compact index scans.

A vector x of unit length is seen through y = R'(x - mean), where R has the leading principal
components of the table's own vectors as columns, up to 128 in the first block and up to 384 more in
the second, each block turned by a random rotation so that its numbers are alike in size. A block of
a row is coded with one scale and 16 levels a number. With q' = R'(q - mean), the product is
<q, x> = <x, mean> + <q', y> + (what R leaves out) + (what depends on q alone).

Sources: H. Jegou, M. Douze, C. Schmid, "Product Quantization for Nearest Neighbor Search" (2011),
for asymmetric estimates and re-ranking; J. Gao et al., "Practical and Asymptotically Optimal
Quantization of High-Dimensional Vectors in Euclidean Space for ANN Search" (2025), for rotation
before scalar codes of few bits. Measured against its 1-bit form in docs/adr/0005-compact-index.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.kernels import GROUP
from lookalike.types import FloatArray

FIRST, SECOND = 128, 384
"""Dimensions of the first and of the second block, at most."""

FITTED_ROWS = 65_536
"""Rows that the components are fitted on, evenly spread over the table."""

_LEVELS = 7.5
"""Codes 0..15 stand for -7.5 .. 7.5 steps."""

_CHUNK = 4_096


@dataclass(frozen=True)
class Rotation:
    """``mean`` float32 (dim,); ``first`` (dim, 8 to 128), ``second`` (dim, 0 to 384), float32."""

    mean: FloatArray
    first: FloatArray
    second: FloatArray

    @cached_property
    def axes(self) -> FloatArray:
        """The columns of both blocks as rows, float32 (widths, dim)."""
        return np.ascontiguousarray(np.concatenate([self.first, self.second], axis=1).T)


@dataclass(frozen=True)
class Codes:
    """The codes of ``rows`` rows, in two blocks.

    ``groups`` uint8 (groups, octets, 64) holds the first block in the order of ``kernels.scan``,
    with ``scale`` and ``offset`` float32 (16 * groups,); ``second`` uint8 (rows, width // 2) the
    second in the order of ``kernels.refine``, with ``second_scale`` float32 (rows,).
    """

    rotation: Rotation
    rows: int
    groups: NDArray[np.uint8]
    scale: FloatArray
    offset: FloatArray
    second: NDArray[np.uint8]
    second_scale: FloatArray

    def first_of(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The first block of some rows, uint8 (m, octets, 4), two numbers a byte."""
        blocks = self.groups.view(np.uint32).reshape(len(self.groups), -1, GROUP)
        own = np.ascontiguousarray(blocks[rows // GROUP, :, rows % GROUP])
        return own.view(np.uint8).reshape(len(rows), self.groups.shape[1], 4)


SAMPLED = 16_384
"""Rows of a sample."""


@dataclass(frozen=True)
class Sample:
    """The first block of some ``rows`` int64 (m,), evenly spread, by themselves in groups."""

    rows: NDArray[np.int64]
    groups: NDArray[np.uint8]
    scale: FloatArray
    offset: FloatArray


def draw_sample(codes: Codes) -> Sample:
    """SAMPLED rows of a table that has more."""
    rows = np.arange(SAMPLED) * codes.rows // SAMPLED
    split = codes.first_of(rows).view(np.uint32).reshape(SAMPLED // GROUP, GROUP, -1)
    groups = np.ascontiguousarray(split.transpose(0, 2, 1)).view(np.uint8)
    return Sample(rows, groups, codes.scale[rows], codes.offset[rows])


def group_bits(allowed: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """A bit per row, 16 to a group."""
    bits = np.packbits(allowed, bitorder="little")
    if len(bits) % 2:
        bits = np.append(bits, np.uint8(0))
    return bits.view(np.uint16)


def fit_rotation(sample: FloatArray) -> Rotation:
    """The rotation for a table of which ``sample`` float32 (m, dim) is drawn, m at least 1."""
    mean, axes = principal_axes(sample)
    first, second = axes[:, :FIRST], axes[:, FIRST : FIRST + SECOND]
    return Rotation(mean, _turned(first, 8), _turned(second, 2))


def principal_axes(sample: FloatArray) -> tuple[FloatArray, NDArray[np.float64]]:
    """Mean float32 (dim,) of a sample (m, dim), and its principal axes as columns, in order."""
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = sample - mean
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return mean, axes[:, ::-1]


def _turned(axes: NDArray[np.float64], multiple: int) -> FloatArray:
    """Axes (dim, m) turned among themselves, in m columns or a ``multiple`` above."""
    width = -(-axes.shape[1] // multiple) * multiple
    rng = np.random.default_rng(0)  # the same for every library: codes of equal tables are equal
    turn, _ = np.linalg.qr(rng.normal(size=(width, width)))
    return np.asarray(axes @ turn[: axes.shape[1]], np.float32)


def encode(rotation: Rotation, parts: Iterable[NDArray[np.floating]], rows: int) -> Codes:
    """The codes of ``parts`` (n_i, dim), one after another, ``rows`` in all."""
    groups = -(-rows // GROUP)
    block, width = rotation.first.shape[1], rotation.second.shape[1]
    first = np.zeros((groups * GROUP, block), np.uint8)
    scale = np.zeros(groups * GROUP, np.float32)
    offset = np.zeros(groups * GROUP, np.float32)
    second, second_scale = np.zeros((rows, width // 2), np.uint8), np.zeros(rows, np.float32)
    both = np.concatenate([rotation.first, rotation.second, rotation.mean[:, None]], axis=1)
    shift = rotation.mean @ both[:, :-1]
    start = 0
    for part in parts:
        for at in range(0, len(part), _CHUNK):
            seen = np.asarray(part[at : at + _CHUNK], np.float32) @ both
            here = slice(start, start + len(seen))
            seen[:, :-1] -= shift
            first[here], scale[here] = _coded(seen[:, :block])
            offset[here] = seen[:, -1]
            codes, second_scale[here] = _coded(seen[:, block:-1])
            second[here] = codes[:, : width // 2] | codes[:, width // 2 :] << 4
            start += len(seen)
    return Codes(rotation, rows, _grouped(first), scale, offset, second, second_scale)


def _coded(numbers: FloatArray) -> tuple[NDArray[np.uint8], FloatArray]:
    """Codes 0..15 of numbers (m, width), and the size of a step per row (m,)."""
    step = np.abs(numbers).max(axis=1, initial=0.0) / _LEVELS
    levels = np.floor(numbers / np.where(step > 0, step, 1)[:, None]) + 8.0
    return np.clip(levels, 0, 15).astype(np.uint8), step


def _grouped(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (16 * groups, width) in the order of ``kernels.scan``, uint8 (groups, octets, 64)."""
    octets = codes.shape[1] // 8
    split = codes.reshape(-1, GROUP, octets, 2, 4)
    packed = split[:, :, :, 0] | split[:, :, :, 1] << 4  # group, row, octet, j
    return np.ascontiguousarray(packed.transpose(0, 2, 1, 3)).reshape(-1, octets, 64)


@dataclass(frozen=True)
class CodedQueries:
    """Queries as the kernels take them: int8 (n, width) and a scale float32 (n,) per block."""

    first: NDArray[np.int8]
    first_scale: FloatArray
    second: NDArray[np.int8]
    second_scale: FloatArray


def encode_queries(rotation: Rotation, queries: FloatArray) -> CodedQueries:
    """Unit queries float32 (n, dim) turned and coded."""
    turned = kernels.products(np.asarray(queries - rotation.mean, np.float32), rotation.axes)
    width = rotation.first.shape[1]
    return CodedQueries(*_bytes(turned[:, :width]), *_bytes(turned[:, width:]))


def _bytes(numbers: NDArray[np.floating]) -> tuple[NDArray[np.int8], FloatArray]:
    scale = np.abs(numbers).max(axis=1, initial=0.0) / np.float32(127)
    coded = np.rint(numbers / np.where(scale > 0, scale, 1)[:, None])
    return coded.astype(np.int8), scale.astype(np.float32)


def even_sample(parts: Sequence[NDArray[np.floating]], size: int) -> FloatArray:
    """About ``size`` rows of ``parts``, evenly spread, float32."""
    rows = sum(len(part) for part in parts)
    step = max(1, rows // max(1, size))
    taken, start = [], 0
    for part in parts:
        first = -start % step
        taken.append(np.asarray(part[first::step], np.float32))
        start += len(part)
    return np.concatenate(taken)
