"""Exports of a map: seconds, memory and bytes of each form.

    python benchmarks/map_exports.py LIBRARY

The library has a map (``lookalike map`` makes it); every form is written once by the command, in a
process of its own. System A took 3 h 29 min and 17.3 GB for its TensorBoard files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

SYSTEM_A = {"seconds": 12_540, "bytes": 17_300_000_000}
"""docs/systems: "about 3 hours and 29 minutes", "17.3 GB"."""

FORMS = {
    "tensorboard without sprite": ["tensorboard", "--no-sprite", "--out", "logs-bare"],
    "tensorboard": ["tensorboard", "--out", "logs"],
    "tensorboard, all rows": ["tensorboard", "--rows", "all", "--no-sprite", "--out", "logs-all"],
    "csv": ["csv", "--out", "map.csv"],
    "parquet": ["parquet", "--out", "map.parquet"],
    "poster of pictures, A2 at 150 dpi": ["png", "--out", "mosaic.png"],
    "poster of pictures, A2 at 300 dpi": ["png", "--dpi", "300", "--out", "mosaic300.png"],
    "poster of points, A2 at 150 dpi": ["png", "--poster", "scatter", "--out", "scatter.png"],
    "poster of points, A2 at 300 dpi": [
        "png", "--poster", "scatter", "--dpi", "300", "--out", "scatter300.png",
    ],
    "html": ["html", "--out", "map.html"],
    "plotly": ["plotly", "--out", "plotly.html"],
}  # fmt: skip


def main() -> None:
    parser = common.library_parser(__doc__, "map_exports")
    parser.add_argument("--keep", type=Path, help="leave what was written in this folder")
    options = parser.parse_args()
    common.require(parser, options, "library")
    provenance = common.provenance()
    with tempfile.TemporaryDirectory() as scratch, common.opened(options) as library:
        started = time.perf_counter()
        chart = library.map()
        map_seconds = time.perf_counter() - started
        folder, records = library.folder, len(chart)
        out = options.keep or Path(scratch)
        found = {name: export(folder, out, form) for name, form in FORMS.items()}
    result = {
        "provenance": provenance,
        "records": records,
        "seconds_to_make_or_open_the_map_before": round(map_seconds, 1),
        "forms": found,
        "system_a_tensorboard": SYSTEM_A,
    }
    common.deliver(options.name, result, short=options.short)


def export(library: Path, out: Path, form: list[str]) -> dict[str, Any]:
    """One form, by the command."""
    out.mkdir(parents=True, exist_ok=True)
    place = out / form[-1]
    shutil.rmtree(place, ignore_errors=True)
    command = [sys.executable, "-m", "lookalike", "map", "export", *form[:-1], place]
    done = common.watched([*command, "--library", library]).checked()
    files = [place] if place.is_file() else list(place.iterdir())
    return {
        "seconds": round(done.seconds, 1),
        "cpu_seconds": round(done.cpu_seconds, 1),
        "peak_mb": round(done.peak_bytes / 1e6),
        "peak_own_mb": round(done.peak_anon_bytes / 1e6),
        "bytes": sum(file.stat().st_size for file in files),
    }


if __name__ == "__main__":
    main()
