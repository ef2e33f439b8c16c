"""Comparing and ranking: one input, several inputs, mixtures; and searches through the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import Library, Method
from lookalike.errors import InputError, LibraryMissingError
from lookalike.indexes import ColourIndex, ExactIndex
from lookalike.indexes.base import choose
from lookalike.query import Point, rank, search
from lookalike.query.search import ByColour, ByMix, ByVector, Comparison, Ranked
from lookalike.stores import HistogramTable, VectorTable
from lookalike.types import BINS, COLOUR_MEASURES, SearchResult
from tests.conftest import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    ToyEncoder,
    histogram_table,
    picture,
    plain,
    record_ids,
    sparse,
    vector_table,
)

DIM, ROWS = 12, 40
COMPARISONS = ["meaning", *COLOUR_MEASURES, "mix", "mix by chi-square"]
every_comparison = pytest.mark.parametrize("name", COMPARISONS)
seeds = st.integers(0, 500)


def tables(seed: int, kinds: int = ROWS) -> tuple[VectorTable, HistogramTable]:
    """Forty records of ``kinds`` different contents."""
    rng = np.random.default_rng(seed)
    content = np.arange(ROWS) % kinds
    rows = [
        sparse({int(b): int(n) for b, n in zip(bins, rng.integers(1, 99, 12), strict=True)})
        for bins in rng.integers(0, 50, (kinds, 12))
    ]
    ids = record_ids(ROWS, seed)
    vectors = rng.normal(size=(kinds, DIM))
    return (
        vector_table(vectors[content], ids),
        histogram_table([rows[c] for c in content], ids, parts=2),
    )


def comparison(
    name: str, vectors: VectorTable, colours: HistogramTable, weight: float = 0.4
) -> Comparison:
    meaning = ByVector(ExactIndex(vectors.ids, vectors.parts))
    if name == "meaning":
        return meaning
    if name.startswith("mix"):
        metric = name.partition(" by ")[2] or "bhattacharyya"
        return ByMix(meaning, ByColour(ColourIndex(colours, metric)), weight)
    return ByColour(ColourIndex(colours, name))


def points(vectors: VectorTable, colours: HistogramTable, *rows: int) -> list[Point]:
    return [
        Point(
            vectors.vectors(np.array([row]))[0].astype(np.float64), colours.histogram(row).dense()
        )
        for row in rows
    ]


ALL = np.ones(ROWS, dtype=bool)


def ids_of(found: Ranked) -> list[bytes]:
    return [id_.tobytes() for id_ in found.ids]


# -- several inputs --------------------------------------------------------------------------------


def by_vector(*rows: tuple[float, ...]) -> ByVector:
    table = vector_table(np.array(rows))
    return ByVector(ExactIndex(table.ids, table.parts))


def at(*vector: float, weight: float = 1.0) -> Point:
    return Point(np.array(vector), None, weight)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([at(1, 0), at(0, 1)], (1, 1)),
        ([at(9, 0), at(0, 0.1)], (1, 1)),  # lengths do not count
        ([at(1, 0, weight=3), at(0, 1)], (3, 1)),
        ([at(1, 0), at(0, 1, weight=-1)], (1, -1)),
        ([at(1, 0, weight=-1)], (-1, 0)),
    ],
)
def test_the_mean_of_unit_vectors_is_as_worked_out_by_hand(
    inputs: list[Point], expected: tuple[float, float]
) -> None:
    rows = np.array([(1, 0), (0, 1), (1, 1), (3, 1), (1, -1), (-1, 0)], float)
    found = rank(by_vector(*map(tuple, rows)), inputs, 6, "mean", np.ones(6, bool))
    target = np.array(expected) / np.linalg.norm(expected)
    cosines = rows @ target / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(found.scores, np.sort(cosines)[::-1], atol=1e-3)  # stored as halves
    assert found.scores[0] == pytest.approx(1.0, abs=1e-6)


def test_inputs_that_cancel_out_are_alike_to_nothing() -> None:
    comparing = by_vector((1, 0), (0, 1), (-1, 0))
    found = rank(comparing, [at(1, 0), at(-1, 0)], 3, "mean", np.ones(3, bool))
    assert found.scores.tolist() == [0, 0, 0]
    assert ids_of(found) == sorted(ids_of(found))


@given(seed=seeds)
def test_the_mean_of_histograms_is_the_mean_of_their_shares(seed: int) -> None:
    vectors, colours = tables(seed)
    inputs = points(vectors, colours, 0, 1, 2)
    mean = np.mean([point.need_histogram() for point in inputs], axis=0)
    for metric in COLOUR_MEASURES:
        comparing = comparison(metric, vectors, colours)
        together = rank(comparing, inputs, ROWS, "mean", ALL)
        alone = rank(comparing, [Point(None, mean)], ROWS, "mean", ALL)
        assert ids_of(together) == ids_of(alone)


@every_comparison
@given(seed=seeds, count=st.integers(2, 5))
def test_permuting_inputs_permutes_input_scores_and_leaves_hits(
    name: str, seed: int, count: int
) -> None:
    vectors, colours = tables(seed)
    inputs = points(vectors, colours, *range(count))
    order = np.random.default_rng(seed).permutation(count)
    comparing = comparison(name, vectors, colours)
    for combine in ("mean", "all"):
        first = rank(comparing, inputs, 10, combine, ALL)
        second = rank(comparing, [inputs[n] for n in order], 10, combine, ALL)
        assert ids_of(first) == ids_of(second)
        np.testing.assert_allclose(second.input_scores, first.input_scores[order])
        np.testing.assert_allclose(second.scores, first.scores)


@every_comparison
@given(seed=seeds, count=st.integers(2, 5), k=st.integers(1, ROWS))
def test_all_wants_the_best_least_score(name: str, seed: int, count: int, k: int) -> None:
    vectors, colours = tables(seed)
    inputs = points(vectors, colours, *range(count))
    comparing = comparison(name, vectors, colours)
    found = rank(comparing, inputs, k, "all", ALL)
    each = np.stack([comparing.score_rows(point, np.arange(ROWS)) for point in inputs])
    better = comparing.measure.higher_is_better
    least = each.min(axis=0) if better else each.max(axis=0)
    expected = np.sort(-least if better else least)[:k]
    np.testing.assert_allclose(-found.scores if better else found.scores, expected, atol=1e-6)
    least_found = found.input_scores.min(axis=0) if better else found.input_scores.max(axis=0)
    np.testing.assert_allclose(found.scores, least_found, atol=1e-6)


@every_comparison
@given(seed=seeds)
def test_ties_are_broken_by_id_in_every_way_of_combining(name: str, seed: int) -> None:
    """Forty records of three contents: equal scores must be equal to the last bit."""
    vectors, colours = tables(seed, kinds=3)
    comparing = comparison(name, vectors, colours)
    for combine in ("mean", "all"):
        found = rank(comparing, points(vectors, colours, 0, 1), ROWS, combine, ALL)
        kinds = [int(np.flatnonzero(vectors.ids == id_)[0]) % 3 for id_ in found.ids]
        for kind in range(3):
            own = [i for i, k in zip(ids_of(found), kinds, strict=True) if k == kind]
            assert own == sorted(own)


@every_comparison
@given(seed=seeds)
def test_an_input_score_is_what_the_input_alone_would_get(name: str, seed: int) -> None:
    vectors, colours = tables(seed)
    inputs = points(vectors, colours, 3, 4)
    comparing = comparison(name, vectors, colours)
    found = rank(comparing, inputs, 8, "mean", ALL)
    for number, point in enumerate(inputs):
        alone = rank(comparing, [point], ROWS, "mean", ALL)
        scores = dict(zip(ids_of(alone), alone.scores, strict=True))
        expected = [scores[id_] for id_ in ids_of(found)]
        np.testing.assert_allclose(found.input_scores[number], expected, atol=1e-6)


def test_colours_that_share_nothing_still_rank_all_records() -> None:
    colours = histogram_table([sparse({n: 1}) for n in range(5)])
    inputs = [Point(None, sparse({n: 1}).dense()) for n in (1000, 2000)]
    for metric, score in (("intersection", 0.0), ("bhattacharyya", 1.0)):
        for combine in ("mean", "all"):
            found = rank(
                ByColour(ColourIndex(colours, metric)), inputs, 9, combine, np.ones(5, bool)
            )
            assert found.scores.tolist() == [score] * 5
            assert ids_of(found) == sorted(ids_of(found))


def test_an_unknown_combination_is_refused() -> None:
    with pytest.raises(InputError, match=r"'any'.*mean, all"):
        rank(by_vector((1, 0)), [at(1, 0)], 1, "any", np.ones(1, bool))


# -- mixtures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", COLOUR_MEASURES)
@given(seed=seeds)
def test_a_mixture_without_colour_is_meaning_and_all_colour_is_colour(
    metric: str, seed: int
) -> None:
    vectors, colours = tables(seed)
    inputs = points(vectors, colours, 5)
    for weight, other in ((0.0, "meaning"), (1.0, metric)):
        mixed = comparison(f"mix by {metric}", vectors, colours, weight)
        expected = rank(comparison(other, vectors, colours), inputs, ROWS, "mean", ALL)
        assert ids_of(rank(mixed, inputs, ROWS, "mean", ALL)) == ids_of(expected)


@given(seed=seeds)
def test_a_mixture_finds_the_colours_of_a_record_in_a_table_of_another_order(seed: int) -> None:
    """A record that was removed and added again has two rows, of which the last one counts."""
    vectors, colours = tables(seed)
    order = np.random.default_rng(seed).permutation(ROWS)
    rows = [colours.histogram(int(row)) for row in order]
    stale = sparse({BINS - 1: 1})
    doubled = histogram_table(
        [stale, *rows], np.concatenate([colours.ids[order[3:4]], colours.ids[order]])
    )
    inputs = points(vectors, colours, 7)
    first = rank(comparison("mix", vectors, colours), inputs, ROWS, "mean", ALL)
    second = rank(comparison("mix", vectors, doubled), inputs, ROWS, "mean", ALL)
    assert ids_of(first) == ids_of(second)
    np.testing.assert_allclose(first.scores, second.scores)


@pytest.mark.parametrize("metric", COLOUR_MEASURES)
@given(seed=seeds, weight=st.floats(0, 1), share=st.floats(0.05, 1), k=st.integers(1, 9))
def test_a_mixture_rules_rows_out_by_bounds_and_loses_none(
    metric: str, seed: int, weight: float, share: float, k: int
) -> None:
    vectors, colours = tables(seed, kinds=30)
    rng = np.random.default_rng(seed)
    allowed, order = rng.random(ROWS) < share, rng.permutation(ROWS)
    turned = histogram_table([colours.histogram(int(n)) for n in order], colours.ids[order])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SEEDS", 3)
        for table in (colours, turned):
            mixed = comparison(f"mix by {metric}", vectors, table, weight)
            for point in points(vectors, colours, 3, 8):
                found = mixed.nearest(mixed.place(point), k, allowed)
                scores = mixed.score_rows(point, np.arange(ROWS))
                expected = choose(scores, mixed.measure, vectors.ids, k, allowed)
                assert found.rows.tolist() == expected.rows.tolist()
                np.testing.assert_array_equal(found.scores, expected.scores)


def test_a_mixture_compares_few_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SEEDS", 3)
    vectors, colours = tables(1)
    mixed, asked = comparison("mix", vectors, colours, 0.1), []
    rough = ColourIndex.rough

    def counting(self: ColourIndex, query: Any, rows: Any) -> Any:
        asked.append(len(rows))
        return rough(self, query, rows)

    monkeypatch.setattr(ColourIndex, "rough", counting)
    rank(mixed, points(vectors, colours, 3, 8), 2, "mean", ALL)
    assert 3 <= sum(asked) < ROWS


@pytest.mark.parametrize(
    "options",
    [
        {"by": "smell"},
        {"metric": "hellinger"},
        {"pca_method": "sparse"},
        {"dims": 0},
        {"dims": -1},
        {"colour_weight": -0.1},
        {"colour_weight": 1.1},
        {"colour_weight": float("nan")},
    ],
)
def test_a_method_with_an_unknown_value_is_refused(options: dict) -> None:
    with pytest.raises(InputError):
        Method(**options)


# -- through the library ---------------------------------------------------------------------------

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "black": BLACK, "white": WHITE}


@pytest.fixture
def colourful(library: Library, tmp_path: Path) -> Library:
    """A library with five pictures of one colour each; ``halves.png`` beside it is not in it."""
    (tmp_path / "colours").mkdir()
    for name, colour in COLOURS.items():
        plain(colour).save(tmp_path / "colours" / f"{name}.png")
    library.add([tmp_path / "colours"])
    halves = plain(RED)
    halves.paste(GREEN, (20, 0, 40, 24))
    halves.save(tmp_path / "halves.png")
    return library


def names(result: SearchResult) -> list[str]:
    return [Path(hit.paths[0]).stem for hit in result.hits]


def at_colour(tmp_path: Path, name: str) -> Path:
    return tmp_path / "colours" / f"{name}.png"


def test_hits_have_rank_score_distance_and_input_scores(colourful: Library, tmp_path: Path) -> None:
    result = colourful.search(at_colour(tmp_path, "red"), 4)
    # toy vectors: red (1,0,0,1,0,0,0,.5), white (1,1,1,1,1,1,0,.5), black (0,0,0,0,0,0,0,.5)
    by_hand = {
        "white": 2.25 / (1.5 * 2.5),
        "black": 0.25 / (1.5 * 0.5),
        "blue": 0.25 / 2.25,
        "green": 0.25 / 2.25,
    }
    assert [hit.rank for hit in result.hits] == [1, 2, 3, 4]
    assert names(result)[:2] == ["white", "black"]
    for hit in result.hits:
        assert hit.score == pytest.approx(by_hand[Path(hit.paths[0]).stem], abs=1e-3)
        assert hit.distance == pytest.approx(1 - hit.score)
        assert hit.input_scores == (hit.score,)
        assert hit.higher_is_better
    assert result.hits[2].score == result.hits[3].score
    assert result.hits[2].id.bytes < result.hits[3].id.bytes


def test_an_input_of_the_library_is_left_out_unless_asked_for(
    colourful: Library, tmp_path: Path
) -> None:
    red = at_colour(tmp_path, "red")
    without = colourful.search(red, 9)
    with_self = colourful.search(red, 9, include_self=True)
    assert "red" not in names(without)
    assert (without.searched, with_self.searched) == (4, 5)
    assert names(with_self)[0] == "red"
    assert with_self.hits[0].score == pytest.approx(1.0, abs=1e-6)


def test_a_copy_of_an_input_is_the_same_record(colourful: Library, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(at_colour(tmp_path, "red").read_bytes())
    found, expected = (colourful.search(p, 9) for p in (copy, at_colour(tmp_path, "red")))
    assert found.hits == expected.hits
    assert found.inputs[0].record == expected.inputs[0].record


def test_a_path_an_id_and_a_term_mean_the_same_picture(
    colourful: Library, tmp_path: Path, toy: ToyEncoder
) -> None:
    red = at_colour(tmp_path, "red")
    record = colourful.search(red).inputs[0].record
    assert isinstance(record, UUID)
    encoded_so_far = toy.encoded
    forms = [red, str(red), record, str(record), f"id:{record}", f"file:{red}", [red]]
    results = [colourful.search(form, 9) for form in forms]
    assert all(result.hits == results[0].hits for result in results)
    assert toy.encoded == encoded_so_far  # what is stored is not computed again


@pytest.mark.parametrize("by", ["meaning", "colour", "mix", "pca"])
def test_a_picture_from_outside_finds_what_it_would_find_from_inside(
    filled: Library, photos: Path, by: str
) -> None:
    twin = photos.parent / "twin.webp"
    picture(4).save(twin, lossless=True)  # other bytes, equal pixels
    outside = filled.search(twin, 99, Method(by, dims=5))
    inside = filled.search(photos / "004.png", 99, Method(by, dims=5), include_self=True)
    assert outside.inputs[0].record is None
    assert [(hit.id, hit.score) for hit in outside.hits] == [
        (hit.id, hit.score) for hit in inside.hits
    ]


@pytest.mark.parametrize(
    ("crop", "colour"),
    [
        ("0,0,0.5,1", "red"),
        ("0.5,0,0.5,1", "green"),
        ("0,0,0.01,0.01", "red"),
        ("0.99,0.99,.01,.01", "green"),
    ],
)
@pytest.mark.parametrize("by", ["meaning", "colour"])
def test_a_crop_is_compared_in_place_of_the_picture(
    colourful: Library, tmp_path: Path, crop: str, colour: str, by: str
) -> None:
    result = colourful.search(f"{tmp_path / 'halves.png'}[{crop}]", 1, Method(by))
    assert names(result) == [colour]


def test_a_crop_of_a_record_is_read_from_its_file(library: Library, tmp_path: Path) -> None:
    for name, colour in COLOURS.items():
        plain(colour).save(tmp_path / f"{name}.png")
    halves = plain(RED)
    halves.paste(GREEN, (20, 0, 40, 24))
    halves.save(tmp_path / "halves.png")
    library.add([tmp_path])
    record = library.search(tmp_path / "halves.png").inputs[0].record
    result = library.search(f"id:{record}[0.5,0,0.5,1]", 1, Method("colour"))
    assert names(result) == ["green"]


def test_weights_pull_the_mean(colourful: Library, tmp_path: Path) -> None:
    red, green = (at_colour(tmp_path, name) for name in ("red", "green"))
    for first, second, nearest in ((5, 1, "red"), (1, 5, "green")):
        terms = [f"{first}*{red}", f"{second}*{green}"]
        for by in ("meaning", "colour"):
            assert names(colourful.search(terms, 1, Method(by), include_self=True)) == [nearest]


def test_a_minus_leads_away(colourful: Library, tmp_path: Path) -> None:
    terms = [str(at_colour(tmp_path, "white")), f"-{at_colour(tmp_path, 'red')}"]
    assert names(colourful.search(terms, 9))[-1] == "black"
    alone = colourful.search(f"-{at_colour(tmp_path, 'red')}", 9, include_self=True)
    assert names(alone)[-1] == "red"
    assert alone.hits[-1].score == pytest.approx(-1.0, abs=1e-6)
    assert alone.hits[-1].input_scores == pytest.approx((1.0,), abs=1e-6)


def test_more_hits_than_records_gives_all(colourful: Library, tmp_path: Path) -> None:
    assert len(colourful.search(at_colour(tmp_path, "red"), 1_000).hits) == 4


@pytest.mark.parametrize("k", [0, -1])
def test_less_than_one_hit_is_refused(colourful: Library, tmp_path: Path, k: int) -> None:
    with pytest.raises(InputError, match=f"k {k}: at least 1"):
        colourful.search(at_colour(tmp_path, "red"), k)


@pytest.mark.parametrize("by", ["colour", "mix"])
def test_colours_cannot_be_subtracted(colourful: Library, tmp_path: Path, by: str) -> None:
    terms = [str(at_colour(tmp_path, "white")), f"-{at_colour(tmp_path, 'red')}"]
    with pytest.raises(InputError, match="cannot be subtracted"):
        colourful.search(terms, 5, Method(by))


@pytest.mark.parametrize("weights", [("2*", ""), ("-", "-"), ("-", "")])
def test_all_takes_no_weights(colourful: Library, tmp_path: Path, weights: tuple[str, str]) -> None:
    red, green = (at_colour(tmp_path, name) for name in ("red", "green"))
    with pytest.raises(InputError, match="every input counts alike"):
        colourful.search([f"{weights[0]}{red}", f"{weights[1]}{green}"], combine="all")


@pytest.mark.parametrize("by", ["meaning", "colour", "mix"])
def test_all_prefers_what_is_a_little_like_each(
    colourful: Library, tmp_path: Path, by: str
) -> None:
    inputs = [at_colour(tmp_path, name) for name in ("red", "green")]
    result = colourful.search(inputs, 9, Method(by, metric="intersection"), combine="all")
    for hit in result.hits:
        assert hit.score == pytest.approx(min(hit.input_scores), abs=1e-6)
    distances = [hit.distance for hit in result.hits]
    assert distances == sorted(distances)


@pytest.mark.parametrize("combine", ["mean", "all"])
@pytest.mark.parametrize("metric", COLOUR_MEASURES)
def test_distance_ascends_for_every_measure(
    filled: Library, photos: Path, combine: str, metric: str
) -> None:
    inputs = [photos / "000.png", photos / "001.png"]
    result = filled.search(inputs, 99, Method("colour", metric=metric), combine=combine)
    distances = [hit.distance for hit in result.hits]
    assert len(distances) == 10
    assert distances == sorted(distances)
    assert all(len(hit.input_scores) == 2 for hit in result.hits)
    assert result.hits[0].higher_is_better == COLOUR_MEASURES[metric].higher_is_better


def test_pca_of_all_dimensions_but_one_still_finds_the_twin(filled: Library, photos: Path) -> None:
    picture(4).save(photos.parent / "twin.webp", lossless=True)
    result = filled.search(photos.parent / "twin.webp", 1, Method("pca", dims=7))
    assert names(result) == ["004"]
    assert result.hits[0].score == pytest.approx(1.0, abs=1e-3)
    assert result.options == {"dims": 7, "pca_method": "linear"}


def test_more_dimensions_than_pictures_are_refused(filled: Library, photos: Path) -> None:
    with pytest.raises(InputError, match="dims 50: 12 vectors have at most 11"):
        filled.search(photos / "000.png", 5, Method("pca", dims=50))


def test_what_another_process_adds_is_found(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    assert filled.search(photos / "000.png", 99).searched == 11
    picture(77).save(photos / "new.png")
    with Library.open(filled.folder, encoder=toy) as other:
        other.add([photos])
    assert filled.search(photos / "000.png", 99).searched == 12


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_random_record_is_one_of_the_library(filled: Library, seed: int | None) -> None:
    record = filled.random_record(seed)
    assert filled.get([record])[0] is not None
    if seed is not None:
        assert filled.random_record(seed) == record


@pytest.mark.parametrize("text", ["nonesuch.jpg", str(UUID(int=7)), f"id:{UUID(int=7)}"])
def test_an_input_that_is_nowhere_is_refused(colourful: Library, text: str) -> None:
    with pytest.raises(InputError, match=text.removeprefix("id:")):
        colourful.search(text)


def test_an_input_that_is_no_picture_is_refused_with_the_reason(
    colourful: Library, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"notes\.txt.*not an image"):
        colourful.search(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="no input"):
        colourful.search([])


def test_a_library_that_is_not_there_is_refused(tmp_path: Path, toy: ToyEncoder) -> None:
    with pytest.raises(LibraryMissingError, match="no library here"):
        Library.open(tmp_path / "none")
    with Library.open(tmp_path / "none", create=True, encoder=toy) as library:
        plain(RED).save(tmp_path / "red.png")
        assert len(library) == 0
        with pytest.raises(LibraryMissingError):
            library.search(tmp_path / "red.png")


def test_a_result_becomes_plain_values_for_json(colourful: Library, tmp_path: Path) -> None:
    method = Method("colour", metric="chi-square")
    told = colourful.search(at_colour(tmp_path, "red"), 2, method).to_dict()
    assert told["query"]["score"] == {
        "kind": "chi-square",
        "range": [0.0, None],
        "higher_is_better": False,
    }
    assert told["query"]["metric"] == "chi-square"
    assert [hit["rank"] for hit in told["hits"]] == [1, 2]
    assert told["query"]["inputs"][0]["path"] == str(at_colour(tmp_path, "red"))


def test_the_sheet_of_a_search_has_inputs_and_hits(filled: Library, photos: Path) -> None:
    picture(70).save(photos.parent / "outside.png")
    inputs = [photos / "000.png", photos.parent / "outside.png"]
    sheet = filled.sheet(filled.search(inputs, 3))
    assert [tile.caption[0] for tile in sheet.inputs] == ["000.png", "outside.png"]
    assert len(sheet.hits) == 3
    assert all(tile.jpeg is not None for tile in (*sheet.inputs, *sheet.hits))
    assert all(tile.caption[2].startswith("each: ") for tile in sheet.hits)
