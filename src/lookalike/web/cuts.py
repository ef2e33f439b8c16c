"""Another number of clusters: the tree of a map, cut anew."""

from __future__ import annotations

from collections.abc import Callable

from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.maps import Level, PictureMap, packets
from lookalike.maps.making import Cutter as MapCutter

Cutter = Callable[[Library, PictureMap, int], Level]
"""Cuts a map's tree into a number of clusters, and names them."""


class TreeCutter:
    """The usual one: by ``Library.map_cutter``, what it read kept for the next number."""

    def __init__(self) -> None:
        self._last: MapCutter | None = None

    def __call__(self, library: Library, chart: PictureMap, count: int) -> Level:
        """``count`` clusters of a map."""
        if self._last is None or self._last.chart is not chart:
            self._last = library.map_cutter(chart)
        return self._last.cut(count).finest


def cut(chart: PictureMap, library: Library, count: int, cutter: Cutter | None) -> bytes:
    """A colouring of ``count`` clusters, with the facts of each beside its legend."""
    tree = chart.clustering.tree
    if tree is None or cutter is None:
        raise InputError(
            f"clusters {chart.clustering.method}: their number cannot be chosen afterwards; make"
            " the map with --clusters agglomerative"
        )
    highest = len(tree.merges) + 1
    if not 2 <= count <= highest:
        raise InputError(f"count {count}: this map can be cut into 2 to {highest} clusters")
    level = cutter(library, chart, count)
    head = {
        "name": f"cut-{count}",
        "title": f"{count} clusters",
        "kind": "clusters",
        "legend": [{"label": one.name, "count": one.size} for one in level.clusters],
        "level": [one.to_dict() for one in level.clusters],
    }
    return packets.packet(head, packets.codes(level.of).tobytes())
