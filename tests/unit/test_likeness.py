"""Likely, maybe, unlikely: what random pairs of a library say of a score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lookalike import Method
from lookalike.errors import InputError
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.query import likeness
from lookalike.query.likeness import Thresholds, thresholds
from lookalike.query.search import compare_by
from lookalike.query.tables import Tables
from lookalike.stores.base import HistogramTable, VectorTable
from lookalike.types import Likeness, Space
from tests.conftest import histogram_table, sparse, vector_table

DIM = 64
MEANING = Method()


class MemoryStore:
    """What tables ask of a store."""

    def __init__(self, points: np.ndarray, cells: Sequence[dict[int, int]]) -> None:
        self.vectors = vector_table(points)
        self.histograms = histogram_table([sparse(one) for one in cells], self.vectors.ids)

    def tables(self, _space: Space) -> tuple[VectorTable, HistogramTable]:
        return self.vectors, self.histograms


def tables_of(points: np.ndarray, folder: Path, encoder: str = "toy") -> Tables:
    dice = np.random.default_rng(3)
    cells = [{int(b): int(c) for b, c in zip(dice.integers(0, 60, 6), dice.integers(1, 90, 6),
             strict=True)} for _ in points]  # fmt: skip
    space = Space(encoder, "0" * 64, "box-4", points.shape[1])
    return Tables(MemoryStore(points, cells), space, folder)  # type: ignore[arg-type]


def groups(count: int, each: int, spread: float = 0.4, seed: int = 0) -> np.ndarray:
    """Points around ``count`` directions that have nothing to do with each other."""
    dice = np.random.default_rng(seed)
    centres = dice.normal(size=(count, DIM)) / np.sqrt(DIM)
    noise = dice.normal(size=(count, each, DIM)) * spread / np.sqrt(DIM)
    return (centres[:, None] + noise).reshape(-1, DIM)


def found(tables: Tables, method: Method = MEANING) -> Thresholds | None:
    comparison, live = compare_by(method, tables)
    return thresholds(comparison, tables, live, method.by)


@pytest.mark.parametrize(("count", "each"), [(100, 10), (20, 50), (40, 25)])
def test_members_of_a_group_are_likely_alike_and_others_unlikely(
    tmp_path: Path, count: int, each: int
) -> None:
    points = groups(count, each)
    limits = found(tables_of(points, tmp_path))
    assert limits is not None
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    same = np.concatenate(
        [(g @ g.T)[np.triu_indices(each, 1)] for g in units.reshape(count, each, DIM)]
    )
    others = (units[:each] @ units[each:].T).ravel()
    assert np.mean([limits.judge(1 - s) is not Likeness.UNLIKELY for s in same]) > 0.99
    assert np.mean([limits.judge(1 - s) is Likeness.LIKELY for s in same]) > 0.7
    assert np.mean([limits.judge(1 - s) is Likeness.UNLIKELY for s in others]) > 0.999


def test_a_library_of_one_kind_says_nothing_unless_the_encoder_is_known(tmp_path: Path) -> None:
    points = groups(1, 300)
    points[:, 0] += 0.6  # all have something in common
    assert found(tables_of(points, tmp_path)) is None
    usual = found(tables_of(points, tmp_path, "efficientnet-lite0"))
    median, spread = CATALOGUE["efficientnet-lite0"].usual_cosines or (0, 0)
    assert usual is not None
    assert usual.likely >= 1 - median - likeness.LIKELY_SPREADS * spread - 1e-9


def test_few_records_say_nothing(tmp_path: Path) -> None:
    assert found(tables_of(groups(3, 4), tmp_path)) is None
    assert found(tables_of(groups(3, 4), tmp_path, "efficientnet-lite0")) is not None


@pytest.mark.parametrize("metric", ["intersection", "bhattacharyya", "correlation", "chi-square"])
def test_few_pairs_have_likely_the_same_colours(tmp_path: Path, metric: str) -> None:
    tables = tables_of(groups(40, 10), tmp_path)
    method = Method("colour", metric=metric)
    limits = found(tables, method)
    assert limits is not None
    comparison, live = compare_by(method, tables)
    distances = likeness._pair_distances(comparison, tables, live, "colour")
    assert 0 < np.mean(distances <= limits.likely) < 0.005
    assert 0 < np.mean(distances <= limits.maybe) < 0.02
    assert limits.likely <= limits.maybe


def test_the_same_library_gives_the_same_answer(tmp_path: Path) -> None:
    points = groups(30, 10)
    assert found(tables_of(points, tmp_path / "a")) == found(tables_of(points, tmp_path / "b"))


def test_a_word_is_as_alike_as_its_threshold_says() -> None:
    limits = Thresholds(0.3, 0.5)
    words = [limits.judge(distance) for distance in (0.0, 0.3, 0.31, 0.5, 0.51)]
    assert words == ["likely", "likely", "maybe", "maybe", "unlikely"]
    assert [word.order for word in Likeness] == [0, 1, 2]


# -- through the library ---------------------------------------------------------------------------


def test_hits_below_the_least_are_left_out(filled, photos: Path) -> None:
    every = filled.search(photos / "000.png", k=11)
    assert {hit.likeness for hit in every.hits} == {None}  # twelve pictures say nothing
    assert not every.nothing_alike
    with pytest.raises(InputError, match="least 'surely': not known; use one of: likely, maybe"):
        filled.search(photos / "000.png", least="surely")
