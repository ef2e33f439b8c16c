"""What every index promises (indexes/base.py), whatever it compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.features.pca import fit
from lookalike.indexes import ColourIndex, CompactIndex, ExactIndex
from lookalike.indexes.colour import ROOT_MARGIN
from lookalike.indexes.compact import make_codes
from lookalike.indexes.exact import MARGIN
from lookalike.types import BHATTACHARYYA, COLOUR_MEASURES
from tests.conftest import histogram_table, record_ids, sparse, vector_table

DIM, REDUCED = 67, 5  # an odd number of dimensions: vector instructions leave a remainder


@dataclass
class Case:
    """An index over rows of which several are equal, and a query."""

    index: ColourIndex | CompactIndex | ExactIndex
    query: np.ndarray[Any, Any]
    content: np.ndarray[Any, Any]
    """A number per row; equal numbers stand for equal rows."""
    ids: list[bytes]


Built = tuple[ColourIndex | CompactIndex | ExactIndex, Any]
Build = Callable[[np.random.Generator, np.ndarray[Any, Any]], Built]


def exact(rng: np.random.Generator, content: np.ndarray[Any, Any]) -> Built:
    kinds = rng.normal(size=(5, DIM))
    table = vector_table(kinds[content], record_ids(len(content), int(rng.integers(9))))
    return ExactIndex(table.ids, table.parts), rng.normal(size=DIM)


def compact(rng: np.random.Generator, content: np.ndarray[Any, Any]) -> Built:
    index, query = exact(rng, content)
    assert isinstance(index, ExactIndex)
    parts = index.parts or [np.zeros((1, DIM), np.float16)]
    codes = make_codes([np.asarray(part) for part in parts])
    return CompactIndex(index, codes if index.parts else replace(codes, rows=0)), query


def reduced(rng: np.random.Generator, content: np.ndarray[Any, Any]) -> Built:
    kinds = rng.normal(size=(40, DIM)).astype(np.float32)
    model = fit("linear", lambda: [kinds], len(kinds), REDUCED)
    rows = model.transform(kinds[content], REDUCED).astype(np.float16)
    ids = record_ids(len(content), int(rng.integers(9)))
    query = model.transform(rng.normal(size=(1, DIM)), REDUCED)[0]
    return ExactIndex(ids, [rows]), query


def colour(metric: str) -> Build:
    def build(rng: np.random.Generator, content: np.ndarray[Any, Any]) -> Built:
        kinds = [
            sparse({int(b): int(n) for b, n in zip(bins, rng.integers(1, 999, 9), strict=True)})
            for bins in rng.integers(0, 40, (6, 9))
        ]
        ids = record_ids(len(content), int(rng.integers(9)))
        table = histogram_table([kinds[c] for c in content], ids, parts=3)
        return ColourIndex(table, metric), kinds[5].dense()

    return build


INDEXES: dict[str, Build] = {
    "exact": exact,
    "compact": compact,
    "pca": reduced,
    **{f"colour by {metric}": colour(metric) for metric in COLOUR_MEASURES},
}


def case(name: str, rows: int, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    content = rng.integers(0, 5, rows)
    index, query = INDEXES[name](rng, content)
    return Case(index, query, content, [id_.tobytes() for id_ in index.ids])


every_index = pytest.mark.parametrize("name", INDEXES)


@every_index
@given(rows=st.integers(0, 60), k=st.integers(0, 70), seed=st.integers(0, 99), data=st.data())
def test_the_k_nearest_allowed_rows_come_back_in_order(
    name: str, rows: int, k: int, seed: int, data: st.DataObject
) -> None:
    c = case(name, rows, seed)
    allowed = None
    if data.draw(st.booleans()):
        allowed = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), bool)
    permitted = np.arange(rows) if allowed is None else np.flatnonzero(allowed)
    found = c.index.nearest(c.query, k, allowed)
    distances = c.index.measure.distance(found.scores)
    # min(k, allowed) different rows, all of them allowed
    assert len(found.rows) == len(found.scores) == min(k, len(permitted))
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert set(found.rows.tolist()) <= set(permitted.tolist())
    # distance ascending, ties by id
    order = [(d, c.ids[row]) for d, row in zip(distances, found.rows, strict=True)]
    assert order == sorted(order)
    # none that was left out is nearer; among equal rows those with the lowest ids were taken
    left_out = np.setdiff1d(permitted, found.rows)
    if len(left_out) and len(found.rows):
        others = c.index.measure.distance(c.index.score_rows(c.query, left_out))
        assert others.min() >= distances[-1] - 1e-9
        for row in left_out:
            twins = found.rows[c.content[found.rows] == c.content[row]]
            assert all(c.ids[twin] < c.ids[row] for twin in twins)


@every_index
def test_equal_rows_have_equal_scores_wherever_they_lie(name: str) -> None:
    c = case(name, 60, 1)
    found = c.index.nearest(c.query, 60)
    for kind in range(5):
        assert len(set(found.scores[c.content[found.rows] == kind])) == 1


@every_index
def test_an_empty_table_gives_none(name: str) -> None:
    c = case(name, 0, 0)
    assert len(c.index.nearest(c.query, 5).rows) == 0
    assert len(c.index.scores(c.query)) == 0


@every_index
def test_more_than_there_are_gives_all(name: str) -> None:
    c = case(name, 7, 0)
    assert sorted(c.index.nearest(c.query, 1_000).rows.tolist()) == list(range(7))


@every_index
def test_if_nothing_is_allowed_nothing_comes_back(name: str) -> None:
    c = case(name, 7, 0)
    assert len(c.index.nearest(c.query, 3, np.zeros(7, dtype=bool)).rows) == 0


@every_index
@given(seed=st.integers(0, 99))
def test_scores_of_single_rows_are_those_of_the_scan(name: str, seed: int) -> None:
    c = case(name, 33, seed)
    rows = np.random.default_rng(seed).permutation(33)
    alone = c.index.score_rows(c.query, rows)
    margin = ROOT_MARGIN if c.index.measure == BHATTACHARYYA else MARGIN
    np.testing.assert_allclose(alone, c.index.scores(c.query)[rows], atol=margin, rtol=1e-5)


@every_index
@given(seed=st.integers(0, 99))
def test_scores_lie_within_the_range_of_the_measure(name: str, seed: int) -> None:
    c = case(name, 33, seed)
    scores, measure = c.index.scores(c.query), c.index.measure
    assert scores.min() >= measure.lowest - 1e-9
    assert scores.max() <= measure.highest + 1e-9
    assert (measure.distance(scores) >= -1e-9).all()


@every_index
@given(seed=st.integers(0, 99))
def test_permuting_the_rows_permutes_the_answer(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content, order = rng.integers(0, 5, 30), rng.permutation(30)
    state = rng.bit_generator.state
    index, query = INDEXES[name](rng, content)
    rng.bit_generator.state = state
    other, _ = INDEXES[name](rng, content[order])
    other.ids = index.ids[order]
    if isinstance(other, CompactIndex):
        other.exact.ids = other.ids
    if isinstance(other, CompactIndex):
        other.exact.ids = other.ids
    first, second = index.nearest(query, 12), other.nearest(query, 12)
    assert (index.ids[first.rows] == other.ids[second.rows]).all()


@pytest.mark.parametrize("name", ["exact", "compact", "pca"])
def test_a_query_of_zeros_is_alike_to_nothing(name: str) -> None:
    c = case(name, 20, 3)
    found = c.index.nearest(np.zeros_like(c.query), 20)
    assert (found.scores == 0).all()
    assert [c.ids[row] for row in found.rows] == sorted(c.ids)


def test_a_row_of_zeros_is_alike_to_nothing() -> None:
    table = vector_table(np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]))
    found = ExactIndex(table.ids, table.parts).nearest(np.array([2.0, 0.0]), 3)
    assert found.rows.tolist() == [0, 1, 2]
    assert found.scores.tolist() == [1.0, 0.0, -1.0]


def test_the_length_of_a_query_does_not_matter() -> None:
    c = case("exact", 30, 5)
    near, far = c.index.nearest(c.query * 1e-3, 30), c.index.nearest(c.query * 1e3, 30)
    assert near.rows.tolist() == far.rows.tolist()
    np.testing.assert_allclose(near.scores, far.scores, atol=1e-12)


def test_rows_in_several_parts_and_chunks_are_numbered_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lookalike.indexes.exact._ROWS_A_THREAD", 2)
    monkeypatch.setattr("lookalike.indexes.colour._SEEDS", 2)
    monkeypatch.setattr("lookalike.indexes.colour._STEP", 3)
    basis = vector_table(np.eye(20)).parts[0]
    index = ExactIndex(record_ids(20), [basis[:7], basis[7:8], basis[8:]])
    table = histogram_table([sparse({n: 5, n + 100: 7}) for n in range(20)], parts=3)
    for row in range(20):
        assert index.nearest(basis[row].astype(float), 1).rows.tolist() == [row]
        for metric in COLOUR_MEASURES:
            own = table.histogram(row).dense()
            assert ColourIndex(table, metric).nearest(own, 1).rows.tolist() == [row]


@pytest.mark.parametrize("dim", [2, 3, 8, 50, 1280])
@given(seed=st.integers(0, 999))
def test_rows_that_lie_close_together_are_ranked_exactly(dim: int, seed: int) -> None:
    """Stored halves are not quite of unit length; that must not decide who is nearest."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=dim)
    table = vector_table(centre + 0.02 * rng.normal(size=(40, dim)))
    rows = table.vectors(np.arange(40)).astype(np.float64)
    cosines = rows @ centre / np.linalg.norm(rows, axis=1) / np.linalg.norm(centre)
    index = ExactIndex(table.ids, table.parts)
    found = index.nearest(centre, 5)
    assert np.abs(index.scores(centre) - cosines).max() < MARGIN
    np.testing.assert_allclose(found.scores, np.sort(cosines)[::-1][:5], atol=1e-9)
