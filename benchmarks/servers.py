"""A library on servers: seconds to push it and to make indexes, milliseconds a search, recall.

    python benchmarks/servers.py LIBRARY [--queries 100] [--seed 0] [--name servers]

LIBRARY is pushed to a PostgreSQL with pgvector that is started here (over a socket) and to
ClickHouse's engine in this process (chDB). The same records drawn at random are searched for on
all three: by meaning, with and without the index, under a condition that half of the records meet,
in a category, by colour, and by a word; recall@10 of those by meaning is counted against the same
search in the folder, exact. Each question is put to one engine after the other.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np
from join import figures, places

from lookalike import Library
from lookalike.homes import home_of
from lookalike.query.search import Method
from lookalike.stores.server.store import ServerStore

K = 10


def main() -> None:
    parser = common.library_parser(__doc__, "servers")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    common.require(parser, options, "library")
    queries = 5 if options.short else options.queries
    result: dict[str, Any] = {"provenance": common.provenance(), "k": K, "seed": options.seed}
    with tempfile.TemporaryDirectory() as scratch, places(Path(scratch)) as addresses:
        if options.short:
            with common.short_library() as library:
                result |= measured(library, addresses, queries, options.seed)
        else:
            with Library.open(options.library) as library:
                result |= measured(library, addresses, queries, options.seed)
    common.deliver(options.name, result, short=options.short)


def measured(
    library: Library, addresses: dict[str, str], queries: int, seed: int
) -> dict[str, Any]:
    servers = {name: address for name, address in addresses.items() if name != "SQLite"}
    filled = {name: pushed(library, address) for name, address in servers.items()}
    opened = {name: Library.open(address) for name, address in servers.items()}
    drawn = np.random.default_rng(seed).choice(10**6, queries)
    asked = [library.random_record(int(number)) for number in drawn]
    engines = {"SQLite": library, **opened}
    ways: dict[str, dict[str, Any]] = {
        "by meaning": {},
        "by meaning, exact": {"exact": True},
        "by meaning, of half the records": {"where": f"bytes > {median_bytes(library)}"},
        "by meaning, in a category": {"category": "artifact"},
        "by colour, Bhattacharyya": {"method": Method("colour")},
    }
    searches = {way: searched(engines, asked, options) for way, options in ways.items()}
    searches["by a word"] = searched(engines, [f"text:{word}" for word in WORDS], {})
    for own in opened.values():
        own.close()
    return {
        "records": len(library),
        "dim": library.space.dim,
        "queries": queries,
        "filled": filled,
        "searches": searches,
    }


WORDS = ("dog", "motorcycle", "cup", "ship", "bird")


def median_bytes(library: Library) -> int:
    """Of the pictures' files."""
    place = f"LIMIT 1 OFFSET {len(library) // 2}"
    ((size,),) = library.sql(f"SELECT bytes FROM images ORDER BY bytes {place}")
    return int(size)


def pushed(library: Library, address: str) -> dict[str, Any]:
    started = time.perf_counter()
    report = library.push(address)
    took = time.perf_counter() - started
    steps = {step: round(value, 1) for step, value in report.seconds.items()}
    return {"push_seconds": round(took, 1), "of_this": steps, "megabytes": megabytes(address)}


def searched(
    opened: dict[str, Library], asked: Sequence[Any], options: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Milliseconds of each engine; and by meaning, what share it finds of the exact answer."""
    counted = "method" not in options and not isinstance(asked[0], str)
    truth = [
        ids(opened["SQLite"].search([one], K, **{**options, "exact": True})) if counted else set()
        for one in asked
    ]
    times: dict[str, list[float]] = {name: [] for name in opened}
    found: dict[str, list[float]] = {name: [] for name in opened}
    for number, (one, own_truth) in enumerate(
        zip([asked[0], *asked], [truth[0], *truth], strict=True)
    ):
        for name, own in opened.items():
            started = time.perf_counter()
            result = own.search([one], K, **options)
            if number:  # the first opens what the others use
                times[name].append(time.perf_counter() - started)
                found[name].append(len(ids(result) & own_truth) / max(1, len(own_truth)))
    told = {name: figures(own) for name, own in times.items()}
    for name in opened if counted else ():
        told[name]["recall"] = round(float(np.mean(found[name])), 4)
    return told


def ids(result: Any) -> set[Any]:
    return {hit.id for hit in result.hits}


def megabytes(address: str) -> int | None:
    """What a library takes on its server's disk, with indexes."""
    store = home_of(address).open()
    assert isinstance(store, ServerStore)
    try:
        query = {
            "postgresql": "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c JOIN"
            " pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'bench' AND relkind = 'r'",
            "clickhouse": "SELECT sum(bytes_on_disk) FROM system.parts WHERE active"
            " AND database = 'bench'",
        }[store.dialect]
        return round(int(store.engine.rows(query)[0][0]) / 1e6)
    finally:
        store.close()


if __name__ == "__main__":
    os.environ.setdefault("XDG_CACHE_HOME", tempfile.gettempdir())
    main()
