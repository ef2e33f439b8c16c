"""How PostgreSQL and pgvector say what the engines say differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.sql import Dialect
from lookalike.stores.server.engine import nearest_rows
from lookalike.types import BINS, LOGITS_KEPT, DoubleArray, SparseHistogram


class PostgresWords:
    """Words of PostgreSQL and pgvector."""

    dialect: Dialect = "postgresql"
    text = "text"
    megapixels = "(r.width::float8 * r.height / 1e6::float8)"
    scopes: tuple[int, ...] = (1,)  # pgvector goes on by itself

    def histogram_columns(self, prefix: str) -> str:
        return f"{prefix}total, {prefix}shares"

    def histogram(self, values: Sequence[Any]) -> SparseHistogram:
        """Counts come back exactly from shares of at most 65,535 pixels."""
        total, (bins, shares) = values
        counts = np.rint(shares.astype(np.float64) * total)
        return SparseHistogram(bins.astype(np.uint16), counts.astype(np.uint16))

    def cosine_distance(self, column: str, vector: DoubleArray) -> str:
        numbers = ",".join(repr(float(number)) for number in vector.astype(np.float32))
        return f"({column} <=> '[{numbers}]'::halfvec({len(vector)}))"

    def indexed_distance(self, column: str, vector: DoubleArray) -> str:
        return self.cosine_distance(column, vector)

    def by_index(self, distance: str, table: str, where: str, limit: int, scope: int) -> str:
        return nearest_rows(distance, f"{table} AS v", where, limit)

    def colour_score(self, metric: str, histogram: DoubleArray) -> str:
        """All four metrics are sums over bins, and pgvector sums over the bins of two sparse rows.

        Of shares p (the query's) and q: intersection is 1 - |p - q| / 2; correlation and
        Bhattacharyya are inner products of p and q, and of their roots; chi-square is the sum over
        the query's bins of p - 2q + q^2 / p.
        """
        occupied = np.flatnonzero(histogram)
        shares = histogram[occupied]
        if metric == "intersection":
            return f"(1.0 - (shares <+> {_sparse(occupied, shares)}) / 2)"
        if metric == "bhattacharyya":
            product = f"(-(roots <#> {_sparse(occupied, np.sqrt(shares))}))"
            return f"sqrt(greatest(0.0, 1.0 - {product}))"
        if metric == "correlation":
            product = f"(-(shares <#> {_sparse(occupied, shares)}))"
            own = float((shares**2).sum()) - 1 / BINS
            return f"(({product} - {1 / BINS!r}) / sqrt(greatest(1e-30, {own!r} * spread)))"
        ones = _sparse(occupied, np.ones(len(occupied)))
        inverse = _sparse(occupied, 1 / shares)
        return f"({float(shares.sum())!r} + 2 * (shares <#> {ones}) - (squares <#> {inverse}))"

    def share(self, column: str, numbers: Sequence[int]) -> str:
        members = ",".join(map(str, numbers))
        return "({})".format(  # four times as fast as over the rows of unnest
            " + ".join(
                f"CASE WHEN {column}classes[{place}] IN ({members})"
                f" THEN {column}shares[{place}] ELSE 0 END"
                for place in range(1, LOGITS_KEPT + 1)
            )
        )

    def ids(self, ids: Sequence[bytes]) -> str:
        return "(" + (",".join(f"'{UUID(bytes=one)}'::uuid" for one in ids) or "NULL") + ")"

    def number(self, value: int | float) -> str:
        if isinstance(value, float):
            return f"'{value!r}'::float8"
        return f"({value})"  # a cast would hide from the planner how many rows there are

    def like(self, side: str) -> str:
        return f'lower({side} COLLATE "C") LIKE lower(?::text COLLATE "C") ESCAPE \'\''

    def pattern(self, pattern: str) -> str:
        return pattern

    def among(self, value: str, key: str, source: str) -> str:
        # NOT IN of many would compare each with each, and IN make a list before the index is asked.
        return f"EXISTS (SELECT 1 FROM {source} AND {key} = {value})"

    def by_id(self, column: str) -> str:
        return column

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def largest(self, parts: Sequence[str]) -> str:
        return f"greatest({', '.join(parts)})"


def _sparse(bins: NDArray[np.int64], values: DoubleArray) -> str:
    """A sparsevec of some bins; its indices begin with 1."""
    pairs = ",".join(
        f"{place + 1}:{value!r}"
        for place, value in zip(bins.tolist(), values.astype("f4").tolist(), strict=True)
    )
    return f"'{{{pairs}}}/{BINS}'::sparsevec({BINS})"
