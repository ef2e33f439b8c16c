"""What printed maps share: paper, where a map's points lie on it, colours, names side by side."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.maps.base import SPOKEN, Cluster, PictureMap
from lookalike.maps.exports.source import ExportSource
from lookalike.types import FloatArray, printable

Rgb = tuple[int, int, int]

PAPERS = {"a0": (1189, 841), "a1": (841, 594), "a2": (594, 420), "a3": (420, 297), "a4": (297, 210)}
"""Long and short side in millimetres (ISO 216)."""

MOST_MEGAPIXELS = 140
"""A0 at 300 dots an inch; a page takes 3 to 8 bytes of memory a pixel."""

STRETCH = 1.45
"""On a poster one axis may be longer than the other by up to this, so that a round map fills it."""

_MARGIN = 0.04
_LONGEST_NAME = 40


class Theme(NamedTuple):
    """Colours of a page: ground, text, lesser text, points in no cluster; and of points' hues."""

    paper: Rgb
    ink: Rgb
    faint: Rgb
    loose: Rgb
    lightness: tuple[float, ...]


THEMES = {
    "light": Theme((255, 255, 255), (22, 22, 24), (110, 110, 115), (196, 196, 198), (0.42, 0.52)),
    "dark": Theme((16, 17, 20), (242, 242, 244), (150, 150, 156), (74, 76, 82), (0.60, 0.72)),
}


@dataclass(frozen=True, slots=True)
class PosterOptions:
    """``paper``: one of PAPERS, or "WIDTHxHEIGHT" in millimetres; ``dpi``: dots an inch.

    ``theme`` of THEMES. A named paper lies as the map does, wide or tall.
    """

    paper: str = "a2"
    dpi: int = 150
    theme: str = "light"

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        if self.theme not in THEMES:
            raise InputError(f"theme {self.theme!r}: not known; use one of: {', '.join(THEMES)}")
        if self.dpi < 10:
            raise InputError(f"dpi {self.dpi}: at least 10 dots an inch")
        width, height = self.millimetres(wide=True)
        megapixels = width * height * (self.dpi / 25.4) ** 2 / 1e6
        if megapixels > MOST_MEGAPIXELS:
            raise InputError(
                f"{self.paper} at {self.dpi} dots an inch: {megapixels:.0f} MP exceed"
                f" {MOST_MEGAPIXELS} MP; choose a smaller paper or a lower dpi"
            )

    def millimetres(self, *, wide: bool) -> tuple[float, float]:
        """Width and height of the page."""
        sides = PAPERS.get(self.paper.lower())
        if sides:
            return sides if wide else sides[::-1]
        given = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", self.paper)
        if given is None or "0" in (given[1].lstrip("0") or "0", given[2].lstrip("0") or "0"):
            known = ", ".join(PAPERS)
            raise InputError(
                f"paper {self.paper!r}: use one of: {known}, or millimetres like 300x200"
            )
        return int(given[1]), int(given[2])


