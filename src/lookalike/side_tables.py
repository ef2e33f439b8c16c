"""Tables of users beside the pictures: which name they may have, and what their key matches."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from lookalike.conditions import In
from lookalike.errors import InputError
from lookalike.query.terms import record_id_of
from lookalike.rows import Table, open_table
from lookalike.stores import Store
from lookalike.types import SIDE_MATCHES, Column, ColumnKind, SideTable, uuids

MOST_COLUMNS = 500
"""Columns of a side table at most."""

_TAKEN = ("images", "files", "labels", "similar", "tables")
_BEGINNINGS = ("sqlite_", "pg_", "lookalike_", "side_", "vectors_")
"""Of names that tables on one engine or another have for themselves."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_WORDS = frozenset((
    "all", "alter", "analyze", "and", "any", "array", "as", "asc", "between", "both", "by",
    "case", "cast", "check", "collate", "column", "constraint", "create", "cross", "current_date",
    "current_time", "current_timestamp", "default", "delete", "desc", "distinct", "drop", "else",
    "end", "escape", "except", "exists", "explain", "false", "fetch", "filter", "final", "for",
    "foreign", "from", "full", "global", "glob", "grant", "group", "having", "in", "index",
    "inner", "insert", "intersect", "into", "is", "isnull", "join", "key", "lateral", "leading",
    "left", "like", "limit", "match", "natural", "not", "notnull", "null", "offset", "on", "or",
    "order", "outer", "over", "partition", "prewhere", "primary", "references", "regexp",
    "replace", "returning", "right", "row", "rows", "sample", "select", "semi", "set", "settings",
    "some", "table", "temp", "temporary", "then", "to", "trailing", "trigger", "true", "under",
    "union", "unique", "update", "user", "using", "values", "view", "when", "where", "window",
    "with", "without",
))  # fmt: skip
"""Words that SQLite, PostgreSQL, ClickHouse or conditions read as something else."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """A side table that was added, and how many of its rows belong to a picture of the library."""

    table: SideTable
    matched: int


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How files become a side table.

    ``key``: the column that says to which picture a row belongs. ``matches``: what of a picture it
    is, one of ``SIDE_MATCHES``; None: whichever the first rows fit. ``columns``: the others to
    take, all if None. ``texts``: columns that are text whatever they look like. ``replace``: an
    older table of the name goes.
    """

    key: str
    matches: str | None = None
    columns: Sequence[str] | None = None
    texts: Sequence[str] = ()
    replace: bool = False


def table_name(text: str) -> str:
    """A name as a side table has it, in small letters; raises InputError if it cannot be one."""
    name = text.lower()
    if _NAME.fullmatch(name) is None:
        raise InputError(
            f"table {text[:80]!r}: a name has letters a to z, digits and _, begins with a letter"
            " and has at most 63 characters; choose one like conversions"
        )
    if name in _TAKEN or name in _WORDS or name.startswith(_BEGINNINGS):
        raise InputError(
            f"table {text!r}: the name means something else; choose another, my_{name}"
        )
    return name


def records_named(store: Store, texts: Sequence[str]) -> list[UUID | None]:
    """The records that texts name: their ids, what other tables call them, or their paths."""
    ids = [record_id_of(text) for text in texts]
    known = [id_ for id_ in ids if id_ is not None]
    there = {one.id for one in store.get(known) if one is not None}
    paths = tuple(text for text in texts if text.startswith("/"))
    lying = uuids(store.matching(In("path", paths))) if paths else []
    at = {path: one for one, own in zip(lying, store.paths(lying), strict=True) for path in own}
    return [
        id_ if id_ in there else at.get(text) or store.find_foreign(text)
        for text, id_ in zip(texts, ids, strict=True)
    ]


def known_table(tables: Sequence[SideTable], text: str) -> SideTable:
    """The table of this name; raises InputError if there is none."""
    found = next((table for table in tables if table.name == text.lower()), None)
    if found is None:
        there = ", ".join(table.name for table in tables) or "none yet; lookalike table add"
        raise InputError(f"table {text!r}: there is none; tables are: {there}")
    return found


def add_table(
    store: Store,
    name: str,
    files: Sequence[str | os.PathLike[str]],
    options: TableOptions,
    stage: Callable[[str], None],
) -> TableReport:
    """Put the rows of files into a library. See ``Library.add_table``."""
    name = table_name(name)
    if options.matches not in (None, *SIDE_MATCHES):
        known = ", ".join(SIDE_MATCHES)
        raise InputError(f"matches {options.matches!r}: not known; use one of: {known}")
    if not options.replace and any(table.name == name for table in store.side_tables()):
        raise InputError(f"table {name!r}: is there already; --replace puts this one in its place")
    rows = open_table(files, texts=[options.key, *options.texts])
    names = _names(rows, options)
    stage("finding out what kinds the columns have")
    columns = rows.kinds_of(names)
    stage("writing the rows")
    table = SideTable(
        name,
        options.key,
        options.matches or _best_match(store, rows, options.key),
        columns,
        source=", ".join(os.fspath(one) for one in files),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    added = store.put_table(table, rows.batches(columns))
    return TableReport(added, store.rows_matched(added))


def _names(rows: Table, options: TableOptions) -> tuple[str, ...]:
    """The columns to take, in their order."""
    chosen = {options.key, *(rows.names if options.columns is None else options.columns)}
    rows.check_names([*chosen, *options.texts])
    if len(chosen) > MOST_COLUMNS:
        raise InputError(
            f"{rows.paths[0]}: {len(chosen):,} columns; at most {MOST_COLUMNS} can be kept, name"
            " them: --columns"
        )
    return tuple(name for name in rows.names if name in chosen)


def _best_match(store: Store, rows: Table, key: str) -> str:
    """What most of the first keys are; the first of ``SIDE_MATCHES`` if they are nothing."""
    (batch,) = next(rows.batches([Column(key, ColumnKind.TEXT)]), [()])
    keys = [str(value) for value in dict.fromkeys(batch) if value is not None]
    found = [store.find_keys(matches, keys) for matches in SIDE_MATCHES] if keys else [0]
    return SIDE_MATCHES[found.index(max(found))]
