"""``pictures`` in NumPy: the oracle in tests, and what runs without a compiler.

Alignments are improved by the inverse compositional Gauss-Newton method (S. Baker, I. Matthews,
"Lucas-Kanade 20 Years On", IJCV 56, 2004) with weights that let single parts differ.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lookalike.types import FloatArray, PixelArray

Rows = NDArray[np.int64]

FAINTEST = 2.0
"""Grey levels; a window that varies less cannot be told from another."""

ALIKE = 0.5
"""Deviations by which a pixel may differ before it counts for less."""


def grid(side: int, stride: int) -> FloatArray:
    """The middles of every so manieth pixel each way, less 0.5: float32 (p, 2) as (x, y)."""
    middles = (np.arange(stride // 2, side, stride, dtype=np.float32) + 0.5) / side - 0.5
    return np.stack([np.tile(middles, len(middles)), np.repeat(middles, len(middles))], 1)


def sampled(
    images: FloatArray, matrix: FloatArray, shift: FloatArray, stride: int = 1
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Images (n, side, side), one a pair, where pixels of the second lie; what is inside.

    Bilinear. Both (n, p), for every so manieth pixel each way, row by row.
    """
    count, side, _ = images.shape
    points = grid(side, stride) @ matrix.transpose(0, 2, 1) + (shift[:, None] + np.float32(0.5))
    points = points * side - np.float32(0.5)
    within = (points > -0.5) & (points < side - 0.5)
    inside = within[..., 0] & within[..., 1]
    points = np.clip(points, 0, side - 1.001)
    corner = points.astype(np.int32)
    part = points - corner
    flat = images.reshape(-1)
    base = corner[..., 1] * side + corner[..., 0]
    base += (np.arange(count, dtype=np.int32) * side * side)[:, None]
    right, down = part[..., 0], part[..., 1]
    left_above, right_above, left_below, right_below = (
        flat[base + step] for step in (0, 1, side, side + 1)
    )
    upper = left_above + (right_above - left_above) * right
    lower = left_below + (right_below - left_below) * right
    return upper + (lower - upper) * down, inside


