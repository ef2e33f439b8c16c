"""A map in the form in which it travels to the page: facts as JSON, numbers as packets.

A packet is a ``uint32`` length, so many bytes of JSON (padded with blanks to a multiple of 4), and
a payload; everything little-endian. ``frontend/README.md`` lists the packets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.maps.base import SPOKEN, Level, PictureMap

NONE = 0xFFFF
"""The code of a row that belongs to nothing; also the most groups that a colouring can have."""

TITLES = {1: ("Clusters",), 2: ("Clusters, wide", "Clusters"), 3: (
    "Clusters, wide", "Clusters, middle", "Clusters, narrow",
)}  # fmt: skip
"""What levels are called, by their number, from few wide to many narrow clusters."""


def packet(head: Mapping[str, Any], payload: bytes) -> bytes:
    """A packet of a JSON object and numbers."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + payload


def facts(
    chart: PictureMap,
    colourings: Sequence[tuple[str, str]],
    name: str = "map",
    *,
    cuttable: bool = False,
) -> dict[str, Any]:
    """What is told of a map: how it was made, its clusters, and by what it can be coloured.

    ``colourings``: names and titles of those that there are beside the levels of the clusters;
    ``cuttable``: whether who gets this can have the tree of clusters cut anew.
    """
    options, clustering = chart.options, chart.clustering
    levels = clustering.levels
    own = [(level_name(number), title) for number, title in enumerate(level_titles(chart))]
    tree = clustering.tree
    return {
        "name": name,
        "title": title_of(chart),
        "n": len(chart),
        "dims": int(chart.positions.shape[1]),
        "options": {
            "method": options.method,
            "by": options.by,
            "clusters": options.clusters,
            "count": options.count,
            "where": options.where,
            "space": options.space,
            "seed": options.seed,
        },
        "parameters": dict(chart.parameters),
        "clustering": {
            "method": clustering.method,
            "parameters": dict(clustering.parameters),
            "levels": [[cluster.to_dict() for cluster in level.clusters] for level in levels],
            "cut": None
            if tree is None or not cuttable
            else {"lowest": 2, "highest": len(tree.merges) + 1},
        },
        "colourings": [{"name": key, "title": title} for key, title in [*own, *colourings]],
        "placed": int(chart.placed.sum()),
    }


def title_of(chart: PictureMap) -> str:
    """A map in a few words."""
    method = SPOKEN[chart.options.method]
    return f"{len(chart):,} pictures by {chart.options.by}, {method} in {chart.options.dims}-D"


def level_name(number: int) -> str:
    """The name of the colouring by a level of clusters, 0 for the widest."""
    return f"clusters-{number}"


def level_titles(chart: PictureMap) -> tuple[str, ...]:
    """What the levels of a map are called, the widest first."""
    return TITLES.get(len(chart.clustering.levels), TITLES[1])


def points(chart: PictureMap) -> bytes:
    """The packet of all points: positions float32 (n, dims), then clusters uint16 (n,)."""
    positions = np.ascontiguousarray(chart.positions, "<f4")
    n, dims = positions.shape
    of = codes(chart.clustering.finest.of if chart.clustering.levels else np.full(n, -1))
    return packet({"n": n, "dims": dims}, positions.tobytes() + of.tobytes())


def colouring(
    name: str,
    title: str,
    kind: str,
    legend: Sequence[Mapping[str, Any]],
    of: NDArray[np.integer[Any]],
) -> bytes:
    """The packet of a colouring: ``of`` (n,) is the legend's entry of every row, -1 for none."""
    head = {"name": name, "title": title, "kind": kind, "legend": list(legend)}
    return packet(head, codes(of).tobytes())


def level_colouring(level: Level, name: str, title: str) -> bytes:
    """The packet of a colouring by clusters."""
    legend = [{"label": cluster.name, "count": cluster.size} for cluster in level.clusters]
    return colouring(name, title, "clusters", legend, level.of)


def neighbours(rows: NDArray[np.integer[Any]]) -> bytes:
    """The packet of neighbours: rows of the map (n, k), nearest first, -1 for none."""
    n, k = rows.shape
    return packet({"n": n, "k": k}, np.ascontiguousarray(rows, "<i4").tobytes())


def codes(of: NDArray[np.integer[Any]]) -> NDArray[np.uint16]:
    """Numbers of groups as uint16, NONE for -1."""
    if len(of) and int(of.max()) >= NONE:
        raise InputError(f"{int(of.max()) + 1} groups: a map shows at most {NONE}")
    return np.where(of < 0, NONE, of).astype("<u2")
