"""By what a map is coloured: every row in one group, groups named and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.categories import category_tree
from lookalike.categories.tree import CLASSES
from lookalike.indexes.categories import CategoryIndex
from lookalike.maps import packets
from lookalike.maps.colourings import (
    COLOURINGS,
    GROUPS,
    STEPS,
    by_category,
    by_date,
    by_folder,
    grouped,
    wide_categories,
)
from lookalike.stores.base import UNKNOWN, FactsTable
from tests.conftest import record_ids, vector_table


class Toy:
    """What is known of records: as much as a test needs."""

    def __init__(self, ids: Any, **known: Any) -> None:
        self.ids, self.known = ids, known

    def facts(self) -> FactsTable:
        n = len(self.ids)
        taken = np.array(
            [
                UNKNOWN if one is None else np.datetime64(one, "s").astype(np.int64)
                for one in self.known["taken"]
            ],
            np.int64,
        )
        zeros = np.zeros(n, np.int64)
        return FactsTable(
            self.ids, zeros, zeros, taken, zeros.astype(np.int32), zeros.astype(np.int32),
            np.ones(n, bool),
        )  # fmt: skip

    def folders(self) -> dict[bytes, str]:
        pairs = zip(self.ids, self.known["folders"], strict=True)
        return {id_.tobytes(): folder for id_, folder in pairs if folder is not None}

    def categories(self) -> CategoryIndex:
        classes = np.array(self.known["classes"], np.uint16)[:, None]
        table = vector_table(np.ones((len(self.ids), 3)), self.ids)
        return CategoryIndex(table, classes, np.full(classes.shape, 0.9, np.float16))


def by_name(found: Any) -> list[str | None]:
    """The name of every row's group."""
    return [None if one < 0 else found.legend[one][0] for one in found.of.tolist()]


@given(names=st.lists(st.one_of(st.none(), st.sampled_from([f"n{i}" for i in range(40)]))))
def test_every_row_is_in_the_group_of_its_name(names: list[str | None]) -> None:
    found = grouped(names)
    assert len(found.legend) <= GROUPS + 1
    counts = np.bincount(found.of[found.of >= 0], minlength=len(found.legend))
    assert counts.tolist() == [count for _, count in found.legend]
    for own, name in zip(by_name(found), names, strict=True):
        assert own == name or (own == "other" and name is not None)


def test_folders_are_told_apart_below_what_they_have_in_common() -> None:
    ids = record_ids(5)
    folders = ["/a/b/cats/x", "/a/b/cats", "/a/b/dogs/y/z", None, "/a/b/dogs"]
    found = by_folder(Toy(ids, folders=folders), ids)
    assert by_name(found) == ["cats", "cats", "dogs", None, "dogs"]


def test_pictures_right_in_the_common_folder_are_a_group_beside_those_below_it() -> None:
    ids = record_ids(4)
    folders = ["/a/photos", "/a/photos/2019/may", "/a/photos/2020", "/a/photos/2019"]
    found = by_folder(Toy(ids, folders=folders), ids)
    assert by_name(found) == ["photos", "2019", "2020", "2019"]
    alone = by_folder(Toy(ids, folders=["/"] * 4), ids)
    assert by_name(alone) == ["/"] * 4


def test_one_folder_has_its_own_name() -> None:
    ids = record_ids(3)
    found = by_folder(Toy(ids, folders=["/a/b"] * 3), ids)
    assert by_name(found) == ["b"] * 3
    assert by_folder(Toy(ids, folders=[None] * 3), ids).legend == ()


@pytest.mark.parametrize(
    ("taken", "names"),
    [
        (["2020-05-01", "2020-05-02T23:59:59"], ["2020-05-01", "2020-05-02"]),
        ([f"2020-05-{day:02d}" for day in range(1, 29)], ["2020-05"]),
        ([f"20{year:02d}-01-01" for year in range(20)], ["2000–2001", "2002–2003"]),
        ([f"20{year:02d}-0{month}-01" for year in (1, 2) for month in range(1, 9)], ["2001"]),
    ],
)
def test_time_is_cut_as_finely_as_a_dozen_steps_allow(taken: list[str], names: list[str]) -> None:
    ids = record_ids(len(taken) + 1)
    found = by_date(Toy(ids, taken=[*taken, None]), ids)
    assert found.kind == "ordered"
    assert len(found.legend) <= STEPS
    assert [label for label, _ in found.legend][: len(names)] == names
    assert found.of[0] == 0
    assert found.of[-1] == -1  # unknown
    assert (np.diff(found.of[:-1]) >= 0).all()


def test_rows_that_are_no_longer_there_are_in_no_group() -> None:
    ids = record_ids(4)
    known = Toy(ids[:2], taken=["2020", "2021"])
    assert by_date(known, ids).of.tolist() == [0, 1, -1, -1]


def test_categories_part_what_is_shown_and_none_lies_in_another() -> None:
    rng = np.random.default_rng(3)
    classes = rng.integers(0, CLASSES, 900)
    ids = np.frombuffer(rng.bytes(16 * 900), "V16")
    known = Toy(ids, classes=classes)
    chosen = wide_categories(known.categories())
    tree = category_tree()
    inside = {one.id for one in chosen}
    assert not [one for one in chosen if inside & {up.id for up in tree.ancestors(one)}]
    found = by_category(known, ids)
    for own, number in zip(by_name(found), classes.tolist(), strict=True):
        leaf = tree.of_class(number)
        names = {one.name for one in (leaf, *tree.ancestors(leaf))}
        assert own is None or own == "other" or own in names
    assert (found.of >= 0).mean() > 0.5


def test_a_further_colouring_is_one_more_entry(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def every_second(known: Any, ids: Any) -> Any:
        return grouped([f"g{row % 2}" for row in range(len(ids))])

    monkeypatch.setitem(COLOURINGS, "mine", ("Mine", every_second))
    assert "mine" in filled.colourings()
    assert filled.colouring("mine", record_ids(4)).of.tolist() == [0, 1, 0, 1]


def test_more_groups_than_a_code_can_tell_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        packets.codes(np.array([0, 70_000]))
    assert packets.codes(np.array([-1, 65_534])).tolist() == [65_535, 65_534]
