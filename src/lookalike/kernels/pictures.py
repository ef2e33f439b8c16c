"""The loops that lay pictures over each other, compiled or, slowly, in NumPy.

Pictures are squares float32 (n, side, side), ``side`` a multiple of 16 up to 64. A pair is two of
their numbers, ``first`` and ``second`` int64 (m,). A point of the second picture lies at ``matrix
@ (point - 0.5) + 0.5 + shift`` in the first, the square being 1 wide: ``matrix`` float32 (m, 2, 2)
and ``shift`` float32 (m, 2), finite. The twin of everything here is ``pictures_reference``.
"""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.kernels import pictures_reference as reference
from lookalike.types import FloatArray

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
    for rows in (first, second):
        assert not len(rows) or (rows.min() >= 0 and rows.max() < len(images))
    return (
        kernels._as(images, np.float32),
        kernels._as(first, np.int64),
        kernels._as(second, np.int64),
    )


def _pairs(images: FloatArray, first: Rows, second: Rows) -> tuple[ctypes._SimpleCData, ...]:  # type: ignore[type-arg]
    return (
        kernels._pointer(images), ctypes.c_int(images.shape[-1]), kernels._pointer(first),
        kernels._pointer(second), kernels._long(len(first)),
    )  # fmt: skip
