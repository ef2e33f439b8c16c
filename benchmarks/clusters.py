"""Clusters and their names: against the folders of real photos, and what they cost at full size.

    python benchmarks/clusters.py [LIBRARY] [--full LIBRARY] [--sheet PNG] [--short]

LIBRARY: Caltech-101's photos in their class folders. Each method groups its map (``Library.map``);
groups are compared with the folders by normalised mutual information and the adjusted Rand index,
once with what is in no cluster as one further group and once without it. Names are made from the
classes that pictures show alone: no word of a folder or file counts. A name fits if the table
``caltech_names.csv``, written before any cluster was named, has it for the folder that most of the
cluster's pictures lie in. ``--full``: seconds, processor seconds and the peak memory of each method
on the map of a large library, in processes of their own, and of gathering and naming. ``--sheet``:
the ten largest clusters and their exemplars as a picture.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import common
import numpy as np
from PIL import Image, ImageDraw

from lookalike import Library
from lookalike.categories import category_tree
from lookalike.maps.base import CLUSTERINGS, Clustering, MapOptions
from lookalike.maps.clusters import Grouping, group, recut
from lookalike.maps.evidence import Evidence
from lookalike.maps.names import describe
from lookalike.present.sheet import FAINT, INK, PAPER, fitted, font_of
from lookalike.stores import SqliteStore
from lookalike.types import FloatArray

TABLE = Path(__file__).parent / "caltech_names.csv"
SHOWN, TILE = 10, 96


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("--full", type=Path)
    parser.add_argument("--methods", default=",".join(CLUSTERINGS))
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what a child process does
    common.add_short(parser)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(alone(Path(options.one[0]), options.one[1])))
        return
    common.require(parser, options, "library")
    methods = options.methods.split(",")
    if options.short:  # without those that compile for half a minute first
        methods = ["kmeans", "dbscan", "agglomerative"]
    result: dict[str, Any] = {"provenance": common.provenance()}
    with common.short_library() if options.short else Library.open(options.library) as library:
        result["folders"] = by_folder(library, methods, options.sheet, short=options.short)
        if options.short:
            result["full"] = at_full_size(library, methods)
    if options.full:
        with Library.open(options.full) as library:
            result["full"] = at_full_size(library, methods)
    common.deliver("clusters", result, short=options.short)


# -- against folders -------------------------------------------------------------------------------


def by_folder(
    library: Library, methods: list[str], sheet: Path | None, *, short: bool
) -> dict[str, Any]:
    chart = library.map(MapOptions())
    points = library.map_points(chart)
    names, classes = folders(library, chart.ids)
    evidence = by_sight(library, chart.ids)
    accepted = accepted_names(names if short else None)
    found: dict[str, Any] = {"records": len(chart), "folders": len(names)}
    for method in methods:
        grouping, seconds = timed(lambda method=method: group(method, points, chart.positions))
        clustering, naming = timed(
            lambda method=method, grouping=grouping: describe(
                method, grouping, points, chart.positions, evidence
            )
        )
        found[method] = {
            **seconds,
            "parameters": dict(grouping.parameters),
            **agreement(classes, grouping),
            "clusters_by_level": [len(level.clusters) for level in clustering.levels],
            "names": {**fits(clustering, classes, names, accepted), "seconds": naming["seconds"]},
            "ten_largest": largest(clustering, classes, names),
        }
        if sheet and method == chart.options.clusters:
            draw(library, clustering, classes, names, sheet)
    return found


def folders(library: Library, ids: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The folders' names, and the number of each record's."""
    records = library.get([UUID(bytes=one.tobytes()) for one in ids])
    of = [Path(record.paths[0]).parent.name for record in records if record is not None]
    names, numbers = np.unique(of, return_inverse=True)
    return names.tolist(), numbers


def by_sight(library: Library, ids: np.ndarray) -> Evidence:
    """Evidence without a word of a path or label: classes and colours."""
    store = SqliteStore(library.folder)
    try:
        index = library._current().labelled_by.categories
        return Evidence.gather(ids, categories=index, histograms=store.histograms())
    finally:
        store.close()


def agreement(classes: np.ndarray, grouping: Grouping) -> dict[str, float]:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    inside = grouping.of >= 0
    return {
        "nmi": round(normalized_mutual_info_score(classes, grouping.of), 4),
        "nmi_of_clustered": round(
            normalized_mutual_info_score(classes[inside], grouping.of[inside]), 4
        ),
        "ari": round(adjusted_rand_score(classes, grouping.of), 4),
    }


def accepted_names(instead: list[str] | None = None) -> dict[str, tuple[set[str], set[str]]]:
    """For each folder the names that fit it, and those of kinds that belong to it."""
    if instead is not None:  # a short library's folders stand in no table
        return {name: ({name}, set()) for name in instead}
    with TABLE.open(newline="") as file:
        return {
            row["folder"]: tuple(set(row[key].split("|")) - {""} for key in ("names", "narrower"))
            for row in csv.DictReader(file)
        }  # type: ignore[misc]


