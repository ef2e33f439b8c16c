"""Sending a library in a folder to a server, whole, or what has changed since it was last sent.

Numbers of records go first, then the records, what is said of them, and files last, which make
records visible: a push that is killed has shown nothing of which a part is missing. What is there
is asked for before anything is sent, so the next push goes on where one ended. In the end every
table is counted on both sides, and their checksums are compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lookalike.errors import InputError, LibraryError, LibraryMissingError
from lookalike.homes import FolderHome, Home, ServerHome, shares_of
from lookalike.pipeline import Progress, Silence, Stopwatch
from lookalike.stores.base import named_space
from lookalike.stores.server.clickhouse.photos import require_photos, write_photos
from lookalike.stores.server.contents import (
    CHANGING,
    FIXED,
    PAGE,
    PUSHED_FROM,
    PUSHED_VERSION,
    FolderContents,
    Keys,
    ServerContents,
    Sum,
    differences,
    id_of,
    row_bytes,
    side_bytes,
    sum_of,
)
from lookalike.stores.server.engine import Row
from lookalike.stores.server.layout import (
    RECORDS,
    SETTINGS,
    SPACES,
    Table,
    vectors_of,
)
from lookalike.stores.server.store import ServerStore
from lookalike.types import Cell, SideTable, Space

SIDE_PAGE = 10_000
"""Rows of a side table that are sent at a time."""


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How a library is pushed.

    ``spaces``: by name, all if none; ``verify``: compare checksums, too; ``replace``: what lies
    there goes first, whoever put it there; ``photos``: the database in which system B's tables are
    made, none if None.
    """

    spaces: Sequence[str] = ()
    verify: bool = True
    replace: bool = False
    photos: str | None = None


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did.

    ``sent``, ``removed``: rows by table; ``tables``: what both sides hold now; ``photos``: rows of
    system B's tables, if these were asked for; ``seconds``: by step.
    """

    name: str
    sent: dict[str, int]
    removed: dict[str, int]
    tables: dict[str, Sum]
    verified: bool
    photos: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def push(
    source: Home,
    target: Home,
    options: PushOptions = PushOptions(),
    progress: Progress | None = None,
) -> PushReport:
    """Bring a server's library to what one in a folder holds. See ``Library.push``."""
    if not isinstance(source, FolderHome) or not isinstance(target, ServerHome):
        raise InputError(
            f"{source.name} to {target.name}: push sends a library in a folder to a server's"
            " address, like postgresql://host/database"
        )
    progress = progress or Silence()
    try:
        identity = _identity(source)
        with source.open() as store:
            spaces = _chosen(source.name, store.spaces(), options.spaces)
            here = store.contents(spaces, shares_of)
            with here.snapshot():
                _check(target, identity, options)
                there = target.open(write=True)
                try:
                    return _Push(here, there, spaces, options, progress).run(identity)
                finally:
                    there.close()
    finally:
        progress.close()


def _identity(source: FolderHome) -> str:
    """What tells the library from others; made, which is the only thing written, if it is new."""
    with source.open() as store:
        known = store.identity()
    if known is None:
        with source.open(write=True) as store:
            known = store.identify()
    return known


def _chosen(name: str, spaces: Sequence[Space], names: Sequence[str]) -> list[Space]:
    for one in names:
        named_space(spaces, one)
    if not spaces:
        raise LibraryMissingError(f"{name}: nothing is indexed yet; index a folder, then push")
    return [space for space in spaces if not names or space.name in names]


def _check(target: ServerHome, identity: str, options: PushOptions) -> None:
    """Raise LibraryError for a library that a push would harm; with ``replace`` it goes."""
    if not target.exists():
        return
    store = target.open(write=options.replace)
    if options.replace:
        store.discard()
        return
    try:
        _refuse_strangers(store, identity)
    finally:
        store.close()


