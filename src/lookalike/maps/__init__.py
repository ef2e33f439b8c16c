"""Maps: all records at once, alike ones beside each other (docs/map.md).

Points (``points``) and the neighbour graph become a layout (``layout``), rows that belong together
clusters (``clusters``), and those get names (``names``). ``making`` is the path through all that.
"""

from lookalike.maps.base import (
    BY,
    CLUSTERINGS,
    METHODS,
    Cluster,
    Clustering,
    Level,
    MapOptions,
    PictureMap,
    Tree,
)

__all__ = [
    "BY", "CLUSTERINGS", "METHODS", "Cluster", "Clustering", "Level", "MapOptions", "PictureMap",
    "Tree",
]  # fmt: skip
