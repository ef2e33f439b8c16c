"""Mixtures in units of spread, and shortlists: the nearest by meaning, ranked by colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import Library, Method
from lookalike.errors import InputError
from lookalike.features.histogram import score
from lookalike.query.mixing import LEAST_SPREAD, USUAL_COLOUR, USUAL_MEANING, Spreads, spreads
from lookalike.query.tables import Tables
from lookalike.stores import SqliteStore
from tests.conftest import ToyEncoder, fill

shares = st.floats(0, 1)


@pytest.fixture
def many(tmp_path: Path, toy: ToyEncoder) -> Any:
    """A library of thirty pictures."""
    fill(tmp_path / "many", range(30))
    with Library.open(tmp_path / "thirty", create=True, encoder=toy) as library:
        library.add([tmp_path / "many"])
        yield library


def tables_of(library: Library) -> Tables:
    store = SqliteStore(library.folder)
    return Tables(store, store.spaces()[0], library.folder / "derived")


# -- weights ---------------------------------------------------------------------------------------


def test_a_weight_is_as_worked_out_by_hand() -> None:
    # Half of each, in spreads of 0.1 and 0.3: 0.5 / 0.1 = 5 of meaning to 0.5 / 0.3 = 5 / 3.
    assert Spreads(0.1, 0.3).weight(0.5) == 0.25


@given(share=shares)
def test_equal_spreads_leave_a_share_as_it_is(share: float) -> None:
    assert Spreads(0.2, 0.2).weight(share) == pytest.approx(share, abs=1e-4)


@given(meaning=st.floats(0.01, 1), colour=st.floats(0.01, 1), one=shares, other=shares)
def test_more_of_a_share_is_no_less_weight(
    meaning: float, colour: float, one: float, other: float
) -> None:
    own = Spreads(meaning, colour)
    assert own.weight(min(one, other)) <= own.weight(max(one, other))
    assert (own.weight(0), own.weight(1)) == (0, 1)


# -- spreads ---------------------------------------------------------------------------------------


def test_spreads_are_those_of_all_pairs_of_a_small_library(many: Library) -> None:
    tables = tables_of(many)
    vectors = tables.vectors.vectors(np.arange(30)).astype(float)
    colours = [tables.histograms.histogram(row).dense() for row in range(30)]
    pairs = [(a, b) for a in range(30) for b in range(30) if a != b]
    own = spreads(tables, "intersection")
    assert own.meaning == pytest.approx(np.std([vectors[a] @ vectors[b] for a, b in pairs]), 1e-3)
    alike = [score(colours[a], colours[b], "intersection") for a, b in pairs]
    assert own.colour == pytest.approx(max(LEAST_SPREAD, np.std(alike)), 1e-3)


def test_spreads_do_not_depend_on_the_order_of_indexing(many: Library, tmp_path: Path) -> None:
    with Library.open(tmp_path / "turned", create=True, encoder=ToyEncoder()) as turned:
        for path in sorted((tmp_path / "many").iterdir(), reverse=True):
            turned.add([path])
        assert spreads(tables_of(turned), "correlation") == spreads(tables_of(many), "correlation")


def test_a_library_too_small_to_say_has_the_usual_spreads(filled: Library) -> None:
    own = spreads(tables_of(filled), "chi-square")
    assert own == Spreads(USUAL_MEANING, USUAL_COLOUR["chi-square"])


def test_a_score_is_the_weighted_mean_of_both_parts(many: Library, tmp_path: Path) -> None:
    query = tmp_path / "many" / "003.png"
    weight = spreads(tables_of(many), "intersection").weight(0.4)
    mixed = many.search(query, 30, Method("mix", metric="intersection", colour_weight=0.4))
    parts = [
        {hit.id: hit.score for hit in many.search(query, 30, method).hits}
        for method in (Method(), Method("colour", metric="intersection"))
    ]
    for hit in mixed.hits:
        expected = (1 - weight) * parts[0][hit.id] + weight * parts[1][hit.id]
        assert hit.score == pytest.approx(expected, abs=1e-6)
    assert mixed.options["colour_weight"] == 0.4  # what was asked for


# -- shortlists ------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["bhattacharyya", "intersection"])
def test_a_shortlist_is_the_nearest_by_meaning_ranked_by_colour(
    metric: str, many: Library, tmp_path: Path
) -> None:
    query = tmp_path / "many" / "005.png"
    near = {hit.id for hit in many.search(query, 8).hits}
    by_colour = many.search(query, 30, Method("colour", metric=metric)).hits
    expected = [(hit.id, hit.score) for hit in by_colour if hit.id in near][:5]
    found = many.search(query, 5, Method("shortlist", metric=metric, shortlist=8))
    assert [(hit.id, hit.score) for hit in found.hits] == expected
    assert found.exact
    assert found.measure.name == metric


def test_more_hits_than_the_shortlist_has_come_back_all_the_same(
    many: Library, tmp_path: Path
) -> None:
    query = tmp_path / "many" / "005.png"
    found = many.search(query, 12, Method("shortlist", shortlist=3)).hits
    assert {hit.id for hit in found} == {hit.id for hit in many.search(query, 12).hits}
    assert [hit.distance for hit in found] == sorted(hit.distance for hit in found)


def test_a_condition_narrows_the_shortlist_and_not_its_hits(many: Library, tmp_path: Path) -> None:
    where = " or ".join(f"name = '{number:03d}.png'" for number in range(9, 14))
    found = many.search(
        tmp_path / "many" / "005.png", 4, Method("shortlist", shortlist=4), where=where
    )
    assert (len(found.hits), found.searched) == (4, 5)


def test_what_a_shortlist_cannot_do_is_refused(many: Library, tmp_path: Path) -> None:
    one, two = tmp_path / "many" / "005.png", tmp_path / "many" / "006.png"
    with pytest.raises(InputError, match="combine all"):
        many.search([one, two], method=Method("shortlist"), combine="all")
    with pytest.raises(InputError, match="cannot be subtracted"):
        many.search([str(one), f"-file:{two}"], method=Method("shortlist"))
    with pytest.raises(InputError, match="shortlist 0"):
        Method("shortlist", shortlist=0)


def test_the_whole_ranking_of_a_shortlist_begins_with_its_hits(
    many: Library, tmp_path: Path
) -> None:
    lines = [f"{path},{number % 2}" for number, path in enumerate((tmp_path / "many").iterdir())]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *lines]))
    methods = [Method("shortlist", shortlist=30), Method("colour"), Method()]
    every = many.evaluate(tmp_path / "labels.csv", methods).methods
    assert every[0].mean_average_precision == every[1].mean_average_precision
    assert every[0].mean_average_precision != every[2].mean_average_precision
    (one,) = many.evaluate(tmp_path / "labels.csv", [Method("shortlist", shortlist=1)]).methods
    assert one.mean_average_precision == every[2].mean_average_precision
