"""A page by Plotly: points with names under the pointer, in two or three dimensions."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.errors import MissingExtraError
from lookalike.maps.exports.page import Page, PosterOptions, colours_of, footer
from lookalike.maps.exports.source import ExportSource, Rows
from lookalike.types import printable
from lookalike.writing import write_whole

MOST_ROWS = 50_000
"""Points with their paths take about 100 bytes each, and more of them drag in three dimensions."""

MOST_TRACES = 60
"""Clusters in the legend, the largest; what is in others is one group more."""

_CONFIG = {
    "displaylogo": False,
    "scrollZoom": True,
    "responsive": True,
    "showSendToCloud": False,  # plotly.js 4 has a button that uploads all that is shown
}

OTHERS, LOOSE = "smaller clusters", "in no cluster"


@dataclass(frozen=True, slots=True)
class PlotlyOptions:
    """``rows``: at most so many, drawn by cluster, all if None."""

    rows: int | None = MOST_ROWS


def write_plotly(source: ExportSource, path: Path, options: PlotlyOptions | None = None) -> int:
    """Write one HTML file with plotly.js in it, whole or not at all.

    Returns how many points it has. Raises InputError for a map without records, MissingExtraError
    without Plotly, OSError where the file cannot be written.
    """
    options = options or PlotlyOptions()
    to_html = page_maker()
    source.require_records()
    rows = source.some(options.rows)
    figure = {"data": list(_traces(source, rows)), "layout": _layout(source, len(rows))}
    page = to_html(
        figure,
        config=_CONFIG,
        include_plotlyjs=True,
        validate=False,
        div_id="lookalike-map",
        default_height="100%",
    )
    encoded = page.encode("utf-8")
    write_whole(path, lambda file: file.write(encoded))
    return len(rows)


def page_maker() -> Any:
    """What makes a page of a figure; MissingExtraError without Plotly."""
    try:
        from plotly.io import to_html
    except ImportError as error:
        raise MissingExtraError("a page by Plotly", "plotly") from error
    return to_html


def _traces(source: ExportSource, rows: Rows) -> list[dict[str, Any]]:
    """A trace per cluster, the largest first."""
    of = source.of[rows]
    clusters = source.levels[-1].clusters if source.levels else ()
    largest = sorted(range(len(clusters)), key=lambda one: -clusters[one].size)[:MOST_TRACES]
    group = np.full(len(clusters) + 1, MOST_TRACES, np.int64)  # the last is of cluster -1
    group[largest] = np.arange(len(largest))
    group[-1] = MOST_TRACES + 1
    names = {place: printable(clusters[number].name) for place, number in enumerate(largest)}
    names |= {MOST_TRACES: OTHERS, MOST_TRACES + 1: LOOSE}
    colours = colours_of(source, Page.of(source.chart, PosterOptions()))[rows]
    hover = _hover(source, rows)
    members = group[of]
    return [
        _trace(source, names[place], rows, np.flatnonzero(members == place), colours, hover)
        for place in sorted({*members.tolist()})
    ]


def _trace(
    source: ExportSource, name: str, rows: Rows, own: Rows, colours: Any, hover: list[str]
) -> dict[str, Any]:
    """The points ``own`` of those drawn, in the colour that most of their clusters have."""
    positions = source.chart.positions[rows[own]].astype(np.float64).round(4)
    flat = positions.shape[1] == 2
    red, green, blue = colours[own[0]].tolist()
    return {
        "type": "scattergl" if flat else "scatter3d",
        "mode": "markers",
        "name": html.escape(name),
        **{axis: positions[:, place].tolist() for place, axis in enumerate("xyz"[: 3 - flat])},
        "text": [hover[place] for place in own.tolist()],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 4 if flat else 2, "color": f"rgb({red},{green},{blue})", "opacity": 0.8},
    }


def _hover(source: ExportSource, rows: Rows) -> list[str]:
    """What is told of every row: path, names of its clusters, what it shows."""
    told = []
    for piece, facts in source.described(rows):
        for row, fact in zip(piece.tolist(), facts, strict=True):
            names = dict.fromkeys(source.name_of(level, row) for level in source.levels)
            lines = [fact.path, " › ".join(filter(None, names)), fact.category, fact.label]
            told.append("<br>".join(html.escape(printable(line)) for line in lines if line))
    return told


def _layout(source: ExportSource, shown: int) -> dict[str, Any]:
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    title = f"{footer(source)} · {shown:,} shown"
    return {
        "title": {"text": html.escape(title), "font": {"size": 14}},
        "hovermode": "closest",
        "dragmode": "pan" if source.chart.positions.shape[1] == 2 else "turntable",
        "xaxis": hidden,
        "yaxis": {**hidden, "scaleanchor": "x"},
        "scene": {"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data"},
        "legend": {"itemsizing": "constant"},
        "margin": {"l": 10, "r": 10, "t": 40, "b": 10},
        "template": {"layout": {"paper_bgcolor": "white", "plot_bgcolor": "white"}},
    }
