"""A selection on the map as a condition, as SQL, and as a file."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from lookalike.conditions import Compare, In
from lookalike.errors import InputError
from lookalike.library import Library

MOST_IDS = 1_000
"""Ids in a condition at most; with more, it would not fit a command line."""
FORMS = {"csv": "text/csv", "paths": "text/plain", "json": "application/json"}
"""How a selection can be exported, and what that is."""
_ASKED = 2_000
"""Records of a selection whose labels are counted."""


def described(library: Library, ids: Sequence[UUID]) -> dict[str, Any]:
    """A selection's condition and SQL, or why it has none, and the labels most frequent in it."""
    few = 0 < len(ids) <= MOST_IDS
    note = f"More than {MOST_IDS:,} pictures: give them a label; the label is the condition."
    return {
        "count": len(ids),
        "condition": str(In("id", tuple(map(str, ids)))) if few else None,
        "sql": f"id IN ({', '.join(_blob(id_) for id_ in ids)})" if few else None,
        "note": None if few else note,
        "labels": _labels(library, ids),
    }


def labelled(library: Library, ids: Sequence[UUID], name: str) -> dict[str, Any]:
    """Write a label to those that are still in the library; what then finds all that have it."""
    records = zip(ids, library.get(ids), strict=True)
    there = [id_ for id_, record in records if record is not None]
    library.label(name, there)
    name = name.strip()
    text = name.replace("'", "''")
    return {
        "count": len(there),
        "condition": str(Compare("label", "=", name)),
        "sql": f"key IN (SELECT record FROM labels WHERE label = '{text}')",  # noqa: S608 (shown)
    }


def exported(library: Library, ids: Sequence[UUID], form: str) -> str:
    """Records with their paths: a table, one path a line, or JSON."""
    if form not in FORMS:
        raise InputError(f"form {form!r}: not known; use one of: {', '.join(FORMS)}")
    records = [record for record in library.get(ids) if record is not None]
    if form == "paths":
        return "".join(f"{path}\n" for record in records for path in record.paths[:1])
    rows = [
        {
            "id": str(record.id),
            "path": path,
            "width": record.facts.width,
            "height": record.facts.height,
            "taken": record.facts.taken_at,
        }
        for record in records
        for path in record.paths
    ]
    if form == "json":
        return json.dumps(rows, indent=1)
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, ("id", "path", "width", "height", "taken"), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return buffer.getvalue()


def _blob(id_: UUID) -> str:
    """An id as SQLite writes the 16 bytes of the column ``id``."""
    return f"X'{id_.hex.upper()}'"


def _labels(library: Library, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    step = max(1, len(ids) // _ASKED)
    some = ids[::step]
    counts = Counter(label.name for labels in library.labels_of(some) for label in labels)
    order = sorted(counts, key=lambda name: (-counts[name], name))[:6]
    return [{"name": name, "share": round(counts[name] / len(some), 3)} for name in order]
