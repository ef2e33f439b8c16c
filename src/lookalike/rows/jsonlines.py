"""JSON lines: an object a line. Its columns are all names that any of its objects has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from lookalike.rows.base import (
    BATCH_BYTES,
    BATCH_ROWS,
    Batch,
    Kinds,
    checked_names,
    refuse,
    text_of,
)
from lookalike.rows.plain import opened
from lookalike.types import Cell

_SURROGATES = "\\ud"


class JsonPart:
    """A file of JSON lines. Objects and lists in it become text."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        return tuple(self._kinds)

    def kinds(self, wanted: Sequence[str]) -> list[Kinds]:
        return [self._kinds[name] for name in wanted]

    @cached_property
    def _kinds(self) -> dict[str, Kinds]:
        kinds: dict[str, Kinds] = {}
        for objects in self._objects():
            names = dict.fromkeys(name for one in objects for name in one)
            for name in names:
                kinds.setdefault(name, Kinds()).see_values(
                    [_cell(one.get(name)) for one in objects]
                )
        if not kinds:
            refuse(self.path, "is empty", "JSON lines have an object a line")
        checked_names(self.path, list(kinds))
        return kinds

    def batches(self, wanted: Sequence[str]) -> Iterator[Batch]:
        for objects in self._objects():
            yield [[_cell(one.get(name)) for one in objects] for name in wanted]

    def _objects(self) -> Iterator[list[Mapping[str, Any]]]:
        objects: list[Mapping[str, Any]] = []
        with opened(self.path) as (raw, text):
            position = 0
            for number, line in enumerate(text, start=1):
                if not line.isspace():
                    objects.append(self._object(number, line))
                if len(objects) == BATCH_ROWS or raw.position - position > BATCH_BYTES:
                    yield objects
                    objects, position = [], raw.position
        if objects:
            yield objects

    def _object(self, number: int, line: str) -> Mapping[str, Any]:
        try:
            value = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            what = getattr(error, "msg", None) or str(error) or "nests too deeply"
            refuse(self.path, f"line {number:,} is no JSON ({what})", "mend or remove it")
        if not isinstance(value, dict):
            problem = f"line {number:,} is {type(value).__name__} and no object"
            refuse(self.path, problem, 'a row is written like {"photo_id": "x", "keyword": "y"}')
        if _SURROGATES in line.lower():
            self._check_text(number, value)
        return value

    def _check_text(self, number: int, value: object) -> None:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            problem = f"line {number:,} has half a surrogate pair, which is no character"
            refuse(self.path, problem, "mend or remove it")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _cell(value: Any) -> Cell:
    if isinstance(value, bool):
        return int(value)
    return text_of(value) if isinstance(value, dict | list) else value