def _standard(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values (n, p) with weighted mean 0 and deviation 1 where they vary, and the deviation."""
    total = np.maximum(weights.sum(1, keepdims=True), 1e-6)
    centred = values - (values * weights).sum(1, keepdims=True) / total
    deviation = np.sqrt((centred**2 * weights).sum(1, keepdims=True) / total)
    return centred / np.maximum(deviation, FAINTEST), deviation


def refine_alignments(
    images: FloatArray,
    first: Rows,
    second: Rows,
    matrix: FloatArray,
    shift: FloatArray,
    steps: int,
    stride: int,
) -> tuple[FloatArray, FloatArray]:
    """See ``pictures.refine_alignments``."""
    one, two = images[first], images[second]
    count, side, _ = two.shape
    points, some = grid(side, stride), slice(stride // 2, None, stride)
    down, right = np.gradient(two, axis=1), np.gradient(two, axis=2)
    slopes = np.stack([right[:, some, some], down[:, some, some]], -1)
    slopes = slopes.reshape(count, len(points), 2) * np.float32(side)
    target = two[:, some, some].reshape(count, len(points))
    scales = np.concatenate([points, np.ones((len(points), 1), np.float32)], 1)
    jacobian = (slopes[:, :, :, None] * scales[:, None, :]).reshape(count, len(points), 6)
    weights = np.ones(target.shape, np.float32)
    for _ in range(steps):
        seen, inside = sampled(one, matrix, shift, stride)
        weights *= inside
        own, _ = _standard(seen, weights)
        aim, deviation = _standard(target, weights)
        apart = own - aim
        weights = inside / (1 + (apart / np.float32(ALIKE)) ** 2)
        slope = jacobian / np.maximum(deviation, FAINTEST)[..., None]
        matrix, shift = _stepped(matrix, shift, slope, weights, apart)
    return np.asarray(matrix, np.float32), np.asarray(shift, np.float32)


def _stepped(
    matrix: FloatArray, shift: FloatArray, slope: FloatArray, weights: FloatArray, apart: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """One step of Gauss-Newton, limited."""
    weighted = slope * weights[..., None]
    hessian = weighted.transpose(0, 2, 1) @ slope
    trace = np.einsum("ijj->i", hessian)[:, None, None]
    hessian += np.float32(1e-3) * np.eye(6, dtype=np.float32) * (trace + 1) / 6
    step = np.linalg.solve(hessian, weighted.transpose(0, 2, 1) @ apart[..., None])[..., 0]
    step = np.clip(step, -0.15, 0.15).reshape(len(step), 2, 3)
    matrix = matrix @ np.linalg.inv(np.eye(2, dtype=np.float32) + step[:, :, :2])
    return matrix, shift - (matrix @ step[:, :, 2:])[..., 0]


def agreement(
    images: FloatArray,
    first: Rows,
    second: Rows,
    matrix: FloatArray,
    shift: FloatArray,
    reach: int,
) -> FloatArray:
    """See ``pictures.agreement``."""
    one, two = images[first], images[second]
    count, side, _ = two.shape
    seen, inside = sampled(one, matrix, shift)
    target = two.reshape(count, side * side)
    weights = inside.astype(np.float32)
    for _ in range(2):
        own, spread = _standard(seen, weights)
        aim, deviation = _standard(target, weights)
        weights = inside * (np.abs(own - aim) < 2 * ALIKE).astype(np.float32)
    held = np.maximum(inside.sum(1), 1)
    shown = np.where(inside, own, aim)
    local, wanted = (
        without_local_mean(flat.reshape(two.shape), reach).reshape(seen.shape)
        for flat in (shown, aim)
    )
    levels = np.maximum(deviation, FAINTEST)
    apart = np.where(inside, own - aim, 0) * levels
    blocks = apart.reshape(count, side // 4, 4, side // 4, 4).mean((2, 4))
    figures = (
        _correlation(local, wanted, weights),
        _correlation(local, wanted, inside.astype(np.float32)),
        _share_alike(np.maximum(np.abs(local), np.abs(wanted)) * inside, own - aim),
        _correlation(own, aim, weights),
        weights.sum(1) / held,
        held / (side * side),
        spread[:, 0] / levels[:, 0],
        ((seen - target) * weights).sum(1) / np.maximum(weights.sum(1), 1),
        np.abs(blocks).max((1, 2)),
    )
    return np.stack(figures, 1).astype(np.float32)


def _share_alike(variation: FloatArray, apart: FloatArray) -> FloatArray:
    """Shares of what varies, by how much it does, that differs little."""
    alike = (np.abs(apart) < ALIKE) * variation
    out: FloatArray = alike.sum(1) / np.maximum(variation.sum(1), np.float32(1e-3))
    return out


def _correlation(one: FloatArray, two: FloatArray, weights: FloatArray) -> FloatArray:
    """Of rows of mean 0 about; 0 where nothing varies."""
    product = (one * two * weights).sum(1)
    size = np.sqrt((one**2 * weights).sum(1) * (two**2 * weights).sum(1))
    out: FloatArray = product / np.maximum(size, np.float32(1e-3))
    return out


WINDOW = 12


def unit(windows: NDArray[np.floating]) -> FloatArray:
    """Rows less their mean, of length 1; faint ones shorter."""
    windows = windows - windows.mean(-1, keepdims=True)
    length = np.linalg.norm(windows, axis=-1, keepdims=True)
    return np.asarray(windows / np.maximum(length, np.float32(FAINTEST * WINDOW)), np.float32)


def place(
    rasters: PixelArray,
    first: Rows,
    second: Rows,
    middle: FloatArray,
    scalers: Sequence[FloatArray],
    reach: int,
) -> tuple[FloatArray, NDArray[np.int32], NDArray[np.int8]]:
    """See ``pictures.place``."""
    score = np.empty(len(first), np.float32)
    window, mirrored = np.empty(len(first), np.int32), np.empty(len(first), np.int8)
    known = -1
    for pair, (one, two) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if one != known:
            own, known = _windows(flat(rasters[one], reach), scalers), one
        other = flat(rasters[two], reach)
        wanted = unit(
            np.stack([(middle @ way @ middle.T).ravel() for way in (other, other[:, ::-1])])
        )
        found = wanted @ own.T
        best = found.max(1)
        mirrored[pair] = best.argmax()
        score[pair], window[pair] = best.max(), found[mirrored[pair]].argmax()
    return score, window, mirrored


def flat(raster: PixelArray, reach: int) -> FloatArray:
    """A raster uint8 (side, side) less its local mean, float32."""
    out: FloatArray = without_local_mean(raster[None].astype(np.float32), reach)[0]
    return out


def _windows(image: FloatArray, scalers: Sequence[FloatArray]) -> FloatArray:
    """All windows of all sizes, of length 1, float32 (windows, WINDOW * WINDOW)."""
    shape = (WINDOW, WINDOW)
    parts = [
        np.lib.stride_tricks.sliding_window_view(scaler @ image @ scaler.T, shape)
        for scaler in scalers
    ]
    return np.concatenate([unit(part.reshape(-1, WINDOW * WINDOW)) for part in parts])


def planes_apart(
    planes: FloatArray,
    first: Rows,
    second: Rows,
    matrix: FloatArray,
    shift: FloatArray,
    gain: FloatArray,
) -> FloatArray:
    """See ``pictures.planes_apart``."""
    total = np.zeros(len(first), np.float32)
    for channel in range(planes.shape[1]):
        seen, inside = sampled(planes[first, channel], matrix, shift)
        wanted = planes[second, channel].reshape(seen.shape) * gain[:, None]
        total += (np.abs(seen - wanted) * inside).sum(1) / np.maximum(inside.sum(1), 1)
    return total / np.float32(planes.shape[1])


@functools.cache
def _local_mean(side: int, reach: int) -> FloatArray:
    """What gives the means of ``2 * reach + 1`` samples around each, mirrored at the ends."""
    near = np.arange(side)[:, None] + np.arange(-reach, reach + 1)
    near = np.abs(near)
    near = np.minimum(near, 2 * (side - 1) - near)
    matrix = np.zeros((side, side), np.float32)
    np.add.at(matrix, (np.arange(side)[:, None], near), np.float32(1 / (2 * reach + 1)))
    return matrix


def without_local_mean(images: FloatArray, reach: int) -> FloatArray:
    """Images (n, side, side) less the mean of ``2 * reach + 1`` squared pixels around each."""
    means = _local_mean(images.shape[1], reach)
    return np.asarray(images - means @ images @ means.T, np.float32)
