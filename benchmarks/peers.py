"""How do the library's indexes compare with FAISS and with a scan by Numba, side by side?

    python benchmarks/peers.py LIBRARY --peers-python VENV/bin/python [--work DIR]

VENV is an environment of its own: ``pip install faiss-cpu numba numpy``. ``peers_child.py`` runs
there, one process a peer, on the same arrays; each answers one query at a time.

- vectors: 200 records are taken out as queries; the rest is indexed by the compact index, by FAISS
  (RaBitQ FastScan of 256 principal components with refinement in halves, IVF, HNSW, both with
  halves) and scanned by BLAS. Each FAISS index gets the first setting, doubling, whose recall@10
  reaches ``--recall``, once with one thread and once with all; the faster is told first. Searches a
  second are for all queries at once.
- colour: 20 of these records against the rest by all four metrics; the peer is an inverted layout.

Recall of the compact index is against the exact one, by cosines; that of its peers, which rank by
inner products of the same halves, against all these products. By colour it is the share of the
peer's ten hits that the library's exact search has, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    clocked,
    deliver,
    library_parser,
    opened,
    provenance,
    recall,
    require,
)

from lookalike.indexes import ColourIndex, CompactIndex, ExactIndex
from lookalike.indexes.colour import coarse_rows
from lookalike.indexes.compact import make_codes
from lookalike.query.tables import Tables
from lookalike.stores.base import HistogramPart, HistogramTable, VectorTable
from lookalike.types import COLOUR_MEASURES, ID_DTYPE

CHILD = Path(__file__).with_name("peers_child.py")
K = 10
CHUNK = 65_536
PEERS = ("blas", "rabitq", "ivf", "hnsw")
QUERIES = 200
COLOUR_QUERIES = 20


def main() -> None:
    parser = library_parser(__doc__, "peers")
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS, help="default: all")
    parser.add_argument("--work", type=Path, metavar="DIR", help="room for a copy of the numbers")
    parser.add_argument("--recall", type=float, default=0.99, help="default: %(default)s")
    options = parser.parse_args()
    require(parser, options, "library")
    with opened(options) as library, tempfile.TemporaryDirectory(dir=options.work) as scratch:
        result = measure(library._current(), options, Path(scratch))
    deliver(options.name, {"provenance": provenance(), **result}, short=options.short)


def measure(tables: Tables, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    queries = 8 if options.short else QUERIES
    vectors = {"lookalike": own_vectors(*split_vectors(tables.vectors, queries, folder), folder)}
    print(vectors, flush=True)
    for peer in options.peers:
        vectors[peer] = child(peer, options, folder)
        print(peer, vectors[peer], flush=True)
    table, asked = split_histograms(tables.histograms, COLOUR_QUERIES, folder)
    colour = by_colour(table, asked, options, folder)
    return {
        "rows": int(tables.vectors.live.sum()) - queries,
        "queries": {"vectors": queries, "colour": len(asked)},
        "vectors": vectors,
        "colour": colour,
    }


def child(peer: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    line = [options.peers_python, str(CHILD), peer, str(folder), str(options.recall)]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def chosen_rows(live: Any, count: int) -> tuple[Any, Any]:
    """Rows to ask with, evenly spread over the live ones, and a mask of the other live ones."""
    rows = np.flatnonzero(live)
    asked = rows[np.linspace(0, len(rows) - 1, min(count, len(rows) // 4)).astype(int)]
    rest = live.copy()
    rest[asked] = False
    return asked, rest


def numbered(count: int) -> Any:
    return np.arange(2 * count, dtype=np.uint64).view(ID_DTYPE)


# -- vectors ---------------------------------------------------------------------------------------


def split_vectors(table: VectorTable, count: int, folder: Path) -> tuple[Any, Any]:
    """The rows that are indexed, mapped from a file for all to read, and queries."""
    asked, rest = chosen_rows(table.live, count)
    shape = (int(rest.sum()), table.dim)
    path = folder / "vectors.npy"
    out = np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=shape)
    at = start = 0
    for part in table.parts:
        own = part[rest[start : start + len(part)]]
        out[at : at + len(own)] = own
        at, start = at + len(own), start + len(part)
    out.flush()
    queries = table.vectors(asked)
    np.save(folder / "queries.npy", queries)
    return np.load(path, mmap_mode="r"), queries


def by_products(vectors: Any, queries: Any) -> Any:
    """Rows of the K highest inner products; halves are not quite of unit length."""
    products = np.concatenate(
        [
            queries @ vectors[at : at + CHUNK].astype(np.float32).T
            for at in range(0, len(vectors), CHUNK)
        ],
        axis=1,
    )
    return np.argpartition(-products, K, axis=1)[:, :K]


def own_vectors(vectors: Any, queries: Any, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    codes = make_codes([vectors])
    build = time.perf_counter() - started
    exact = ExactIndex(numbered(len(vectors)), [vectors])
    index = CompactIndex(exact, codes)
    truth, slow = clocked(lambda query: exact.nearest(query, K).rows, queries)
    np.save(folder / "truth.npy", by_products(vectors, queries))
    for query in queries[:3]:  # not counted
        index.nearest(query, K)
    found, figures = clocked(lambda query: index.nearest(query, K).rows, queries)
    _, together = clocked(lambda every: index.nearest_many(every, K), [queries])
    columns = (codes.groups, codes.scale, codes.offset, codes.second, codes.second_scale)
    return {
        "build_seconds": round(build, 2),
        "bytes": vectors.nbytes + sum(column.nbytes for column in columns),
        **figures,
        "recall_at_10": recall(found, truth),
        "batch_searches_per_second": round(len(queries) / together["p50_ms"] * 1e3, 1),
        "exact_p50_ms": slow["p50_ms"],
    }


# -- colour ----------------------------------------------------------------------------------------


def split_histograms(
    table: HistogramTable, count: int, folder: Path
) -> tuple[HistogramTable, list[Any]]:
    """The histograms that are searched, as one segment and in files, and queries."""
    asked, rest = chosen_rows(table.live, count)
    columns: dict[str, list[Any]] = {"bins": [], "counts": [], "lengths": []}
    start = 0
    for part in table.parts:
        keep = rest[start : start + len(part)]
        lengths = np.diff(part.ends.astype(np.int64), prepend=0)
        cells = np.repeat(keep, lengths)
        columns["bins"].append(part.bins[: len(cells)][cells])
        columns["counts"].append(part.counts[: len(cells)][cells])
        columns["lengths"].append(lengths[keep])
        start += len(part)
    bins, counts, lengths = (np.concatenate(column) for column in columns.values())
    whole = HistogramPart(bins, counts, np.cumsum(lengths).astype(np.uint64))
    queries = [table.histogram(row).dense() for row in asked]
    for name in ("bins", "counts", "ends"):
        np.save(folder / f"{name}.npy", getattr(whole, name))
    np.save(folder / "histograms.npy", np.stack(queries).astype(np.float32))
    return HistogramTable(numbered(len(whole)), [whole], np.ones(len(whole), bool)), queries


def by_colour(
    table: HistogramTable, queries: list[Any], options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    started = time.perf_counter()
    coarse = coarse_rows(list(table.parts))
    build = time.perf_counter() - started
    own: dict[str, Any] = {}
    hits = {}
    for metric in COLOUR_MEASURES:
        index = ColourIndex(table, metric, lambda: coarse)
        index.nearest(queries[0], K)  # not counted
        found, own[metric] = clocked(lambda query, i=index: i.nearest(query, K).rows, queries)
        hits[metric] = [rows.tolist() for rows in found]
    peer = child("inverted", options, folder)
    for metric, result in peer.get("metrics", {}).items():
        result["recall_at_10"] = recall(result.pop("found"), hits[metric])
        result["p50_to_own"] = round(result["p50_ms"] / own[metric]["p50_ms"], 2)
    columns = (coarse.roots, coarse.parts, coarse.lengths, coarse.totals)
    size = sum(column.nbytes for column in columns)
    part = table.parts[0]
    return {
        "lookalike": {
            "build_seconds": round(build, 2),
            "bytes": size + part.bins.nbytes + part.counts.nbytes + part.ends.nbytes,
            "metrics": own,
        },
        "inverted, numba": peer,
    }


if __name__ == "__main__":
    main()
