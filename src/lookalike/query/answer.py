"""One question to a library, or many at once: terms read, rows ranked, hits filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import Category
from lookalike.conditions import Condition
from lookalike.query.inputs import InputReader
from lookalike.query.likeness import Judge
from lookalike.query.search import (
    ByShare,
    Comparison,
    Method,
    Point,
    Ranked,
    compare_by,
    rank,
    rank_many,
)
from lookalike.query.tables import Tables
from lookalike.query.terms import Term
from lookalike.stores import Store
from lookalike.types import ID_DTYPE, Hit, Label, Likeness, QueryInput, SearchResult, uuids

Resolved = tuple[QueryInput, Point]


@dataclass(frozen=True, slots=True)
class Request:
    """How to search, whatever for. See ``Library.search``."""

    k: int
    method: Method
    combine: str = "mean"
    include_self: bool = False
    where: Condition | None = None
    exact: bool = False
    category: Category | None = None
    least: Likeness | None = None


class Answerer:
    """Answers requests from the tables of one commit."""

    def __init__(self, tables: Tables, store: Store, reader: InputReader, request: Request) -> None:
        self._tables = tables
        self._store = store
        self._reader = reader
        self._request = request
        self._comparison, live = compare_by(request.method, tables, exact=request.exact)
        self._allowed = live if request.where is None else live & self._matching(request.where)
        if request.category is not None:
            self._allowed = self._allowed & tables.showing(request.category, colour=self._by_colour)
        self._judge = Judge(self._comparison, tables, live, request.method)

    def _matching(self, where: Condition) -> NDArray[np.bool_]:
        return self._tables.matching(self._store, where, colour=self._by_colour)

    def answer(self, terms: Sequence[Term]) -> SearchResult:
        """The hits for several terms that together are one query."""
        return self.answer_resolved([self._reader.read(term) for term in terms])

    def answer_resolved(self, resolved: Sequence[Resolved]) -> SearchResult:
        """The hits for inputs that were read already."""
        request = self._request
        allowed = self._allowed.copy()
        allowed[self._own_rows(resolved)] = False
        points = [point for _, point in resolved]
        comparison: Comparison = self._comparison
        if len(points) == 1 and points[0].phrases:
            comparison = ByShare(self._tables.categories, self._tables.exact)
        found = rank(comparison, points, request.k, request.combine, allowed)
        return self._filled([resolved], [found], [int(np.count_nonzero(allowed))])[0]

    def answer_each(self, terms: Sequence[Term]) -> list[SearchResult]:
        """The hits for each of many terms by itself; they share passes over the tables."""
        request = self._request
        resolved = self._reader.read_each(terms)
        if any(point.words for _, point in resolved):
            return [self.answer_resolved([one]) for one in resolved]
        owns = [self._own_rows([item]) for item in resolved]
        more = max((len(own) for own in owns), default=0)
        found = rank_many(
            self._comparison, [point for _, point in resolved], request.k + more, self._allowed
        )
        kept = [_without(one, own, request.k) for one, own in zip(found, owns, strict=True)]
        count = int(np.count_nonzero(self._allowed))
        searched = [count - int(np.count_nonzero(self._allowed[own])) for own in owns]
        return self._filled([[item] for item in resolved], kept, searched)

    def _own_rows(self, resolved: Sequence[Resolved]) -> NDArray[np.int64]:
        """Rows of the inputs themselves, unless they are wanted among the hits."""
        ids = [item.record.bytes for item, _ in resolved if item.record]
        if not ids or self._request.include_self:
            return np.empty(0, np.int64)
        records = np.frombuffer(b"".join(ids), ID_DTYPE)
        table = self._tables.histograms if self._by_colour else self._tables.vectors
        rows = [table.row_of(id_) for id_ in uuids(records)]
        return np.array([row for row in rows if row is not None], np.int64)

    @property
    def _by_colour(self) -> bool:
        return self._request.method.by == "colour"

    def _filled(
        self,
        resolved: Sequence[Sequence[Resolved]],
        found: Sequence[Ranked],
        searched: Sequence[int],
    ) -> list[SearchResult]:
        """Results with the hits' paths, which are asked of the store at one time."""
        request = self._request
        judged = [
            self._judged([point for _, point in inputs], one)
            for inputs, one in zip(resolved, found, strict=True)
        ]
        ids = [uuids(one.ids) for one, _ in judged]
        wanted = list(dict.fromkeys(id_ for some in ids for id_ in some))
        paths = dict(zip(wanted, self._store.paths(wanted), strict=True))
        given = dict(zip(wanted, self._store.labels(wanted), strict=True))
        return [
            SearchResult(
                inputs=tuple(item for item, _ in inputs),
                method=request.method.by,
                measure=one.measure,
                combine=request.combine,
                space=None if self._by_colour else self._tables.space.name,
                searched=count,
                exact=one.exact,
                hits=tuple(self._hits(own, one, alike, paths, given)),
                options=request.method.options,
                where=None if request.where is None else str(request.where),
                category=None if request.category is None else request.category.name,
                least=request.least,
            )
            for inputs, own, (one, alike), count in zip(
                resolved, ids, judged, searched, strict=True
            )
        ]

    def _judged(
        self, points: Sequence[Point], found: Ranked
    ) -> tuple[Ranked, list[Likeness | None]]:
        """How alike hits are, and the hits without those less alike than the request wants."""
        words, least = self._judge.words(points, found), self._request.least
        if least is None:
            return found, words
        kept = [n for n, word in enumerate(words) if word is None or word.order <= least.order]
        return found.only(np.array(kept, np.int64)), [words[n] for n in kept]

    def _hits(
        self,
        ids: Sequence[UUID],
        found: Ranked,
        alike: Sequence[Likeness | None],
        paths: dict[UUID, tuple[str, ...]],
        given: dict[UUID, tuple[Label, ...]],
    ) -> list[Hit]:
        columns = zip(
            ids,
            found.scores.tolist(),
            found.measure.distance(found.scores).tolist(),
            found.input_scores.T.tolist(),
            alike,
            self._tables.labels(found.rows, colour=self._by_colour),
            strict=True,
        )
        return [
            Hit(
                rank=number,
                id=id_,
                paths=paths[id_],
                score=score,
                higher_is_better=found.measure.higher_is_better,
                distance=distance,
                input_scores=tuple(each),
                likeness=likeness,
                label=label,
                labels=(*given[id_], *parts),
            )
            for number, (id_, score, distance, each, likeness, (label, parts)) in enumerate(
                columns, start=1
            )
        ]


def _without(found: Ranked, own: NDArray[np.int64], k: int) -> Ranked:
    """The first k of what was found, rows ``own`` left out."""
    return found.only(np.flatnonzero((found.rows[:, None] != own).all(axis=1))[:k])
