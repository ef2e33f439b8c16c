"""Another number of clusters: the tree of a map, cut anew."""

from __future__ import annotations

from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.maps import PictureMap, packets


def cut(chart: PictureMap, library: Library, count: int) -> bytes:
    """A colouring of ``count`` clusters, with the facts of each beside its legend."""
    tree = chart.clustering.tree
    if tree is None:
        raise InputError(
            f"clusters {chart.clustering.method}: keep no tree; make the map with"
            " --clusters agglomerative"
        )
    highest = len(tree.merges) + 1
    if not 2 <= count <= highest:
        raise InputError(f"count {count}: this map can be cut into 2 to {highest} clusters")
    level = library.map_cut(chart, count)
    head = {
        "name": f"cut-{count}",
        "title": f"{count} clusters",
        "kind": "clusters",
        "legend": [{"label": one.name, "count": one.size} for one in level.clusters],
        "level": [one.to_dict() for one in level.clusters],
    }
    return packets.packet(head, packets.codes(level.of).tobytes())
