"""Many searches by meaning at once: how many times as many a second as one by one?

    python benchmarks/batch.py LIBRARY [--name NAME]

`Library.search_many` with 1, 16, 64 and 256 record ids, against `Library.search` of each, k = 10,
whole results with paths, warm; best of three rounds in turn. All answers must be the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
from common import deliver, library_parser, opened, provenance, require

from lookalike import Library

SIZES = (1, 16, 64, 256)
K = 10
ROUNDS = 3


def main() -> None:
    parser = library_parser(__doc__, "batch")
    options = parser.parse_args()
    require(parser, options, "library")
    with opened(options) as library:
        result = measured(library)
    deliver(options.name, result, short=options.short)


def measured(library: Library) -> dict[str, Any]:
    table = library._current().vectors
    live = np.flatnonzero(table.live)
    rows = live[np.linspace(0, len(live) - 1, SIZES[-1]).astype(int)]
    ids = [UUID(bytes=table.ids[row].tobytes()) for row in rows]
    one = [library.search(id_, K) for id_ in ids]
    result: dict[str, Any] = {"provenance": provenance(), "records": len(live)}
    rates: dict[int, list[float]] = {size: [] for size in (0, *SIZES)}
    for _ in range(ROUNDS):
        rates[0].append(rate(lambda: [library.search(id_, K) for id_ in ids], len(ids)))
        for size in SIZES:
            own = ids[:size] if size < 16 else ids
            batches = [own[at : at + size] for at in range(0, len(own), size)]
            rates[size].append(
                rate(lambda b=batches: [library.search_many(some, K) for some in b], len(own))
            )
    single = max(rates[0])
    result["one_by_one_a_second"] = round(single, 1)
    for size in SIZES:
        best = max(rates[size])
        result[f"batches_of_{size}"] = {
            "a_second": round(best, 1),
            "times_one_by_one": round(best / single, 2),
        }
    many = library.search_many(ids, K)
    result["same_hits"] = all(
        [hit.id for hit in a.hits] == [hit.id for hit in b.hits]
        for a, b in zip(one, many, strict=True)
    )
    return result


def rate(function: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    function()
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
