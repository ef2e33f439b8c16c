"""Candidates on a server: records that may be the nearest to a query, found by SQL.

The server orders records by its own arithmetic, which differs from ours in the last digits. So more
than k are fetched: all whose distance is within ``margin`` of the k-th. Who asked compares these
exactly and by one rule for ties, so that every engine gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np

from lookalike.conditions import Condition
from lookalike.stores.clauses import Sql
from lookalike.stores.server.engine import Row, nearest_rows
from lookalike.stores.server.layout import vectors_of
from lookalike.stores.server.store import LEAST_INDEXED, ServerStore
from lookalike.types import DoubleArray, Measure, Space

MORE = 8
"""Records beyond k that are always fetched."""

MOST_LISTED = 1_000
"""Records that have no file, named one by one in each query; of more, those that have one are asked
for."""

HALF_MARGIN = 1e-3
"""What rounding a query to halves and summing in single precision changes of a cosine, at most."""

SHARE_MARGIN = 1e-6
"""Sums of shares, which are halves, differ by no more."""

Margin = Callable[[float], float]
"""How far a server's distance may be off, of that distance."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which records may be found.

    ``where``: a condition that holds; ``shown``: of these classes together, more than ``least`` in
    the space of that number, as a whole, or more than ``sure`` in a part; ``without``: not these.
    """

    where: Condition | None = None
    shown: tuple[int, ...] = ()
    labelled_by: Space | None = None
    least: float = 0.5
    sure: float = 0.8
    without: tuple[UUID, ...] = ()

    @property
    def with_inputs(self) -> Allowed:
        """The same with nothing left out."""
        return replace(self, without=())


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ids of the records that may be nearest, and whether no other one can be."""

    ids: list[UUID]
    exact: bool


