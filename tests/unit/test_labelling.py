"""Labels: given by hand, by folders and tables, and chosen from a list of names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from lookalike import IndexOptions, Library
from lookalike.categories.tree import category_tree
from lookalike.errors import InputError
from lookalike.features.parts import PARTS, cut, grid
from lookalike.filling import look_at_parts
from lookalike.indexes.categories import CategoryIndex, Parts
from lookalike.labelling import (
    MOST_NAMES,
    NEUTRAL,
    checked,
    choose_by_classes,
    choose_by_words,
    read_names,
)
from lookalike.pipeline import FillReport
from lookalike.stores import SqliteStore
from tests.conftest import CrashError, ToyEncoder, fill, plain, vector_table

TABBY, PERSIAN, BEAGLE, PIANO = (
    next(one.number for one in category_tree().named(name) if one.number is not None)
    for name in ("tabby", "Persian cat", "beagle", "grand piano")
)


def shown(*rows: dict[int, float]) -> CategoryIndex:
    """Records that show some classes with some shares."""
    classes = np.zeros((len(rows), 3), np.uint16)
    shares = np.zeros((len(rows), 3), np.float16)
    for number, row in enumerate(rows):
        classes[number, : len(row)] = list(row)
        shares[number, : len(row)] = list(row.values())
    table = vector_table(np.eye(len(rows), 8))
    return CategoryIndex(table, classes, shares)


def chosen(index: CategoryIndex, names: Sequence[str], least: float = 0.5) -> list[str | None]:
    found = choose_by_classes(index, names, least)
    return [None if n < 0 else names[n] for n in found.numbers.tolist()]


def test_a_row_gets_the_narrowest_name_that_it_surely_shows() -> None:
    index = shown({TABBY: 0.4, PERSIAN: 0.3}, {BEAGLE: 0.9}, {PIANO: 0.3, BEAGLE: 0.3})
    names = ["animal", "cat", "tabby", "Hund"]
    assert chosen(index, names) == ["cat", "Hund", None]
    assert chosen(index, names, least=0.35) == ["tabby", "Hund", None]
    assert chosen(index, names, least=0.25)[2] == "Hund"


def test_two_things_are_as_sure_as_the_less_sure() -> None:
    index = shown({BEAGLE: 0.5, PIANO: 0.4}, {BEAGLE: 0.9})
    found = choose_by_classes(index, ["dog and piano"], 0.3)
    assert found.numbers.tolist() == [0, -1]
    assert found.shares[0] == pytest.approx(0.4, abs=1e-3)


def test_names_that_are_not_known_are_told_and_no_known_one_is_refused() -> None:
    index = shown({BEAGLE: 0.9})
    assert choose_by_classes(index, ["wug", "dog", "red dog"]).unknown == ("wug", "red dog")
    with pytest.raises(InputError, match="none of the names is known"):
        choose_by_classes(index, ["wug"])


def test_a_row_that_is_gone_gets_no_label() -> None:
    index = shown({BEAGLE: 0.9}, {BEAGLE: 0.9})
    index.live[0] = False
    assert len(choose_by_classes(index, ["dog"]).labels()) == 1


def test_a_picture_has_a_name_for_each_of_its_parts() -> None:
    index = shown({BEAGLE: 0.6}, {})
    crops = np.zeros((3, 4), np.float32)
    classes = np.array([[TABBY], [BEAGLE], [PIANO]], np.uint16)
    shares = np.array([[0.9], [0.98], [0.7]], np.float16)
    index.parts = Parts(np.array([0, 0, 1], np.int32), crops, classes, shares)
    found = choose_by_classes(index, ["cat", "dog", "piano"]).labels()
    assert {(name, round(share, 1)) for _, name, share in found} == {("cat", 0.9), ("dog", 1.0)}


def texts(known: dict[str, int]):
    """A text tower: the axis of a known word in a text, another for what is neutral."""

    def encode(sentences: Sequence[str]) -> np.ndarray:
        out = np.zeros((len(sentences), 8), np.float32)
        for row, text in enumerate(sentences):
            axis = next((number for word, number in known.items() if word in text), 7)
            out[row, axis] = 1
        return out

    return encode


def test_a_row_gets_the_name_whose_text_is_nearest() -> None:
    vectors = np.eye(8, dtype=np.float32)[[0, 1, 7]]
    found = choose_by_words(vector_table(vectors), ["cat", "dog"], texts({"cat": 0, "dog": 1}))
    assert found.numbers.tolist() == [0, 1, -1]  # the last is like what is neutral
    assert found.shares[:2] == pytest.approx([1.0, 1.0])


def test_shares_are_a_softmax_over_names_and_what_is_neutral() -> None:
    vector = np.array([[0.6, 0.8, 0, 0, 0, 0, 0, 0]], np.float32)
    encode = texts({"cat": 0, "dog": 1})
    found = choose_by_words(vector_table(vector), ["cat", "dog"], encode, scale=2.0)
    weights = np.exp([1.2, 1.6, *[0.0] * len(NEUTRAL)])
    assert found.numbers.tolist() == [-1]
    assert found.shares[0] == pytest.approx(weights[1] / weights.sum(), abs=2e-3)


def test_a_single_name_need_not_fit() -> None:
    vectors = np.eye(8, dtype=np.float32)[[1, 7]]
    found = choose_by_words(vector_table(vectors), ["dog"], texts({"dog": 1}))
    assert found.numbers.tolist() == [0, -1]


def test_names_are_read_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffsports  car\n\n# cars above\nHund # dog\n".encode())
    assert read_names(str(file)) == ["sports car", "Hund"]
    with pytest.raises(InputError, match="cannot be read as a list of names"):
        read_names(str(tmp_path / "none.txt"))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="in UTF-8"):
        read_names(str(file))


def test_lists_of_names_have_limits() -> None:
    assert checked(["a", "b", "a"], 0.5) == ("a", "b")
    with pytest.raises(InputError, match="no names"):
        checked([], 0.5)
    with pytest.raises(InputError, match="2,001 names"):
        checked([str(n) for n in range(MOST_NAMES + 1)], 0.5)
    for least in (0.0, 1.1, float("nan")):
        with pytest.raises(InputError, match="must lie above 0"):
            checked(["a"], least)


# -- through the library ---------------------------------------------------------------------------


class ReadsColours(ToyEncoder):
    """The toy encoder with a text tower that knows the names of two colours."""

    word_scale = 20.0

    def encode_words(self, sentences: Sequence[str]) -> np.ndarray:
        pictures = [
            plain((255, 0, 0) if "red" in text else (0, 0, 255) if "blue" in text else (128,) * 3)
            for text in sentences
        ]
        return self.encode(np.stack([self.prepare(one) for one in pictures])).vectors


@pytest.fixture
def coloured(tmp_path: Path) -> Library:
    """Two red pictures and a blue one, each in a folder of its colour, and a grey one."""
    for name, colour in {"red/a": (250, 0, 0), "red/b": (240, 0, 5), "blue/c": (0, 0, 250),
                         "d": (120, 120, 120)}.items():  # fmt: skip
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        plain(colour).save(tmp_path / "photos" / f"{name}.png")
    library = Library.open(tmp_path / "library", create=True, encoder=ReadsColours())
    library.add([tmp_path / "photos"])
    return library


def counted(library: Library) -> list[tuple[str, str, int]]:
    return [(one.source, one.label, one.records) for one in library.label_counts()]


def test_folders_give_labels_and_conditions_find_them(coloured: Library, tmp_path: Path) -> None:
    report = coloured.label_from("folders")
    assert dict(report.counts) == {"red": 2, "blue": 1, "photos": 1}
    found = coloured.search(tmp_path / "photos/d.png", 5, where="label = 'red'")
    assert {Path(hit.paths[0]).name for hit in found.hits} == {"a.png", "b.png"}
    assert [label.name for label in found.hits[0].labels] == ["red"]
    assert found.to_dict()["hits"][0]["labels"] == [
        {"name": "red", "confidence": 1.0, "category": None, "source": "folders"}
    ]


def test_a_table_gives_labels_and_replaces_its_last(coloured: Library, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("label,path\nwarm,photos/red/a.png\nbright,photos/red/a.png\nx,gone.png\n")
    report = coloured.label_from(table)
    assert (report.records, report.unlabelled) == (4, 3)
    assert report.unknown == (str(tmp_path / "gone.png"),)
    assert counted(coloured) == [("table", "bright", 1), ("table", "warm", 1)]
    table.write_text("path,label\nphotos/red/b.png,warm\n")
    coloured.label_from(table)
    assert counted(coloured) == [("table", "warm", 1)]


def test_a_text_tower_chooses_from_names(coloured: Library) -> None:
    report = coloured.label_names(["red", "blue"])
    assert dict(report.counts) == {"red": 2, "blue": 1}
    assert (report.records, report.unlabelled) == (4, 1)  # grey is neither


def test_an_encoder_without_classes_and_texts_cannot_choose(filled: Library) -> None:
    with pytest.raises(InputError, match="neither classes nor texts"):
        filled.label_names(["cat"])


def test_own_labels_add_up_and_are_taken_back_one_by_one(coloured: Library) -> None:
    first, second, *_ = coloured.matching("width > 0")
    coloured.label("Rex", [first, second])
    coloured.label("garden", [first, first])
    assert counted(coloured) == [("own", "Rex", 2), ("own", "garden", 1)]
    assert coloured.unlabel("own", "Rex") == 2
    assert counted(coloured) == [("own", "garden", 1)]
    assert coloured.unlabel("own") == 1
    assert counted(coloured) == []


def test_labels_that_cannot_be_given_are_refused(coloured: Library) -> None:
    (first, *_) = coloured.matching("width > 0")
    with pytest.raises(InputError, match="a label is empty"):
        coloured.label(" ", [first])
    with pytest.raises(InputError, match="no record of"):
        coloured.label("x", [UUID(int=1)])
    with pytest.raises(InputError, match="source 'mine': not known"):
        coloured.unlabel("mine")


def test_a_record_is_found_by_its_path_or_by_its_content(coloured: Library, tmp_path: Path) -> None:
    red = tmp_path / "photos/red/a.png"
    known = coloured.record_at(red)
    copy = tmp_path / "copy.png"
    copy.write_bytes(red.read_bytes())
    assert known is not None
    assert coloured.record_at(copy) == known
    copy.write_bytes(b"something else")
    assert coloured.record_at(copy) is None
    with pytest.raises(InputError, match="cannot be read"):
        coloured.record_at(tmp_path / "none.png")


def test_what_a_record_shows_has_the_labels_given_to_it(coloured: Library) -> None:
    (first, *_) = coloured.matching("width > 0")
    coloured.label("Rex", [first])
    assert [(one.name, one.source) for one in coloured.shown_by(first)] == [("Rex", "own")]
    with pytest.raises(InputError, match="no record of"):
        coloured.shown_by(UUID(int=1))


def test_labels_stay_with_a_file_that_moves_and_go_with_the_record(
    coloured: Library, tmp_path: Path
) -> None:
    coloured.label_from("folders")
    (tmp_path / "photos/red/a.png").rename(tmp_path / "photos/e.png")
    (tmp_path / "photos/red/b.png").unlink()
    coloured.add([tmp_path / "photos"], IndexOptions(prune=True))
    assert counted(coloured) == [("folders", "blue", 1), ("folders", "photos", 1),
                                 ("folders", "red", 1)]  # fmt: skip


# -- parts of pictures -----------------------------------------------------------------------------


class NamesClasses(ToyEncoder):
    """The toy encoder under the name of one whose classes are ImageNet's."""

    def __init__(self, fail_after: int | None = None) -> None:
        super().__init__("efficientnet-lite0", fail_after)


