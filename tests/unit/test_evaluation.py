"""Evaluation on pictures of plain colours, whose neighbours are known by hand."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from lookalike import Library, Method
from lookalike.errors import InputError
from lookalike.evaluate.evaluation import Candidates, Exam, Quality, recommend
from lookalike.evaluate.labels import labels_of
from lookalike.evaluate.metrics import Estimate, RankingMeasures
from lookalike.query.tables import Tables
from lookalike.stores import SqliteStore
from tests.conftest import BLUE, RED, ToyEncoder, plain

MEANING = [Method()]


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    """Three red and three blue pictures, each of a size of its own."""
    for name, colour in (("red", RED), ("blue", BLUE)):
        (tmp_path / "flags" / name).mkdir(parents=True)
        for number in range(3):
            place = tmp_path / "flags" / name / f"{number}.png"
            plain(colour, (40 + number, 24)).save(place)
    return tmp_path / "flags"


@pytest.fixture
def coloured(library: Library, flags: Path) -> Library:
    library.add([flags])
    return library


def labels(flags: Path, lines: dict[str, str]) -> Path:
    rows = [f"flags/{path},{label}" for path, label in lines.items()]
    file = flags.parent / "labels.csv"
    file.write_text("\n".join(["path,label", *rows]) + "\n")
    return file


def test_every_method_is_perfect_where_folders_are_colours(coloured: Library) -> None:
    methods = Candidates(dims=[2])
    evaluation = coloured.evaluate("folders", methods, k=2)
    assert (evaluation.records, evaluation.labels, evaluation.queries) == (6, 2, 6)
    assert {quality.by for quality in evaluation.methods} == set(methods.by)
    for quality in evaluation.methods:
        assert quality.precision == quality.recall == Estimate(1, 1, 1), quality.name
        assert quality.ndcg.mean == pytest.approx(1)
        assert quality.mean_average_precision.mean == pytest.approx(1)
        assert 0 < quality.p50_ms <= quality.p99_ms


def test_a_picture_with_a_wrong_label_costs_what_is_worked_out_by_hand(
    coloured: Library, flags: Path
) -> None:
    given = dict.fromkeys(("red/0.png", "red/1.png", "red/2.png", "blue/2.png"), "red")
    given |= dict.fromkeys(("blue/0.png", "blue/1.png"), "blue")
    (quality,) = coloured.evaluate(labels(flags, given), MEANING, k=2).methods
    # Red ones find the other two of three; blue/2 finds none of three; the blue ones, each other.
    assert quality.precision.mean == pytest.approx((1 + 1 + 1 + 0 + 0.5 + 0.5) / 6)
    assert quality.recall.mean == pytest.approx((2 / 3 * 3 + 0 / 3 + 1 + 1) / 6)
    # The last two ties: red ones have ranks 1, 2 and somewhere in 3..5, where precision is 3/5;
    # blue/2 has three in ranks 3..5; a blue one has one relevant of two that tie for rank 1.
    assert quality.mean_average_precision.mean == pytest.approx(
        (3 * (1 + 1 + 3 / 5) / 3 + 3 / 5 + 1 / 2 + 1 / 2) / 6
    )


def test_any_common_label_is_enough(coloured: Library, flags: Path) -> None:
    given = labels(flags, {"red/0.png": "flag", "red/1.png": "warm", "blue/0.png": "warm"})
    with given.open("a") as file:
        file.write("flags/red/1.png,flag\n")
    (quality,) = coloured.evaluate(given, MEANING, k=2).methods
    # Of the two others, one shares a label with red/0, both with red/1, one with blue/0.
    assert quality.precision.mean == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert quality.recall.mean == 1


def test_precisions_alone_are_those_of_the_whole_exam(coloured: Library, flags: Path) -> None:
    lines = {"red/0.png": "a", "red/1.png": "a", "blue/0.png": "a", "blue/1.png": "b"}
    given = labels_of(labels(flags, lines), coloured.ledger())
    with contextlib.closing(SqliteStore(coloured.folder)) as store:
        tables = Tables(store, store.spaces()[0], coloured.folder / "derived")
        exam = Exam([tables], given, 9, 1, RankingMeasures())
        whole = exam.sit(tables, Method("colour")).precision
        alone = exam.precisions(tables, Method("colour"))
    assert alone.tolist() == whole.tolist()
    assert sorted(alone.tolist()) == [0, 1, 1]  # blue/0 finds blue/1, whose label is another


def test_pictures_without_a_label_are_not_searched(coloured: Library, flags: Path) -> None:
    given = labels(flags, {"red/0.png": "flag", "blue/0.png": "flag"})
    evaluation = coloured.evaluate(given, MEANING, k=1)
    assert (evaluation.records, evaluation.queries) == (2, 2)
    assert evaluation.methods[0].precision.mean == 1


def test_queries_are_drawn_evenly_and_always_the_same(coloured: Library) -> None:
    first = coloured.evaluate("folders", MEANING, queries=4)
    again = coloured.evaluate("folders", MEANING, queries=4)
    assert first.queries == 4
    assert first.methods[0].precision == again.methods[0].precision


def test_every_space_is_tried_and_colour_once(coloured: Library) -> None:
    coloured.add_space(ToyEncoder("second"))
    found = coloured.evaluate("folders", [Method(), Method("colour")], k=2).methods
    assert [quality.space for quality in found] == ["toy", None, "second"]
    assert [quality.name for quality in found][::2] == ["meaning (toy)", "meaning (second)"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"k": 0}, "k 0"), ({"queries": 0}, "queries 0"), ({"spaces": ["x"]}, "'x'")],
)
def test_what_cannot_be_evaluated_is_refused(
    options: dict[str, int], said: str, coloured: Library
) -> None:
    with pytest.raises(InputError, match=said):
        coloured.evaluate("folders", MEANING, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="by 'smell'"):
        coloured.evaluate("folders", Candidates(by=["smell"]))


def test_labels_that_no_two_pictures_share_are_refused(coloured: Library, flags: Path) -> None:
    given = labels(flags, {"red/0.png": "a", "blue/0.png": "b"})
    with pytest.raises(InputError, match="no two records"):
        coloured.evaluate(given, MEANING)


# -- the recommendation ----------------------------------------------------------------------------


def quality(name: str, precision: float, lead: tuple[float, float], size: float) -> Quality:
    same = Estimate(precision, precision, precision)
    return Quality(
        name, name, None, {}, same, same, same, same,
        Estimate(float(np.mean(lead)), *lead), 1.0, 2.0, size,
    )  # fmt: skip


def test_a_method_that_is_as_good_and_cheaper_is_recommended() -> None:
    best = quality("best", 0.92, (0, 0), 2560)
    cheap = quality("cheap", 0.918, (-0.006, 0.002), 200)
    poor = quality("poor", 0.8, (-0.15, -0.1), 20)
    chosen, why = recommend([best, cheap, poor], 5)
    assert chosen is cheap
    assert "P@5 0.918" in why
    assert "best, 0.920" in why
    assert "8% of its bytes" in why


def test_a_method_that_may_be_worse_is_not_recommended() -> None:
    best = quality("best", 0.92, (0, 0), 2560)
    unsure = quality("unsure", 0.919, (-0.03, 0.028), 200)
    assert recommend([unsure, best], 5)[0] is best