class Nearest:
    """Finds candidates among the records of one space at one version of a library."""

    def __init__(self, store: ServerStore, space: Space) -> None:
        self._store, self._engine = store, store.engine
        self._words = store.engine.words
        self._space = space
        self._table = vectors_of(space).name
        self._counts: dict[tuple[Condition | None, tuple[int, ...]], int] = {}
        self._indexed = False

    # -- what may be found -----------------------------------------------------------------------

    @cached_property
    def _dead(self) -> list[UUID] | None:
        """Records of which no file is there now: mostly none; None of more than can be listed."""
        rows = self._engine.rows(
            "SELECT r.id FROM _records AS r LEFT JOIN (SELECT record FROM _files WHERE live) AS f"
            f" ON f.record = r.id WHERE f.record IS NULL LIMIT {MOST_LISTED + 1}"
        )
        return [id_ for (id_,) in rows] if len(rows) <= MOST_LISTED else None

    def _allowed(self, allowed: Allowed, id_: str) -> Sql:
        """A condition for rows whose record stands in the column ``id_``."""
        parts = [Sql("1 = 1")]
        without = [*allowed.without, *(self._dead or ())]
        if self._dead is None:
            parts.append(Sql(self._words.among(id_, "f.record", "_files AS f WHERE f.live")))
        if without:
            parts.append(Sql(f"{id_} NOT IN {self._words.ids([one.bytes for one in without])}"))
        if allowed.where is not None:
            found = self._store.matching_source(allowed.where)
            parts.append(Sql(self._words.among(id_, "r.id", found.text), found.values))
        if allowed.shown:
            parts.append(Sql(self._shows(allowed, id_)))
        values = tuple(value for part in parts for value in part.values)
        return Sql(" AND ".join(part.text for part in parts), values)

    def _shows(self, allowed: Allowed, id_: str) -> str:
        """A condition for records that surely show some classes, as a whole or in a part."""
        number = self._number(allowed.labelled_by)
        ways = (("_classes AS c", "c", allowed.least), ("_parts AS p", "p", allowed.sure))
        return "({})".format(
            " OR ".join(
                self._words.among(
                    id_,
                    f"{name}.record",
                    f"{table} WHERE {name}.space = {number}"
                    f" AND {self._words.share(f'{name}.', allowed.shown)} >= {least}",
                )
                for table, name, least in ways
            )
        )

    def _number(self, space: Space | None) -> int:
        return self._store.space_number(space or self._space)

    def count(self, allowed: Allowed, held: int | None = None) -> int:
        """How many records may be found; ``held``: of those left out so many otherwise would."""
        key = allowed.where, allowed.shown
        if key not in self._counts:
            where = self._allowed(allowed.with_inputs, "v.id")
            query = f"SELECT count(*) FROM {self._table} AS v WHERE {where.text}"
            self._counts[key] = int(self._engine.rows(query, where.values)[0][0])
        return self._counts[key] - (self._inside(allowed) if held is None else held)

    def _inside(self, allowed: Allowed) -> int:
        """How many of those left out would be allowed."""
        if not allowed.without:
            return 0
        every = self._allowed(allowed.with_inputs, "v.id")
        own = self._words.ids([one.bytes for one in allowed.without])
        query = f"SELECT count(*) FROM {self._table} AS v WHERE v.id IN {own} AND {every.text}"
        return int(self._engine.rows(query, every.values)[0][0])

    # -- what is nearest -------------------------------------------------------------------------

    def by_vectors(
        self, vectors: Sequence[DoubleArray], k: int, allowed: Allowed, *, exact: bool
    ) -> Candidates:
        """By cosine; with several vectors by the one that a record is least alike."""
        each = [self._words.cosine_distance("v.embedding", vector) for vector in vectors]
        if not exact and len(vectors) == 1 and self._is_indexed(allowed):
            found = self._by_index(vectors[0], k, allowed)
            if len(found) >= k:
                return Candidates([id_ for id_, _ in found], exact=False)
        return self._exact(self._largest(each), f"{self._table} AS v", k, allowed, _flat)

    def _by_index(self, vector: DoubleArray, k: int, allowed: Allowed) -> list[tuple[UUID, float]]:
        """Several times k of the nearest, as the index says; fewer than k where it gives up."""
        limit = 4 * k + MORE
        near = self._words.indexed_distance("v.embedding", vector)
        where = self._allowed(allowed, "v.id")
        narrowed = allowed.where is not None or allowed.shown or self._dead is None
        found: list[tuple[UUID, float]] = []
        for scope in self._words.scopes if narrowed else (1,):
            query = self._words.by_index(near, self._table, where.text, limit, scope)
            found = self._ids_of(query, where.values)
            if len(found) >= k:
                break
        return found

    def _is_indexed(self, allowed: Allowed) -> bool:
        return self.count(allowed.with_inputs, 0) >= LEAST_INDEXED and self._has_index()

    def _has_index(self) -> bool:
        """Whether the index can be used; asked until it can, since it may be made meanwhile."""
        self._indexed = self._indexed or self._engine.index_state(self._table).usable
        return self._indexed

    def by_colours(
        self,
        histograms: Sequence[DoubleArray],
        measure: Measure,
        k: int,
        allowed: Allowed,
    ) -> Candidates:
        """By a colour metric; with several histograms by the one that a record is least alike."""
        each = [self._colour_distance(measure, histogram) for histogram in histograms]
        source = "(SELECT h.*, h.record AS id FROM _histograms AS h) AS v"
        margin = _of_colour(measure, histograms)
        return self._exact(self._largest(each), source, k, allowed, margin)

    def _colour_distance(self, measure: Measure, histogram: DoubleArray) -> str:
        score = self._words.colour_score(measure.name, histogram)
        return f"(- {score})" if measure.higher_is_better else score

    def by_mix(
        self,
        pairs: Sequence[tuple[DoubleArray, DoubleArray]],
        measure: Measure,
        weight: float,
        k: int,
        allowed: Allowed,
    ) -> Candidates:
        """By cosine and likeness of colours, the latter with this weight; pairs are inputs."""
        each = []
        for vector, histogram in pairs:
            cosine = self._words.cosine_distance("v.embedding", vector)
            score = self._words.colour_score(measure.name, histogram)
            if not measure.higher_is_better:
                bounded = measure.highest < float("inf")
                score = f"(1.0 - {score})" if bounded else f"(1.0 / (1.0 + {score}))"
            each.append(f"({1.0 - weight!r} * {cosine} - {weight!r} * {score})")
        source = f"{self._table} AS v JOIN _histograms AS h ON h.record = v.id"
        colour = _of_colour(measure, [histogram for _, histogram in pairs])
        most = HALF_MARGIN + weight * colour(0.0)  # near zero a root is off the most
        return self._exact(self._largest(each), source, k, allowed, lambda _distance: most)

    def by_share(
        self,
        phrases: Sequence[tuple[int, ...]],
        vector: DoubleArray,
        k: int,
        allowed: Allowed,
    ) -> Candidates:
        """By how surely records show all phrases; of equals, by cosine."""
        number = self._number(None)
        source = f"{self._table} AS v JOIN _classes AS c ON c.record = v.id"
        shares = []
        for place, numbers in enumerate(phrases):
            whole = self._words.share("c.", numbers)
            part = self._words.share("p.", numbers)
            source += (
                f" LEFT JOIN (SELECT p.record AS record, max({part}) AS sure FROM _parts AS p"
                f" WHERE p.space = {number} AND {part} >= {allowed.sure} GROUP BY p.record)"
                f" AS p{place} ON p{place}.record = v.id"
            )
            shares.append(f"sqrt(greatest({whole}, coalesce(p{place}.sure, 0)))")
        score = f"({' + '.join(shares)})"
        distance = f"({self._words.cosine_distance('v.embedding', vector)} + 0)"
        where = self._allowed(allowed, "v.id")
        query = (
            f"SELECT v.id, {score} AS s, {distance} AS d FROM {source} WHERE c.space = {number}"
            f" AND {where.text}"
        )
        surely = self._surest_first(f"{query} AND {score} > 0", k, where.values)
        if len(surely) >= k:  # mostly: then nobody needs to be compared who shows nothing of it
            return Candidates(surely, exact=True)
        return Candidates(self._surest_first(query, k, where.values), exact=True)

    def _surest_first(self, query: str, k: int, values: Sequence[Any]) -> list[UUID]:
        """Ids of the first k rows by share and distance, and of all that are about as good."""
        limit = k + MORE
        while True:  # once, but where many show it as surely and are about as near
            rows = self._engine.rows(f"{query} ORDER BY s DESC, d LIMIT {limit}", values)
            if len(rows) < limit:
                break
            (_, last_share, last), (_, share, kth) = rows[-1], rows[k - 1]
            if last_share < share - SHARE_MARGIN or last > kth + HALF_MARGIN:
                break
            limit *= 4
        return [row[0] for row in rows]

    def surest(self, numbers: Sequence[int], most: int, least: float) -> list[UUID]:
        """The records that show some classes as a whole the most surely, in the order of that."""
        share = self._words.share("c.", numbers)
        where = self._allowed(Allowed(), "c.record")
        rows = self._engine.rows(
            f"SELECT c.record, {share} AS s FROM _classes AS c JOIN _records AS r"
            f" ON r.id = c.record WHERE c.space = {self._number(None)} AND {share} >= {least}"
            f" AND {where.text} ORDER BY s DESC, r.number LIMIT {most}",
            where.values,
        )
        return [row[0] for row in rows]

    def least_ids(self, count: int) -> list[UUID]:
        """The records with the least ids: an even draw, since ids are hashes."""
        where = self._allowed(Allowed(), "v.id")
        rows = self._engine.rows(
            f"SELECT v.id FROM {self._table} AS v WHERE {where.text}"
            f" ORDER BY {self._words.by_id('v.id')} LIMIT {count}",
            where.values,
        )
        return [row[0] for row in rows]

    # -- the queries -----------------------------------------------------------------------------

    def _largest(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else self._words.largest(parts)

    def _exact(
        self, distance: str, source: str, k: int, allowed: Allowed, margin: Margin
    ) -> Candidates:
        """All records whose distance is within a margin of the k-th."""
        limit = k + MORE
        while True:  # once, but where many lie at about the same distance
            found = self._found(f"({distance} + 0)", source, limit, allowed)
            if len(found) < limit:
                break
            if found[-1][1] > found[k - 1][1] + margin(found[k - 1][1]):
                break
            limit *= 4
        return Candidates([id_ for id_, _ in found], exact=True)

    def _found(
        self, distance: str, source: str, limit: int, allowed: Allowed
    ) -> list[tuple[UUID, float]]:
        where = self._allowed(allowed, "v.id")
        return self._ids_of(nearest_rows(distance, source, where.text, limit), where.values)

    def _ids_of(self, query: str, values: Sequence[Any]) -> list[tuple[UUID, float]]:
        rows: list[Row] = self._engine.rows(query, values)
        return [(id_, float(d)) for id_, d in rows]


def _flat(_distance: float) -> float:
    return HALF_MARGIN


def _of_colour(measure: Measure, histograms: Sequence[DoubleArray]) -> Margin:
    """What single precision changes of a colour's distance.

    A sum of n terms is off by at most n roundings of itself, 6e-8 each; terms are of numbers that
    are rounded, too. Bhattacharyya is the root of such a sum's difference from 1.
    """
    terms = max(int(np.count_nonzero(histogram)) for histogram in histograms)
    off = 1.2e-7 * (terms + 8)
    if measure.highest == float("inf"):
        return lambda distance: off * (1 + abs(distance))
    if measure.name == "bhattacharyya":
        return lambda distance: float(np.sqrt(distance**2 + 2 * off)) - abs(distance)
    return lambda _distance: 2 * off
