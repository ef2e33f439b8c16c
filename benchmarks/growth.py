"""Do the index and the searches grow no faster than the library?

    python benchmarks/growth.py LIBRARY WORK [--sizes 50000,150000,444668,1000000,2000000]

Vectors are drawn like those of LIBRARY (`vectors.VectorGenerator`) into one file in WORK (2.6 GB a
million, kept for the next time); smaller tables are its beginnings. For each size: seconds to make
the codes, median and 99th percentile of 100 searches with queries that are not in the table, recall
of the ten nearest against the exact scan, and that scan's median. Draws docs/images/growth.svg if
matplotlib is there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, clocked, deliver, provenance, recall, require, short_library
from vectors import VectorGenerator, real_vectors

from lookalike.indexes import CompactIndex, ExactIndex
from lookalike.indexes.compact import make_codes
from lookalike.types import ID_DTYPE

SIZES = "50000,150000,444668,1000000,2000000"
QUERIES, EXACT_QUERIES, K = 100, 20, 10
CHUNK = 8_192
IMAGE = Path(__file__).parents[1] / "docs" / "images" / "growth.svg"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--name", default="growth")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "library", "work")
    if options.short:
        with short_library() as library, tempfile.TemporaryDirectory() as work:
            result = measured(library.folder, Path(work), [1_000, 2_000])
    else:
        sizes = [int(size) for size in options.sizes.split(",")]
        result = measured(options.library, options.work, sizes)
        plot(result["sizes"])
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


def plot(sizes: dict[str, dict[str, float]]) -> None:
    """Seconds and milliseconds against size, both axes logarithmic."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("matplotlib is not installed: no plot")
        return
    rows = [int(size) for size in sizes]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    axes[0].plot(rows, [own["codes_seconds"] for own in sizes.values()], "o-", color="#1f5f8b")
    axes[0].set(title="Making the index", ylabel="seconds", xlabel="vectors")
    for name, key, colour in (
        ("exact scan", "exact_p50_ms", "#999999"),
        ("index, 99th percentile", "p99_ms", "#e0a458"),
        ("index, median", "p50_ms", "#1f5f8b"),
    ):
        axes[1].plot(rows, [own[key] for own in sizes.values()], "o-", label=name, color=colour)
    axes[1].set(title="One search", ylabel="milliseconds", xlabel="vectors")
    axes[1].legend(frameon=False)
    for own in axes:
        own.set(xscale="log", yscale="log")
        own.grid(alpha=0.3)
    figure.savefig(IMAGE)


if __name__ == "__main__":
    main()
