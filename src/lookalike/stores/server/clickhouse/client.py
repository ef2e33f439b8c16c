"""The client of ClickHouse: over the network, or of its engine in this process."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from typing import Any

from lookalike.errors import LibraryLockedError, MissingExtraError
from lookalike.stores.server.address import Address


def connect(address: Address) -> Any:
    """A client of clickhouse-connect. Raises what it raises, and LibraryLockedError."""
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # errors tell it
    try:
        import clickhouse_connect
    except ImportError as error:
        raise MissingExtraError("a library on ClickHouse", "clickhouse") from error
    settings: dict[str, Any] = {"mutations_sync": 1, "lightweight_deletes_sync": 2}
    if "cluster" in address.options:  # rows are there when an insert returns; joins see all shards
        settings |= {"distributed_foreground_insert": 1, "distributed_product_mode": "global"}
    if address.scheme == "chdb":
        _check_free(address)
        try:
            client = clickhouse_connect.get_client(interface="chdb", path=address.path)
        except ImportError as error:
            raise MissingExtraError("ClickHouse's engine in this process", "chdb") from error
    else:
        secure = address.options.get("secure", "0" if address.local else "1") != "0"
        client = clickhouse_connect.get_client(
            host=address.host,
            port=address.port or (8443 if secure else 8123),
            username=address.user or "default",
            password=address.password or "",
            secure=secure,
            verify=address.options.get("verify", "1") != "0",
            settings=settings,
            autogenerate_session_id=False,
            connect_timeout=20,
        )
    return client


def _check_free(address: Address) -> None:
    """Raise LibraryLockedError for a folder that another process has: chDB would be loud."""
    with contextlib.suppress(FileNotFoundError), open(f"{address.path}/status", "rb") as file:
        if f"PID: {os.getpid()}".encode() in file.read().splitlines():
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LibraryLockedError(
                f"{address.name}: another process has this folder, which chDB lends to one at a"
                " time; wait for it to end"
            ) from error


_NO_NEWS = (
    " (for url", " Stack trace", " In scope ", ": In scope ", ": While executing",
    " SETTINGS join_use_nulls",
)  # fmt: skip


def said(error: BaseException) -> str:
    """An error without what servers add to it: stack traces, versions, the statement."""
    text = " ".join(str(error).split())
    for start in _NO_NEWS:
        text = text.partition(start)[0]
    return re.sub(r"^.*?DB::Exception: ", "", text).removesuffix(".")[:600]
