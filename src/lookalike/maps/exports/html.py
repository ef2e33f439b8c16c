"""The map page as one file that needs no server: the points, their pictures and names within.

What lies in it is told in frontend/README.md; the page itself is handed in, since it belongs to
``web``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lookalike.maps import packets
from lookalike.maps.base import Level, PictureMap
from lookalike.maps.colourings import Colouring, grouped
from lookalike.maps.exemplars import still_shown
from lookalike.maps.exports.source import ExportSource, RowFacts, Rows
from lookalike.maps.sheets import sheet_packet
from lookalike.types import FloatArray, as_text
from lookalike.writing import write_whole

Document: TypeAlias = Callable[
    [Mapping[str, Any], Mapping[str, Sequence[str]], Mapping[str, bytes]], str
]
"""Makes the page from facts, records by column, and packets by name."""

MOST_ROWS = 20_000
"""A picture takes about 2 KB."""

SHEET = 1_024
"""Thumbnails of a sheet; the page opens a few of them at a time."""

ALIKE = 24
"""Neighbours of a record that are kept in the page."""

_DISTANCES = 16_000_000
"""That are held at a time: 64 MB."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """``rows``: at most so many, drawn by cluster, all if None; ``tile``: pixels of a picture."""

    rows: int | None = MOST_ROWS
    tile: int = 64


def write_html(
    source: ExportSource, path: Path, document: Document, options: PageOptions | None = None
) -> int:
    """Write the page whole or not at all; returns how many records are in it.

    Raises InputError for a map without records, OSError where the file cannot be written.
    """
    options = options or PageOptions()
    source.require_records()
    rows = np.sort(source.some(options.rows))
    chart = part_of(source.chart, rows)
    known = [fact for _, facts in source.described(rows) for fact in facts]
    colourings = dict(_colourings(known))
    facts = packets.facts(chart, [(name, title) for name, (title, _) in colourings.items()])
    contents = {
        "points": packets.points(chart),
        **_colouring_packets(chart, colourings),
        "neighbours": packets.neighbours(nearest(source.points()[rows], ALIKE)),
        **dict(_sheets(source, chart, rows, options.tile)),
    }
    records = {
        "ids": [str(id_) for id_ in source.ids(rows)],
        "paths": [as_text(fact.path) for fact in known],
        "captions": [_caption(fact) for fact in known],
    }
    page = document(facts, records, contents).encode("utf-8")
    write_whole(path, lambda file: file.write(page))
    return len(rows)


def part_of(chart: PictureMap, rows: Rows) -> PictureMap:
    """The map of some of its rows; its clusters have the size and the exemplars that are left.

    Without the tree: a page without a server cannot cut it anew.
    """
    ids = chart.ids[rows]
    levels = tuple(
        Level(level.of[rows], still_shown(level.clusters, level.of[rows], ids))
        for level in chart.clustering.levels
    )
    return replace(
        chart,
        ids=ids,
        positions=chart.positions[rows],
        placed=chart.placed[rows],
        clustering=replace(chart.clustering, levels=levels, tree=None),
    )


def _colourings(known: Sequence[RowFacts]) -> Iterator[tuple[str, tuple[str, Colouring]]]:
    """By what the points can be coloured beside their clusters: names, titles, groups."""
    folders = [os.path.basename(os.path.dirname(as_text(fact.path))) or None for fact in known]
    kinds = {
        "category": ("Category", [fact.category or None for fact in known]),
        "label": ("Label", [fact.label or None for fact in known]),
        "folder": ("Folder", folders),
        "year": ("Year taken", [fact.taken[:4] or None for fact in known]),
    }
    for name, (title, values) in kinds.items():
        if len({*values} - {None}) > 1:
            yield name, (title, grouped(values))


def _colouring_packets(
    chart: PictureMap, colourings: Mapping[str, tuple[str, Colouring]]
) -> dict[str, bytes]:
    titles = packets.level_titles(chart)
    found = {}
    for number, (level, title) in enumerate(zip(chart.clustering.levels, titles, strict=False)):
        name = packets.level_name(number)
        found[f"colouring-{name}"] = packets.level_colouring(level, name, title)
    for name, (title, one) in colourings.items():
        made = packets.colouring(name, title, one.kind, one.entries(), one.of)
        found[f"colouring-{name}"] = made
    return found


def _sheets(
    source: ExportSource, chart: PictureMap, rows: Rows, tile: int
) -> Iterator[tuple[str, bytes]]:
    """All thumbnails; those of a sheet lie near each other, so that a view needs few sheets."""
    order = along(chart.positions)
    for number, start in enumerate(range(0, len(order), SHEET)):
        some = order[start : start + SHEET]
        jpegs = source.thumbnails(source.ids(rows[some]))
        yield f"sheet-{number}", sheet_packet(some.tolist(), jpegs, tile)


def along(positions: FloatArray) -> Rows:
    """Rows in an order in which near ones mostly follow each other (G. M. Morton, 1966)."""
    cells = np.clip((positions[:, :2] + 1) * 512, 0, 1023).astype(np.int64)
    code = np.zeros(len(cells), np.int64)
    for bit in range(10):
        for axis in (0, 1):
            code |= ((cells[:, axis] >> bit) & 1) << (2 * bit + axis)
    order: Rows = np.argsort(code, kind="stable")
    return order


def nearest(points: FloatArray, k: int) -> Rows:
    """The k nearest others of every row, int64 (n, k'), the nearest first; k' at most n - 1."""
    n = len(points)
    k = min(k, n - 1)
    found = np.empty((n, k), np.int64)
    points = points - points.mean(axis=0)
    lengths = np.square(points).sum(axis=1)
    step = max(1, _DISTANCES // n)
    for start in range(0, n if k else 0, step):
        some = np.arange(start, min(n, start + step))
        distances = lengths - 2 * (points[some] @ points.T)
        distances[np.arange(len(some)), some] = np.inf
        few = np.argpartition(distances, k - 1, axis=1)[:, :k]
        own = np.take_along_axis(distances, few, axis=1)
        found[some] = np.take_along_axis(few, np.argsort(own, axis=1, kind="stable"), axis=1)
    return found


def _caption(fact: RowFacts) -> str:
    size = f"{fact.width} x {fact.height}" if fact.width else ""
    taken = fact.taken.replace("T", " ")
    return " · ".join(filter(None, (as_text(fact.label), fact.category, size, taken)))