def test_looking_at_parts_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    fill(tmp_path / "photos", range(6))
    once = 6 * (1 + len(PARTS))
    slow = IndexOptions(tiles=True, commit_batch=1, encode_batch=1, workers=1)
    failing = Library.open(tmp_path / "library", create=True, encoder=NamesClasses(20))
    with failing, pytest.raises(CrashError):
        failing.add([tmp_path / "photos"], slow)
    encoder = NamesClasses()
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        report = library.add([tmp_path / "photos"])  # it has parts of some
        assert report.tiled is not None
        assert 0 < report.tiled.added < 6
        assert encoder.encoded == report.tiled.added * len(PARTS) < once
        assert library.add([tmp_path / "photos"]).tiled == FillReport(library.space, 0, 0)


def test_tiles_want_an_encoder_with_classes_before_anything_is_done(
    library: Library, photos: Path
) -> None:
    with pytest.raises(InputError, match="no encoder of this library has classes"):
        library.add([photos], IndexOptions(tiles=True))
    assert len(library) == 0


def test_a_file_that_is_no_longer_what_it_was_has_no_parts(tmp_path: Path) -> None:
    fill(tmp_path / "photos", range(3))
    with Library.open(tmp_path / "library", create=True, encoder=NamesClasses()) as library:
        library.add([tmp_path / "photos"])
        (tmp_path / "photos/001.png").unlink()
        store = SqliteStore(tmp_path / "library", write=True)
        report = look_at_parts(store, NamesClasses())
        store.close()
    assert (report.added, report.left) == (2, 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (7, 3)])
def test_parts_of_the_smallest_pictures_are_at_least_a_pixel(size: tuple[int, int]) -> None:
    parts = list(cut(plain((9, 9, 9), size), PARTS))
    assert len(parts) == len(PARTS)
    assert all(min(part.size) >= 1 for part in parts)


def test_a_grid_reaches_from_edge_to_edge() -> None:
    crops = np.array(grid(3, 0.5))
    assert crops[:, :2].min() == 0
    assert (crops[:, :2] + crops[:, 2:]).max() == 1
    assert len({tuple(crop) for crop in crops.tolist()}) == 9
