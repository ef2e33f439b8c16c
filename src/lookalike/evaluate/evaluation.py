"""Which way of comparing finds what belongs together? All of them, tried on labelled records.

Labelled records are searched with, and only labelled ones are searched; a hit is relevant if it
shares a label with the query. What is found, and how quickly, is what a search of the library does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.evaluate.labels import Labels
from lookalike.evaluate.metrics import (
    Estimate,
    RankingMeasures,
    estimate,
    precision_at,
    recall_at,
)
from lookalike.evaluate.pca_study import usual_dims
from lookalike.evaluate.recall import nearest, timed
from lookalike.features.pca import check_dims
from lookalike.indexes.base import Mask
from lookalike.query.search import METHODS, ByShortlist, Comparison, Method, Point, compare_by
from lookalike.query.tables import Tables
from lookalike.stores.base import IdentifiedRows
from lookalike.types import COLOUR_MEASURES, DoubleArray, IdArray, id_array, uuids

NEAR_ENOUGH = 0.01
"""A method that is surely no more than this below the best in P@k is as good, if it costs less."""

FEW_QUERIES = 100

_CELL_BYTES, _ROW_BYTES = 4, 8
"""What an occupied bin and the end of a row take in a histogram segment."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Quality:
    """One way of comparing: means over the queries with 95 % intervals, and what it costs.

    ``mean_average_precision`` is of the whole ranking, the others of the first k hits. ``lead`` is
    the precision less the best method's, query by query. Milliseconds are of comparing alone, in a
    process that has searched before; ``bytes_a_record`` is what the method reads of a record from
    the library's files.
    """

    name: str
    by: str
    space: str | None
    options: Mapping[str, str | int | float]
    precision: Estimate
    recall: Estimate
    mean_average_precision: Estimate
    ndcg: Estimate
    lead: Estimate
    p50_ms: float
    p99_ms: float
    bytes_a_record: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All methods tried, in order, and the one that is recommended, with one sentence why.

    ``records`` with one of ``labels`` labels were searched; ``unknown``: paths of the labels that
    are no picture of the library.
    """

    source: str
    records: int
    labels: int
    unknown: int
    queries: int
    k: int
    methods: tuple[Quality, ...]
    recommended: Quality
    why: str

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which methods to try.

    ``dims``: sizes of ``pca``, the usual ones that fit if None; ``metrics`` of ``colour``;
    ``weights`` of colour in ``mix``.
    """

    by: Sequence[str] = METHODS
    dims: Sequence[int] | None = None
    metrics: Sequence[str] = tuple(COLOUR_MEASURES)
    weights: Sequence[float] = (0.1, 0.2, 0.3, 0.5)

    def methods(self, tables: Tables) -> list[Method]:
        """One by one. Raises InputError for values that do not exist."""
        unknown = [name for name in self.by if name not in METHODS]
        if unknown or not self.by:
            told = ", ".join(map(repr, unknown)) or "nothing"
            raise InputError(f"by {told}: not known; use {', '.join(METHODS)}")
        rows, dim = int(tables.vectors.live.sum()), tables.vectors.dim
        sizes = usual_dims(rows, dim) if self.dims is None else self.dims
        every = {
            "meaning": [Method()],
            "pca": [Method("pca", dims=size) for size in sizes],
            "colour": [Method("colour", metric=metric) for metric in self.metrics],
            "mix": [Method("mix", colour_weight=weight) for weight in self.weights],
            "shortlist": [Method("shortlist")],
        }
        chosen = [method for name in self.by for method in every[name]]
        for method in chosen:  # before minutes of work
            if method.by == "pca":
                check_dims(method.pca_method, rows, dim, method.dims)
        return chosen