@dataclass(frozen=True)
class Page:
    """A page of ``width`` x ``height`` pixels and a map on it.

    ``points`` float32 (n, 2): where rows lie, in pixels from the upper left.
    """

    options: PosterOptions
    width: int
    height: int
    points: FloatArray
    _onto: Callable[[FloatArray], FloatArray]

    @classmethod
    def of(cls, chart: PictureMap, options: PosterOptions, *, stretch: float = 1.0) -> Page:
        """The page on which a map of at least one record lies.

        Both axes are on one scale, or one is stretched up to so many times to fill the page.
        """
        options.check()
        flatten = _flattened(chart.positions)
        flat = flatten(chart.positions)
        low, high = flat.min(axis=0), flat.max(axis=0)
        spans = high - low
        mm = options.millimetres(wide=bool(spans[0] >= spans[1]))
        size = np.array([max(16, round(side * options.dpi / 25.4)) for side in mm])
        free = size * (1 - 2 * _MARGIN)
        fitting = free / np.maximum(spans, 1e-9)
        scales = np.minimum(fitting, stretch * fitting.min()) * np.array([1, -1])
        middle = (low + high) / 2

        def onto(positions: FloatArray) -> FloatArray:
            away = (flatten(positions) - middle) * scales
            placed: FloatArray = (away + size / 2).astype(np.float32)
            return placed

        return cls(options, int(size[0]), int(size[1]), onto(chart.positions), onto)

    @property
    def theme(self) -> Theme:
        """The colours of the page."""
        return THEMES[self.options.theme]

    def pixels(self, points: float) -> float:
        """Printers' points as pixels."""
        return points * self.options.dpi / 72

    @property
    def foot(self) -> tuple[float, float]:
        """Where the line about the poster goes: as far down and left as it can."""
        return 0.0, self.height - self.pixels(3)

    def names(self, source: ExportSource) -> Iterator[tuple[str, float, tuple[float, float]]]:
        """Names of clusters, height in pixels, and where they stand: wide levels and large first.

        Heights fit paper: a wide level's names are read from afar.
        """
        levels = source.levels
        own: dict[str, Cluster] = {}  # a name stands at the narrowest cluster that has it
        for level in levels:
            own |= {one.name: one for one in sorted(level.clusters, key=lambda one: one.size)}
        inch = min(self.width, self.height) / self.options.dpi
        for place, level in enumerate(levels):
            points = min(28.0, max(5.0, inch * 1.35 * 0.78**place))
            for cluster in sorted(level.clusters, key=lambda one: -one.size):
                if cluster.name and cluster.size:
                    centre = own[cluster.name].centre
                    at = self._onto(np.array([centre], np.float32))[0]
                    yield _short(cluster.name), self.pixels(points), (float(at[0]), float(at[1]))


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _flattened(positions: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """How positions become flat: three axes are turned to where the two widest can be seen."""
    if positions.shape[1] == 2:
        return lambda given: given
    middle = positions.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((positions - middle).T.astype(np.float64), bias=True))
    widest = axes[:, ::-1][:, :2]
    widest = widest * np.where(widest[np.abs(widest).argmax(axis=0), [0, 1]] < 0, -1, 1)
    return lambda given: ((given - middle) @ widest).astype(np.float32)


# -- names -----------------------------------------------------------------------------------------


class Places:
    """Boxes on a page that do not overlap, in the order in which they come."""

    def __init__(self, width: float, height: float) -> None:
        self._size = width, height
        self._taken = np.empty((0, 4))
        self._texts: set[str] = set()

    def put(
        self, text: str, middle: tuple[float, float], width: float, height: float
    ) -> tuple[float, float] | None:
        """Where the middle of a text goes: at its place or just above or below, None if nowhere.

        A text comes once: names of two levels are often the same.
        """
        if text in self._texts:
            return None
        for shift in (0.0, -1.0, 1.0):
            x = min(max(middle[0], width / 2), self._size[0] - width / 2)
            y = min(max(middle[1] + shift * height, height / 2), self._size[1] - height / 2)
            box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            apart = (self._taken[:, :2] >= box[2:]) | (self._taken[:, 2:] <= box[:2])
            if apart.any(axis=1).all():
                self._taken = np.vstack([self._taken, box])
                self._texts.add(text)
                return x, y
        return None


# -- colours ---------------------------------------------------------------------------------------


def colours_of(source: ExportSource, page: Page) -> NDArray[np.uint8]:
    """A colour of every row by its finest cluster, uint8 (n, 3).

    Clusters are counted along the map and get hues a golden angle apart, so that what lies side by
    side differs.
    """
    if not source.levels:
        return np.tile(np.array(page.theme.loose, np.uint8), (len(source), 1))
    clusters = source.levels[-1].clusters
    centres = np.array([one.centre[:2] for one in clusters]).reshape(-1, 2)
    bands = np.round(centres[:, 1] * 4)
    order = np.lexsort((centres[:, 0] * np.where(bands % 2, -1, 1), bands))
    palette = np.empty((len(clusters) + 1, 3), np.uint8)
    palette[-1] = page.theme.loose  # of cluster -1
    for place, number in enumerate(order.tolist()):
        lightness = page.theme.lightness[place % len(page.theme.lightness)]
        rgb = colorsys.hls_to_rgb(place * 0.381966 % 1, lightness, 0.62)
        palette[number] = np.round(np.array(rgb) * 255)
    return palette[source.of]


def footer(source: ExportSource) -> str:
    """What the page shows, in a line."""
    chart = source.chart
    method = SPOKEN.get(chart.options.method, chart.options.method)
    told = [f"{len(chart):,} pictures", f"{method} by {chart.options.by}"]
    if source.levels and source.levels[-1].clusters:
        found = SPOKEN.get(chart.clustering.method, chart.clustering.method)
        told.append(f"{len(source.levels[-1].clusters):,} clusters, {found}")
    return " · ".join(told)
