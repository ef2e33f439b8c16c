"""Searches by meaning and by PCA-100: how fast, how many of the ten nearest, with which filters?

    python benchmarks/meaning.py LIBRARY [--photos DIR] [--effort FIRST,SECOND] [--name NAME]

In process and warm; ids go in, rows come out (``command.py`` has the whole way). In the same run:
the same index scanned exactly, and one float32 product of the query with all vectors by BLAS.
Queries are 200 of the library's records, each left out of its own answers, and with --photos 100
pictures that are not in the library. Filters are random masks: the hardest, nothing is skipped in
groups. --effort lets fewer rows pass, as a smaller library would in proportion.
"""

from __future__ import annotations

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
    recall,
    require,
)

from lookalike import Library
from lookalike.decode import decode, read
from lookalike.features.encoders import DEFAULT_ENCODER, load_encoder
from lookalike.indexes import CompactIndex, compact
from lookalike.query import tables as query_tables
from lookalike.query.tables import Tables

K = 10
SHARES = (0.5, 0.05, 0.005, 0.0001)
EXACT_QUERIES = 30


def main() -> None:
    parser = library_parser(__doc__, "meaning")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--effort", help="rows that pass the first stage and the second")
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    require(parser, options, "library")
    if options.effort:
        lowered(*map(int, options.effort.split(",")))
    with opened(options) as library:
        result = measured(library, options.photos, 40 if options.short else options.queries)
    deliver(options.name, {"effort": options.effort or "default", **result}, short=options.short)


def lowered(first: int, second: int) -> None:
    """Use the index in libraries of any size, with this effort."""
    compact.LEAST_ROWS = query_tables.LEAST_ROWS = 1_000
    own = compact.Effort(first, second)
    compact.Effort.of = classmethod(lambda cls, k: own)  # type: ignore[assignment]


def measured(library: Library, photos: Path | None, count: int) -> dict[str, Any]:
    tables = library._current()
    live = np.flatnonzero(tables.vectors.live)
    rows = live[np.linspace(0, len(live) - 1, count).astype(int)]
    result: dict[str, Any] = {"provenance": provenance(), "records": len(live)}
    own = tables.vectors.vectors(rows).astype(np.float64)
    result["meaning, records"] = trial(tables, tables.meaning(exact=False), own, rows)
    result["meaning, BLAS float32"] = by_blas(tables, own[:EXACT_QUERIES])
    if photos:
        fresh = encoded(sorted(photos.rglob("*.jpg")), 100)
        result["meaning, other pictures"] = trial(tables, tables.meaning(exact=False), fresh, None)
    result["filters"] = filtered(tables, own, rows)
    model, reduced = tables.reduced("linear", 100, exact=False)
    small = np.asarray(model.transform(own.astype(np.float32), 100), np.float64)
    result["pca-100, records"] = trial(tables, reduced, small, rows)
    result["memory"] = memory()
    return result


def trial(
    tables: Tables, index: Any, queries: np.ndarray, rows: np.ndarray | None
) -> dict[str, Any]:
    """One index against itself scanned exactly."""
    exact = index.exact if isinstance(index, CompactIndex) else index
    masks = list(without(tables.vectors.live, rows, len(queries)))
    asked = list(zip(queries, masks, strict=True))
    index.nearest(*asked[0][:1], K, asked[0][1])
    found, figures = clocked(lambda q: index.nearest(q[0], K, q[1]).rows, asked)
    _, exact_figures = clocked(lambda q: exact.nearest(q[0], K, q[1]).rows, asked[:EXACT_QUERIES])
    truth = [exact.nearest(query, K, mask).rows for query, mask in asked]
    return {
        **figures,
        "recall_at_10": recall(found, truth),
        "exact_p50_ms": exact_figures["p50_ms"],
        "approximate": isinstance(index, CompactIndex),
    }


def without(live: np.ndarray, rows: np.ndarray | None, count: int) -> Sequence[np.ndarray]:
    """The live rows, for each query without itself."""
    masks = []
    for number in range(count):
        mask = live.copy() if rows is not None or not number else masks[0]
        if rows is not None:
            mask[rows[number]] = False
        masks.append(mask)
    return masks


def by_blas(tables: Tables, queries: np.ndarray) -> dict[str, float]:
    """What a plain NumPy search costs: all vectors as float32 in memory."""
    whole = np.concatenate([np.asarray(part, np.float32) for part in tables.vectors.parts])

    def nearest(query: np.ndarray) -> np.ndarray:
        scores = whole @ query.astype(np.float32)
        best = np.argpartition(-scores, K - 1)[:K]
        return np.asarray(best[np.argsort(-scores[best])])

    return clocked(nearest, queries)[1]


def filtered(tables: Tables, queries: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """Under random conditions, in turn with searches without one."""
    index, live = tables.meaning(exact=False), tables.vectors.live
    rng = np.random.default_rng(1)
    result: dict[str, Any] = {}
    for share in SHARES:
        allowed = live & (rng.random(len(live)) < share)
        allowed[rng.choice(np.flatnonzero(live), K, replace=False)] = True  # at least k
        found, figures = clocked(lambda q, m=allowed: index.nearest(q, K, m).rows, queries)
        _, plain = clocked(lambda q: index.nearest(q, K, live).rows, queries)
        truth = [tables.exact.nearest(query, K, allowed).rows for query in queries]
        result[f"{share:.2%}"] = {
            **figures,
            "recall_at_10": recall(found, truth),
            "without_p50_ms": plain["p50_ms"],
            "all_k_came_back": all(len(own) == K for own in found),
        }
    return result


def encoded(paths: Sequence[Path], count: int) -> np.ndarray:
    """Vectors of some pictures, evenly drawn."""
    encoder = load_encoder(DEFAULT_ENCODER)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]
    pixels = [encoder.prepare(decode(read(str(path)).data).image) for path in chosen]
    return encoder.encode(np.stack(pixels)).vectors.astype(np.float64)


if __name__ == "__main__":
    main()
