"""Do the index and the searches grow no faster than the library?

    python benchmarks/growth.py LIBRARY WORK [--sizes 50000,150000,444668,1000000,2000000]

Vectors are drawn like those of LIBRARY (`vectors.VectorGenerator`) into one file in WORK (2.6 GB a
million, kept for the next time); smaller tables are its beginnings. For each size: seconds to make
the codes, median and 99th percentile of 100 searches with queries that are not in the table, recall
of the ten nearest against the exact scan, and that scan's median. Draws docs/images/growth.svg.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    clocked,
    deliver,
    library_parser,
    provenance,
    recall,
    require,
    short_library,
)
from vectors import VectorGenerator, real_vectors

from lookalike.indexes import CompactIndex, ExactIndex
from lookalike.indexes.compact import make_codes
from lookalike.types import ID_DTYPE

SIZES = "50000,150000,444668,1000000,2000000"
QUERIES, EXACT_QUERIES, K = 100, 20, 10
CHUNK = 8_192
IMAGE = Path(__file__).parents[1] / "docs" / "images" / "growth.svg"


def main() -> None:
    parser = library_parser(__doc__, "growth")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--sizes", default=SIZES)
    options = parser.parse_args()
    require(parser, options, "library", "work")
    if options.short:
        with short_library() as library, tempfile.TemporaryDirectory() as work:
            result = measured(library.folder, Path(work), [1_000, 2_000])
    else:
        sizes = [int(size) for size in options.sizes.split(",")]
        result = measured(options.library, options.work, sizes)
        rows = [{"rows": int(size), **own} for size, own in result["sizes"].items()]
        IMAGE.write_text(figure(rows))
    deliver(options.name, result, short=options.short)


def measured(like: Path, work: Path, sizes: list[int]) -> dict[str, Any]:
    result: dict[str, Any] = {"provenance": provenance(), "sizes": {}}
    generator = VectorGenerator(real_vectors(like), seed=2)
    vectors = drawn(generator, work / "growth.f2", max(sizes))
    queries = generator.sample(QUERIES, stream=10**6).astype(np.float64)
    for size in sizes:
        result["sizes"][str(size)] = trial(vectors[:size], queries)
        print(size, result["sizes"][str(size)], flush=True)
    return result


def drawn(generator: VectorGenerator, path: Path, rows: int) -> np.ndarray:
    """Vectors float16 (rows, dim), mapped from a file that is made if it is too short."""
    dim = generator.real.shape[1]
    if not path.exists() or path.stat().st_size < rows * dim * 2:
        with open(path, "wb") as file:
            for at in range(0, rows, CHUNK):
                own = generator.sample(min(CHUNK, rows - at), stream=at)
                file.write(own.astype(np.float16).tobytes())
    return np.memmap(path, np.float16, "r", shape=(rows, dim))


def trial(vectors: np.ndarray, queries: np.ndarray) -> dict[str, Any]:
    ids = np.arange(len(vectors) * 2, dtype=np.uint64).view(ID_DTYPE)
    exact = ExactIndex(ids, [vectors])
    exact.nearest(queries[0], K)  # in memory from here on
    started = time.perf_counter()
    index = CompactIndex(exact, make_codes([vectors]))
    seconds = time.perf_counter() - started
    index.nearest(queries[0], K)
    found, figures = clocked(lambda query: index.nearest(query, K).rows, queries)
    truth, scan = clocked(lambda query: exact.nearest(query, K).rows, queries[:EXACT_QUERIES])
    truth += [exact.nearest(query, K).rows for query in queries[EXACT_QUERIES:]]
    return {
        "codes_seconds": round(seconds, 2),
        **figures,
        "recall_at_10": recall(found, truth),
        "exact_p50_ms": scan["p50_ms"],
    }


# -- the figure ------------------------------------------------------------------------------------

WIDTH, HEIGHT = 200, 170  # of a panel's axes, in pixels
DARK, LIGHT, ORANGE = "#222222", "#888888", "#d1600a"
Scale = Callable[[float], float]


def figure(rows: Sequence[dict[str, Any]]) -> str:
    """Three panels over the number of rows: milliseconds, recall@10, seconds of making."""
    across = logarithmic([row["rows"] for row in rows], WIDTH)
    names = {"exact_p50_ms": ("exact, p50", LIGHT), "p99_ms": ("p99", ORANGE)}
    names["p50_ms"] = ("p50", DARK)
    columns = {name: [row[name] for row in rows] for name in (*names, "codes_seconds")}
    times = logarithmic([value for name in names for value in columns[name]], HEIGHT)
    seconds = columns["codes_seconds"]
    making = logarithmic(seconds, HEIGHT)
    recalls = [row["recall_at_10"] for row in rows]
    least = min(0.98, math.floor(min(recalls) * 100 - 0.5) / 100)
    shares = [least + (1 - least) * i / 4 for i in range(5)]

    def share(value: float) -> float:
        return HEIGHT * (value - least) / (1 - least)

    sizes = [row["rows"] for row in rows]
    lines = [(label, colour, columns[name]) for name, (label, colour) in names.items()]
    panels = [
        panel("a search, ms", sizes, across, times[0], times[1], lines),
        panel("recall@10", sizes, across, share, shares, [("", DARK, recalls)]),
        panel("making the index, s", sizes, across, *making, [("", DARK, seconds)]),
    ]
    step, height = WIDTH + 100, HEIGHT + 75
    body = "".join(
        f'<g transform="translate({50 + step * i},{HEIGHT + 32})">{one}</g>'
        for i, one in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {step * 3} {height}" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="#555555">\n'
        f'<rect width="{step * 3}" height="{height}" fill="#ffffff"/>\n{body}</svg>\n'
    )


def logarithmic(values: Sequence[float], length: float) -> tuple[Scale, list[float]]:
    """A scale from values to pixels, and its marks: 1, 2, 5 and their tens, or tens if many."""
    low, high = max(min(values), 1e-3) / 1.15, max(values) * 1.15
    steps = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    firsts = (1,) if high / low > 300 else (1, 2, 5)
    marks = [first * 10.0**step for step in steps for first in firsts]
    low, high = min(low, *(m for m in marks if m > low / 1.3)), high

    def scale(value: float) -> float:
        return length * math.log(max(value, low) / low) / math.log(high / low)

    return scale, [mark for mark in marks if low <= mark <= high]


def panel(
    title: str,
    sizes: Sequence[int],
    across: tuple[Scale, list[float]],
    up: Scale,
    marks: Sequence[float],
    lines: Sequence[tuple[str, str, Sequence[float]]],
) -> str:
    """Axes with their origin at (0, 0), marks, and lines with their names at the right end."""
    place, columns = across
    parts = [f'<text x="-30" y="{-HEIGHT - 14}" fill="#333333">{title}</text>']
    parts.append(f'<path d="M0 {-HEIGHT}V0H{WIDTH}" fill="none" stroke="#888888"/>')
    for mark in columns:
        x = place(mark)
        parts.append(f'<path d="M{x:.1f} 0v4" stroke="#888888"/>')
        parts.append(f'<text x="{x:.1f}" y="17" text-anchor="middle">{mark_of(mark)}</text>')
    for mark in marks:
        y = -up(mark)
        parts.append(f'<path d="M0 {y:.1f}h-4" stroke="#888888"/>')
        parts.append(f'<text x="-7" y="{y + 4:.1f}" text-anchor="end">{mark_of(mark)}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="34" text-anchor="middle">vectors</text>')
    names_at = apart([-up(values[-1]) for _, _, values in lines], 12)
    for (name, colour, values), name_at in zip(lines, names_at, strict=True):
        points = [(place(size), -up(value)) for size, value in zip(sizes, values, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{colour}"/>' for x, y in points]
        x = points[-1][0] + 6
        parts.append(f'<text x="{x:.1f}" y="{name_at + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join(parts)


def apart(places: Sequence[float], least: float) -> list[float]:
    """The same places, the lower ones moved down where one would be nearer than ``least``."""
    moved, last = list(places), -math.inf
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        moved[i] = last = max(places[i], last + least)
    return moved


def mark_of(value: float) -> str:
    """A number as a mark: 50k, 2M, 0.995."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:.4g}"


if __name__ == "__main__":
    main()
