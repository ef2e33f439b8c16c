"""Side tables: seconds to add 2.25 million rows, to join hits with them, to filter by them.

    python benchmarks/side_tables.py LIBRARY [--rows 2250000] [--seed 0] [--short]

A copy of LIBRARY gets foreign ids and a table of the form of Unsplash's conversions, in two parts,
drawn from a seed: pictures and keywords are as unevenly frequent as words are (Zipf, exponents 0.7
and 1). Each query takes a record drawn at random; the statements are system B's two analyses.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import numpy as np

from lookalike import Library
from lookalike.conditions import parse_condition
from lookalike.rows import open_table
from lookalike.side_tables import TableOptions
from lookalike.stores import SqliteStore

SHORT_ROWS = 20_000
ASKED, K = 50, 10
LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
NAMES = (
    "converted_at", "conversion_type", "keyword", "photo_id", "anonymous_user_id",
    "conversion_country",
)  # fmt: skip

CANDIDATES = """
SELECT photo_id, count(*) AS count FROM conversions JOIN files ON files.foreign_id = photo_id
JOIN similar('id:{}', {}, 'include_self') USING (id) GROUP BY photo_id ORDER BY count DESC
"""
KEYWORDS = """
WITH popular AS (SELECT photo_id FROM conversions JOIN files ON files.foreign_id = photo_id
JOIN similar('id:{}', {}, 'include_self') USING (id) GROUP BY photo_id ORDER BY count(*) DESC
LIMIT 1) SELECT keyword, count(*) AS count FROM conversions JOIN popular USING (photo_id)
GROUP BY keyword ORDER BY count DESC LIMIT 5
"""
CONDITIONS = (
    "conversions.keyword = 'keyword 0'",
    "conversions.keyword = 'keyword 20000'",
    "conversions.keyword != 'keyword 0'",
    "conversions.keyword like 'keyword 9%'",
    "some conversions (keyword = 'keyword 0' and conversion_country = 'DE')",
    "some conversions",
    "conversions.keyword is null",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=2_250_000)
    parser.add_argument("--seed", type=int, default=0)
    common.add_short(parser)
    options = parser.parse_args()
    common.require(parser, options, "library")
    rows = SHORT_ROWS if options.short else options.rows
    result: dict[str, Any] = {"provenance": common.provenance(), "rows": rows}
    result |= {"seed": options.seed, "k": K}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "library"
        if options.short:
            with common.short_library() as library:
                shutil.copytree(library.folder, folder)
        else:
            shutil.copytree(options.library, folder)
        result |= measure(folder, Path(scratch), rows, options.seed)
    common.deliver("side_tables", result, short=options.short)


def measure(folder: Path, scratch: Path, rows: int, seed: int) -> dict[str, Any]:
    Library.open(folder).close()  # an older library is migrated
    ids = give_foreign_ids(folder, seed)
    parts = write_parts(scratch, ids, rows, seed)
    pattern = str(scratch / "conversions.tsv*")
    bytes_before = (folder / "catalog.sqlite").stat().st_size
    seconds = {
        "read as text": clock(lambda: sum(len(b[0]) for b in open_table([pattern]).texts(NAMES))),
        "add": clock(lambda: add(folder, pattern)),
    }
    grown = (folder / "catalog.sqlite").stat().st_size - bytes_before
    asked = np.random.default_rng(seed).choice(ids, ASKED).tolist()
    with Library.open(folder) as library:
        list(library.sql(CANDIDATES.format(asked[0], K)))  # opens what the others use, too
        statements = {
            "the search alone": lambda id_: library.search([f"id:{id_}"], K, include_self=True),
            "downloads per candidate": lambda id_: list(library.sql(CANDIDATES.format(id_, K))),
            "top keywords of the most popular": lambda id_: list(
                library.sql(KEYWORDS.format(id_, K))
            ),
        }
        figures = {name: common.clocked(ask, asked)[1] for name, ask in statements.items()}
        records = len(library)
    return {
        "records": records,
        "file_mb": round(sum(part.stat().st_size for part in parts) / 1e6),
        "catalogue_grown_mb": round(grown / 1e6),
        "seconds": {name: round(took, 2) for name, took in seconds.items()},
        "statements": figures,
        "conditions": filtered(folder),
    }


def clock(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def add(folder: Path, pattern: str) -> None:
    with Library.open(folder) as library:
        library.add_table("conversions", [pattern], TableOptions("photo_id"))


def filtered(folder: Path) -> list[dict[str, Any]]:
    """Records found and milliseconds, for each condition."""
    store = SqliteStore(folder)
    figures = []
    for text in CONDITIONS:
        condition = parse_condition(text)
        found, times = common.clocked(lambda c: len(store.matching(c)), [condition] * 5)
        figures.append({"where": text, "records": found[0], **times})
    store.close()
    return figures


def give_foreign_ids(folder: Path, seed: int) -> list[str]:
    """Ids of eleven characters, as Unsplash's photos have them."""
    db = sqlite3.connect(folder / "catalog.sqlite")
    keys = [key for (key,) in db.execute("SELECT key FROM files WHERE live ORDER BY key")]
    drawn = np.random.default_rng([seed, 1]).choice(LETTERS, (len(keys), 11))
    ids = ["".join(letters) for letters in drawn]
    with db:
        db.executemany("UPDATE files SET foreign_id = ? WHERE key = ?", zip(ids, keys, strict=True))
    db.close()
    return ids


def write_parts(folder: Path, ids: list[str], rows: int, seed: int) -> list[Path]:
    rng = np.random.default_rng([seed, 2])
    photos = drawn(rng, len(ids), 0.7, rows)
    words = drawn(rng, 50_000, 1.0, rows)
    users, countries = rng.bytes(16 * rows).hex(), ("US", "DE", "FR", "IN", "BR", "GB")
    paths = [folder / f"conversions.tsv{number:03d}" for number in range(2)]
    for number, path in enumerate(paths):
        with path.open("w") as file:
            file.write("\t".join(NAMES) + "\n")
            file.writelines(
                f"2020-{n % 12 + 1:02d}-{n % 28 + 1:02d} {n % 24:02d}:{n % 60:02d}:11.{n % 999:03d}"
                f"\tdownload\tkeyword {words[n]}\t{ids[photos[n]]}\t{users[32 * n : 32 * n + 32]}"
                f"\t{countries[n % 6]}\n"
                for n in range(number, rows, 2)
            )
    return paths


def drawn(rng: np.random.Generator, count: int, exponent: float, rows: int) -> np.ndarray:
    """Numbers below ``count``, the lower the more frequent."""
    weights = 1 / np.arange(1, count + 1) ** exponent
    return rng.choice(count, rows, p=weights / weights.sum())


if __name__ == "__main__":
    main()
