"""Where a library lives: a folder on disk, or a database server."""

from __future__ import annotations

import contextlib
import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np

from lookalike import config
from lookalike.categories import class_shares
from lookalike.errors import InputError
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.stores import SqliteStore
from lookalike.stores.base import missing
from lookalike.stores.schema import is_library, readable_errors
from lookalike.stores.server.address import Address, is_address, parse_address
from lookalike.stores.server.engine import Engine
from lookalike.stores.server.store import ServerStore
from lookalike.types import FloatArray, Space

AnyStore = SqliteStore | ServerStore


class Home(Protocol):
    """A place of a library.

    ``name``: for messages; ``derived``: for what can be made anew; ``own``: the folder on this
    machine into which nobody else writes.
    """

    name: str
    derived: Path
    own: Path

    def exists(self) -> bool:
        """Whether there is a library."""

    def open(self, *, write: bool = False) -> AnyStore:
        """The store, as its class says; with ``write`` it is made if it is not there."""

    def errors(self) -> AbstractContextManager[None]:
        """Turns the place's own errors into LibraryErrors of one line."""


class FolderHome:
    """A library in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name, self.derived, self.own = str(folder), folder / "derived", folder

    def exists(self) -> bool:
        return is_library(self.folder)

    def open(self, *, write: bool = False) -> SqliteStore:
        return SqliteStore(self.folder, write=write)

    def errors(self) -> AbstractContextManager[None]:
        return readable_errors(self.folder)


class ServerHome:
    """A library on a server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.name
        place = f"{address.name}#{address.namespace}"
        own = hashlib.sha256(place.encode()).hexdigest()[:16]
        self.derived = config.cache_folder() / "servers" / own
        self.own = Path(address.path) if address.scheme == "chdb" else self.derived

    def exists(self) -> bool:
        if not self._is_reachable:
            return False
        engine = connected(self._address)
        try:
            return engine.exists()
        finally:
            engine.close()

    @property
    def _is_reachable(self) -> bool:
        """False for a folder that is not there: chDB would make it, only to be asked."""
        return self._address.scheme != "chdb" or os.path.isdir(self._address.path)

    def open(self, *, write: bool = False) -> ServerStore:
        if not write and not self._is_reachable:
            raise missing(self.name)
        return ServerStore(connected(self._address), shares_of, write=write)

    def errors(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()  # the engine's errors are readable as they come


def home_of(place: str | os.PathLike[str] | None) -> Home:
    """The home at a folder or an address; the user's default one if None."""
    chosen = config.default_library() if place is None else os.fspath(place)
    if is_address(chosen):
        return ServerHome(parse_address(chosen))
    return FolderHome(config.library_folder(chosen))


def connected(address: Address) -> Engine:
    """The engine at an address. Raises MissingExtraError without what talks to it."""
    if address.scheme == "postgresql":
        from lookalike.stores.server.postgres.engine import PostgresEngine

        return PostgresEngine(address)
    if address.scheme in ("clickhouse", "myscale", "chdb"):
        from lookalike.stores.server.clickhouse.engine import ClickHouseEngine

        return ClickHouseEngine(address)
    raise InputError(f"{address.name}: not a server that is known")


def shares_of(space: Space, logits: FloatArray) -> FloatArray:
    """What shares the highest logits of a space are, float32 (n, m), rounded as they are kept."""
    spec = CATALOGUE.get(space.encoder)
    tail = spec.tail if spec is not None and spec.tail is not None else 0.0
    return class_shares(logits, tail).astype(np.float16).astype(np.float32)
