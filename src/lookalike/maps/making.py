"""The path to a map: ground, layout, clusters, names; each step is kept, and none is done twice.

A kept layout follows the library: records that are gone leave it, new ones are placed by their
neighbours, and join the clusters that most of these are in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.indexes.regions import Regions, Rows
from lookalike.maps.base import Clustering, Level, MapOptions, PictureMap, Tree
from lookalike.maps.clusters import check_parts, group, recut
from lookalike.maps.clusters.grouping import Grouping
from lookalike.maps.evidence import Evidence
from lookalike.maps.exemplars import still_shown
from lookalike.maps.ground import Source, ground_of, nearest_known
from lookalike.maps.kept import Layout, LayoutFolder, clusters_name, layout_key, layout_name
from lookalike.maps.layout import check_layout, lay_out
from lookalike.maps.names import describe
from lookalike.maps.placing import FAR_SHARE, PLACED_BY, majority, place
from lookalike.types import FloatArray, IdArray

Gather = Callable[[IdArray], Evidence]
"""Gives what may name the clusters of some records."""

Stage = Callable[[str], None]


class MapMaker:
    """Makes and keeps maps of the rows ``wanted`` bool (n,) of a source, under ``folder``.

    ``space``: the name of the source's space; ``gather``: what clusters are named by; ``stage`` is
    called with what is being done.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        wanted: NDArray[np.bool_],
        space: str,
        gather: Gather,
        stage: Stage,
    ) -> None:
        self._folder = folder
        self._source = source
        self._wanted = wanted
        self._space = space
        self._gather = gather
        self._stage = stage

    def map(self, options: MapOptions, *, refit: bool = False) -> PictureMap:
        """The map with these options: the kept one, brought up to date, or a new one.

        ``refit`` makes it anew. Raises InputError where there is no record for it or are too many,
        MissingExtraError where something must be made and what makes it is not installed.
        """
        if not self._wanted.any():
            raise InputError("no record for a map; index a folder, or change the condition")
        kept = LayoutFolder(self._folder / layout_name(options, self._space))
        layout = None if refit else kept.load()
        points: FloatArray | None = None
        if layout is not None and self._fits(layout, options):
            layout = self._updated(kept, layout)
        else:
            check_layout(options, int(self._wanted.sum()))
            check_parts(options.clusters)
            layout, points = self._laid_out(options)
            kept.keep(layout)
        clustering = None if refit else kept.load_clusters(clusters_name(options), layout)
        if clustering is None:
            if points is None:
                points = self._points(layout)
            clustering = self._clusters(kept, layout, points, options, anew=refit)
        return PictureMap(
            replace(options, space=self._space), layout.ids, layout.positions, layout.placed,
            clustering, layout.parameters,
        )  # fmt: skip

    def points(self, chart: PictureMap) -> FloatArray:
        """The points of a map's rows, float32 (n, d)."""
        kept = LayoutFolder(self._folder / layout_name(chart.options, self._space)).load()
        reduction = self._source.fit() if kept is None else kept.reduction
        return self._source.points(reduction)[self._rows(chart.ids)]

    def _fits(self, layout: Layout, options: MapOptions) -> bool:
        """Whether a layout is what is asked for, of this source, with some left to place others."""
        if layout_key(layout.options, self._space) != layout_key(options, self._space):
            return False
        if len(layout.reduction.mean) != self._source.dim:
            return False
        rows = layout.source_rows
        table = self._source.table
        if rows > len(table.ids) or self._source.digest(rows) != layout.source_digest:
            return False
        return bool((self._stays(layout)[1] & ~layout.placed).any())

    def _rows(self, ids: IdArray) -> NDArray[np.int64]:
        return self._source.table.rows_of(ids)

    def _stays(self, layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows of a layout's records, and which of them are still to be on the map."""
        rows = self._rows(layout.ids)
        return rows, (rows >= 0) & self._wanted[rows]

    # -- layout ----------------------------------------------------------------------------------

    def _laid_out(self, options: MapOptions) -> tuple[Layout, FloatArray]:
        """A new layout, and the points that it was made from."""
        self._stage("neighbours")
        ground = ground_of(self._source, self._wanted)
        self._stage("layout")
        positions, parameters = lay_out(ground, options)
        rows = len(ground.ids)
        last = ground.distances[:, : min(PLACED_BY, rows - 1)]
        reach = float(np.quantile(last[:, -1], FAR_SHARE)) if rows > 1 else np.inf
        none = np.zeros(rows, bool)
        source_rows = len(self._source.table.ids)
        return Layout(
            replace(options, space=self._space), ground.ids, positions, none, none, ground.regions,
            ground.reduction, reach, parameters, source_rows, self._source.digest(source_rows),
        ), ground.points  # fmt: skip

    def _updated(self, kept: LayoutFolder, layout: Layout) -> Layout:
        """The layout with what the library has now."""
        rows, stays = self._stays(layout)
        new = self._wanted.copy()
        new[rows[stays]] = False
        if stays.all() and not new.any():
            return layout
        self._stage("placing what is new")
        added = np.flatnonzero(new)
        old = _without(layout, stays)
        near = np.empty((0, PLACED_BY), np.int32)
        updated = old
        if len(added):
            points = self._source.points(layout.reduction)
            updated, near = _with(old, points[rows[stays]], points[added], self._ids(added))
        kept.keep(updated)
        for name in kept.clusterings():
            clustering = kept.load_clusters(name, layout)
            if clustering is not None:
                followed = _followed(clustering, stays, near, updated)
                kept.keep_clusters(name, updated.digest, followed)
        return updated

    def _ids(self, rows: NDArray[np.int64]) -> IdArray:
        return self._source.table.ids[rows]

    # -- clusters --------------------------------------------------------------------------------

    def _points(self, layout: Layout) -> FloatArray:
        """The points of a layout's rows, float32 (n, d)."""
        return self._source.points(layout.reduction)[self._rows(layout.ids)]

    def _clusters(
        self,
        kept: LayoutFolder,
        layout: Layout,
        points: FloatArray,
        options: MapOptions,
        *,
        anew: bool,
    ) -> Clustering:
        """Clusters with names; those that have none yet are taken up, unless ``anew``."""
        check_parts(options.clusters)
        name, digest = clusters_name(options), layout.digest
        grouping = None if anew else kept.load_grouping(name, layout)
        if grouping is None:
            asked = options.clusters, points, layout.positions, options.count, options.seed
            grouping = group(*asked, self._stage)
            kept.keep_grouping(name, digest, grouping)
        evidence = self._gather(layout.ids)
        clustering = describe(
            options.clusters, grouping, points, layout.positions, evidence, self._stage
        )
        kept.keep_clusters(name, digest, clustering)
        return clustering


class Cutter:
    """Cuts the tree of a map into other numbers of clusters, each in about a second."""

    def __init__(self, chart: PictureMap, points: FloatArray, evidence: Evidence) -> None:
        """``points`` float32 (n, d) and ``evidence`` of the map's rows.

        Raises MissingExtraError without what names clusters.
        """
        check_parts(chart.clustering.method)
        self.chart = chart
        self._points = points
        self._evidence = evidence

    def cut(self, count: int) -> Clustering:
        """So many clusters, named. Raises InputError for less than 1 and a map without a tree."""
        chart, clustering = self.chart, self.chart.clustering
        made = Grouping(clustering.finest.of, clustering.parameters, clustering.tree)
        grouping = recut(made, self._points, chart.positions, count)
        return describe(clustering.method, grouping, self._points, chart.positions, self._evidence)


def _without(layout: Layout, stays: NDArray[np.bool_]) -> Layout:
    """The layout of the rows that stay."""
    return replace(
        layout,
        ids=layout.ids[stays],
        positions=layout.positions[stays],
        placed=layout.placed[stays],
        far=layout.far[stays],
        regions=Regions(layout.regions.centres, layout.regions.of[stays]),
    )


def _with(
    layout: Layout, points: FloatArray, added: FloatArray, ids: IdArray
) -> tuple[Layout, Rows]:
    """The layout with records placed at its end, and the nearest rows of each, int32 (m, k).

    ``points`` float32 (n, d) of the layout's rows, ``added`` (m, d) of the new ones. Only rows that
    were laid out place others: errors do not add up.
    """
    every = np.concatenate([points, added])
    laid = np.where(layout.placed, np.int32(-1), layout.regions.of)
    free = np.full(len(added), -1, np.int32)
    regions = Regions(layout.regions.centres, np.concatenate([laid, free]).astype(np.int32))
    rows = np.arange(len(points), len(every), dtype=np.int32)
    near, distances = nearest_known(every, regions, rows, PLACED_BY)
    some = near[:, 0] >= 0  # of the others nothing is in the regions that were looked at
    spots = place(layout.positions, near[some], distances[some], layout.reach)
    positions = np.zeros((len(added), layout.positions.shape[1]), np.float32)
    positions[some], far = spots.positions, ~some
    far[some] = spots.far
    return replace(
        layout,
        ids=np.concatenate([layout.ids, ids]),
        positions=np.concatenate([layout.positions, positions]),
        placed=np.concatenate([layout.placed, np.ones(len(added), bool)]),
        far=np.concatenate([layout.far, far]),
        regions=Regions(layout.regions.centres, np.concatenate([layout.regions.of, free])),
    ), near


def _followed(
    clustering: Clustering, stays: NDArray[np.bool_], near: Rows, layout: Layout
) -> Clustering:
    """Clusters of a layout of which rows have gone, and to which others were added at the end."""

    def along(of: NDArray[np.int32]) -> NDArray[np.int32]:
        left = of[stays]
        return np.concatenate([left, majority(left, near)]).astype(np.int32)

    levels = []
    for level in clustering.levels:
        of = along(level.of)
        levels.append(Level(of, still_shown(level.clusters, of, layout.ids)))
    tree = clustering.tree
    if tree is not None:
        tree = Tree(along(tree.leaf), tree.merges)
    return replace(clustering, levels=tuple(levels), tree=tree)
