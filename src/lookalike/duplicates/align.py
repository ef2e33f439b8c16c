"""How one picture lies in another: turned, mirrored, cropped, tilted; and how alike they then are.

Pictures are squares (``rasters``); places are fractions of them, so that a picture is the unit
square. An alignment says where a point of the second picture lies in the first: ``matrix @ (point -
0.5) + 0.5 + shift``. ``placed`` looks for the middle of the second picture in the first, at several
sizes; ``refined`` improves an alignment by the inverse compositional Gauss-Newton method (S. Baker,
I. Matthews, "Lucas-Kanade 20 Years On", IJCV 56, 2004) with weights that let single parts differ.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lookalike.duplicates.rasters import COARSE, area_matrix, without_local_mean
from lookalike.kernels import products
from lookalike.types import FloatArray, PixelArray

WINDOW = 12
MIDDLE = 0.6
"""The middle of a picture that is looked for, as a share of its sides; so many pixels wide."""

SIZES = (0.7, 0.8, 0.9, 1.0, 1.12, 1.25, 1.4)
"""How large the first picture is taken, by its own size, when the middle is looked for."""

REACH = 3
"""Of the local mean that is taken away before pictures are compared coarsely."""

FAINTEST = 2.0
"""Grey levels; a window that varies less cannot be told from another."""

SYMMETRIES: NDArray[np.float32] = np.array(
    [
        [[1, 0], [0, 1]], [[-1, 0], [0, 1]], [[1, 0], [0, -1]], [[-1, 0], [0, -1]],
        [[0, 1], [1, 0]], [[0, -1], [1, 0]], [[0, 1], [-1, 0]], [[0, -1], [-1, 0]],
    ],
    np.float32,
)  # fmt: skip
"""The symmetries of the square as matrices of (x, y): as it is, mirrored left to right, top to
bottom, upside down, then the same with rows and columns exchanged. Number 1 is the mirror image."""

AS_IT_IS, MIRRORED = 0, 1


@dataclass(frozen=True)
class Alignments:
    """``matrix`` float32 (n, 2, 2), ``shift`` float32 (n, 2): where points of the second lie."""

    matrix: FloatArray
    shift: FloatArray

    @classmethod
    def of_symmetries(cls, numbers: NDArray[np.integer]) -> Alignments:
        """The pictures as a whole, under symmetries given by number."""
        return cls(SYMMETRIES[numbers], np.zeros((len(numbers), 2), np.float32))

    def take(self, chosen: NDArray[np.generic]) -> Alignments:
        """Some of them."""
        return Alignments(self.matrix[chosen], self.shift[chosen])


# -- coarsely --------------------------------------------------------------------------------------


def _unit(windows: NDArray[np.floating]) -> FloatArray:
    """Rows less their mean, of length 1; faint ones shorter."""
    windows = windows - windows.mean(-1, keepdims=True)
    length = np.linalg.norm(windows, axis=-1, keepdims=True)
    return np.asarray(windows / np.maximum(length, np.float32(FAINTEST * WINDOW)), np.float32)


class Placer:
    """Looks for the middle of pictures in others. ``rasters`` uint8 (n, COARSE, COARSE)."""

    def __init__(self, rasters: PixelArray) -> None:
        self._rasters = rasters
        full = WINDOW / MIDDLE
        self._sides = sorted({max(WINDOW, round(full * size)) for size in SIZES})
        self._scalers = [area_matrix(COARSE, side) for side in self._sides]
        edge = COARSE * (1 - MIDDLE) / 2
        self._middle = area_matrix(COARSE, WINDOW, edge, COARSE - edge)
        self._places = self._window_places()

    def _flat(self, rows: NDArray[np.int64]) -> FloatArray:
        return without_local_mean(self._rasters[rows].astype(np.float32), REACH)

    def place(
        self, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> tuple[FloatArray, Alignments]:
        """How well the middle of each second picture, or its mirror image, is found in the first.

        Pairs (m,) are ordered by ``first``. The best correlation, -1..1, float32 (m,), and where.
        """
        whole, start = np.unique(first, return_index=True)
        others = self._flat(second)
        patches = np.stack([others, others[:, :, ::-1]], 1)
        middles = _unit((self._middle @ patches @ self._middle.T).reshape(len(first), 2, -1))
        windows = self._windows(self._flat(whole))
        score = np.empty((len(first), 2), np.float32)
        found = np.empty((len(first), 2), np.int64)
        for own, at, end in zip(windows, start, [*start[1:], len(first)], strict=True):
            wanted = middles[at:end].reshape(-1, WINDOW * WINDOW)
            correlation = products(wanted, own)
            best = correlation.argmax(1)
            found[at:end] = best.reshape(-1, 2)
            score[at:end] = correlation[np.arange(len(best)), best].reshape(-1, 2)
        mirrored = score.argmax(1)
        place = self._places[found[np.arange(len(first)), mirrored]]
        matrix = SYMMETRIES[mirrored] * place[:, :1, None]
        return score.max(1), Alignments(matrix, place[:, 1:] - np.float32(0.5))

    def _windows(self, images: FloatArray) -> FloatArray:
        """All windows of all sizes, of length 1, float32 (n, windows, WINDOW * WINDOW)."""
        shape = (WINDOW, WINDOW)
        parts = [
            np.lib.stride_tricks.sliding_window_view(scaler @ images @ scaler.T, shape, (1, 2))
            for scaler in self._scalers
        ]
        return np.concatenate(
            [_unit(part.reshape(len(images), -1, WINDOW * WINDOW)) for part in parts], 1
        )

    def _window_places(self) -> FloatArray:
        """The size of each window by the middle it is compared with, and its middle (x, y)."""
        places = []
        for side in self._sides:
            middles = (np.arange(side - WINDOW + 1) + WINDOW / 2) / side
            across, down = np.meshgrid(middles, middles)
            size = np.full(across.size, WINDOW / MIDDLE / side)
            places.append(np.stack([size, across.ravel(), down.ravel()], 1))
        return np.concatenate(places).astype(np.float32)


# -- finely ----------------------------------------------------------------------------------------


def _grid(side: int, stride: int) -> FloatArray:
    """The middles of every so manieth pixel each way, less 0.5: float32 (p, 2) as (x, y)."""
    middles = (np.arange(stride // 2, side, stride, dtype=np.float32) + 0.5) / side - 0.5
    return np.stack([np.tile(middles, len(middles)), np.repeat(middles, len(middles))], 1)


def sampled(
    images: FloatArray, at: Alignments, stride: int = 1
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The first pictures (n, side, side) where pixels of the second lie, bilinear; what is inside.

    Both (n, p), for every so manieth pixel each way, row by row.
    """
    count, side, _ = images.shape
    points = _grid(side, stride) @ at.matrix.transpose(0, 2, 1) + (
        at.shift[:, None, :] + np.float32(0.5)
    )
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
        np.take(flat, base + step, mode="clip")  # lets other threads work, as indexing does not
        for step in (0, 1, side, side + 1)
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


