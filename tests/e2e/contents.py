"""What a library holds, read from its files, so that two libraries can be compared."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lookalike.stores import SqliteStore
from lookalike.stores.segments import HEADER, HISTOGRAM_COLUMNS, vector_columns

Files = dict[bytes, tuple[str, str, bytes | None]]


@dataclass(frozen=True)
class Contents:
    """State, reason and record of each file; and per record id what is stored of it."""

    files: Files
    vectors: dict[bytes, bytes]
    histograms: dict[bytes, bytes]
    thumbnails: dict[bytes, bytes]
    logits: dict[bytes, str]
    facts: dict[bytes, tuple[object, ...]]


def contents(library: Path) -> Contents:
    """Everything in a library, once it is sure that no live row is there twice or is missing."""
    catalog = sqlite3.connect(f"file:{library / 'catalog.sqlite'}?mode=ro", uri=True)
    try:
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert catalog.execute("PRAGMA foreign_key_check").fetchall() == []
        facts = {
            row[0]: row[1:]
            for row in catalog.execute(
                "SELECT id, content_hash, bytes, width, height, format, taken_at, camera,"
                " latitude, longitude, phash, live_files FROM records"
            )
        }
        files = {
            path: (state, reason, record)
            for path, state, reason, record in catalog.execute(
                "SELECT path, state, reason, id FROM files"
                " LEFT JOIN records ON record = records.key"
            )
        }
        thumbnails = dict(
            catalog.execute("SELECT id, jpeg FROM thumbnails JOIN records ON record = key")
        )
        logits = dict(
            catalog.execute(
                "SELECT id, hex(classes) || hex(logits) FROM logits JOIN records ON record = key"
            )
        )
    finally:
        catalog.close()
    live = Counter(record for state, _, record in files.values() if _is_live(state, record))
    assert {id_: row[-1] for id_, row in facts.items() if row[-1]} == dict(live)
    vectors, histograms = _tables(library)
    assert set(vectors) == set(histograms) == set(live)
    assert set(thumbnails) == set(logits) == set(facts)
    return Contents(files, vectors, histograms, thumbnails, logits, facts)


def _is_live(state: str, record: bytes | None) -> bool:
    return record is not None and state in ("indexed", "unchanged", "moved")


def _tables(library: Path) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    store = SqliteStore(library)
    try:
        spaces = store.spaces()
        vectors: dict[bytes, bytes] = {}
        if spaces:
            table = store.vectors(spaces[0])
            rows = (row.tobytes() for part in table.parts for row in part)
            vectors = _live_rows(table.ids, table.live, list(rows))
        colours = store.histograms()
        sparse = [colours.histogram(row) for row in range(len(colours.ids))]
        cells = [one.bins.tobytes() + one.counts.tobytes() for one in sparse]
        return vectors, _live_rows(colours.ids, colours.live, cells)
    finally:
        store.close()


def _live_rows(ids: object, live: object, rows: list[bytes]) -> dict[bytes, bytes]:
    kept = [
        (id_.tobytes(), row)
        for id_, alive, row in zip(ids, live, rows, strict=True)  # type: ignore[call-overload]
        if alive
    ]
    assert len(kept) == len(dict(kept)), "a record has two live rows"
    return dict(kept)


def surplus_bytes(library: Path) -> int:
    """Bytes in the segments' files behind the last committed row."""
    catalog = sqlite3.connect(f"file:{library / 'catalog.sqlite'}?mode=ro", uri=True)
    try:
        segments = catalog.execute("SELECT series, number, rows, cells FROM segments").fetchall()
    finally:
        catalog.close()
    expected: dict[Path, int] = {}
    for series, number, rows, cells in segments:
        columns = HISTOGRAM_COLUMNS if series == "histograms" else vector_columns(1280)
        for column in columns:
            length = (cells if column.per_cell else rows) * column.stride
            path = library / series / f"{number:06d}.{column.suffix}"
            expected[path] = HEADER.size + length
    return sum(path.stat().st_size - expected.get(path, 0) for path in segment_files(library))


def segment_files(library: Path) -> list[Path]:
    """All files of all series."""
    return sorted(
        Path(top) / name
        for series in ("vectors", "histograms")
        for top, _, names in os.walk(library / series)
        for name in names
    )
