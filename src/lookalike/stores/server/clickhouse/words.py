"""How ClickHouse, and MyScale, say what the engines say differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np

from lookalike.sql import Dialect
from lookalike.stores.server.engine import nearest_rows
from lookalike.types import BINS, DoubleArray, SparseHistogram

MOST_ASKED = 100_000
"""Of an index; a condition that few of so many meet is looked for without it."""


class ClickHouseWords:
    """Words of ClickHouse."""

    dialect: Dialect = "clickhouse"
    text = "Nullable(String)"
    megapixels = "(r.width * r.height / 1e6)"
    scopes: tuple[int, ...] = (4, 64)

    def histogram_columns(self, prefix: str) -> str:
        return f"{prefix}bins, {prefix}counts"

    def histogram(self, values: Sequence[Any]) -> SparseHistogram:
        bins, counts = values
        return SparseHistogram(np.array(bins, np.uint16), np.array(counts, np.uint16))

    def cosine_distance(self, column: str, vector: DoubleArray) -> str:
        return f"cosineDistance({column}, {_numbers(vector.astype('f4'))})"

    def indexed_distance(self, column: str, vector: DoubleArray) -> str:
        return self.cosine_distance(column, vector)

    def by_index(self, distance: str, table: str, where: str, limit: int, scope: int) -> str:
        """The condition comes after the nearest of all parts of the table are known.

        ClickHouse by itself asks each part for its nearest, and then drops rows: parts where none
        is left would be missing, however near their others are.
        """
        asked = min(limit * scope, MOST_ASKED)
        nearest = (
            f"SELECT v.id AS id, {distance} AS d FROM {table} AS v ORDER BY d"
            f" LIMIT {asked} SETTINGS max_limit_for_vector_search_queries = {MOST_ASKED}"
        )
        return f"SELECT v.id, v.d FROM ({nearest}) AS v WHERE {where} ORDER BY v.d LIMIT {limit}"

    def colour_score(self, metric: str, histogram: DoubleArray) -> str:
        """The metrics' own formulas over the occupied bins, in double precision."""
        occupied = np.flatnonzero(histogram)
        bins = "[" + ",".join(map(str, occupied.tolist())) + "]"
        query = f"transform(b, {bins}, {_numbers(histogram[occupied])}, 0.)"
        share = "(c / total)"
        if metric == "intersection":
            return _sum(f"least({share}, {query})")
        if metric == "bhattacharyya":
            return f"sqrt(greatest(0., 1. - {_sum(f'sqrt({share} * {query})')}))"
        if metric == "correlation":
            own = float((histogram[occupied] ** 2).sum()) - 1 / BINS
            spread = f"({_sum(f'{share} * {share}')} - {1 / BINS!r})"
            product = f"({_sum(f'{share} * {query}')} - {1 / BINS!r})"
            return f"({product} / sqrt(greatest(1e-30, {own!r} * {spread})))"
        inverse = f"transform(b, {bins}, {_numbers(1 / histogram[occupied])}, 0.)"
        parts = f"if({inverse} > 0, {share} * {share} * {inverse} - 2. * {share}, 0.)"
        return f"({float(histogram.sum())!r} + {_sum(parts)})"

    def share(self, column: str, numbers: Sequence[int]) -> str:
        members = ",".join(map(str, numbers))
        return f"arraySum((c, s) -> if(c IN ({members}), s, 0.), {column}classes, {column}shares)"

    def ids(self, ids: Sequence[bytes]) -> str:
        return "(" + (",".join(f"toUUID('{UUID(bytes=one)}')" for one in ids) or "NULL") + ")"

    def number(self, value: int | float) -> str:
        return f"({value!r})"

    def like(self, side: str) -> str:
        return f"lower({side}) LIKE lower(?)"

    def pattern(self, pattern: str) -> str:
        return pattern.replace("\\", "\\\\")

    def among(self, value: str, key: str, source: str) -> str:
        return f"{value} IN (SELECT {key} FROM {source})"

    def by_id(self, column: str) -> str:
        return f"toString({column})"  # ids are ordered by their second halves first

    def quoted(self, name: str) -> str:
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

    def largest(self, parts: Sequence[str]) -> str:
        return f"greatest({', '.join(parts)})"


def _sum(term: str) -> str:
    return f"arraySum((b, c) -> {term}, bins, counts)"


def _numbers(values: np.ndarray[Any, Any]) -> str:
    return "[" + ",".join(repr(float(value)) for value in values) + "]"


class MyScaleWords(ClickHouseWords):
    """Words of MyScale, whose index answers to ``distance``, and to conditions by itself."""

    scopes = (1,)

    def by_index(self, distance: str, table: str, where: str, limit: int, scope: int) -> str:
        return nearest_rows(distance, f"{table} AS v", where, limit)

    def indexed_distance(self, column: str, vector: DoubleArray) -> str:
        return f"distance({column}, {_numbers(vector.astype('f4'))})"
