"""How one picture lies in another: turned, mirrored, cropped, tilted; and how alike they then are.

Pictures are squares (``rasters``); places are fractions of them, so that a picture is the unit
square. An alignment says where a point of the second picture lies in the first: ``matrix @ (point -
0.5) + 0.5 + shift``. ``placed`` looks for the middle of the second picture in the first, at several
sizes; ``refined`` improves an alignment step by step, ``agreement`` tells how alike two pictures
then are; both loops lie in ``kernels.pictures``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lookalike.duplicates.rasters import COARSE, area_matrix
from lookalike.kernels import pictures
from lookalike.kernels.pictures import WINDOW
from lookalike.types import FloatArray, PixelArray

Rows = NDArray[np.int64]

MIDDLE = 0.6
"""The middle of a picture that is looked for, as a share of its sides; ``WINDOW`` pixels wide."""

SIZES = (0.7, 0.8, 0.9, 1.0, 1.12, 1.25, 1.4)
"""How large the first picture is taken, by its own size, when the middle is looked for."""

REACH = 3
"""Of the local mean that is taken away before pictures are compared coarsely."""

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


class Placer:
    """Looks for the middle of pictures in others. ``rasters`` uint8 (n, COARSE, COARSE)."""

    def __init__(self, rasters: PixelArray) -> None:
        self._rasters = rasters
        full = WINDOW / MIDDLE
        self._sides = sorted({max(WINDOW, round(full * size)) for size in SIZES})
        edge = COARSE * (1 - MIDDLE) / 2
        self._ways = pictures.Ways(
            area_matrix(COARSE, WINDOW, edge, COARSE - edge),
            [area_matrix(COARSE, side) for side in self._sides],
            REACH,
        )
        self._places = self._window_places()

    def place(self, first: Rows, second: Rows) -> tuple[FloatArray, Alignments]:
        """How well the middle of each second picture, or its mirror image, is found in the first.

        The best correlation, -1..1, float32 (m,), and where. Quicker where ordered by ``first``.
        """
        score, window, mirrored = pictures.place(self._rasters, first, second, self._ways)
        found = self._places[window]
        matrix = SYMMETRIES[mirrored] * found[:, :1, None]
        return score, Alignments(matrix, found[:, 1:] - np.float32(0.5))

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


def refined(
    images: FloatArray, first: Rows, second: Rows, start: Alignments, steps: int, stride: int = 1
) -> Alignments:
    """Alignments of pairs of images float32 (n, side, side), improved by so many steps; affine.

    ``stride``: only every so manieth pixel each way is looked at.
    """
    return Alignments(
        *pictures.refine_alignments(images, first, second, start.matrix, start.shift, steps, stride)
    )


@dataclass(frozen=True)
class Agreement:
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

    def take(self, chosen: NDArray[np.generic]) -> Agreement:
        """Some of them."""
        return Agreement(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def updated(self, places: NDArray[np.int64], newer: Agreement) -> Agreement:
        """The same with others at some places."""
        columns = [getattr(self, field.name).copy() for field in fields(self)]
        for column, field in zip(columns, fields(self), strict=True):
            column[places] = getattr(newer, field.name)
        return Agreement(*columns)


def agreement(
    images: FloatArray, first: Rows, second: Rows, at: Alignments, reach: int = REACH
) -> Agreement:
    """How alike pairs of images float32 (n, side, side) are, the first laid over the second."""
    figures = pictures.agreement(images, first, second, at.matrix, at.shift, reach)
    return Agreement(*(np.ascontiguousarray(column) for column in figures.T))
