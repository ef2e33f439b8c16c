"""The neighbour graph: seconds to make and to update it, memory, and what share is right.

    python benchmarks/graph.py [LIBRARY] [--rows 444668] [--k 30] [--seed 0] [--short]

Vectors are drawn like those of LIBRARY (`vectors.py`), or else from a seeded mixture of Gaussians.
Recall is the share of the k nearest in the graph's own reduced space, by comparing 1,000 sampled
rows with all, that their lists have.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import common
import numpy as np
from vectors import VectorGenerator, real_vectors

from lookalike.indexes.graph import GraphCache, NeighbourGraph, Reduction
from lookalike.indexes.regions import Regions
from lookalike.stores.base import VectorTable

ADDED, REMOVED, ASKED = 2_000, 1_000, 1_000
SHORT_ROWS = 11_000  # more than are compared in full
PART, CHUNK = 65_536, 8_192
DIM = 1280


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=444_668)
    parser.add_argument("--k", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    common.add_short(parser)
    options = parser.parse_args()
    if options.short:
        options.rows = SHORT_ROWS
    result: dict[str, Any] = {
        "provenance": common.provenance(),
        "rows": options.rows,
        "k": options.k,
        "seed": options.seed,
        "vectors": "like the library's" if options.library else "mixture of Gaussians",
    }
    with tempfile.TemporaryDirectory() as folder:
        draw = drawing(options.library, options.seed)
        table = written(Path(folder), draw, options.rows + ADDED, options.seed)
        result |= measure(table, options.rows, options.k, Path(folder) / "graph", options.seed)
    common.deliver("graph", result, short=options.short)


def drawing(library: Path | None, seed: int) -> Callable[[int, int], np.ndarray]:
    """What gives unit vectors by their number and a stream."""
    if library is not None:
        return VectorGenerator(real_vectors(library), seed).sample
    rng = np.random.default_rng(seed)
    spectrum = (1 / np.sqrt(1 + np.arange(DIM) / 4)).astype(np.float32)
    centres = rng.normal(size=(400, DIM)).astype(np.float32) * spectrum + np.float32(0.5)

    def mixture(count: int, stream: int) -> np.ndarray:
        own = np.random.default_rng([seed, stream])
        noise = own.standard_normal((count, DIM), np.float32) * spectrum
        vectors = centres[own.integers(0, len(centres), count)] + np.float32(0.7) * noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return mixture


def written(
    folder: Path, draw: Callable[[int, int], np.ndarray], rows: int, seed: int
) -> VectorTable:
    """A table as a store has it, mapped from files."""
    parts = []
    for stream, start in enumerate(range(0, rows, PART)):
        path, count = folder / f"{stream}.f16", min(PART, rows - start)
        np.concatenate(
            [
                draw(min(8192, count - at), 1000 * stream + at // 8192)
                for at in range(0, count, 8192)
            ]
        ).astype(np.float16).tofile(path)
        parts.append(np.memmap(path, np.float16, "r").reshape(count, -1))
    ids = np.frombuffer(np.random.default_rng(seed).bytes(16 * rows), "V16")
    return VectorTable(ids, parts, np.ones(rows, bool), parts[0].shape[1])


def measure(table: VectorTable, rows: int, k: int, folder: Path, seed: int) -> dict[str, Any]:
    old = first(table, rows)
    new = VectorTable(table.ids, table.parts, table.live.copy(), table.dim)
    new.live[np.random.default_rng(seed).permutation(rows)[:REMOVED]] = False
    seconds, memory = {}, {}
    with timed_steps() as steps:
        for name, own in (("build", old), ("open", old), ("update", new), ("rebuild", new)):
            place = folder if name != "rebuild" else folder / "rebuilt"
            start = time.perf_counter()
            with peak_mb() as peak:
                found = GraphCache(place, own).graph(k)
            seconds[name] = round(time.perf_counter() - start, 2)
            memory[name] = peak[0]
            if name == "build":
                by_step, made = {step: round(took, 2) for step, took in steps.items()}, found
            elif name == "update":
                updated = found
    asked = np.sort(np.random.default_rng(seed).permutation(rows - REMOVED)[:ASKED])
    return {
        "seconds": seconds,
        "seconds_of_build": by_step,
        "peak_mb_own_memory": memory,
        "disk_mb": round(sum(p.stat().st_size for p in folder.glob("*.np*")) / 1e6),
        "recall": {
            "build": recall(made, old, Reduction.fit(old), asked),
            "update": recall(updated, new, Reduction.fit(old), asked),  # which an update keeps
            "rebuild": recall(found, new, Reduction.fit(new), asked),
        },
        "share_of_nearest_in_all_dimensions": share_of_whole(made, old, asked[:200]),
    }


def first(table: VectorTable, rows: int) -> VectorTable:
    parts, left = [], rows
    for part in table.parts:
        parts.append(part[:left])
        left -= len(parts[-1])
    parts = [part for part in parts if len(part)]
    return VectorTable(table.ids[:rows], parts, table.live[:rows], table.dim)


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Seconds in each step of making a graph, added up."""
    steps: dict[str, float] = {}
    kept = Reduction.fit, Reduction.points, Regions.cut, Regions.search

    def timed(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return step(*arguments)
            finally:
                steps[name] = steps.get(name, 0.0) + time.perf_counter() - start

        return run

    Reduction.fit = staticmethod(timed("fit components", kept[0]))  # type: ignore[method-assign]
    Reduction.points = timed("reduce", kept[1])  # type: ignore[method-assign]
    Regions.cut = staticmethod(timed("cut into regions", kept[2]))  # type: ignore[method-assign]
    Regions.search = timed("search", kept[3])  # type: ignore[method-assign]
    try:
        yield steps
    finally:
        Reduction.fit, Reduction.points, Regions.cut, Regions.search = kept  # type: ignore


@contextmanager
def peak_mb() -> Iterator[list[int]]:
    """The most memory of its own that the process has meanwhile; mapped files do not count."""
    peak, done = [own_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], own_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def own_mb() -> int:
    return common.memory()["RssAnon"] // 1_000_000


def recall(
    found: NeighbourGraph, table: VectorTable, reduction: Reduction, asked: np.ndarray
) -> float:
    points = reduction.points(table)[table.live]
    return overlap(found, points, asked, found.neighbours.shape[1])


def share_of_whole(
    found: NeighbourGraph, table: VectorTable, asked: np.ndarray
) -> dict[str, float]:
    """How many of the ten nearest by all dimensions the lists have."""
    shares = []
    rows = np.flatnonzero(table.live)
    vectors = table.vectors(rows[asked])
    products = np.concatenate([vectors @ np.asarray(part, np.float32).T for part in table.parts], 1)
    for place, scores in zip(asked, products[:, table.live], strict=True):
        scores[place] = -2
        nearest = np.argpartition(-scores, 10)[:10]
        shares.append(np.isin(nearest, found.neighbours[place]).mean())
    return {f"10 nearest in {found.neighbours.shape[1]}": round(float(np.mean(shares)), 4)}


def overlap(found: NeighbourGraph, points: np.ndarray, asked: np.ndarray, k: int) -> float:
    shares = []
    for place in asked:
        apart = points - points[place]
        squares = np.einsum("ij,ij->i", apart, apart)
        squares[place] = np.inf
        nearest = np.argpartition(squares, k - 1)[:k]
        shares.append(np.isin(nearest, found.neighbours[place]).mean())
    return round(float(np.mean(shares)), 4)


if __name__ == "__main__":
    main()
