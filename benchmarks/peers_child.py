"""One peer of ``peers.py``, run by it in an environment that has FAISS and Numba.

    python benchmarks/peers_child.py PEER FOLDER TARGET

FOLDER holds the arrays that ``peers.py`` wrote. Prints one JSON object; ``{"missing": NAME}`` where
a module is not there. Does not import lookalike.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

K = 10
CHUNK = 65_536  # vectors that are widened at a time
BLOCK = 32_768  # rows whose histograms are inverted together; their sums fit the cache
BINS = 4_096


def main() -> None:
    peer, folder, target = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    try:
        result = PEERS[peer](folder, target)
    except ModuleNotFoundError as error:
        result = {"missing": error.name}
    print(json.dumps(result))


# -- vectors ---------------------------------------------------------------------------------------


def blas(folder: Path, target: float) -> dict[str, Any]:
    started = time.perf_counter()
    whole = np.load(folder / "vectors.npy").astype(np.float32)
    build = time.perf_counter() - started

    def search(queries: Any) -> Any:
        scores = queries @ whole.T
        return np.argpartition(-scores, K, axis=1)[:, :K]

    return {
        "build_seconds": round(build, 2),
        "bytes": whole.nbytes,
        "versions": {"numpy": np.__version__},
        **first_good(folder, target, [None], lambda knob: None, search),
    }


def rabitq(folder: Path, target: float) -> dict[str, Any]:
    rows = len(np.load(folder / "vectors.npy", mmap_mode="r"))
    dims = min(256, rows // 16 * 8)
    description = f"PCA{dims},RaBitQfs,Refine(SQfp16)"
    return in_faiss(folder, target, description, "k_factor", doubled(4, 1_024))


def ivf(folder: Path, target: float) -> dict[str, Any]:
    rows = len(np.load(folder / "vectors.npy", mmap_mode="r"))
    lists = max(1, round(4 * math.sqrt(rows)))
    return in_faiss(folder, target, f"IVF{lists},SQfp16", "nprobe", doubled(4, 2 * lists))


def hnsw(folder: Path, target: float) -> dict[str, Any]:
    return in_faiss(folder, target, "HNSW32,SQfp16", "efSearch", doubled(32, 2_048))


def doubled(first: int, most: int) -> list[int]:
    return [first * 2**i for i in range(int(math.log2(most / first)) + 1)]


def in_faiss(
    folder: Path, target: float, description: str, knob: str, values: Sequence[int]
) -> dict[str, Any]:
    """An index by FAISS's factory, inner product, with the first value of a knob that suffices.

    Single queries by one thread or by all, whichever is faster: the result's own figures.
    """
    import faiss

    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    started = time.perf_counter()
    index = faiss.index_factory(vectors.shape[1], description, faiss.METRIC_INNER_PRODUCT)
    step = max(1, len(vectors) // CHUNK)
    index.train(vectors[::step].astype(np.float32))
    for at in range(0, len(vectors), CHUNK):
        index.add(vectors[at : at + CHUNK].astype(np.float32))
    build = time.perf_counter() - started
    own = faiss.downcast_index(index)
    if knob == "nprobe":
        own.parallel_mode = 1  # threads share the lists of one query, too

    size = written_size(faiss, index, folder / "index.faiss")

    def turn(value: int) -> None:
        setattr(own.hnsw if knob == "efSearch" else own, knob, value)

    def search(queries: Any) -> Any:
        return index.search(queries, K)[1]

    cores = faiss.omp_get_max_threads()
    by_threads = []
    for threads in sorted({1, cores}):
        faiss.omp_set_num_threads(threads)
        one = first_good(folder, target, values, turn, search)
        by_threads.append({"threads": threads, **one})
    return {
        "index": description,
        "knob": knob,
        "build_seconds": round(build, 2),
        "bytes": size,
        "versions": {"faiss": faiss.__version__, "numpy": np.__version__},
        **min(by_threads, key=lambda one: one["p50_ms"]),
        "by_threads": by_threads,
    }


def written_size(faiss: Any, index: Any, path: Path) -> int:
    faiss.write_index(index, str(path))
    size = path.stat().st_size
    path.unlink()
    return size


def first_good(
    folder: Path,
    target: float,
    values: Sequence[Any],
    turn: Callable[[Any], Any],
    search: Callable[[Any], Any],
) -> dict[str, Any]:
    """Times and recall with the first of the values at which recall is good, or with the last."""
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    for value in values:
        turn(value)
        search(queries[:3])  # not counted
        found, seconds = [], []
        for query in queries:
            started = time.perf_counter()
            rows = search(query[None])[0]
            seconds.append(time.perf_counter() - started)
            found.append(rows.tolist())
        pairs = zip(found, truth.tolist(), strict=True)
        recall = float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))
        if recall >= target:
            break
    started = time.perf_counter()
    search(queries)
    rate = len(queries) / (time.perf_counter() - started)
    told = {} if value is None else {"value": value}
    return {
        **told,
        **percentiles(seconds),
        "recall_at_10": round(recall, 4),
        "batch_searches_per_second": round(rate, 1),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


# -- histograms ------------------------------------------------------------------------------------


def inverted(folder: Path, target: float) -> dict[str, Any]:
    """For each bin, the rows that fill it and their counts: a query reads its own bins alone.

    Exact. Rows lie in blocks, so that a row's number takes 16 bits and a block's sums stay in the
    cache; threads take blocks.
    """
    import numba

    bins, counts, ends = (np.load(folder / f"{name}.npy") for name in ("bins", "counts", "ends"))
    shares = np.load(folder / "histograms.npy")
    invert, scan = numba_functions(numba)
    invert(bins[:0], counts[:0], ends[:0], BLOCK)  # not counted: compiles
    started = time.perf_counter()
    table = invert(bins, counts, ends, BLOCK)
    build = time.perf_counter() - started
    result: dict[str, Any] = {
        "threads": numba.get_num_threads(),
        "build_seconds": round(build, 2),
        "bytes": sum(array.nbytes for array in table),
        "versions": {"numba": numba.__version__, "numpy": np.__version__},
        "metrics": {},
    }
    for number, metric in enumerate(("correlation", "chi-square", "intersection", "bhattacharyya")):
        scan(number, shares[0], *table, BLOCK)  # not counted: compiles
        found, seconds = [], []
        for share in shares:
            started = time.perf_counter()
            distances = scan(number, share, *table, BLOCK)
            rows = np.argpartition(distances, K)[:K]
            seconds.append(time.perf_counter() - started)
            found.append(rows.tolist())
        result["metrics"][metric] = {**percentiles(seconds), "found": found}
    return result


def numba_functions(numba: Any) -> tuple[Any, Any]:  # noqa: C901 (loops, as Numba compiles them)
    @numba.njit(parallel=True)
    def invert(bins: Any, counts: Any, ends: Any, block: int) -> Any:
        """Postings by block and bin; ``starts`` (blocks, bins + 1); totals, sums of squares."""
        n = len(ends)
        blocks = (n + block - 1) // block
        rows, numbers = np.empty(len(bins), np.uint16), np.empty(len(bins), np.uint16)
        starts = np.zeros((blocks, BINS + 1), np.int64)
        totals, squares = np.zeros(n, np.float32), np.zeros(n, np.float32)
        for b in numba.prange(blocks):
            first, last = b * block, min((b + 1) * block, n)
            low = np.int64(ends[first - 1]) if first else 0
            high = np.int64(ends[last - 1])
            sizes = np.zeros(BINS, np.int64)
            for i in range(low, high):
                sizes[bins[i]] += 1
            starts[b, 0] = low
            for i in range(BINS):
                starts[b, i + 1] = starts[b, i] + sizes[i]
            at = starts[b, :BINS].copy()
            cell = low
            for row in range(first, last):
                while cell < np.int64(ends[row]):
                    place = at[bins[cell]]
                    rows[place], numbers[place] = row - first, counts[cell]
                    at[bins[cell]] += 1
                    count = np.float32(counts[cell])
                    totals[row] += count
                    squares[row] += count * count
                    cell += 1
        return rows, numbers, starts, totals, squares

    @numba.njit(parallel=True, fastmath=True)
    def scan(  # noqa: C901
        metric: int, query: Any, rows: Any, numbers: Any, starts: Any, totals: Any, squares: Any,
        block: int,
    ) -> Any:  # fmt: skip
        """Distances of all rows, ascending with unlikeness, float32 (n,)."""
        n = len(totals)
        out = np.empty(n, np.float32)
        length = np.float32(np.sum(query * query) - 1.0 / BINS)
        for b in numba.prange(len(starts)):
            first, last = b * block, min((b + 1) * block, n)
            sums = np.zeros(last - first, np.float32)
            inverse = np.float32(1) / totals[first:last]
            for i in range(BINS):
                share = np.float32(query[i])
                if share <= 0:
                    continue
                root, reciprocal = np.sqrt(share), np.float32(1) / share
                for p in range(starts[b, i], starts[b, i + 1]):
                    row = rows[p]
                    own = numbers[p] * inverse[row]
                    if metric == 0:
                        sums[row] += share * own
                    elif metric == 1:
                        sums[row] += own * own * reciprocal - np.float32(2) * own
                    elif metric == 2:
                        sums[row] += min(share, own)
                    else:
                        sums[row] += root * np.sqrt(own)
            for row in range(last - first):
                if metric == 0:
                    spread = squares[first + row] * inverse[row] ** 2 - np.float32(1.0 / BINS)
                    above = sums[row] - np.float32(1.0 / BINS)
                    out[first + row] = -above / np.sqrt(max(spread * length, np.float32(1e-20)))
                elif metric == 1:
                    out[first + row] = sums[row]
                else:
                    out[first + row] = -sums[row]
        return out

    return invert, scan


PEERS = {"blas": blas, "rabitq": rabitq, "ivf": ivf, "hnsw": hnsw, "inverted": inverted}


if __name__ == "__main__":
    main()
