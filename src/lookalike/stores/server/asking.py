"""What every part of a server's store asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from lookalike.stores.server.engine import Engine, Row
from lookalike.stores.server.layout import SIDE_TABLES
from lookalike.stores.side import described
from lookalike.types import ID_DTYPE, IdArray, SideTable, Space

BATCH = 1_000
"""Ids in one statement."""


class ServerAsking:
    """Settings, spaces and rows of one library, over an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name = engine, engine.name
        self._asked: dict[str, Any] | None = None

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Within, what holds for the whole library is asked once: one search wants it often."""
        self._asked = {} if self._asked is None else self._asked
        try:
            yield
        finally:
            self._asked = None

    def _once(self, name: str, ask: Callable[[], Any]) -> Any:
        if self._asked is None:
            return ask()
        if name not in self._asked:
            self._asked[name] = ask()
        return self._asked[name]

    def settings(self) -> dict[str, str]:
        """What is set, by name."""
        query = "SELECT name, value FROM _settings"
        settings: dict[str, str] = self._once("settings", lambda: dict(self.engine.rows(query)))
        return settings

    def version(self) -> int:
        """A number that changes whenever something was committed."""
        return int(self.settings().get("version", 0))

    def space_number(self, space: Space) -> int:
        """The number under which a space's classes and parts are kept."""
        return next(number for number, one in self._spaces() if one.name == space.name)

    def _of(self, ids: Sequence[UUID], query: str) -> Iterator[Row]:
        """The rows of a query for any number of records, whose ids stand in place of ``{ids}``."""
        distinct = list(dict.fromkeys(ids))
        for start in range(0, len(distinct), BATCH):
            own = self.engine.words.ids([id_.bytes for id_ in distinct[start : start + BATCH]])
            yield from self.engine.rows(query.format(ids=own))

    def count(self) -> int:
        """Records that have at least one file now."""
        return int(self.engine.rows("SELECT count(DISTINCT record) FROM _files WHERE live")[0][0])

    def spaces(self) -> list[Space]:
        """The spaces of the library, its default first."""
        chosen = self.settings().get("space")
        return sorted((one for _, one in self._spaces()), key=lambda one: one.name != chosen)

    def _spaces(self) -> list[tuple[int, Space]]:
        """The spaces in the order in which they came, with their numbers."""
        query = (
            "SELECT number, encoder, weights_digest, preprocessing, dim FROM _spaces"
            " ORDER BY number"
        )
        rows = self._once("spaces", lambda: self.engine.rows(query))
        return [(number, Space(*row)) for number, *row in rows]

    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""
        columns = ", ".join(SIDE_TABLES.names)
        query = f"SELECT {columns} FROM _side_tables ORDER BY name"
        return list(map(described, self._once("side tables", lambda: self.engine.rows(query))))


def ids_of(rows: Iterable[Row]) -> IdArray:
    """The ids that rows begin with."""
    return np.frombuffer(b"".join(row[0].bytes for row in rows), ID_DTYPE)
