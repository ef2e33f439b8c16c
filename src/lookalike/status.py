"""How a library stands: what it holds, whether its parts fit each other, how its indexes are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lookalike.indexes.categories import CategoryCache
from lookalike.indexes.colour import CoarseCache
from lookalike.indexes.compact import CodesCache
from lookalike.indexes.derived import Standing
from lookalike.query.tables import Derived, has_classes
from lookalike.stores import SqliteStore
from lookalike.stores.base import IdentifiedRows
from lookalike.stores.server.layout import vectors_of
from lookalike.stores.server.store import LEAST_INDEXED, ServerStore
from lookalike.types import Space

AnyStore = SqliteStore | ServerStore


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """A space, and how many records have a vector in it; ``lacking``: live ones without."""

    name: str
    default: bool
    dim: int
    vectors: int
    lacking: int


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """An index or a cache over a library's numbers.

    ``state``: ``none``, ``building``, ``built`` or ``stale``; ``detail``: how far it is, what is
    wrong and what to do, or why there need be none.
    """

    name: str
    kind: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a library holds.

    ``records``, ``histograms``: with a file now; ``checks``: what does not fit, each with its
    cure; none if all does.
    """

    name: str
    engine: str
    records: int
    files: Mapping[str, int]
    spaces: Sequence[SpaceStatus]
    histograms: int
    thumbnails: int
    labels: int
    side_tables: Mapping[str, int]
    last_indexed: str | None
    indexes: Sequence[IndexStatus]
    checks: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class _Names:
    """How a kind of store calls its tables, in SQL; ``record``: the key of a record."""

    records: str
    record: str
    files: str
    labels: str
    thumbnails: str
    runs: str


_FOLDER = _Names("records", "key", "files", "labels", "thumbnails", "runs")
_SERVER = _Names("_records", "id", "_files", "_labels", "_thumbnails", "_runs")


def status_of(store: AnyStore, derived: Path) -> Status:
    """The status of a library; ``derived``: the folder of what a folder's library has made."""
    side = _FolderSide(store, derived) if isinstance(store, SqliteStore) else _ServerSide(store)
    spaces = [side.space(space, number == 0) for number, space in enumerate(store.spaces())]
    ask, names = side.ask, side.names
    files = dict(ask(f"SELECT state, count(*) FROM {names.files} GROUP BY state ORDER BY state"))
    (last,) = ask(f"SELECT max(coalesce(finished, started)) FROM {names.runs}")[0]
    tables = {table.name: side.side_rows(table.name) for table in store.side_tables()}
    checks = [*side.checks(spaces), *_table_checks(store, tables)]
    return Status(
        store.name if isinstance(store, ServerStore) else str(store.folder),
        side.engine,
        store.count(),
        files,
        spaces,
        side.histograms(),
        _count(ask, names.thumbnails),
        _count(ask, names.labels),
        tables,
        last,
        [*side.indexes()],
        checks,
    )


Ask = Callable[[str], list[tuple]]  # type: ignore[type-arg]


def _count(ask: Ask, table: str, where: str = "") -> int:
    return int(ask(f"SELECT count(*) FROM {table}{where and f' WHERE {where}'}")[0][0])


def _strays(ask: Ask, rows: tuple[str, str], known: tuple[str, str]) -> int:
    """Rows of a table, by one of its columns, that have no counterpart in another one's."""
    (table, column), (others, other) = rows, known
    joined = f"{table} AS t LEFT JOIN {others} AS o ON o.{other} = t.{column}"
    return _count(ask, joined, f"t.{column} IS NOT NULL AND o.{other} IS NULL")


def _table_checks(store: AnyStore, tables: Mapping[str, int]) -> Iterator[str]:
    for table in store.side_tables():
        found = tables[table.name]
        if found != table.rows and isinstance(store, ServerStore):  # elsewhere statements change it
            yield (
                f"table {table.name}: has {found:,} rows, {table.rows:,} were added; add it again"
                " with --replace"
            )


def _own_checks(ask: Ask, names: _Names, spaces: Sequence[SpaceStatus]) -> Iterator[str]:
    """What is asked of folders and servers alike."""
    for space in spaces[:1]:
        if space.lacking:
            yield (
                f"space {space.name}: {space.lacking:,} records have no vector, and no search finds"
                f" them; lookalike index --encoder {space.name} with the folders they lie in"
            )
    known = names.records, names.record
    lost = _strays(ask, (names.files, "record"), known)
    if lost:
        yield f"files: {lost:,} belong to no record; index their folders again"
    orphans = _strays(ask, known, (names.files, "record"))
    if orphans:
        yield (
            f"records: {orphans:,} lie in no file, left by a run that broke off; the same command"
            " again completes them, and lookalike index --prune forgets them"
        )
    for table in (names.labels, names.thumbnails):
        strays = _strays(ask, (table, "record"), known)
        if strays:
            yield f"{table.strip('_')}: {strays:,} belong to no record; they do no harm"


# -- in a folder -----------------------------------------------------------------------------------


