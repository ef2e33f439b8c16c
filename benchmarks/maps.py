"""Maps: what each layout keeps, what placing loses, and what half a million records take.

    python benchmarks/maps.py LIBRARY [--large LIBRARY ...]

LIBRARY is of photos in class folders. Every engine lays it out: ``purity`` is the share of the ten
nearest that are of the same class, on the map and in the 64 dimensions it was made from; further
scores as ``lookalike map study`` has them. Then a part of the records is laid out and the rest
placed: a share drawn evenly, and whole classes that the map has not seen; purity of the placed.

For each ``--large`` library ``lookalike map --refit`` runs as a process, with what it had made
before deleted: seconds of each step, the most memory. Then 10,000 of its records are placed on a
map of the others, and the layout is made again: equal bit for bit? Results: maps.json, maps-large.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import common
import numpy as np

from lookalike import Library
from lookalike.maps import MapOptions
from lookalike.maps import layout as layouts
from lookalike.maps.evidence import Evidence
from lookalike.maps.ground import Ground, Meaning, ground_of
from lookalike.maps.kept import Layout, LayoutFolder, layout_name
from lookalike.maps.making import MapMaker
from lookalike.maps.scores import label_purity, score_layout
from lookalike.query.tables import Tables

SHARES = (0.05, 0.2, 0.5, 0.9)
CLASSES = (1, 5, 20)
PLACED = 10_000

USUAL = MapOptions()
LAYOUTS = {
    "tsne 2-D": (USUAL, None),
    "umap 2-D": (MapOptions(method="umap"), None),
    "umap 3-D": (MapOptions(method="umap", dims=3), None),
    "tsne 2-D by openTSNE": (USUAL, layouts.opentsne),
    "tsne 3-D by openTSNE": (MapOptions(dims=3), layouts.opentsne),
}


def main() -> None:
    parser = common.library_parser(__doc__, "maps")
    parser.add_argument("--large", type=Path, nargs="*", default=[], metavar="LIBRARY")
    options = parser.parse_args()
    common.require(parser, options, *([] if options.large else ["library"]))
    if options.large:
        large = {"provenance": common.provenance(), "runs": [*map(run, options.large)]}
        common.write("maps-large", large)
    if options.library or options.short:
        with common.opened(options) as library:
            result = {"provenance": common.provenance()}
            result |= on_classes(library, short=options.short)
            if options.short:
                result["large"] = run(library.folder)
        common.deliver(options.name, result, short=options.short)


# -- classes ---------------------------------------------------------------------------------------


def on_classes(library: Library, *, short: bool) -> dict[str, Any]:
    tables = library._current()
    source = Meaning(tables.vectors, tables.graph_by_rows)
    ground = ground_of(source, tables.vectors.live)
    labels = classes_of(library, ground)
    every = np.arange(len(labels))
    return {
        "records": len(labels),
        "purity_of_space": round(label_purity(ground.points, labels, every), 4),
        "layouts": {
            name: laid_out(ground, labels, *how)
            for name, how in LAYOUTS.items()
            if not short or how[0].dims == 2
        },
        "placed": [*placing(tables, labels, SHARES[1:2] if short else SHARES)],
    }


def classes_of(library: Library, ground: Ground) -> np.ndarray:
    """The number of every record's folder, int32 (n,)."""
    ids = [UUID(bytes=id_.tobytes()) for id_ in ground.ids]
    paths = library._reader().paths(ids)
    return np.unique([Path(own[0]).parent.name for own in paths], return_inverse=True)[1].astype(
        np.int32
    )


