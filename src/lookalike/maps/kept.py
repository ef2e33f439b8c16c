"""Layouts and clusters on disk, under ``derived/maps``: a folder a layout, in it one a clustering.

See docs/storage-format.md for the files. Deleting any of it is always safe. A set of files has one
stem that names what it holds; its JSON file is written last and makes the set count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.indexes.derived import DAMAGED, DerivedFolder, array_writer, digest
from lookalike.indexes.graph import Reduction
from lookalike.indexes.regions import Regions
from lookalike.maps.base import Cluster, Clustering, Level, MapOptions, Parameters, Tree
from lookalike.maps.clusters.grouping import Grouping
from lookalike.maps.placing import REFIT_FAR, REFIT_PLACED
from lookalike.maps.soundness import (
    check_array,
    check_clustering,
    check_grouping,
    check_options,
    check_parameters,
    check_reduction,
)
from lookalike.stores.base import IdentifiedRows
from lookalike.types import FloatArray, IdArray

_VERSION = "v1"
_LAYOUT = "layout.json"
_GROUPING = "grouping.json"
_CLUSTERS = "clusters.json"

_UNSOUND = (*DAMAGED, ArithmeticError, AttributeError, InputError, TypeError)
"""What reading a set raises that is damaged, or says what cannot be."""


@dataclass(frozen=True)
class Layout:
    """Positions with what places further records beside them.

    ``ids`` V16 (n,), ``positions`` float32 (n, dims), ``placed`` and ``far`` bool (n,) as in
    ``placing``; ``regions`` of these rows and ``reduction`` as in Ground; ``reach`` as in
    ``placing.place``; ``source_rows`` and ``source_digest``: what the table began with.
    """

    options: MapOptions
    ids: IdArray
    positions: FloatArray
    placed: NDArray[np.bool_]
    far: NDArray[np.bool_]
    regions: Regions
    reduction: Reduction
    reach: float
    parameters: Parameters
    source_rows: int
    source_digest: str

    @property
    def digest(self) -> str:
        """Of which rows lie where."""
        return digest(self.ids, self.positions)


def layout_name(options: MapOptions, space: str) -> str:
    """The name of a layout's folder, and of its map in addresses: letters, digits, "-", "."."""
    where = ""
    if options.where is not None:
        where = "-where" + hashlib.sha256(options.where.encode("utf-8", "replace")).hexdigest()[:8]
    seed = f"-seed{options.seed}" if options.seed else ""
    by = "colour" if options.by == "colour" else f"meaning-{space}"
    return f"{re.sub(r'[^A-Za-z0-9.-]', '_', by)}-{options.method}-{options.dims}d{where}{seed}"


def layout_key(options: MapOptions, space: str) -> MapOptions:
    """What of the options a layout depends on: equal for equal layouts."""
    return replace(options, clusters="hdbscan", count=None, space=space)


def clusters_name(options: MapOptions) -> str:
    """The name of a clustering's folder."""
    return options.clusters + ("" if options.count is None else f"-{options.count}")


