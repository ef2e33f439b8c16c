"""What do the steps cost? Decoding and features per image, encoding, one search, one sheet.

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
from common import percentile_ms, provenance, write

from lookalike import Library
from lookalike.decode import decode, read
from lookalike.features.encoders import DEFAULT_ENCODER, load_encoder
from lookalike.features.histogram import histogram
from lookalike.features.phash import phash
from lookalike.features.thumbnail import thumbnail
from lookalike.present.page import page
from lookalike.present.sheet import png
from lookalike.scan import scan
from lookalike.types import FileEntry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--sample", type=int, default=400)
    options = parser.parse_args()
    paths = [e.path for e in scan([str(options.photos.resolve())]) if isinstance(e, FileEntry)]
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, options.sample).astype(int)]
    result: dict[str, Any] = {"provenance": provenance(), "pictures": len(chosen)}
    result["milliseconds_per_image_one_thread"] = steps(chosen)
    result["encoder"] = encoding(chosen)
    result["whole"] = whole(chosen)
    print(result)
    write("speed", result)


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


def whole(paths: list[str]) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder) / "library", create=True) as library,
    ):
        started = time.perf_counter()
        library.add(paths)
        rate = len(paths) / (time.perf_counter() - started)
        seconds: dict[str, list[float]] = {"search": [], "sheet png": [], "sheet html": []}
        for path in paths[:50]:
            result, took = clocked(lambda path=path: library.search([path, paths[0]]))
            seconds["search"].append(took)
            for name, draw in (("sheet png", png), ("sheet html", page)):
                _, took = clocked(lambda draw=draw, result=result: draw(library.sheet(result)))
                seconds[name].append(took)
    return {
        "index_images_per_second": round(rate, 1),
        **{name: percentile_ms(values) for name, values in seconds.items()},
    }


def clocked(function: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    value = function()
    return value, time.perf_counter() - started


if __name__ == "__main__":
    main()
