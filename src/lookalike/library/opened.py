"""An open library: where it lives, its store, its spaces and their indexes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lookalike.errors import InputError, LibraryMissingError
from lookalike.features.encoders import Encoder, load_encoder
from lookalike.homes import AnyStore, FolderHome, Home, home_of
from lookalike.query.answer import Request
from lookalike.query.tables import Tables, has_classes
from lookalike.stores.base import named_space
from lookalike.stores.server.store import ServerStore
from lookalike.types import (
    SearchResult,
    Space,
)

if TYPE_CHECKING:
    from lookalike.query.remote import ServerTables


_SEARCHES_BEFORE_INDEXING = 2
"""Searches without an index, in one process, after which it is made; a single one need not wait."""


class OpenedLibrary:
    """What every part of a library's facade stands on."""

    def __init__(self, home: Home, encoder: Encoder | None) -> None:
        """Use ``Library.open``."""
        self._home = home
        self.name = home.name
        self._given_encoder = encoder
        self._encoders: dict[str, Encoder] = {}
        self._store: AnyStore | None = None
        self._tables: dict[str, Tables] = {}
        self._version: int | None = None
        self._unindexed = 0
        self._remote: tuple[tuple[int, Space], ServerTables] | None = None

    @classmethod
    def open(
        cls,
        place: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        encoder: Encoder | None = None,
    ) -> Self:
        """Open the library in a folder or at a server's address (the user's default one if None).

        With ``create`` it need not exist yet; ``add`` makes it. ``encoder`` replaces the default
        one and any that options name. Raises LibraryMissingError, LibraryCorruptError,
        LibraryNewerError.
        """
        library = cls(home_of(place), encoder)
        if not create:
            library._reader()
        return library

    @property
    def folder(self) -> Path:
        """The folder in which the library lies. Raises InputError for one on a server."""
        if isinstance(self._home, FolderHome):
            return self._home.folder
        raise InputError(f"{self.name}: is on a server; this needs a library in a folder")

    @property
    def own_folder(self) -> Path:
        """The folder here into which only the library writes; of one on a server, its caches'."""
        return self._home.own

    def close(self) -> None:
        """Release the library's files. Closing twice is harmless."""
        if self._store is not None:
            self._store.close()
            self._store, self._tables = None, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Records that have at least one file now."""
        if self._store is None and not self._home.exists():
            return 0
        with self._home.errors():
            return self._reader().count()

    def spaces(self) -> list[Space]:
        """The spaces in which records have vectors, the default first."""
        with self._home.errors():
            return self._reader().spaces()

    def spaces_held(self) -> list[tuple[Space, int]]:
        """The spaces, the default first, and how many live records have a vector in each."""
        with self._home.errors():
            store = self._reader()
            return [(space, int(store.vectors(space).live.sum())) for space in store.spaces()]

    def choose_space(self, name: str) -> None:
        """Make a space the one that searches use by default. Raises InputError if there is none."""
        with self._home.errors(), self._writing() as store:
            store.choose_space(name)

    @property
    def space(self) -> Space:
        """The space that searches use unless they name another."""
        return self._space(None)

    def refresh(self) -> bool:
        """Make or extend the indexes, if that pays; ``add`` does it at its end.

        Takes seconds at half a million records; searches go on meanwhile. Returns whether anything
        was made.
        """
        with self._home.errors():
            spaces = self._reader().spaces()
            if isinstance(self._reader(), ServerStore):
                with self._writing() as store:
                    made = [self._refresh_space(store, space) for space in spaces]
                    return any(made)
            made = [self._current(space.name).refresh() for space in spaces]
            if any(made):
                self._tables = {}
            return any(made)

    def _space(self, name: str | None) -> Space:
        spaces = self._reader().spaces()
        if not spaces:
            raise LibraryMissingError(f"{self.name}: nothing is indexed yet; index a folder")
        return spaces[0] if name is None else named_space(spaces, name)

    @contextmanager
    def _filling(self) -> Iterator[AnyStore]:
        """The library for writing, made if there is none, unless nothing comes of it."""
        fresh = not self._home.exists()
        store = self._home.open(write=True)
        try:
            yield store
        finally:
            if fresh and next(store.ledger(), None) is None:
                store.discard()
            store.close()

    @contextmanager
    def _writing(self) -> Iterator[AnyStore]:
        """The library that is there, for writing; readers see it afterwards."""
        self._reader()  # raises if there is none
        store = self._home.open(write=True)
        try:
            yield store
        finally:
            store.close()

    def _reader(self) -> AnyStore:
        if self._store is None:
            self._store = self._home.open()
        return self._store

    def _current(self, space: str | None = None) -> Tables:
        """The tables of the last commit; new ones if another process or ``add`` has committed."""
        version = self._reader().version()
        if version != self._version:
            self._tables, self._version = {}, version
        own = self._space(space)
        if own.name not in self._tables:
            self._tables[own.name] = Tables(self._reader(), own, self._home.derived)
            for other in self._reader().spaces() if not has_classes(own) else ():
                if has_classes(other):
                    self._tables[own.name].labelled_by = self._current(other.name)
                    break
        return self._tables[own.name]

    def _refresh_space(self, store: AnyStore, space: Space) -> bool:
        if isinstance(store, ServerStore):
            return store.refresh(space)
        return Tables(store, space, self._home.derived).refresh()

    def _index_soon(self, request: Request, result: SearchResult) -> None:
        """Make an index that searches go without, beside them, once a second search wants it."""
        tables = self._tables.get(result.space or "")
        if tables is None or request.exact or not isinstance(self._home, FolderHome):
            return
        if not tables.wants_index(request.method.by):
            return
        self._unindexed += 1
        if self._unindexed == _SEARCHES_BEFORE_INDEXING:
            thread = threading.Thread(target=self._make_index, args=(tables,), daemon=True)
            thread.start()

    def _make_index(self, tables: Tables) -> None:
        """In a thread of its own, which needs a connection of its own."""
        with contextlib.closing(self._home.open()) as store:
            made = Tables(store, tables.space, self._home.derived).refresh()
        if made and self._tables.get(tables.space.name) is tables:
            del self._tables[tables.space.name]  # the next search opens what was made

    def _encoder_of(self, space: Space) -> Encoder:
        """What makes vectors of a space: the given encoder, or the one of that name."""
        if space.name not in self._encoders:
            self._encoders[space.name] = self._given_encoder or load_encoder(space.encoder)
        return self._encoders[space.name]
