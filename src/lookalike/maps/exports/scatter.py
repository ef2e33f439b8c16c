"""A map as points in the colours of their clusters, with names, drawn by Matplotlib."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.errors import MissingExtraError
from lookalike.maps.exports.mosaic import check_ending
from lookalike.maps.exports.page import (
    STRETCH,
    Page,
    Places,
    PosterOptions,
    colours_of,
    footer,
)
from lookalike.maps.exports.source import ExportSource
from lookalike.writing import write_whole

_DOT = 0.7
"""Width of a point as a share of the distance at which points would lie evenly."""


def write_scatter(source: ExportSource, path: Path, options: PosterOptions | None = None) -> int:
    """Draw the map to a PNG or JPEG file, whole or not at all; returns how many points it has.

    Raises InputError for a map without records, another ending and options that cannot be used,
    MissingExtraError without Matplotlib, OSError where the file cannot be written.
    """
    options = options or PosterOptions()
    check_ending(path)
    figure_class()
    source.require_records()
    page = Page.of(source.chart, options, stretch=STRETCH)
    figure = figure_class()(figsize=(page.width / options.dpi, page.height / options.dpi))
    figure.set_facecolor(_unit(page.theme.paper))
    axes = figure.add_axes((0, 0, 1, 1))
    draw_points(axes, source, page)
    _write_names(axes, source, page)
    encoded = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font lacks a name's letters: they become boxes
        kind = "png" if path.suffix.lower() == ".png" else "jpg"
        figure.savefig(encoded, format=kind, dpi=options.dpi, facecolor=figure.get_facecolor())
    write_whole(path, lambda file: file.write(encoded.getbuffer()))
    return len(source)


def draw_points(axes: Any, source: ExportSource, page: Page) -> None:
    """All points on axes that are the page, in pixels from the upper left, in random order."""
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    order = source.some(None)
    apart = np.sqrt(page.width * page.height / len(source)) * 72 / page.options.dpi  # in points
    width = float(np.clip(_DOT * apart, 0.3, 6.0))
    x, y = page.points[order].T
    colours = colours_of(source, page)[order] / 255
    axes.scatter(x, y, s=width**2, c=colours, marker="o", linewidths=0, alpha=0.8)


def _write_names(axes: Any, source: ExportSource, page: Page) -> None:
    """Names that do not overlap, and a line about the map at its foot."""
    places, renderer = Places(page.width, page.height), axes.figure.canvas.get_renderer()
    line = [(footer(source), page.pixels(9), page.foot)]
    for number, (name, size, at) in enumerate([*line, *page.names(source)]):
        text = axes.text(
            *at,
            name,
            fontsize=size * 72 / page.options.dpi,
            color=_unit(page.theme.ink if number else page.theme.faint),
            ha="center",
            va="center",
            parse_math=False,
            fontfamily="DejaVu Sans",
            path_effects=halo(page, size / 6),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            box = text.get_window_extent(renderer)
        scale = page.options.dpi / axes.figure.dpi
        gap = 0.3 * size
        width, height = box.width * scale + 2 * gap, box.height * scale + gap
        place = places.put(name, at, width, height)
        if place is None:
            text.remove()
        else:
            text.set_position(place)


def halo(page: Page, pixels: float) -> list[Any]:
    """What parts text from the points under it."""
    from matplotlib.patheffects import withStroke

    width = pixels * 72 / page.options.dpi * 2
    return [withStroke(linewidth=width, foreground=_unit(page.theme.paper))]


def _unit(rgb: tuple[int, int, int]) -> tuple[float, ...]:
    return tuple(value / 255 for value in rgb)


def figure_class() -> Any:
    """Matplotlib's Figure, which draws without a screen; MissingExtraError if it is not there."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a scatter plot", "plots") from error

    def made(**options: Any) -> Any:
        figure = Figure(**options)
        FigureCanvasAgg(figure)
        return figure

    return made
