"""The vocabulary of maps: where records lie, which of them belong together, what that is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.types import FloatArray, IdArray

METHODS = ("tsne", "umap")
BY = ("meaning", "colour")
CLUSTERINGS = ("hdbscan", "kmeans", "dbscan", "agglomerative", "evoc")

SPOKEN = {
    "tsne": "t-SNE", "umap": "UMAP", "hdbscan": "HDBSCAN", "kmeans": "k-means", "dbscan": "DBSCAN",
    "agglomerative": "agglomerative", "evoc": "EVoC",
}  # fmt: skip
"""Methods as they are written for people."""

TSNE_3D_ROWS = 50_000
"""Records of a 3-D t-SNE at most; UMAP has no such limit."""

MOST_SEED = 2**32 - 1
"""What generators of random numbers take."""

MOST_CLUSTERS = 1_000_000
"""That can be asked for; there are never more than records."""

Parameters = Mapping[str, float | int | str]
"""What a method was given or found by itself, as it is told to the user."""


@dataclass(frozen=True)
class MapOptions:
    """What a map is asked to be.

    ``method`` of METHODS; ``dims`` 2 or 3; ``by`` of BY; ``clusters`` of CLUSTERINGS, ``count`` of
    them where the method takes a number (found by itself if None); ``where``: a condition that
    keeps to some records; ``space`` by name, the library's default if None; ``seed`` at least 0:
    the same one gives the same map.
    """

    method: str = "tsne"
    dims: int = 2
    by: str = "meaning"
    clusters: str = "hdbscan"
    count: int | None = None
    where: str | None = None
    space: str | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        for name, known in (("method", METHODS), ("by", BY), ("clusters", CLUSTERINGS)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(f"{name} {value!r}: not known; use one of: {', '.join(known)}")
        if self.dims not in (2, 3):
            raise InputError(f"dims {self.dims}: a map has 2 or 3")
        if not 0 <= self.seed <= MOST_SEED:
            raise InputError(f"seed {self.seed}: from 0 to {MOST_SEED}")
        if self.count is not None:
            if self.clusters not in ("kmeans", "agglomerative"):
                raise InputError(
                    f"count {self.count}: {self.clusters} finds the number of clusters itself;"
                    " choose kmeans or agglomerative"
                )
            if not 2 <= self.count <= MOST_CLUSTERS:
                raise InputError(f"count {self.count}: from 2 to {MOST_CLUSTERS} clusters")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Records that belong together.

    ``size`` records; ``name`` for people, ``words`` what else tells it apart, the best first;
    ``medoid`` the record in its middle; ``exemplars`` up to eight that differ, the medoid first;
    ``colours`` as "#rrggbb" with shares that sum to at most 1, the greatest first; ``centre``, in
    coordinates of the map, where its name stands.
    """

    size: int
    name: str
    words: tuple[str, ...]
    medoid: UUID
    exemplars: tuple[UUID, ...]
    colours: tuple[tuple[str, float], ...]
    centre: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "size": self.size,
            "name": self.name,
            "words": list(self.words),
            "medoid": str(self.medoid),
            "exemplars": [str(id_) for id_ in self.exemplars],
            "colours": [[colour, share] for colour, share in self.colours],
            "centre": list(self.centre),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Cluster:
        """The reverse of ``to_dict``."""
        return cls(
            int(value["size"]),
            str(value["name"]),
            tuple(map(str, value["words"])),
            UUID(value["medoid"]),
            tuple(map(UUID, value["exemplars"])),
            tuple((str(colour), float(share)) for colour, share in value["colours"]),
            tuple(map(float, value["centre"])),
        )


@dataclass(frozen=True)
class Level:
    """The clusters of one zoom level: ``of`` int32 (n,) by row of the map, -1 in none."""

    of: NDArray[np.int32]
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True)
class Tree:
    """Which clusters merge into which, so that their number can be chosen afterwards.

    ``leaf`` int32 (n,): the leaf of every row, -1 in none; ``merges`` float64 (leaves - 1, 4) as
    SciPy's linkage matrix.
    """

    leaf: NDArray[np.int32]
    merges: NDArray[np.float64]


@dataclass(frozen=True)
class Clustering:
    """What belongs together on a map: one to three levels, from few wide to many narrow clusters.

    ``method`` of CLUSTERINGS with its ``parameters``; ``tree`` if the method makes one.
    """

    method: str
    parameters: Parameters
    levels: tuple[Level, ...]
    tree: Tree | None = None

    @property
    def finest(self) -> Level:
        """The level with the most clusters: what the method found."""
        return self.levels[-1]


@dataclass(frozen=True)
class PictureMap:
    """Where records lie.

    ``ids`` V16 (n,); ``positions`` float32 (n, dims), within -1..1 around 0, all axes on one scale;
    ``placed`` bool (n,): came later and was placed by its neighbours; ``parameters`` of the layout.
    """

    options: MapOptions
    ids: IdArray
    positions: FloatArray
    placed: NDArray[np.bool_]
    clustering: Clustering
    parameters: Parameters = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)
