"""The whole way of one search: cold on the command line, and a new picture in a warm process.

    python benchmarks/command.py LIBRARY PHOTOS [--name NAME]

PHOTOS are pictures that are not in LIBRARY. `lookalike search PICTURE` is started ten times, from
the start of the process to its end, files in memory as after the first time; imports alone are
measured beside it. In a warm process: a new picture in, hits out; mix; three inputs that all count;
the contact sheet.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    clocked,
    deliver,
    library_parser,
    memory,
    opened,
    provenance,
    require,
    small_photos,
    watched,
)

from lookalike import Library, Method
from lookalike.present.page import page
from lookalike.present.sheet import png

STARTS, PICTURES = 10, 50


def main() -> None:
    parser = library_parser(__doc__, "command")
    parser.add_argument("photos", type=Path, nargs="?")
    options = parser.parse_args()
    require(parser, options, "library", "photos")
    with tempfile.TemporaryDirectory() as scratch, opened(options) as library:
        if options.short:
            options.photos = Path(scratch)
            small_photos(options.photos, 4, 2, seed=2)
        result = measured(library, options.photos, 2 if options.short else STARTS)
    deliver(options.name, result, short=options.short)


def measured(library: Library, photos: Path, starts: int) -> dict[str, Any]:
    found = sorted(photos.rglob("*.jpg"))
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, PICTURES).astype(int)]
    return {
        "provenance": provenance(),
        "records": len(library),
        "cold": cold(library.folder, chosen[:starts]),
        "warm": warm(library, [str(path) for path in chosen]),
        "memory": memory(),
    }


def cold(folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """Milliseconds from the start of a process to its end, and what it held."""
    command = [sys.executable, "-m", "lookalike", "search", "--library", folder]
    peaks: list[int] = []

    def search(photo: Path) -> None:
        peaks.append(watched([*command, photo], interval=0.02).checked().peak_anon_bytes)

    search(photos[0])
    _, figures = clocked(search, photos)
    imports = [sys.executable, "-c", "import lookalike.cli.main, onnxruntime"]
    _, starting = clocked(lambda _: subprocess.run(imports, check=True), photos)
    return {
        **figures,
        "imports_alone_p50_ms": starting["p50_ms"],
        "peak_anon_bytes": max(peaks),
    }


def warm(library: Library, photos: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    few = photos[: max(2, len(photos) // 5)]
    ways = {
        "new picture, meaning": (photos, lambda photo: library.search(photo)),
        "new picture, mix": (few, lambda photo: library.search(photo, method=Method("mix"))),
        "three pictures that all count": (
            few,
            lambda photo: library.search([photo, *photos[:2]], combine="all"),
        ),
    }
    for name, (asked, search) in ways.items():
        search(asked[0])
        _, result[name] = clocked(search, asked)
    answers = [library.search([photo, photos[0]]) for photo in few]
    _, result["sheet, PNG"] = clocked(lambda own: png([library.sheet(own)]), answers)
    _, result["sheet, HTML"] = clocked(lambda own: page([library.sheet(own)]), answers)
    return result


if __name__ == "__main__":
    main()