def evaluate(
    spaces: Sequence[Tables],
    labels: Labels,
    methods: Sequence[Method] | Candidates = Candidates(),
    *,
    k: int = 5,
    queries: int = 300,
    stage: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Search by every method with at most ``queries`` labelled records, drawn evenly.

    Methods are tried in each of ``spaces``; those by colour once. Raises InputError where k or
    queries are below 1 or no two records share a label, MissingExtraError without scikit-learn.
    """
    if k < 1 or queries < 1:
        raise InputError(f"k {k}, queries {queries}: at least 1 of each is needed")
    measures = RankingMeasures()
    exam = Exam(spaces, labels, queries, k, measures)
    tried = []
    for tables, method in list(_each(spaces, methods)):  # raises for all before any is tried
        stage(_name(method, tables, len(spaces) > 1))
        tried.append((tables, method, exam.sit(tables, method)))
    return _report(exam, labels, tried, several=len(spaces) > 1)


def _each(
    spaces: Sequence[Tables], methods: Sequence[Method] | Candidates
) -> Iterator[tuple[Tables, Method]]:
    for tables in spaces:
        for method in methods.methods(tables) if isinstance(methods, Candidates) else methods:
            if method.by != "colour" or tables is spaces[0]:
                yield tables, method


@dataclass(frozen=True, slots=True)
class Marks:
    """What one method got: a number per query, float64 (queries,) each."""

    precision: DoubleArray
    recall: DoubleArray
    average_precision: DoubleArray
    ndcg: DoubleArray
    milliseconds: DoubleArray


@dataclass(frozen=True, slots=True)
class Question:
    """A query, the rows that may be found (it is not among them), and those that should be."""

    point: Point
    allowed: Mask
    relevant: NDArray[np.bool_]


class Exam:
    """The queries, and what is relevant to each, in the rows of any table."""

    def __init__(
        self,
        spaces: Sequence[Tables],
        labels: Labels,
        queries: int,
        k: int,
        measures: RankingMeasures,
    ) -> None:
        self.k, self._measures, self._labels = k, measures, labels
        self.ids = _held_by_all(id_array(labels.of), spaces)
        self._of_label = _by_label(self.ids, labels)
        self.queries = self._drawn(queries)

    def _drawn(self, count: int) -> list[UUID]:
        """Records that share a label with another one, evenly over the order of their ids."""
        shared = {label for label, ids in self._of_label.items() if len(ids) > 1}
        held = sorted(uuids(self.ids))
        able = [one for one in held if shared & self._labels.of[one]]
        if not able:
            raise InputError(
                f"labels {self._labels.source}: no two records of the library share a label, so"
                " that nothing can be found; label more pictures"
            )
        dice = np.random.default_rng(_SEED)
        chosen = np.sort(dice.permutation(len(able))[:count])
        return [able[at] for at in chosen.tolist()]

    @property
    def label_count(self) -> int:
        """Labels that records have."""
        return len(self._of_label)

    def sit(self, tables: Tables, method: Method) -> Marks:
        """Search by a method for every query."""
        comparison, _ = compare_by(method, tables)
        marks = []
        for number, question in enumerate(self._questions(tables, method)):
            if not number:  # maps and decodes what later searches have at hand
                nearest(comparison, question.point, question.allowed, self.k)
            marks.append(self._mark(comparison, question))
        return Marks(*np.array(marks).T)

    def precisions(self, tables: Tables, method: Method) -> DoubleArray:
        """``sit``, but only the precision of each query, float64 (queries,): quicker."""
        comparison, _ = compare_by(method, tables)
        found = [
            question.relevant[nearest(comparison, question.point, question.allowed, self.k).rows]
            for question in self._questions(tables, method)
        ]
        return np.array([precision_at(hits, self.k) for hits in found])

    def _questions(self, tables: Tables, method: Method) -> Iterator[Question]:
        """The queries in the rows of the table that a method reads."""
        table: IdentifiedRows = tables.histograms if method.by == "colour" else tables.vectors
        judged = table.rows_with(self.ids)
        rows_of = {label: table.rows_of(ids) for label, ids in self._of_label.items()}
        for record in self.queries:
            own = table.row_of(record)
            relevant = np.zeros(len(judged), bool)
            for label in self._labels.of[record]:
                relevant[rows_of[label]] = True
            allowed = judged.copy()
            relevant[own] = allowed[own] = False
            yield Question(_point(tables, record), allowed, relevant)

    def _mark(self, comparison: Comparison, question: Question) -> tuple[float, ...]:
        point, allowed, relevant = question.point, question.allowed, question.relevant
        found, spent = timed(partial(nearest, comparison, point, allowed, self.k))
        hits, count = relevant[found.rows], int(relevant.sum())
        rows = np.flatnonzero(allowed)
        alike = _preferences(comparison, comparison.place(point), rows)
        return (
            precision_at(hits, self.k),
            recall_at(hits, self.k, count),
            self._measures.average_precision(relevant[rows], alike),
            self._measures.ndcg_at(hits, self.k, count),
            spent,
        )


def _preferences(comparison: Comparison, point: Point, rows: NDArray[np.int64]) -> DoubleArray:
    """A number per row, ascending rows, that rises with likeness."""
    if isinstance(comparison, ByShortlist):
        return comparison.preferences(point, rows)
    scores = comparison.rough_each([point], rows)[0]
    return np.asarray(-comparison.measure.distance(scores))


def _held_by_all(ids: IdArray, spaces: Sequence[Tables]) -> IdArray:
    """Records that have numbers in every space, so that all methods sit the same exam."""
    held = spaces[0].histograms.rows_of(ids) >= 0
    for tables in spaces:
        held &= tables.vectors.rows_of(ids) >= 0
    return ids[held]


def _by_label(ids: IdArray, labels: Labels) -> dict[str, IdArray]:
    found: dict[str, list[UUID]] = {}
    for one in ids:
        record = UUID(bytes=one.tobytes())
        for label in labels.of[record]:
            found.setdefault(label, []).append(record)
    return {label: id_array(records) for label, records in found.items()}


def _point(tables: Tables, record: UUID) -> Point:
    row = tables.vectors.row_of(record)
    histogram = tables.histograms.row_of(record)
    assert row is not None
    assert histogram is not None
    return Point(tables.vectors.vector(row), tables.histograms.histogram(histogram).dense())


# -- what it comes to ------------------------------------------------------------------------------

Tried = tuple[Tables, Method, Marks]


def _report(exam: Exam, labels: Labels, tried: Sequence[Tried], *, several: bool) -> Evaluation:
    best = max(marks.precision.mean() for _, _, marks in tried)
    champion = next(marks for _, _, marks in tried if marks.precision.mean() == best)
    qualities = tuple(
        Quality(
            name=_name(method, tables, several),
            by=method.by,
            space=None if method.by == "colour" else tables.space.name,
            options=method.options,
            precision=estimate(marks.precision),
            recall=estimate(marks.recall),
            mean_average_precision=estimate(marks.average_precision),
            ndcg=estimate(marks.ndcg),
            lead=estimate(marks.precision - champion.precision),
            p50_ms=float(np.median(marks.milliseconds)),
            p99_ms=float(np.percentile(marks.milliseconds, 99)),
            bytes_a_record=_bytes_a_record(method, tables),
        )
        for tables, method, marks in tried
    )
    recommended, why = recommend(qualities, exam.k)
    if len(exam.queries) < FEW_QUERIES:
        why += f"; with {len(exam.queries)} queries, chance decides much of this"
    return Evaluation(
        source=labels.source,
        records=len(exam.ids),
        labels=exam.label_count,
        unknown=len(labels.unknown),
        queries=len(exam.queries),
        k=exam.k,
        methods=qualities,
        recommended=recommended,
        why=why,
    )


def recommend(qualities: Sequence[Quality], k: int) -> tuple[Quality, str]:
    """Of the methods surely about as precise as the best, the one that reads least; and why."""
    best = max(qualities, key=lambda quality: quality.precision.mean)
    good = [one for one in qualities if one is best or one.lead.low >= -NEAR_ENOUGH]
    chosen = min(good, key=lambda one: (one.bytes_a_record, one.p50_ms))
    cost = f"it reads {chosen.bytes_a_record:,.0f} bytes a record, {chosen.p50_ms:.1f} ms a search"
    if chosen is best:
        return chosen, f"P@{k} {best.precision.mean:.3f} is the best; {cost}"
    share = chosen.bytes_a_record / best.bytes_a_record
    return chosen, (
        f"P@{k} {chosen.precision.mean:.3f} is surely within {NEAR_ENOUGH} of the best"
        f" ({best.name}, {best.precision.mean:.3f}), at {share:.0%} of its bytes; {cost}"
    )


def _bytes_a_record(method: Method, tables: Tables) -> float:
    parts = tables.histograms.parts
    cells = sum(len(part.bins) for part in parts) / max(1, sum(len(part) for part in parts))
    colour = _CELL_BYTES * cells + _ROW_BYTES
    meaning = 2.0 * (method.dims if method.by == "pca" else tables.vectors.dim)
    both = meaning + colour
    return {"colour": colour, "mix": both, "shortlist": both}.get(method.by, meaning)


def _name(method: Method, tables: Tables, several: bool) -> str:
    names = {
        "meaning": "meaning",
        "pca": f"pca {method.dims}",
        "colour": f"colour, {method.metric}",
        "mix": f"mix, {method.colour_weight:g} {method.metric}",
        "shortlist": f"shortlist of {method.shortlist}, {method.metric}",
    }
    where = f" ({tables.space.name})" if several and method.by != "colour" else ""
    return names[method.by] + where