ALIKE = 0.5
"""Deviations by which a pixel may differ before it counts for less."""


def refined(
    first: FloatArray, second: FloatArray, start: Alignments, steps: int, stride: int = 1
) -> Alignments:
    """Alignments of pictures float32 (n, side, side), improved by so many steps; affine.

    ``stride``: only every so manieth pixel each way is looked at.
    """
    count, side, _ = second.shape
    grid, some = _grid(side, stride), slice(stride // 2, None, stride)
    down, right = np.gradient(second, axis=1), np.gradient(second, axis=2)
    slopes = np.stack([right[:, some, some], down[:, some, some]], -1).reshape(count, -1, 2)
    slopes *= np.float32(side)
    target = second[:, some, some].reshape(count, -1)
    scales = np.concatenate([grid, np.ones((len(grid), 1), np.float32)], 1)
    jacobian = (slopes[:, :, :, None] * scales[:, None, :]).reshape(count, -1, 6)
    matrix, shift = start.matrix.copy(), start.shift.copy()
    weights = np.ones(target.shape, np.float32)
    for _ in range(steps):
        seen, inside = sampled(first, Alignments(matrix, shift), stride)
        weights *= inside
        own, _ = _standard(seen, weights)
        aim, deviation = _standard(target, weights)
        apart = own - aim
        weights = inside / (1 + (apart / np.float32(ALIKE)) ** 2)
        slope = jacobian / np.maximum(deviation, FAINTEST)[..., None]
        weighted = slope * weights[..., None]
        hessian = weighted.transpose(0, 2, 1) @ slope
        hessian += (
            np.float32(1e-3)
            * np.eye(6, dtype=np.float32)
            * (np.einsum("ijj->i", hessian)[:, None, None] + 1)
            / 6
        )
        step = np.linalg.solve(hessian, weighted.transpose(0, 2, 1) @ apart[..., None])[..., 0]
        step = np.clip(step, -0.15, 0.15).reshape(count, 2, 3)
        moved = np.linalg.inv(np.eye(2, dtype=np.float32) + step[:, :, :2])
        matrix_new = matrix @ moved
        shift = shift - (matrix_new @ step[:, :, 2:])[..., 0]
        matrix = matrix_new
    return Alignments(matrix.astype(np.float32), shift.astype(np.float32))


@dataclass(frozen=True)
class Likeness:
    """What an alignment shows, each float32 (n,).

    ``detail``: correlation of local differences of brightness where both have pixels and agree
    roughly, -1..1; ``whole_detail``: the same wherever both have pixels; ``structured``: the share
    that agrees roughly of what varies, by how much it does; ``overall``: correlation of brightness
    where both agree roughly; ``agreeing``: share of the common pixels that agree roughly;
    ``common``: share of the second picture that lies in the first; ``gain``, ``offset``: the
    first's contrast by the second's, and how many grey levels it is brighter; ``largest``: after
    that, the largest difference of blocks of 4 x 4 pixels, in levels.
    """

    detail: FloatArray
    whole_detail: FloatArray
    structured: FloatArray
    overall: FloatArray
    agreeing: FloatArray
    common: FloatArray
    gain: FloatArray
    offset: FloatArray
    largest: FloatArray

    def take(self, chosen: NDArray[np.generic]) -> Likeness:
        """Some of them."""
        return Likeness(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def updated(self, places: NDArray[np.int64], newer: Likeness) -> Likeness:
        """The same with others at some places."""
        columns = [getattr(self, field.name).copy() for field in fields(self)]
        for column, field in zip(columns, fields(self), strict=True):
            column[places] = getattr(newer, field.name)
        return Likeness(*columns)


def likeness(first: FloatArray, second: FloatArray, at: Alignments, reach: int = REACH) -> Likeness:
    """How alike pictures float32 (n, side, side) are when the first is laid over the second."""
    count, side, _ = second.shape
    seen, inside = sampled(first, at)
    target = second.reshape(count, -1)
    weights = inside.astype(np.float32)
    for _ in range(2):
        own, spread = _standard(seen, weights)
        aim, deviation = _standard(target, weights)
        weights = inside * (np.abs(own - aim) < 2 * ALIKE).astype(np.float32)
    total = np.maximum(weights.sum(1), 1)
    held = np.maximum(inside.sum(1), 1)
    shown = np.where(inside, own, aim).reshape(second.shape)
    local = without_local_mean(shown, reach).reshape(count, -1)
    wanted = without_local_mean(aim.reshape(second.shape), reach).reshape(count, -1)
    apart = np.where(inside, own - aim, 0) * np.maximum(deviation, FAINTEST)
    scaler = area_matrix(side, side // 4)
    blocks = scaler @ apart.reshape(second.shape) @ scaler.T
    figures = (
        _correlation(local, wanted, weights),
        _correlation(local, wanted, inside.astype(np.float32)),
        _agreeing(np.maximum(np.abs(local), np.abs(wanted)) * inside, own - aim),
        _correlation(own, aim, weights),
        weights.sum(1) / held,
        held / (side * side),
        spread[:, 0] / np.maximum(deviation[:, 0], FAINTEST),
        ((seen - target) * weights).sum(1) / total,
        np.abs(blocks).max((1, 2)),
    )
    return Likeness(*(np.asarray(figure, np.float32) for figure in figures))


def _agreeing(variation: FloatArray, apart: FloatArray) -> FloatArray:
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
