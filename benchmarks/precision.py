"""How often are the five nearest of the same class? Leave-one-out P@5 for every method.

    python benchmarks/precision.py PHOTOS [--sample N] [--encoder NAME] [--name NAME]

PHOTOS has one folder per class. Every record (or N of them, evenly spread) is searched for by its
id through the library's own search; it is not among its own hits. P@5 is the mean share of the five
hits that lie in the query's folder; the interval is a normal approximation over queries.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, deliver, percentile_ms, provenance, require, small_photos

from lookalike import IndexOptions, Library, Method
from lookalike.features.encoders import DEFAULT_ENCODER
from lookalike.types import COLOUR_MEASURES, State

METHODS = [
    Method("meaning"),
    *(Method("pca", dims=dims) for dims in (50, 75, 100, 200)),
    *(Method("colour", metric=metric) for metric in COLOUR_MEASURES),
    *(Method("mix", colour_weight=weight) for weight in (0.1, 0.2, 0.3, 0.5)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--sample", type=int, default=0, help="queries (default: all records)")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--name", default="precision")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    with tempfile.TemporaryDirectory() as folder:
        photos, sample = options.photos, options.sample
        if options.short:
            photos, sample = Path(folder) / "photos", 12
            small_photos(photos, 52, 4, seed=1)
        result = measure(photos, Path(folder) / "library", sample, options.encoder)
    deliver(options.name, result, short=options.short)


def measure(photos: Path, folder: Path, sample: int, encoder: str) -> dict[str, Any]:
    result: dict[str, Any] = {"provenance": provenance(), "encoder": encoder}
    with Library.open(folder, create=True) as library:
        started = time.perf_counter()
        report = library.add([photos], IndexOptions(encoder=encoder))
        seconds = time.perf_counter() - started
        rows = list(library.ledger())
        indexed = [row for row in rows if row.state == State.INDEXED]
        result["index"] = {
            "files": len(rows),
            "indexed": report.total(State.INDEXED),
            "records": len(library),
            "not_indexed": len(rows) - len(indexed),
            "seconds": round(seconds, 1),
            "images_per_second": round(len(indexed) / seconds, 1),
        }
        print(result["index"])
        classes = {row.record: Path(row.path).parent.name for row in indexed}
        ids = sorted(id_ for id_ in classes if id_ is not None)
        if sample:
            ids = [ids[i] for i in np.linspace(0, len(ids) - 1, min(sample, len(ids))).astype(int)]
        result["classes"], result["queries"] = len(set(classes.values())), len(ids)
        result["methods"] = []
        for method in METHODS:
            if method.by == "pca" and method.dims >= len(library):
                continue
            row = precision(library, method, ids, classes)
            result["methods"].append(row)
            print(row, flush=True)
    return result


def precision(library: Library, method: Method, ids: list[Any], classes: dict[Any, str]) -> Any:
    library.search(ids[0], 5, method)  # not counted: fits or loads what the method needs
    shares, seconds = [], []
    for id_ in ids:
        started = time.perf_counter()
        hits = library.search(id_, 5, method).hits
        seconds.append(time.perf_counter() - started)
        shares.append(np.mean([classes[hit.id] == classes[id_] for hit in hits]))
    return {
        "by": method.by,
        **method.options,
        "p_at_5": round(float(np.mean(shares)), 4),
        "interval_95": round(1.96 * float(np.std(shares)) / len(shares) ** 0.5, 4),
        **percentile_ms(seconds),
    }


if __name__ == "__main__":
    main()
