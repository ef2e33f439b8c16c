"""What do the steps cost? Decoding and features per image, encoding, indexing, searches, sheets.

    python benchmarks/speed.py PHOTOS [--sample N]

Medians on one machine; compare figures of one run only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, deliver, percentile_ms, provenance, require, small_photos

from lookalike import Library, Method
from lookalike.decode import decode, read
from lookalike.features.encoders import DEFAULT_ENCODER, load_encoder
from lookalike.features.histogram import histogram
from lookalike.features.phash import phash
from lookalike.features.thumbnail import thumbnail
from lookalike.present.page import page
from lookalike.present.sheet import png
from lookalike.scan import scan
from lookalike.types import COLOUR_MEASURES, FileEntry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--sample", type=int, default=400)
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    if options.short:
        with tempfile.TemporaryDirectory() as folder:
            small_photos(Path(folder), 40, 4, seed=1)
            result = measure(Path(folder), 16, queries=4)
    else:
        result = measure(options.photos, options.sample, QUERIES)
    deliver("speed", result, short=options.short)


def measure(photos: Path, sample: int, queries: int) -> dict[str, Any]:
    paths = [e.path for e in scan([str(photos.resolve())]) if isinstance(e, FileEntry)]
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, sample).astype(int)]
    result: dict[str, Any] = {"provenance": provenance(), "pictures": len(chosen)}
    result["milliseconds_per_image_one_thread"] = steps(chosen)
    result["encoder"] = encoding(chosen)
    result["whole"] = whole(paths, queries)
    print(result)
    return result


def steps(paths: list[str]) -> dict[str, Any]:
    files = [read(path) for path in paths]
    pictures = [decode(file.data).image for file in files]
    encoder = load_encoder(DEFAULT_ENCODER)
    return {
        "read and hash": timed(read, paths),
        "decode": timed(lambda file: decode(file.data), files),
        "histogram": timed(histogram, pictures),
        "phash": timed(phash, pictures),
        "thumbnail": timed(thumbnail, pictures),
        "prepare": timed(encoder.prepare, pictures),
    }


def timed(function: Callable[[Any], object], items: list[Any]) -> float:
    seconds = []
    for item in items:
        started = time.perf_counter()
        function(item)
        seconds.append(time.perf_counter() - started)
    return round(float(np.median(seconds)) * 1e3, 3)


def encoding(paths: list[str]) -> dict[str, float]:
    encoder = load_encoder(DEFAULT_ENCODER)
    pixels = np.stack([encoder.prepare(decode(read(path).data).image) for path in paths])
    rates = {}
    for batch in (1, 8, 32):
        encoder.encode(pixels[:batch])
        started = time.perf_counter()
        for start in range(0, len(pixels), batch):
            encoder.encode(pixels[start : start + batch])
        rates[f"images_per_second_batch_{batch}"] = round(
            len(pixels) / (time.perf_counter() - started), 1
        )
    return rates


QUERIES = 50


def methods(records: int) -> list[Method]:
    return [
        Method("meaning"),
        Method("pca", dims=min(100, records // 2)),
        *(Method("colour", metric=metric) for metric in COLOUR_MEASURES),
        Method("mix"),
    ]


def whole(paths: list[str], queries: int) -> dict[str, Any]:
    """Index all, then search with known pictures, and with ones that the library has not seen."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder) / "library", create=True) as library,
    ):
        _, took = clocked(lambda: library.add(paths))
        _, again = clocked(lambda: library.add(paths))
        result: dict[str, Any] = {
            "records": len(library),
            "index_images_per_second": round(len(paths) / took, 1),
            "index_again_seconds": round(again, 2),
            "bytes": {
                name: sum(f.stat().st_size for f in (library.folder / name).rglob("*"))
                for name in ("vectors", "histograms")
            },
        }
        inputs = [paths[i] for i in np.linspace(0, len(paths) - 1, queries).astype(int)]
        result["search"] = {
            " ".join([method.by, *map(str, method.options.values())]): searches(
                library, inputs, method
            )
            for method in methods(len(library))
        }
        crops = [f"{path}[0.05,0.05,0.9,0.9]" for path in inputs]
        result["search, new picture"] = searches(library, crops, Method())
        seconds: dict[str, list[float]] = {"sheet png": [], "sheet html": []}
        for path in inputs:
            found = library.search([path, paths[0]])
            for name, draw in (("sheet png", png), ("sheet html", page)):
                seconds[name].append(clocked(lambda d=draw, f=found: d([library.sheet(f)]))[1])
    return {**result, **{name: percentile_ms(values) for name, values in seconds.items()}}


def searches(library: Library, inputs: list[str], method: Method) -> dict[str, float]:
    library.search(inputs[0], 5, method)  # not counted: fits or loads what the method needs
    times = [clocked(lambda i=item: library.search(i, 5, method))[1] for item in inputs]
    return percentile_ms(times)


def clocked(function: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    value = function()
    return value, time.perf_counter() - started


if __name__ == "__main__":
    main()
