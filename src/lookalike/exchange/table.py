"""Facts without vectors as CSV: RFC 4180 in UTF-8."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO, Any

from lookalike.exchange.columns import fact_columns
from lookalike.exchange.selection import Piece, Selection

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that spreadsheets compute (OWASP, "CSV Injection")."""

_JOINED = "; "


def write_csv(selection: Selection, file: IO[bytes]) -> None:
    """A header and a row each; what is not known is an empty cell.

    With ``options.spreadsheet`` text that a spreadsheet would compute begins with an apostrophe,
    and the file with a byte order mark, by which Excel knows UTF-8.
    """
    safe = selection.options.spreadsheet
    text = io.TextIOWrapper(file, "utf-8-sig" if safe else "utf-8", newline="", write_through=True)
    writer, begun = csv.writer(text), False
    for piece in selection.pieces():
        columns = _columns(piece, paths=selection.options.paths)
        if not begun:
            writer.writerow(columns)
            begun = True
        rows = zip(*columns.values(), strict=True)
        writer.writerows(_safe(row) for row in rows) if safe else writer.writerows(rows)
    text.detach()


def _columns(piece: Piece, *, paths: bool) -> dict[str, list[Any]]:
    columns = fact_columns(piece.rows)
    if not paths:
        del columns["path"]
    columns["labels"] = [_JOINED.join(label.name for label in row.labels) for row in piece.rows]
    return columns


def _safe(row: tuple[Any, ...]) -> Iterator[Any]:
    for cell in row:
        yield safe_cell(cell) if isinstance(cell, str) else cell


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