class LayoutFolder:
    """One layout and its clusterings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._derived = DerivedFolder(folder)

    def load(self) -> Layout | None:
        """The kept layout, or None."""
        for stem, facts in _sets(self.folder, _LAYOUT):
            with contextlib.suppress(*_UNSOUND):
                return self._read(stem, facts)
        return None

    def _read(self, stem: str, facts: Mapping[str, Any]) -> Layout:
        options = MapOptions(**facts["options"])
        check_options(options)
        arrays = {
            name: self._derived.array(f"{stem}.{name}.npy")
            for name in ("ids", "positions", "placed", "far", "of")
        }
        with open(self.folder / f"{stem}.space.npz", "rb") as file:
            stored = np.load(file, allow_pickle=False)
            reduction = Reduction(stored["mean"], stored["axes"])
            centres = stored["centres"]
        rows = len(arrays["ids"])
        for name, dtype, shape in (
            ("ids", "V16", (rows,)),
            ("positions", "f4", (rows, options.dims)),
            ("placed", "?", (rows,)),
            ("far", "?", (rows,)),
            ("of", "i4", (rows,)),
        ):
            check_array(name, arrays[name], dtype, shape)
        regions = Regions(centres, arrays["of"])
        check_reduction(reduction, centres)
        check_parameters(facts["parameters"])
        if not -1 <= int(regions.of.min()) <= int(regions.of.max()) < len(centres):
            raise ValueError(f"{stem}: regions out of range")
        layout = Layout(
            options, arrays["ids"], arrays["positions"], arrays["placed"], arrays["far"], regions,
            reduction, float(facts["reach"]), facts["parameters"], int(facts["source_rows"]),
            str(facts["source_digest"]),
        )  # fmt: skip
        if not layout.reach >= 0 or layout.source_rows < 1 or stem != _layout_stem(layout):
            raise ValueError(f"{stem}: was changed")
        return layout

    def keep(self, layout: Layout) -> None:
        """Replace the kept layout."""

        def write_space(path: Path) -> None:
            with open(path, "wb") as file:
                np.savez(
                    file,
                    mean=layout.reduction.mean,
                    axes=layout.reduction.axes,
                    centres=layout.regions.centres,
                )

        facts = {
            "format_version": 1,
            "options": asdict(layout_key(layout.options, str(layout.options.space))),
            "parameters": dict(layout.parameters),
            "reach": layout.reach,
            "source_rows": layout.source_rows,
            "source_digest": layout.source_digest,
        }
        self._derived.keep_set(
            _layout_stem(layout),
            {
                "ids.npy": array_writer(layout.ids),
                "positions.npy": array_writer(layout.positions),
                "placed.npy": array_writer(layout.placed),
                "far.npy": array_writer(layout.far),
                "of.npy": array_writer(layout.regions.of),
                "space.npz": write_space,
                _LAYOUT: _json_writer(facts),
            },
        )

    # -- clusterings -----------------------------------------------------------------------------

    def clusterings(self) -> list[str]:
        """Names of the kept clusterings, by name."""
        return sorted(path.parent.name for path in self.folder.glob(f"clusters/*/*.{_CLUSTERS}"))

    def load_clusters(self, name: str, layout: Layout) -> Clustering | None:
        """A kept clustering of this layout, or None."""
        rows, dims = layout.positions.shape
        for stem, facts in _sets(self.folder / "clusters" / name, _CLUSTERS):
            if stem == f"{_VERSION}-{layout.digest}":
                with contextlib.suppress(*_UNSOUND):
                    clustering = self._read_clusters(name, stem, facts)
                    check_clustering(clustering, rows, dims)
                    return clustering
        return None

    def _read_clusters(self, name: str, stem: str, facts: Mapping[str, Any]) -> Clustering:
        derived = DerivedFolder(self.folder / "clusters" / name)
        of = derived.array(f"{stem}.of.npy")
        levels = []
        for row, clusters in zip(of, facts["levels"], strict=True):
            levels.append(Level(row, tuple(map(Cluster.from_dict, clusters))))
        tree = None
        if facts["tree"]:
            tree = Tree(derived.array(f"{stem}.leaf.npy"), derived.array(f"{stem}.merges.npy"))
        return Clustering(facts["method"], facts["parameters"], tuple(levels), tree)

    def load_grouping(self, name: str, layout: Layout) -> Grouping | None:
        """Clusters of this layout that had no names yet, or None."""
        for stem, facts in _sets(self.folder / "clusters" / name, _GROUPING):
            if stem == f"{_VERSION}-{layout.digest}":
                with contextlib.suppress(*_UNSOUND):
                    grouping = self._read_grouping(name, stem, facts)
                    check_grouping(grouping, len(layout.ids))
                    return grouping
        return None

    def _read_grouping(self, name: str, stem: str, facts: Mapping[str, Any]) -> Grouping:
        derived = DerivedFolder(self.folder / "clusters" / name)
        tree = None
        if facts["tree"]:
            tree = Tree(derived.array(f"{stem}.leaf.npy"), derived.array(f"{stem}.merges.npy"))
        coarser = tuple(np.array(parents, np.int32) for parents in facts["coarser"])
        finest = derived.array(f"{stem}.finest.npy")
        return Grouping(finest, facts["parameters"], tree, coarser)

    def keep_grouping(self, name: str, layout: str, grouping: Grouping) -> None:
        """Keep clusters that have no names yet."""
        facts = {
            "format_version": 1,
            "parameters": dict(grouping.parameters),
            "coarser": [parents.tolist() for parents in grouping.coarser],
            "tree": grouping.tree is not None,
        }
        files = {"finest.npy": array_writer(grouping.of), **_tree_files(grouping.tree)}
        files[_GROUPING] = _json_writer(facts)
        DerivedFolder(self.folder / "clusters" / name).keep_set(f"{_VERSION}-{layout}", files)

    def keep_clusters(self, name: str, layout: str, clustering: Clustering) -> None:
        """Keep a clustering of the layout with this digest, instead of an older one."""
        facts = {
            "format_version": 1,
            "method": clustering.method,
            "parameters": dict(clustering.parameters),
            "levels": [[one.to_dict() for one in level.clusters] for level in clustering.levels],
            "tree": clustering.tree is not None,
        }
        levels = np.stack([level.of for level in clustering.levels])
        files = {"of.npy": array_writer(levels), **_tree_files(clustering.tree)}
        files[_CLUSTERS] = _json_writer(facts)
        DerivedFolder(self.folder / "clusters" / name).keep_set(f"{_VERSION}-{layout}", files)


def _tree_files(tree: Tree | None) -> dict[str, Callable[[Path], None]]:
    if tree is None:
        return {}
    return {"leaf.npy": array_writer(tree.leaf), "merges.npy": array_writer(tree.merges)}


def kept_layouts(folder: Path) -> list[LayoutFolder]:
    """The layouts under ``derived/maps``, by name."""
    return [
        LayoutFolder(path)
        for path in sorted(folder.glob("*"))
        if path.is_dir() and any(path.glob(f"{_VERSION}-*.{_LAYOUT}"))
    ]


@dataclass(frozen=True)
class MapState:
    """How a kept layout stands to its library.

    ``records`` on it, ``placed`` of them by their neighbours, ``far`` of these from all others;
    ``waiting``: live records that are not on it and will be placed when it is opened, 0 for a map
    of some records only; ``refit``: whether it pays to make it anew.
    """

    name: str
    options: MapOptions
    records: int
    placed: int
    far: int
    waiting: int
    refit: bool


def states(folder: Path, sources: Callable[[MapOptions], IdentifiedRows | None]) -> list[MapState]:
    """The layouts under ``derived/maps`` beside what the library has now.

    ``sources``: the rows that a map with these options is made from; None if there are none.
    """
    found = []
    for kept in kept_layouts(folder):
        layout = kept.load()
        table = None if layout is None else sources(layout.options)
        if layout is not None and table is not None:
            found.append(_state(kept.folder.name, layout, table))
    return found


def _state(name: str, layout: Layout, table: IdentifiedRows) -> MapState:
    there = table.rows_of(layout.ids) >= 0
    records, placed = int(there.sum()), int((there & layout.placed).sum())
    far = int((there & layout.far).sum())
    waiting = 0 if layout.options.where else int(table.live.sum()) - records
    total = max(1, records + waiting)
    refit = placed + waiting >= REFIT_PLACED * total or far >= REFIT_FAR * total
    return MapState(name, layout.options, records, placed, far, waiting, refit)


def _layout_stem(layout: Layout) -> str:
    return f"{_VERSION}-{len(layout.ids)}-{layout.digest}"


def _sets(folder: Path, last: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Stems of complete sets and what their JSON says."""
    for path in sorted(folder.glob(f"{_VERSION}-*.{last}")):
        with contextlib.suppress(*DAMAGED):
            yield path.name.removesuffix(f".{last}"), json.loads(path.read_text("utf-8"))


def _json_writer(value: Mapping[str, Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(json.dumps(value, indent=1), "utf-8", newline="\n")

    return write
