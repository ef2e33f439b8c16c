"""Searches by the four colour metrics: how fast, and the same as comparing one by one?

    python benchmarks/colour.py LIBRARY [--name NAME]

In process and warm; 50 records of the library are queries, each left out of its own answers. In the
same run: a loop of OpenCV's `compareHist` over 5,000 rows, scaled up to all. For five queries the
ten found are held against scores of all rows, which must give the same.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
from common import clocked, deliver, library_parser, memory, opened, provenance, require

from lookalike import Library
from lookalike.indexes.base import choose
from lookalike.query.tables import Tables
from lookalike.types import COLOUR_MEASURES

K = 10
COMPARED, CHECKED = 5_000, 5
OPENCV = {
    "correlation": cv2.HISTCMP_CORREL,
    "chi-square": cv2.HISTCMP_CHISQR,
    "intersection": cv2.HISTCMP_INTERSECT,
    "bhattacharyya": cv2.HISTCMP_BHATTACHARYYA,
}


def main() -> None:
    parser = library_parser(__doc__, "colour")
    options = parser.parse_args()
    require(parser, options, "library")
    with opened(options) as library:
        result = measured(library, 10 if options.short else 50)
    deliver(options.name, result, short=options.short)


def measured(library: Library, count: int) -> dict[str, Any]:
    tables = library._current()
    live = np.flatnonzero(tables.histograms.live)
    rows = live[np.linspace(0, len(live) - 1, count).astype(int)]
    bins = [len(tables.histograms.histogram(int(row)).bins) for row in rows]
    result: dict[str, Any] = {
        "provenance": provenance(),
        "records": len(live),
        "bins_each": round(float(np.mean(bins)), 1),
    }
    for metric in COLOUR_MEASURES:
        result[metric] = trial(tables, metric, rows)
    result["memory"] = memory()
    return result


def trial(tables: Tables, metric: str, rows: np.ndarray) -> dict[str, Any]:
    index, table = tables.colour(metric), tables.histograms
    asked = []
    for row in rows:
        mask = table.live.copy()
        mask[row] = False
        asked.append((table.histogram(int(row)).dense(), mask))
    index.nearest(asked[0][0], K, asked[0][1])
    found, figures = clocked(lambda q: index.nearest(q[0], K, q[1]).rows, asked)
    same = True
    for (query, mask), own in list(zip(asked, found, strict=True))[:CHECKED]:
        scores = index.scores(query)
        best = choose(scores, index.measure, index.ids, K, mask).rows
        same &= set(best.tolist()) == set(own.tolist()) or bool(
            np.allclose(np.sort(scores[best]), np.sort(scores[own]), atol=1e-4)
        )
    return {**figures, "same_as_all_compared": same, **one_by_one(tables, metric, asked[0][0])}


def one_by_one(tables: Tables, metric: str, query: np.ndarray) -> dict[str, float]:
    """The loop that system A ran, over some rows, and what all would take."""
    table = tables.histograms
    some = np.linspace(0, len(table.ids) - 1, min(COMPARED, len(table.ids))).astype(int)
    dense = [table.histogram(int(row)).dense().astype(np.float32) for row in some]
    own = query.astype(np.float32)
    started = time.perf_counter()
    for other in dense:
        cv2.compareHist(own, other, OPENCV[metric])
    each = (time.perf_counter() - started) / len(dense)
    return {"opencv_loop_ms_for_all": round(each * len(table.ids) * 1e3, 1)}


if __name__ == "__main__":
    main()
