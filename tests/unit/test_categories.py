"""The category tree, words, and labels with their confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookalike.categories import (
    best_label,
    categories_of,
    category_tree,
    class_directions,
    class_shares,
    understand,
)
from lookalike.categories.lexicon import categories_named
from lookalike.categories.tree import CLASSES, ROOT, data_lines
from lookalike.indexes.categories import CategoryCache, CategoryIndex, sure_parts
from lookalike.stores.base import LogitTable, PartTable
from tests.conftest import record_ids, vector_table

TABBY, TIGER_CAT, PERSIAN, DALMATIAN, SPORTS_CAR = 281, 282, 283, 251, 817
TAIL = 3.05


def number_of(name: str) -> int:
    (one,) = [one for one in category_tree().named(name) if one.number is not None]
    assert one.number is not None
    return one.number


# -- the tree --------------------------------------------------------------------------------------


def test_the_tree_has_every_class_once_below_the_root() -> None:
    tree = category_tree()
    numbers = [one.number for one in tree if one.number is not None]
    assert sorted(numbers) == list(range(CLASSES))
    assert tree[ROOT].classes == tuple(range(CLASSES))


def test_well_known_classes_have_their_usual_numbers() -> None:
    # As every list of ImageNet-1k has them.
    known = {"tench": 0, "tabby": TABBY, "dalmatian": DALMATIAN, "sports car": SPORTS_CAR}
    assert {name: number_of(name) for name in known} == known


def test_a_tabby_is_a_cat_a_mammal_and_an_animal() -> None:
    tree = category_tree()
    above = [one.name for one in tree.ancestors(tree.of_class(TABBY))]
    assert above[0] == "domestic cat"
    for name in ("cat", "feline", "carnivore", "mammal", "animal"):
        assert name in above


def test_a_category_has_the_classes_of_all_below_it() -> None:
    tree = category_tree()
    for one in tree:
        below = {number for child in tree.children(one) for number in child.classes}
        own = set() if one.number is None else {one.number}
        assert set(one.classes) == below | own


def test_each_class_looks_into_its_own_direction() -> None:
    rows = class_directions()
    assert rows.shape == (CLASSES, 1280)
    assert np.abs(rows.mean(axis=0)).max() < 1e-3  # what all have in common is taken off
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cats = units[[TABBY, TIGER_CAT, PERSIAN]]
    assert (cats @ cats.T).min() > (cats @ units[SPORTS_CAR]).max() + 0.1


# -- words -----------------------------------------------------------------------------------------


def meant(text: str) -> list[str]:
    return [one.name for phrase in understand(text).phrases for one in phrase.categories]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sports car", ["sports car"]),
        ("Sports Cars", ["sports car"]),
        ("dog", ["dog"]),
        ("wolves", ["wolf"]),
        ("wild cat", ["wildcat"]),
        ("rooster", ["cock"]),
        ("a dog on a sofa", ["dog", "studio couch"]),
        ("beach", ["seashore"]),
        ("Hund", ["dog"]),
        ("Hunde und Katzen", ["dog", "cat"]),
        ("Schmetterlinge", []),
        ("Vögel", ["bird"]),
        ("Bücher", ["comic book", "book jacket"]),
        ("animal", ["animal"]),
        ("mouse", ["mouse"]),
    ],
)
def test_words_name_categories(text: str, names: list[str]) -> None:
    if text == "Schmetterlinge":
        names = [one.name for one in categories_named("schmetterling")]
    assert meant(text) == names


def test_the_longest_name_is_taken() -> None:
    assert meant("electric guitar") == ["electric guitar"]
    assert [phrase.words for phrase in understand("electric guitar").phrases] == ["electric guitar"]


def test_words_that_name_nothing_are_told() -> None:
    said = understand("red sports car of blorptang")
    assert [phrase.words for phrase in said.phrases] == ["sports car"]
    assert said.unknown == ("red", "blorptang")


def test_a_word_that_is_not_known_has_a_wider_one_that_is() -> None:
    said = understand("gerenuk")
    assert not said.phrases
    assert said.wider == {"gerenuk": "antelope"}


@pytest.mark.parametrize("text", ["", " ", "!?", "the of and", "123", "\n"])
def test_nothing_is_made_of_nothing(text: str) -> None:
    assert not understand(text).phrases


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    said = understand(text)
    assert all(phrase.classes for phrase in said.phrases)


def test_every_word_of_our_own_list_names_something() -> None:
    for line in data_lines("words.tsv"):
        language, word, values = line.split("\t")
        assert language in ("de", "en")
        found = categories_named(word)
        assert found, word
        assert len(found) >= len(values.split("|")) or language == "en", word


# -- labels ----------------------------------------------------------------------------------------


def test_shares_add_up_to_less_than_one_and_keep_the_order() -> None:
    logits = np.array([[9.0, 5.0, 5.0, 1.0]], np.float32)
    (shares,) = class_shares(logits, TAIL)
    assert 0.5 < shares[0] < 1
    assert list(shares) == sorted(shares, reverse=True)
    assert shares.sum() < 1


def test_shares_are_those_of_the_whole_softmax_if_the_rest_lies_where_it_is_taken_to() -> None:
    logits = np.full(CLASSES, 2.0 - TAIL)
    logits[:10] = [8, 7, 6, 5, 4, 3.5, 3, 2.5, 2.2, 2.0]
    whole = np.exp(logits) / np.exp(logits).sum()
    (shares,) = class_shares(logits[None, :10].astype(np.float32), TAIL)
    np.testing.assert_allclose(shares, whole[:10], rtol=1e-5)


@given(arrays(np.float32, (3, 10), elements=st.floats(-30, 60, width=32)))
def test_shares_are_probabilities(logits: np.ndarray) -> None:
    shares = class_shares(-np.sort(-logits, axis=1), TAIL)
    assert np.isfinite(shares).all()
    assert (shares >= 0).all()
    assert (shares.sum(axis=1) <= 1 + 1e-5).all()


def test_kinds_that_are_unsure_make_a_sure_wider_label() -> None:
    classes = np.array([TABBY, TIGER_CAT, PERSIAN], np.uint16)
    label = best_label(classes, np.array([0.3, 0.3, 0.1], np.float32))
    assert label is not None
    assert label.name == "domestic cat"
    assert label.confidence == pytest.approx(0.7)


def test_where_nothing_is_sure_there_is_no_label() -> None:
    classes = np.array([TABBY, SPORTS_CAR], np.uint16)
    assert best_label(classes, np.array([0.3, 0.3], np.float32)) is None
    # Together they are surely an "entity", which says nothing.
    assert best_label(classes, np.array([0.5 - 1e-6, 0.5 - 1e-6], np.float32)) is None


def test_a_label_comes_with_all_that_lies_above() -> None:
    found = categories_of(np.array([TABBY], np.uint16), np.array([0.9], np.float32))
    names = [one.name for one, _ in found]
    assert names[0] == "animal"
    assert names[-1] == "tabby"
    assert "artifact" not in names


# -- the index over all records --------------------------------------------------------------------

CLASSES_OF = np.array([[TABBY, TIGER_CAT], [DALMATIAN, TABBY], [SPORTS_CAR, TABBY]], np.uint16)
SHARES_OF = np.array([[0.4, 0.3], [0.9, 0.05], [0.45, 0.1]], np.float16)


def index_of() -> CategoryIndex:
    return CategoryIndex(vector_table(np.eye(3)), CLASSES_OF, SHARES_OF)


def named(name: str):
    (one,) = categories_named(name)
    return one


def test_a_row_is_as_surely_a_cat_as_all_its_kinds_together() -> None:
    found = index_of().confidence(named("cat"))
    np.testing.assert_allclose(found, [0.7, 0.05, 0.1], atol=1e-3)


def test_what_a_row_shows_comes_with_all_above_it_the_widest_first() -> None:
    shown = index_of().shown(1, 0.5)
    names = [category.name for category, _ in shown]
    assert names[0] == "animal"
    assert names[-1] == "dalmatian"
    assert "dog" in names
    assert all(share == pytest.approx(0.9, abs=0.06) for _, share in shown)


def test_rows_are_counted_for_what_they_surely_show_and_all_above() -> None:
    counts, labelled = index_of().counts()
    tree = category_tree()
    names = {tree[id_].name: count for id_, count in counts.items()}
    assert names["cat"] == 1
    assert names["dalmatian"] == names["dog"] == 1
    assert names["animal"] == names["carnivore"] == 2
    assert "tabby" not in names
    assert labelled == 2


def test_rows_that_are_gone_are_not_counted() -> None:
    index = index_of()
    index.live = np.array([True, False, True])
    counts, labelled = index.counts()
    assert named("dog").id not in counts
    assert labelled == 1


def test_an_index_without_classes_says_nothing() -> None:
    none = np.empty((3, 0))
    index = CategoryIndex(vector_table(np.eye(3)), none.astype(np.uint16), none.astype(np.float16))
    assert index.empty
    assert index.label(0) is None
    assert index.counts() == ({}, 0)
    assert not index.confidence(named("cat")).any()


def logit_table(ids: np.ndarray) -> LogitTable:
    logits = np.sort(np.random.default_rng(0).normal(5, 3, (len(ids), 10)), axis=1)[:, ::-1]
    classes = np.tile(np.arange(10, dtype=np.uint16), (len(ids), 1))
    return LogitTable(ids, classes, logits.astype(np.float32), np.ones(len(ids), bool))


class Source:
    """A catalogue: logits of some records, and of parts; ``asked`` counts how often."""

    tail = TAIL

    def __init__(self, logits: LogitTable, parts: PartTable | None = None, seen: int = 0) -> None:
        self._logits, self._parts, self.seen = logits, parts, seen
        self.asked = self.asked_for_parts = 0

    def logits(self) -> LogitTable:
        self.asked += 1
        return self._logits

    def parts_seen(self) -> int:
        return self.seen

    def parts(self) -> PartTable:
        self.asked_for_parts += 1
        assert self._parts is not None
        return self._parts


def test_shares_are_kept_on_disk_and_made_anew_for_other_rows(tmp_path: Path) -> None:
    table = vector_table(np.eye(6))
    source = Source(logit_table(table.ids[1:]))  # the first row has none
    first = CategoryCache(tmp_path, table, source).load()
    again = CategoryCache(tmp_path, table, source).load()
    assert source.asked == 1
    np.testing.assert_array_equal(first.shares, again.shares)
    assert not first.shares[0].any()
    assert first.shares[1:].any(axis=1).all()
    fewer = vector_table(np.eye(6)[:5], record_ids(6)[1:])
    assert len(CategoryCache(tmp_path, fewer, source).load().shares) == 5
    assert source.asked == 2


@pytest.mark.parametrize("damage", [b"", b"not an array"])
def test_damaged_shares_are_made_anew(tmp_path: Path, damage: bytes) -> None:
    table = vector_table(np.eye(6))
    source = Source(logit_table(table.ids), part_table(table.ids[[1, 1]]), 1)
    first = CategoryCache(tmp_path, table, source).load()
    damaged = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(damaged) == 6
    for path in damaged:
        path.write_bytes(damage)
    again = CategoryCache(tmp_path, table, source).load()
    np.testing.assert_array_equal(first.shares, again.shares)
    np.testing.assert_array_equal(first.parts.rows, again.parts.rows)


# -- parts of pictures -----------------------------------------------------------------------------

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)


def part_table(ids: np.ndarray, best: Sequence[int] = (TABBY, DALMATIAN), sure: float = 20.0):
    """Parts of records, left and right by turns, each of which shows one class."""
    classes = np.array([[best[n % len(best)], SPORTS_CAR] for n in range(len(ids))], np.uint16)
    logits = np.tile(np.array([sure, 0.0], np.float32), (len(ids), 1))
    crops = np.array([(LEFT, RIGHT)[n % 2] for n in range(len(ids))], np.float32)
    return PartTable(ids, crops, classes, logits)


def with_parts(rows: Sequence[int], best: Sequence[int] = (TABBY, DALMATIAN)) -> CategoryIndex:
    """Three records of which none shows anything as a whole, and parts of some."""
    table = vector_table(np.eye(3))
    parts = sure_parts(table, part_table(table.ids[list(rows)], best), TAIL)
    return CategoryIndex(table, CLASSES_OF, np.zeros((3, 2), np.float16), parts)


def test_what_a_part_surely_shows_the_picture_shows() -> None:
    index = with_parts([1, 1])
    assert (index.confidence(named("cat")) > 0.9).tolist() == [False, True, False]
    assert (index.confidence(named("dog")) > 0.9).tolist() == [False, True, False]
    assert not index.share_of_whole((TABBY,)).any()


def test_a_picture_of_several_things_has_several_labels() -> None:
    labels = with_parts([2, 2, 2, 0], (TABBY, DALMATIAN)).part_labels(2)
    assert {(label.name, label.part) for label in labels} >= {
        ("tabby", LEFT), ("dalmatian", RIGHT)
    }  # fmt: skip
    assert len(labels) == 2  # the third part shows what the first does
    assert with_parts([2]).part_labels(1) == []


def test_records_are_counted_once_however_many_parts_show_it() -> None:
    counts, labelled = with_parts([1, 1, 2]).counts()
    tree = category_tree()
    names = {tree[id_].name: count for id_, count in counts.items()}
    assert (names["tabby"], names["dalmatian"], names["animal"]) == (2, 1, 2)
    assert labelled == 2


def test_parts_that_are_not_sure_and_those_of_unknown_records_are_left() -> None:
    table = vector_table(np.eye(3))
    unsure = part_table(table.ids, sure=0.5)
    assert len(sure_parts(table, unsure, TAIL).rows) == 0
    strangers = part_table(record_ids(9, seed=5))
    assert len(sure_parts(table, strangers, TAIL).rows) == 0
    assert len(sure_parts(table, part_table(table.ids[:0]), TAIL).rows) == 0


def test_parts_are_kept_until_further_ones_were_seen(tmp_path: Path) -> None:
    table = vector_table(np.eye(6))
    source = Source(logit_table(table.ids), part_table(table.ids[[3, 3]]), 1)
    for _ in range(2):
        index = CategoryCache(tmp_path, table, source).load()
        assert index.parts.rows.tolist() == [3, 3]
    assert source.asked_for_parts == 1
    source.seen = 2
    CategoryCache(tmp_path, table, source).load()
    assert source.asked_for_parts == 2
    assert len(list((tmp_path / "parts").iterdir())) == 4
