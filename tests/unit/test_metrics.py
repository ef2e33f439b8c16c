"""Measures of rankings against examples worked out by hand."""

from __future__ import annotations

import sys
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import MissingExtraError
from lookalike.evaluate.metrics import RankingMeasures, estimate, precision_at, recall_at

HITS = np.array([True, False, True, False, False])


def test_precision_is_the_share_of_k() -> None:
    assert precision_at(HITS, 5) == 2 / 5
    assert precision_at(HITS, 1) == 1
    assert precision_at(HITS[:3], 5) == 2 / 5  # fewer records than k: none is made up


def test_recall_is_the_share_of_all_that_is_relevant() -> None:
    assert recall_at(HITS, 5, relevant=4) == 2 / 4
    assert recall_at(HITS, 2, relevant=4) == 1 / 4


def test_average_precision_is_the_mean_of_precisions_at_relevant_ranks() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    expected = (1 / 1 + 2 / 3) / 2
    assert RankingMeasures().average_precision(HITS, scores) == pytest.approx(expected)


def test_ndcg_counts_relevant_records_that_were_missed() -> None:
    gained = 1 / log2(2) + 1 / log2(4)
    ideal = sum(1 / log2(rank + 1) for rank in (1, 2, 3, 4))
    assert RankingMeasures().ndcg_at(HITS, 5, relevant=4) == pytest.approx(gained / ideal)
    ideal_of_two = 1 / log2(2) + 1 / log2(3)
    assert RankingMeasures().ndcg_at(HITS, 5, relevant=2) == pytest.approx(gained / ideal_of_two)


def test_no_more_than_k_records_can_be_ideal() -> None:
    assert RankingMeasures().ndcg_at(np.ones(5, bool), 5, relevant=80) == pytest.approx(1)


@pytest.mark.parametrize("found", [True, False])
def test_ndcg_of_a_single_record_is_whether_it_is_relevant(found: bool) -> None:
    assert RankingMeasures().ndcg_at(np.array([found]), 5, relevant=int(found)) == float(found)


@given(hits=st.lists(st.booleans(), min_size=5, max_size=5), missed=st.integers(0, 9))
def test_ndcg_lies_between_none_and_all(hits: list[bool], missed: int) -> None:
    found = np.array(hits)
    relevant = int(found.sum()) + missed
    score = RankingMeasures().ndcg_at(found, 5, relevant)
    assert 0 <= score <= 1 + 1e-12
    assert (score > 0) == found.any()
    best = int(found.sum()) >= min(5, relevant)
    if relevant:
        assert (score == pytest.approx(1)) == (best and found[: min(5, relevant)].all())


def test_an_interval_is_about_that_of_a_binomial() -> None:
    half = estimate(np.arange(400) % 2.0)
    assert half.mean == 0.5
    assert half.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.01)
    assert half.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.01)


def test_equal_values_leave_no_doubt() -> None:
    same = estimate(np.full(7, 0.25))
    assert (same.mean, same.low, same.high) == (0.25, 0.25, 0.25)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingExtraError, match=r"lookalike\[evaluate\]"):
        RankingMeasures()
