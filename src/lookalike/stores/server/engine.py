"""What a store asks of a database: few statements, which every engine puts in its own words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from lookalike.sql import Dialect
from lookalike.stores.server.layout import Table
from lookalike.types import Cell, DoubleArray, SideTable, SparseHistogram

Row = tuple[Any, ...]

_PLACE = re.compile(r"""'[^']*'|"[^"]*"|`(?:\\.|[^`\\])*`|(\?)""", re.DOTALL)


def pieces(query: str) -> list[str]:
    """What stands before, between and behind a query's question marks; those in quotes are text."""
    out, start = [], 0
    for found in _PLACE.finditer(query):
        if found[1]:
            out.append(query[start : found.start()])
            start = found.end()
    return [*out, query[start:]]


def nearest_rows(distance: str, source: str, where: str, limit: int) -> str:
    """A query for the ids and distances of a source's nearest rows ``v``."""
    return f"SELECT v.id, {distance} AS d FROM {source} WHERE {where} ORDER BY d LIMIT {limit}"


class Words(Protocol):
    """How an engine says what the engines say differently. All give pieces of SQL."""

    dialect: Dialect
    text: str
    """The type of text."""
    megapixels: str
    """Millions of pixels of a record ``r``."""
    scopes: tuple[int, ...]
    """How many times as many rows as are wanted an index is asked for under a condition: one after
    the other, until enough of them meet it."""

    def histogram_columns(self, prefix: str) -> str:
        """The columns that ``histogram`` reads, each behind a prefix like ``t.``."""

    def histogram(self, values: Sequence[Any]) -> SparseHistogram:
        """A histogram from the values of these columns."""

    def cosine_distance(self, column: str, vector: DoubleArray) -> str:
        """1 - cosine of a vector's column and one vector, float64 (dim,)."""

    def indexed_distance(self, column: str, vector: DoubleArray) -> str:
        """The same as the engine's index answers to."""

    def by_index(self, distance: str, table: str, where: str, limit: int, scope: int) -> str:
        """A query for ids and distances, by the index, of the nearest rows ``v`` of a table.

        At most ``limit`` for which ``where`` holds; the index is asked for ``scope`` times that.
        """

    def colour_score(self, metric: str, histogram: DoubleArray) -> str:
        """The score of ``_histograms``'s rows by a metric, the histogram being the query."""

    def share(self, column: str, numbers: Sequence[int]) -> str:
        """The shares of some classes together; ``column``: a prefix like ``c.``."""

    def ids(self, ids: Sequence[bytes]) -> str:
        """Ids in parentheses, to stand after IN; none if empty."""

    def number(self, value: int | float) -> str:
        """A number."""

    def like(self, side: str) -> str:
        """``side LIKE ?``: letters a to z in either case, nothing escapes ``%`` and ``_``."""

    def pattern(self, pattern: str) -> str:
        """A pattern as ``like`` wants it bound."""

    def among(self, value: str, key: str, source: str) -> str:
        """Whether a value is among the ``key`` of a source's rows: ``TABLE AS t WHERE ...``.

        An index over vectors is not given up for it, and its opposite is found as fast.
        """

    def by_id(self, column: str) -> str:
        """What to order by so that ids ascend by their bytes."""

    def quoted(self, name: str) -> str:
        """A name as an identifier."""

    def largest(self, parts: Sequence[str]) -> str:
        """The largest of several numbers."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """How an index over vectors stands: ``none``, ``building``, ``built`` or ``stale``.

    ``detail``: how far it is, or what is wrong.
    """

    state: str
    detail: str = ""

    @property
    def usable(self) -> bool:
        """Whether searches may use it."""
        return self.state == "built"


class Engine(Protocol):
    """A connection to one library's tables on a server.

    Statements have ``?`` for each value, which is bound. Errors of the server come out as
    LibraryErrors of one line, without credentials.
    """

    words: Words
    name: str
    """The server's address, for messages."""
    index_kind: str
    """What ``build_index`` makes, for messages."""

    def exists(self) -> bool:
        """Whether there is a library in the namespace."""

    def create(self, tables: Sequence[Table]) -> None:
        """Make the namespace and those tables that are not there."""

    def discard(self, tables: Sequence[Table]) -> None:
        """Remove these tables, and the namespace if nothing else is in it."""

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query. May be called from any thread."""

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of a query one by one, of one and the same moment."""

    def put(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows, or replace those with the same key; of a fixed table, leave those."""

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows of which none is there: faster than ``put``."""

    def each_vector(self, table: Table) -> Iterator[Row]:
        """Ids and vectors, float16 (dim,), of a table of vectors, in no order, as ``stream``."""

    def remove(self, table: Table, keys: Sequence[Row]) -> None:
        """Remove the rows with these keys; of a table, or of all its rows with a shorter key."""

    def load(self, table: SideTable, batches: Iterable[Sequence[Sequence[Cell]]]) -> int:
        """Write a side table, whole or not at all, in place of an older one; returns its rows."""

    def unload(self, name: str) -> None:
        """Remove the rows of a side table."""

    def has_table(self, namespace: str, name: str) -> bool:
        """Whether a table or view of this name is in another namespace of the server."""

    def ask(self, statement: str) -> tuple[list[str], Iterator[Row]]:
        """The columns and rows of a user's statement, where nothing can be written.

        Raises InputError for what the server refuses.
        """

    def index_state(self, table: str) -> IndexState:
        """How the index of a table of vectors stands."""

    def build_index(self, table: str) -> None:
        """Make the index of a table of vectors; returns when it is built."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is written within is seen by others all together.

        Where the engine has no transactions, in the order in which it was written.
        """

    def lock(self) -> None:
        """Become the one writer; raises LibraryLockedError if there is another."""

    def close(self) -> None:
        """Let go of connections and locks. Closing twice is harmless."""
