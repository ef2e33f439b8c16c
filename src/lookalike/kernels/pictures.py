"""The loops that lay pictures over each other, compiled or, slowly, in NumPy.

Pictures are squares float32 (n, side, side), ``side`` a multiple of 16 up to 64. A pair is two of
their numbers, ``first`` and ``second`` int64 (m,). A point of the second picture lies at ``matrix
@ (point - 0.5) + 0.5 + shift`` in the first, the square being 1 wide: ``matrix`` float32 (m, 2, 2)
and ``shift`` float32 (m, 2), finite. The twin of everything here is ``pictures_reference``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.kernels import pictures_reference as reference
from lookalike.types import FloatArray, PixelArray

Rows = NDArray[np.int64]

MOST_SIDE, MOST_REACH = 64, 7
"""What the compiled loops have room for."""

FIGURES = 9
"""What ``agreement`` tells of a pair."""


def refine_alignments(
    images: FloatArray,
    first: Rows,
    second: Rows,
    matrix: FloatArray,
    shift: FloatArray,
    steps: int,
    stride: int,
) -> tuple[FloatArray, FloatArray]:
    """Alignments improved by so many steps; ``stride``: every so manieth pixel each way is used."""
    _check(images)
    if kernels._native is None:
        return reference.refine_alignments(images, first, second, matrix, shift, steps, stride)
    images, first, second = _lying(images, first, second)
    matrix, shift = np.array(matrix, np.float32), np.array(shift, np.float32)  # changed in place
    kernels._native.lookalike_refine_alignments(
        ctypes.c_int(kernels._level), *_pairs(images, first, second), ctypes.c_int(steps),
        ctypes.c_int(stride), kernels._pointer(matrix), kernels._pointer(shift),
    )  # fmt: skip
    return matrix, shift


def agreement(
    images: FloatArray,
    first: Rows,
    second: Rows,
    matrix: FloatArray,
    shift: FloatArray,
    reach: int,
) -> FloatArray:
    """The figures of ``duplicates.align.Agreement`` in their order, float32 (m, 9).

    ``reach``: of the local mean that is taken away before details are compared, at most 7.
    """
    _check(images)
    assert 0 <= reach <= MOST_REACH
    if kernels._native is None:
        return reference.agreement(images, first, second, matrix, shift, reach)
    images, first, second = _lying(images, first, second)
    matrix, shift = kernels._as(matrix, np.float32), kernels._as(shift, np.float32)
    out = np.empty((len(first), FIGURES), np.float32)
    kernels._native.lookalike_agreement(
        ctypes.c_int(kernels._level), *_pairs(images, first, second), kernels._pointer(matrix),
        kernels._pointer(shift), ctypes.c_int(reach), kernels._pointer(out),
    )  # fmt: skip
    return out


@dataclass(frozen=True)
class Ways:
    """How the middle of one raster, of 32 pixels each way, is looked for in another.

    ``middle`` float32 (12, 32) and each of ``scalers``, (side, 32), give rows of a smaller picture
    by those of a raster, and columns the same way: the middle that is looked for, and the picture
    that it is looked for in at up to 8 sizes of 12 to 28 pixels. ``reach``: of the local mean that
    is taken away before.
    """

    middle: FloatArray
    scalers: Sequence[FloatArray]
    reach: int


WINDOW, RASTER = 12, 32


def place(
    rasters: PixelArray, first: Rows, second: Rows, ways: Ways
) -> tuple[FloatArray, NDArray[np.int32], NDArray[np.int8]]:
    """The window of the first raster that is most alike to the middle of the second.

    ``rasters`` uint8 (n, 32, 32). Correlations -1..1, float32 (m,), off by 1e-3 at most; windows
    int32 (m,), numbered by scaler, row and column; 1 where it is the mirror image's, else 0.
    Quicker where pairs are ordered by ``first``.
    """
    assert rasters.shape[1:] == (RASTER, RASTER)
    assert len(ways.scalers) <= 8
    assert all(WINDOW <= len(scaler) <= 28 for scaler in ways.scalers)
    if kernels._native is None:
        return reference.place(rasters, first, second, ways.middle, ways.scalers, ways.reach)
    rasters, middle = kernels._as(rasters, np.uint8), kernels._as(ways.middle, np.float32)
    first, second = _rows(first, len(rasters)), _rows(second, len(rasters))
    scalers = kernels._as(np.concatenate(ways.scalers), np.float32)
    sides = np.array([len(scaler) for scaler in ways.scalers], np.int32)
    score, window = np.empty(len(first), np.float32), np.zeros(len(first), np.int32)
    mirrored = np.zeros(len(first), np.int8)
    kernels._native.lookalike_place(
        ctypes.c_int(kernels._level), kernels._pointer(rasters), kernels._pointer(first),
        kernels._pointer(second), kernels._long(len(first)), kernels._pointer(middle),
        kernels._pointer(scalers), kernels._pointer(sides), ctypes.c_int(len(sides)),
        ctypes.c_int(ways.reach), kernels._pointer(score), kernels._pointer(window),
        kernels._pointer(mirrored),
    )  # fmt: skip
    return score, window, mirrored


def planes_apart(
    planes: FloatArray,
    first: Rows,
    second: Rows,
    matrix: FloatArray,
    shift: FloatArray,
    gain: FloatArray,
) -> FloatArray:
    """Mean differences of planes float32 (n, channels, side, side) where both lie, float32 (m,).

    The second's values are taken ``gain`` float32 (m,) times.
    """
    _check(planes)
    if kernels._native is None:
        return reference.planes_apart(planes, first, second, matrix, shift, gain)
    planes, first, second = _lying(planes, first, second)
    matrix, shift = kernels._as(matrix, np.float32), kernels._as(shift, np.float32)
    gain, out = kernels._as(gain, np.float32), np.empty(len(first), np.float32)
    kernels._native.lookalike_planes_apart(
        ctypes.c_int(kernels._level), kernels._pointer(planes), ctypes.c_int(planes.shape[1]),
        ctypes.c_int(planes.shape[-1]), kernels._pointer(first), kernels._pointer(second),
        kernels._long(len(first)), kernels._pointer(matrix), kernels._pointer(shift),
        kernels._pointer(gain), kernels._pointer(out),
    )  # fmt: skip
    return out


def _check(images: FloatArray) -> None:
    side = images.shape[-1]
    assert images.shape[-2] == side
    assert side % 16 == 0
    assert 0 < side <= MOST_SIDE


def _lying(images: FloatArray, first: Rows, second: Rows) -> tuple[FloatArray, Rows, Rows]:
    """As C reads them. To be bound to names until C has read them."""
    count = len(images)
    return kernels._as(images, np.float32), _rows(first, count), _rows(second, count)


def _rows(rows: Rows, count: int) -> Rows:
    assert not len(rows) or (rows.min() >= 0 and rows.max() < count)
    return kernels._as(rows, np.int64)


def _pairs(images: FloatArray, first: Rows, second: Rows) -> tuple[ctypes._SimpleCData, ...]:  # type: ignore[type-arg]
    return (
        kernels._pointer(images), ctypes.c_int(images.shape[-1]), kernels._pointer(first),
        kernels._pointer(second), kernels._long(len(first)),
    )  # fmt: skip