def laid_out(ground: Ground, labels: np.ndarray, options: MapOptions, engine: Any) -> Any:
    """Seconds and scores of a layout, and whether it repeats exactly."""
    started = time.perf_counter()
    positions, parameters = layouts.lay_out(ground, options) if engine is None else (
        engine(ground, options)
    )  # fmt: skip
    seconds = time.perf_counter() - started
    again = layouts.lay_out(ground, options)[0] if engine is None else None
    scores = score_layout(
        ground.points, np.asarray(positions, np.float32), labels, sample=len(labels)
    )
    return {
        "seconds": round(seconds, 2),
        "parameters": dict(parameters),
        **scores.to_dict(),
        "repeats": None if again is None else bool((again == positions).all()),
    }


def placing(tables: Tables, labels: np.ndarray, shares: Sequence[float]) -> Any:
    rng = np.random.default_rng(0)
    live = np.flatnonzero(tables.vectors.live)
    drawn = rng.random(len(labels))
    order = rng.permutation(int(labels.max()) + 1)
    later = {f"{share:.0%} of the records": drawn < share for share in shares}
    classes = CLASSES if len(shares) > 1 else ()
    later |= {f"{count} classes": np.isin(labels, order[:count]) for count in classes}
    for name, rows in later.items():
        if rows.all() or not rows.any():
            continue
        with tempfile.TemporaryDirectory() as folder:
            layout, _ = followed(Path(folder), tables, live[~rows])
        own = labels[np.searchsorted(live, tables.vectors.rows_of(layout.ids))]
        placed = np.flatnonzero(layout.placed)
        yield {
            "later": name,
            "placed": round(float(layout.placed.mean()), 4),
            "far": round(float(layout.far.mean()), 4),
            "purity_of_placed": round(label_purity(layout.positions, own, placed), 4),
            "purity": round(label_purity(layout.positions, own, np.arange(len(own))), 4),
        }


def followed(folder: Path, tables: Tables, first: np.ndarray) -> tuple[Layout, float]:
    """The layout of the ``first`` rows with all others placed, and the seconds of placing."""
    source = Meaning(tables.vectors, tables.graph_by_rows)
    wanted = np.zeros(len(tables.vectors.ids), bool)
    wanted[first] = True
    options = replace(USUAL, clusters="kmeans", count=2)
    kept = LayoutFolder(folder / layout_name(options, tables.space.name))

    def maker(rows: np.ndarray) -> MapMaker:
        return MapMaker(folder, source, rows, tables.space.name, Evidence.gather, lambda name: None)

    maker(wanted).map(options)
    started = time.perf_counter()
    maker(tables.vectors.live).map(options)
    seconds = time.perf_counter() - started
    layout = kept.load()
    assert layout is not None
    return layout, seconds


# -- large -----------------------------------------------------------------------------------------


def run(folder: Path) -> dict[str, Any]:
    """``lookalike map`` on a library without anything made before; placing; repeating."""
    for name in ("maps", "graph"):
        shutil.rmtree(folder / "derived" / name, ignore_errors=True)
    child = Path(__file__).with_name("maps_child.py")
    with tempfile.TemporaryDirectory() as scratch:
        steps = Path(scratch) / "steps.json"
        done = common.watched([sys.executable, child, steps, folder]).checked()
        result = {"folder": folder.name, "load": common.provenance()["load_before"],
                  **json.loads(steps.read_text()), "seconds": round(done.seconds, 1),
                  "cpu_seconds": round(done.cpu_seconds, 1)}  # fmt: skip
    with Library.open(folder) as library, tempfile.TemporaryDirectory() as scratch:
        chart = library.map()
        live = np.flatnonzero(library._current().vectors.live)
        later = np.random.default_rng(0).choice(len(live), min(PLACED, len(live) // 10), False)
        first = np.delete(live, later)
        layout, seconds = followed(Path(scratch), library._current(), first)
        result["placing"] = {"records": int(layout.placed.sum()), "seconds": round(seconds, 1)}
        again = library.map(refit=True)
        result["repeats"] = bool((again.positions == chart.positions).all())
        points = library.map_points(chart)
        result["scores"] = score_layout(points, chart.positions).to_dict()
    return result


if __name__ == "__main__":
    main()
