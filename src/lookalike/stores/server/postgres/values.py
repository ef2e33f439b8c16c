"""Values as PostgreSQL takes them in binary: ids, vectors of halves, sparse histograms."""

from __future__ import annotations

import struct
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import LibraryError, MissingExtraError, one_line
from lookalike.types import BINS


async def teach(connection: Any) -> None:
    """Teach a connection pgvector's types and Python's UUID.

    Raises LibraryError without pgvector.
    """
    asyncpg = load_asyncpg()
    place = await connection.fetchval(
        "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
        " WHERE extname = 'vector'"
    )
    if place is None:
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        except asyncpg.PostgresError as error:
            raise LibraryError(
                f"the server lacks the extension vector ({one_line(error)}); install pgvector, and"
                " have an administrator run: CREATE EXTENSION vector"
            ) from error
        place = "public"
    for schema, kind, encoder, decoder in (
        ("pg_catalog", "uuid", _id_bytes, _id_from),  # asyncpg has a class of its own for these
        (place, "halfvec", _vector_bytes, _vector_from),
        (place, "sparsevec", _sparse_bytes, _sparse_from),
    ):
        await connection.set_type_codec(
            kind, schema=schema, encoder=encoder, decoder=decoder, format="binary"
        )


def _id_bytes(id_: UUID) -> bytes:
    return id_.bytes


def _id_from(data: bytes) -> UUID:
    return UUID(bytes=data)


def _vector_bytes(vector: NDArray[Any]) -> bytes:
    return struct.pack(">hh", len(vector), 0) + np.asarray(vector, ">f2").tobytes()


def _vector_from(data: bytes) -> NDArray[np.float16]:
    return np.frombuffer(data, ">f2", offset=4).astype(np.float16)


def _sparse_bytes(pair: tuple[NDArray[Any], NDArray[Any]]) -> bytes:
    bins, values = pair
    head = struct.pack(">iii", BINS, len(bins), 0)
    return head + np.asarray(bins, ">i4").tobytes() + np.asarray(values, ">f4").tobytes()


def _sparse_from(data: bytes) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    _, count, _ = struct.unpack_from(">iii", data)
    bins = np.frombuffer(data, ">i4", count, 12).astype(np.int32)
    return bins, np.frombuffer(data, ">f4", count, 12 + 4 * count).astype(np.float32)


def load_asyncpg() -> Any:
    try:
        import asyncpg
    except ImportError as error:
        raise MissingExtraError("a library on PostgreSQL", "postgres") from error
    return asyncpg