class _FolderSide:
    """What differs for a library in a folder."""

    engine, names = "folder", _FOLDER

    def __init__(self, store: SqliteStore, derived: Path) -> None:
        self._store, self._derived = store, derived
        self.ask = store.ask

    def space(self, space: Space, default: bool) -> SpaceStatus:
        held = int(self._store.vectors(space).live.sum())
        lacking = self._store.count() - held
        return SpaceStatus(space.name, default, space.dim, held, lacking)

    def histograms(self) -> int:
        return int(self._store.histograms().live.sum())

    def side_rows(self, name: str) -> int:
        return _count(self.ask, f'"side_{name}"')

    def checks(self, spaces: Sequence[SpaceStatus]) -> Iterator[str]:
        yield from _own_checks(self.ask, self.names, spaces)
        known = np.frombuffer(
            b"".join(id_ for (id_,) in self.ask("SELECT id FROM records")), dtype="V16"
        )
        tables: dict[str, IdentifiedRows] = {
            f"space {space.name}": self._store.vectors(space) for space in self._store.spaces()
        }
        for what, table in {**tables, "histograms": self._store.histograms()}.items():
            strays = len(np.setdiff1d(table.ids[table.live].view("S16"), known.view("S16")))
            if strays:
                yield f"{what}: {strays:,} rows belong to no record; they do no harm"

    def indexes(self) -> Iterator[IndexStatus]:
        for space in self._store.spaces():
            own = Derived(self._derived, space)
            vectors = self._store.vectors(space)
            codes = CodesCache(own.compact, vectors)
            yield IndexStatus(
                f"{space.name} codes", "4-bit codes of vectors", *_stands(codes.standing())
            )
            if has_classes(space):
                kept = CategoryCache(own.categories, vectors, None)
                yield IndexStatus(
                    f"{space.name} categories", "shares of classes", *_stands(kept.standing())
                )
        coarse = CoarseCache(self._derived / "colour", self._store.histograms())
        yield IndexStatus("colour codes", "coarse rows of histograms", *_stands(coarse.standing()))


def _stands(own: Standing) -> tuple[str, str]:
    """State and detail of a cache over a table."""
    behind = own.rows - own.made
    if own.made and behind <= own.tail:
        return "built", f"{behind:,} newer records are compared one by one" if behind else ""
    if own.made:
        return (
            "stale",
            f"{own.made:,} of {own.rows:,} records; lookalike index brings it up to date",
        )
    few = f"pays from {own.least:,} records on"
    if own.left:
        cure = f"so few need none: it {few}" if own.rows < own.least else "lookalike index makes it"
        return "stale", f"made for other records; {cure}"
    if own.rows < own.least:
        return "none", few
    return "none", "lookalike index, or a search, makes it"


# -- on a server -----------------------------------------------------------------------------------


class _ServerSide:
    """What differs for a library on a server."""

    names = _SERVER

    def __init__(self, store: ServerStore) -> None:
        self._store = store
        self.engine = store.dialect
        self.ask: Ask = store.engine.rows

    def space(self, space: Space, default: bool) -> SpaceStatus:
        table = vectors_of(space).name
        live = "SELECT DISTINCT record FROM _files WHERE live"
        query = f"SELECT count(DISTINCT id) FROM {table} WHERE id IN ({live})"
        held = int(self.ask(query)[0][0])
        return SpaceStatus(space.name, default, space.dim, held, self._store.count() - held)

    def histograms(self) -> int:
        return _count(self.ask, "_histograms", "record IN (SELECT record FROM _files WHERE live)")

    def side_rows(self, name: str) -> int:
        return _count(self.ask, self._store.engine.words.quoted(f"side_{name}"))

    def checks(self, spaces: Sequence[SpaceStatus]) -> Iterator[str]:
        yield from _own_checks(self.ask, self.names, spaces)
        keys = {vectors_of(space).name: "id" for space in self._store.spaces()}
        for table, key in {**keys, "_histograms": "record", "_records": "id"}.items():
            if table != "_records":
                strays = _strays(self.ask, (table, key), ("_records", "id"))
                if strays:
                    yield (
                        f"{table.strip('_')}: {strays:,} rows belong to no record, left by a run or"
                        " a push that broke off; the same command again completes them"
                    )
            twice = _count(self.ask, table) - int(
                self.ask(f"SELECT count(DISTINCT {key}) FROM {table}")[0][0]
            )
            if twice:
                name = table.strip("_")
                yield f"{name}: {twice:,} rows are there twice; lookalike push --replace"

    def indexes(self) -> Iterator[IndexStatus]:
        for space in self._store.spaces():
            table = vectors_of(space).name
            found = self._store.engine.index_state(table)
            detail = found.detail
            if found.state == "none":
                detail = "the next lookalike index or push makes it"
                if self._store.count() < LEAST_INDEXED:
                    detail = f"pays from {LEAST_INDEXED:,} records on"
            elif found.state == "stale":
                detail = f"{detail}; the next lookalike index or push makes it anew".lstrip("; ")
            kind = self._store.engine.index_kind
            yield IndexStatus(f"{table} index", kind, found.state, detail)
