"""What a file of rows gives, whatever its format; and which kind values have in common.

Kinds are found over all rows, never over the first ones only. An integer in a file of text is one
that its text can be had back from: ``007``, ``1e5``, ``nan`` and what exceeds 64 bits make a column
text, and so keep what was written. A column is real if all its values are numbers, at least one of
them with a decimal point.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from lookalike.errors import InputError
from lookalike.types import Cell, ColumnKind

Batch = list[Sequence[Cell]]
"""Some rows of a table, by columns: all of the same length."""

BATCH_ROWS = 5_000
BATCH_BYTES = 32 * 2**20
"""What a batch may take in the file, about: then it has fewer rows."""

MOST_LINE_BYTES = 4 * 2**20
"""A longer line is none of a table, but of a file of another kind."""

_INTEGER = re.compile(r"-?[1-9][0-9]{0,18}|0")
_REAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_LARGEST = 2**63
_TEXTS = {str, type(None)}


class Part(Protocol):
    """One file of a table."""

    path: Path

    def names(self) -> tuple[str, ...]:
        """The names of its columns."""

    def batches(self, wanted: Sequence[str]) -> Iterable[Batch]:
        """The values of these columns; text as it was written where the format has no kinds."""

    def kinds(self, wanted: Sequence[str]) -> list[Kinds]:
        """What values these columns have, over all rows."""


class Kinds:
    """What values a column has, as far as they were seen."""

    def __init__(self) -> None:
        self._whole = True
        self._number = True
        self._point = False
        self._any = False

    @property
    def decided(self) -> bool:
        """Whether further values change nothing: it is text."""
        return not self._number

    @property
    def kind(self) -> ColumnKind:
        """The narrowest kind that keeps every value; text if there is none."""
        if not (self._any and self._number):
            return ColumnKind.TEXT
        if self._whole:
            return ColumnKind.INTEGER
        return ColumnKind.REAL if self._point else ColumnKind.TEXT

    def add(self, other: Kinds) -> None:
        """Also what another part of the table has."""
        self._whole &= other._whole
        self._number &= other._number
        self._point |= other._point
        self._any |= other._any

    def see(self, kind: ColumnKind) -> None:
        """Values of a kind that the format itself tells."""
        self._any = True
        self._whole &= kind is ColumnKind.INTEGER
        self._number &= kind is not ColumnKind.TEXT
        self._point |= kind is ColumnKind.REAL

    def see_texts(self, values: Iterable[Cell]) -> None:
        """Values as they were written."""
        texts = [value for value in values if value is not None]
        if not texts or self.decided:
            return
        self._any = True
        if self._whole and all(map(_is_integer, texts)):
            return
        self._whole = False
        self._number = all(map(_is_real, texts))
        self._point = self._point or any("." in str(text) for text in texts)

    def see_values(self, values: Iterable[Cell]) -> None:
        """Values of a format that parts numbers from text."""
        types = {type(value) for value in values} - {type(None)}
        if int in types:
            whole = all(-_LARGEST <= v < _LARGEST for v in values if isinstance(v, int))
            self.see(ColumnKind.INTEGER if whole else ColumnKind.TEXT)
        if float in types:
            self.see(ColumnKind.REAL)
        if str in types:
            self.see(ColumnKind.TEXT)


def _is_integer(text: Cell) -> bool:
    if _INTEGER.fullmatch(str(text)) is None:
        return False
    return len(str(text)) < 19 or -_LARGEST <= int(str(text)) < _LARGEST


def _is_real(text: Cell) -> bool:
    return _REAL.fullmatch(str(text)) is not None and abs(float(str(text))) != float("inf")


def as_kind(values: Sequence[Cell], kind: ColumnKind) -> Sequence[Cell]:
    """Values of a column as its kind has them; raises ValueError if one is of another."""
    if kind is ColumnKind.INTEGER:
        return [None if value is None else int(value) for value in values]
    if kind is ColumnKind.REAL:
        return [None if value is None else float(value) for value in values]
    if {*map(type, values)} <= _TEXTS:
        return values
    return [text_of(value) for value in values]


def text_of(value: Any) -> str | None:
    """A value of another kind as text: as JSON has it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def checked_names(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns; raises InputError for one that is empty or there twice."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name.strip():
            refuse(path, f"column {number} has no name", "name it in the first line")
        if len(name) > 200 or not name.isprintable():
            shown = ascii(name[:40])
            refuse(path, f"column {number} is called {shown}", "shorten its name to plain text")
        twice = seen.setdefault(name.casefold(), number)
        if twice != number:
            problem = f"columns {twice} and {number} are both called {name!r}"
            refuse(path, problem, "rename one; capitals make no difference")
    return tuple(names)


def refuse(path: Path, problem: str, cure: str) -> NoReturn:
    """Raise an InputError about a file."""
    raise InputError(f"{path}: {problem}; {cure}")
