"""Rows as ClickHouse takes and gives them: parameters, text and bytes, RowBinary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np

from lookalike.stores.server.engine import Row, pieces
from lookalike.stores.server.layout import Table

EMPTY = {
    "id": UUID(int=0), "bytes": b"", "text": "", "integer": 0, "real": 0.0, "integers": [],
    "reals": [], "texts": [],
}  # fmt: skip
"""Values in a row that says that there is none any more."""

_BYTES = frozenset({"path", "content_hash", "jpeg"})
"""Columns of raw bytes; ClickHouse has one type for these and for text."""


def bound(query: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """A query with a named parameter for each question mark, and their values."""
    first, *others = pieces(query)
    text, parameters = [first], {}
    for number, (value, piece) in enumerate(zip(values, others, strict=True)):
        if isinstance(value, bytes):
            text.append(f"unhex('{value.hex()}')")  # no type of a parameter takes any bytes
        else:
            kind = "Int64" if isinstance(value, int) else "String"
            text.append(f"{{p{number}:{kind}}}")
            parameters[f"p{number}"] = value
        text.append(piece)
    return "".join(text), parameters


def binary_row(size: int) -> np.dtype[Any]:
    """A row of RowBinary with an id, whose halves are written backwards, and a vector."""
    return np.dtype(
        [
            ("id", "u1", (2, 8)),
            ("size", "u1", (len(length_bytes(size)),)),
            ("vector", "<f4", (size,)),
        ]
    )


def length_bytes(number: int) -> list[int]:
    """A length as RowBinary has it: seven bits a byte, the lowest first (LEB128)."""
    out = []
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return out


def reader(names: Sequence[str]) -> Any:
    """What turns a row of an answer into Python's values: text, and bytes where it is no text."""
    raw = [name.rpartition(".")[2] in _BYTES for name in names]

    def read(row: Sequence[Any]) -> Row:
        return tuple(
            value.decode("utf-8", "replace") if isinstance(value, bytes) and not as_is else value
            for value, as_is in zip(row, raw, strict=True)
        )

    return read


def decoded(row: Sequence[Any]) -> Row:
    """Text as text; bytes that are none as backslash escapes."""
    return tuple(
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
        for value in row
    )


def physical_row(table: Table, row: Row) -> Row:
    """A row as ClickHouse's columns have it."""
    out: list[Any] = []
    for column, value in zip(table.columns, row, strict=True):
        if column.kind == "histogram":
            counts = value.counts.tolist()
            out += [value.bins.tolist(), counts, sum(counts)]
        else:
            out.append(value)
    return tuple(out)
