"""The tables of a library on a server, for every engine alike.

Names of tables that only the store reads begin with an underscore; ``images``, ``files``,
``labels`` and the side tables are what ``lookalike sql`` shows. Vectors of a space lie in a table
of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lookalike.types import BINS, Space

Kind = Literal[
    "id", "bytes", "text", "integer", "real", "integers", "reals", "texts", "vector", "histogram"
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Values in Python: UUID, bytes, str, int, float, sequences of these, arrays.

    ``vector``: float16 (size,); ``histogram``: a SparseHistogram.
    """

    name: str
    kind: Kind
    nullable: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its key. ``fixed``: a row never changes once it is there."""

    name: str
    columns: Sequence[Column]
    key: Sequence[str]
    fixed: bool = False

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]


def _table(name: str, key: str, *columns: str, fixed: bool = False) -> Table:
    """A table from words: ``name kind`` or ``name kind null``."""
    made = []
    for column in columns:
        own, kind, *null = column.split()
        made.append(Column(own, kind, bool(null)))  # type: ignore[arg-type]
    return Table(name, tuple(made), tuple(key.split()), fixed)


RECORDS = _table(
    "_records", "id",
    "id id", "number integer", "content_hash bytes", "bytes integer", "width integer",
    "height integer", "format text", "taken_at text null", "camera text null",
    "latitude real null", "longitude real null", "phash integer",
    fixed=True,
)  # fmt: skip
"""``number`` counts records in the order of indexing, from 1."""

THUMBNAILS = _table("_thumbnails", "record", "record id", "jpeg bytes", fixed=True)

HISTOGRAMS = Table(
    "_histograms",
    (Column("record", "id"), Column("histogram", "histogram", size=BINS)),
    ("record",),
    fixed=True,
)

FILES = _table(
    "_files", "path",
    "path bytes", "folder text", "name text", "bytes integer null", "mtime_ns integer null",
    "record id null", "state text", "reason text", "detail text", "run integer",
    "foreign_id text null", "validator text null",
)  # fmt: skip

SPACES = _table(
    "_spaces", "number",
    "number integer", "name text", "encoder text", "weights_digest text", "preprocessing text",
    "dim integer",
)  # fmt: skip

CLASSES = _table(
    "_classes", "record space",
    "record id", "space integer", "classes integers", "logits reals", "shares reals",
    fixed=True,
)  # fmt: skip
"""The highest class logits of a record, and what shares of probability they are."""

PARTS = _table(
    "_parts", "record space number",
    "record id", "space integer", "number integer", "box_left real", "box_top real", "width real",
    "height real", "classes integers", "logits reals", "shares reals",
)  # fmt: skip

LABELS = _table(
    "_labels", "record source label",
    "record id", "source text", "label text", "confidence real",
)  # fmt: skip

DECISIONS = _table(
    "_decisions", "first second", "first id", "second id", "decision text", "decided text"
)

SETTINGS = _table("_settings", "name", "name text", "value text")

RUNS = _table("_runs", "id", "id integer", "started text", "finished text null")

SIDE_TABLES = _table(
    "_side_tables", "name",
    "name text", "key text", "matches text", "columns text", "rows integer", "source text",
    "added text",
)  # fmt: skip

WRITERS = _table("_writers", "token", "token text", "holder text", "since integer", "seen integer")
"""Who writes, where an engine has no locks: ``since`` and ``seen`` in nanoseconds since 1970."""

TABLES = (
    RECORDS, THUMBNAILS, HISTOGRAMS, FILES, SPACES, CLASSES, PARTS, LABELS, DECISIONS, SETTINGS,
    RUNS, SIDE_TABLES,
)  # fmt: skip


def vectors_of(space: Space) -> Table:
    """The table of a space's vectors."""
    name = "vectors_" + re.sub(r"[^a-z0-9]+", "_", space.name.lower()).strip("_")[:40]
    return Table(
        name, (Column("id", "id"), Column("embedding", "vector", size=space.dim)), ("id",), True
    )


def expanded(table: Table, histogram: Sequence[Column]) -> Iterator[Column]:
    """The columns of a table as an engine has them: ``histogram`` in place of a histogram's."""
    for column in table.columns:
        yield from histogram if column.kind == "histogram" else (column,)


DISPLAYED_PATH = "concat(trim(TRAILING '/' FROM f.folder), '/', f.name)"
"""The path of a file ``f`` as text."""


def matched(matches: str, text: str) -> str:
    """What the key of a side table's row is compared with, in SQL over live files ``f``.

    ``matches``: one of ``SIDE_MATCHES``; ``text``: the engine's type of text.
    """
    return {
        "foreign_id": "f.foreign_id",
        "path": DISPLAYED_PATH,
        "name": "f.name",
        "id": f"CAST(f.record AS {text})",
    }[matches]