def fits(
    clustering: Clustering,
    classes: np.ndarray,
    names: list[str],
    accepted: dict[str, tuple[set[str], set[str]]],
) -> dict[str, float]:
    """Shares of clusters whose name fits; of those whose folder the encoder's classes can name."""
    known = {name.casefold() for one in category_tree() for name in one.names}
    rows: list[tuple[bool, bool, bool, int]] = []
    for number, cluster in enumerate(clustering.finest.clusters):
        folder = names[majority(clustering, classes, number)[0]]
        said = cluster.name.split(",")[0].strip().casefold()
        own, narrower = accepted[folder]
        fit = said in own | narrower
        rows.append((fit, said in own, bool((own | narrower) & known), cluster.size))
    fit, strict, nameable, size = map(np.array, zip(*rows, strict=True))
    return {
        "fit": round(float(fit.mean()), 4),
        "fit_without_narrower": round(float(strict.mean()), 4),
        "fit_by_records": round(float((fit * size).sum() / size.sum()), 4),
        "nameable": round(float(nameable.mean()), 4),
        "fit_of_nameable": round(float(fit[nameable].mean()) if nameable.any() else 0.0, 4),
    }


def majority(clustering: Clustering, classes: np.ndarray, number: int) -> tuple[int, float]:
    """The folder that most of a cluster lies in, and what share."""
    counts = Counter(classes[clustering.finest.of == number].tolist())
    folder, count = min(counts.items(), key=lambda one: (-one[1], one[0]))
    return folder, count / sum(counts.values())


def largest(clustering: Clustering, classes: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    found = []
    for number, cluster in enumerate(clustering.finest.clusters[:SHOWN]):
        folder, share = majority(clustering, classes, number)
        found.append(
            {
                "name": cluster.name,
                "words": list(cluster.words),
                "size": cluster.size,
                "folder": names[folder],
                "share": round(share, 3),
                "colours": [colour for colour, _ in cluster.colours[:3]],
            }
        )
    return found


def draw(
    library: Library, clustering: Clustering, classes: np.ndarray, names: list[str], path: Path
) -> None:
    """The ten largest clusters, a line each: name, size, folder, and exemplars."""
    left, gap = 220, 6
    shown = clustering.finest.clusters[:SHOWN]
    page = Image.new("RGB", (left + 8 * (TILE + gap) + gap, len(shown) * (TILE + gap) + gap), PAPER)
    pen = ImageDraw.Draw(page)
    for number, cluster in enumerate(shown):
        top = gap + number * (TILE + gap)
        folder, share = majority(clustering, classes, number)
        pen.text((12, top + 14), fitted(cluster.name, left - 18, font_of(17)), INK, font_of(17))
        pen.text((12, top + 40), f"{cluster.size} pictures", FAINT, font_of(13))
        pen.text((12, top + 58), f"{share:.0%} of folder {names[folder]}", FAINT, font_of(12))
        for at, (colour, _) in enumerate(cluster.colours):
            pen.rectangle([12 + 18 * at, top + 78, 26 + 18 * at, top + 90], colour)
        for at, jpeg in enumerate(library.thumbnails(cluster.exemplars)):
            picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
            side = min(picture.size)
            x, y = (picture.width - side) // 2, (picture.height - side) // 2
            page.paste(
                picture.crop((x, y, x + side, y + side)).resize((TILE, TILE)),
                (left + at * (TILE + gap), top),
            )
    page.save(path, optimize=True)


# -- at full size ----------------------------------------------------------------------------------


def at_full_size(library: Library, methods: list[str]) -> dict[str, Any]:
    chart = library.map(MapOptions())
    points = library.map_points(chart)
    found: dict[str, Any] = {"records": len(chart)}
    with kept(points, chart.positions) as file:
        for method in methods:
            command = [sys.executable, __file__, "--one", str(file), method]
            ended = common.watched(command).checked()
            found[method] = {
                **json.loads(ended.out),
                "peak_mb": ended.peak_bytes // 1_000_000,
                "peak_mb_own_memory": ended.peak_anon_bytes // 1_000_000,
            }
    evidence, gathering = timed(lambda: library._evidence(library._current())(chart.ids))
    found["gathering"] = gathering
    grouping = group("agglomerative", points, chart.positions)
    _, naming = timed(
        lambda: describe("agglomerative", grouping, points, chart.positions, evidence)
    )
    found["naming"] = {**naming, "clusters": [int(of.max()) + 1 for of in grouping.levels()]}
    moved, cutting = timed(lambda: recut(grouping, points, chart.positions, 100))
    _, again = timed(lambda: describe("agglomerative", moved, points, chart.positions, evidence))
    found["slider"] = {"cut": cutting, "names": again}
    found["peak_mb_of_gathering_and_naming"] = common.memory()["VmHWM"] // 1_000_000
    return found


@contextlib.contextmanager
def kept(points: FloatArray, positions: FloatArray) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.npz"
        np.savez(file, points=points, positions=positions)
        yield file


def alone(file: Path, method: str) -> dict[str, Any]:
    """One method in this process, twice: what it costs, and whether it repeats."""
    with np.load(file) as stored:
        points, positions = stored["points"], stored["positions"]
    group(method, points[:500], positions[:500])  # compiles what is compiled at first use
    first, seconds = timed(lambda: group(method, points, positions))
    second = group(method, points, positions)
    return {
        **seconds,
        "parameters": dict(first.parameters),
        "repeats": bool((first.of == second.of).all()),
    }


def timed(function: Any) -> tuple[Any, dict[str, float]]:
    """What a function gives, with its seconds and processor seconds."""
    started, used = time.perf_counter(), time.process_time()
    value = function()
    return value, {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - used, 2),
    }


if __name__ == "__main__":
    main()