def _refuse_strangers(store: ServerStore, identity: str) -> None:
    settings = store.settings()
    cure = "push to another schema or database, or with --replace, which removes what is there"
    owner = settings.get(PUSHED_FROM)
    if owner is None and next(store.ledger(), None) is None and not store.spaces():
        return
    if owner != identity:
        raise LibraryError(f"{store.name}: another library's records are there; {cure}")
    if settings.get(PUSHED_VERSION) != settings.get("version"):
        raise LibraryError(
            f"{store.name}: was changed by others since the last push, which this one would undo;"
            f" {cure}"
        )


class _Push:
    """One push from one commit of a folder's library."""

    def __init__(
        self,
        here: FolderContents,
        store: ServerStore,
        spaces: Sequence[Space],
        options: PushOptions,
        progress: Progress,
    ) -> None:
        self._here, self._store, self._engine = here, store, store.engine
        self._spaces, self._options, self._progress = spaces, options, progress
        self._there = ServerContents(store.engine, spaces)
        self._watch = Stopwatch(progress)
        self._sent: dict[str, int] = {}
        self._removed: dict[str, int] = {}

    def run(self, identity: str) -> PushReport:
        """All steps; what makes rows visible comes after them."""
        self._watch.stage("compare")
        if self._options.photos is not None:
            require_photos(self._store, self._options.photos)
        self._engine.put(SETTINGS, [(PUSHED_FROM, identity)])
        self._store.marks = (PUSHED_VERSION,)
        self._store.committed()
        self._send_spaces()
        fixed = [*(vectors_of(space) for space in self._spaces), *FIXED]
        surplus = self._send_fixed(fixed)
        for table in CHANGING:
            self._send_changing(table)
        self._send_side_tables()
        self._remove_surplus(surplus)
        self._watch.stage("index")
        for space in self._spaces:
            self._store.refresh(space)
        self._watch.stage("verify")
        tables = self._verified([SPACES, *fixed, *CHANGING])
        return PushReport(
            self._store.name,
            self._sent,
            self._removed,
            tables,
            self._options.verify,
            self._photos(),
            self._watch.seconds(),
        )

    def _photos(self) -> dict[str, int]:
        if self._options.photos is None:
            return {}
        return write_photos(self._store, self._spaces[0], self._options.photos)

    def _count(self, counts: dict[str, int], table: str, rows: int) -> None:
        if rows:
            counts[table] = counts.get(table, 0) + rows

    # -- spaces ----------------------------------------------------------------------------------

    def _send_spaces(self) -> None:
        """Tables for the vectors; raises LibraryError where a space of that name is another one."""
        stored = {space.name: space for space in self._store.spaces()}
        for space in self._spaces:
            if stored.get(space.name, space) != space:
                self._store.require_space(space)
        self._engine.create([vectors_of(space) for space in self._spaces])
        self._send_changing(SPACES)

    # -- rows that never change ------------------------------------------------------------------

    def _send_fixed(self, tables: Sequence[Table]) -> dict[str, Keys]:
        """Rows that are not there; returns the keys of those that are there and not here."""
        lacking, surplus = {}, {}
        for table in tables:
            own, other = self._here.keys(table), self._there.keys(table)
            lacking[table.name] = np.setdiff1d(own, other)
            surplus[table.name] = np.setdiff1d(other, own)
        self._watch.stage("send")
        self._progress.start(sum(map(len, lacking.values())))
        for table in tables:
            if table is RECORDS:
                self._remove(table, surplus.pop(table.name))
            if len(lacking[table.name]):
                self._send_rows(table, self._here.rows(table, lacking[table.name]))
        self._progress.close()
        return surplus

    def _send_rows(self, table: Table, rows: Iterator[Row]) -> None:
        while page := list(itertools.islice(rows, PAGE)):
            with self._engine.transaction():
                self._engine.add(table, page)
            self._count(self._sent, table.name, len(page))
            self._progress.advance(len(page))
        self._store.committed()

    def _remove_surplus(self, surplus: dict[str, Keys]) -> None:
        """Numbers of records that are here no more."""
        for space in self._spaces:
            table = vectors_of(space)
            self._remove(table, surplus[table.name])
        for table in FIXED:
            self._remove(table, surplus.get(table.name, np.empty(0, "S25")))

    def _remove(self, table: Table, keys: Keys) -> None:
        ids = [(id_of(key),) for key in keys.tolist()]
        for start in range(0, len(ids), PAGE):
            self._engine.remove(table, ids[start : start + PAGE])
        self._count(self._removed, table.name, len(ids))
        if ids:
            self._store.committed()

    # -- rows that may change --------------------------------------------------------------------

    def _send_changing(self, table: Table) -> None:
        found = differences(table, self._here.rows(table), self._there.rows(table))
        changed = False
        while page := list(itertools.islice(found, PAGE)):
            places = [table.names.index(name) for name in table.key]
            gone = [
                tuple(theirs[place] for place in places)
                for mine, theirs in page
                if mine is None and theirs is not None
            ]
            rows = [mine for mine, _ in page if mine is not None]
            with self._engine.transaction():
                self._engine.remove(table, gone)
                self._engine.put(table, rows)
            self._count(self._sent, table.name, len(rows))
            self._count(self._removed, table.name, len(gone))
            changed = True
        if changed:
            self._store.committed()

    # -- side tables -----------------------------------------------------------------------------

    def _send_side_tables(self) -> None:
        own = {table.name: table for table in self._here.side_tables()}
        there = {table.name: table for table in self._there.side_tables()}
        for name in there.keys() - own.keys():
            self._store.drop_table(name)
            self._count(self._removed, name, there[name].rows)
        for name, table in own.items():
            if there.get(name) == table and self._is_same(table):
                continue
            self._store.put_table(table, _batches(self._here.side_rows(table)))
            self._count(self._sent, name, table.rows)

    def _is_same(self, table: SideTable) -> bool:
        """Whether the rows are: a statement may have changed some, and the description not."""
        own, there = self._here.side_rows(table), self._there.side_rows(table)
        if self._options.verify:
            return sum_of(map(side_bytes, own)) == sum_of(map(side_bytes, there))
        return sum(1 for _ in own) == sum(1 for _ in there)

    # -- afterwards ------------------------------------------------------------------------------

    def _verified(self, tables: Sequence[Table]) -> dict[str, Sum]:
        """What both sides hold. Raises LibraryError if they do not hold the same."""
        own: dict[str, Sum] = {}
        for table in tables:
            if self._options.verify:
                of = row_bytes(table)
                sums = [sum_of(map(of, side.rows(table))) for side in (self._here, self._there)]
            else:
                sums = [Sum(_rows_of(side, table)) for side in (self._here, self._there)]
            own[table.name] = self._same(table.name, *sums)
        for side in self._here.side_tables():
            both = [each.side_rows(side) for each in (self._here, self._there)]
            if self._options.verify:
                sums = [sum_of(map(side_bytes, rows)) for rows in both]
            else:
                sums = [Sum(sum(1 for _ in rows)) for rows in both]
            own[side.name] = self._same(side.name, *sums)
        return own

    def _same(self, name: str, here: Sum, there: Sum) -> Sum:
        if here != there:
            raise LibraryError(
                f"{self._store.name}: table {name} is not the same there: here {here}; there"
                f" {there}; push again, or with --replace, which sends all anew"
            )
        return here


def _rows_of(side: FolderContents | ServerContents, table: Table) -> int:
    """How many rows a side has, without their numbers where these are large."""
    if table.fixed:
        return len(side.keys(table))
    return sum(1 for _ in side.rows(table))


def _batches(rows: Iterator[tuple[Cell, ...]]) -> Iterator[list[tuple[Cell, ...]]]:
    """Rows by columns, so many at a time."""
    while page := list(itertools.islice(rows, SIDE_PAGE)):
        yield list(zip(*page, strict=True))
