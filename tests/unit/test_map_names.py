from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.categories import category_tree
from lookalike.maps import colours
from lookalike.maps.base import Clustering
from lookalike.maps.clusters.grouping import Grouping
from lookalike.maps.evidence import Evidence, Said
from lookalike.maps.exemplars import MOST, exemplars, members, middle
from lookalike.maps.names import describe
from lookalike.maps.plain import plain_categories
from lookalike.maps.words import words_of
from lookalike.stores.base import HistogramPart, HistogramTable
from lookalike.types import BINS

pytest.importorskip("scipy")


def ids(count: int) -> np.ndarray:
    return np.arange(2 * count, dtype="<u8").view("V16")


def number_of(name: str) -> int:
    """The class that has this name."""
    (found,) = [one for one in category_tree().named(name) if one.number is not None]
    assert found.number is not None
    return found.number


def showing(*rows: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Classes and shares of rows, from the names of classes."""
    classes, shares = np.zeros((len(rows), 4), np.uint16), np.zeros((len(rows), 4), np.float16)
    for row, shown in enumerate(rows):
        for place, (name, share) in enumerate(shown.items()):
            classes[row, place], shares[row, place] = number_of(name), share
    return classes, shares


def said(*words: str) -> Said:
    """One word for each row, spaces between several."""
    return Said.of((row, ((one, 1.0) for one in text.split())) for row, text in enumerate(words))


def named(of: list[int], evidence: Evidence, coarser: tuple[np.ndarray, ...] = ()) -> Clustering:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(len(of), 8)).astype(np.float32)
    positions = rng.uniform(-1, 1, (len(of), 2)).astype(np.float32)
    grouping = Grouping(np.array(of, np.int32), {"clusters": max(of) + 1}, coarser=coarser)
    return describe("kmeans", grouping, points, positions, evidence)


def names(clustering: Clustering) -> list[str]:
    return [one.name for one in clustering.finest.clusters]


# -- by categories ---------------------------------------------------------------------------------


def test_mixed_breeds_are_called_cat() -> None:
    cats = [{"tabby": 0.9}, {"Persian cat": 0.9}, {"Siamese cat": 0.8}, {"Egyptian cat": 0.9}] * 3
    dogs = [{"beagle": 0.9}, {"pug": 0.9}, {"chow": 0.9}] * 4
    evidence = Evidence(ids(24), *showing(*cats, *dogs))
    assert names(named([0] * 12 + [1] * 12, evidence)) == ["Domestic cat", "Dog"]


def test_one_breed_is_called_by_its_name() -> None:
    evidence = Evidence(ids(20), *showing(*[{"pug": 0.9}] * 10, *[{"beagle": 0.8}] * 10))
    assert names(named([0] * 10 + [1] * 10, evidence)) == ["Pug", "Beagle"]


def test_what_the_rest_of_the_map_shows_as_well_is_no_name() -> None:
    mixed = [{"pug": 0.5, "soccer ball": 0.45}] * 10
    evidence = Evidence(ids(30), *showing(*mixed, *[{"pug": 0.95}] * 20))
    assert names(named([1] * 10 + [0] * 20, evidence))[1] == "Soccer ball"


def test_all_of_a_map_in_one_cluster_has_a_name() -> None:
    evidence = Evidence(ids(10), *showing(*[{"pug": 0.9}] * 10))
    assert names(named([0] * 10, evidence)) == ["Pug"]


def test_plain_categories_are_those_that_people_say() -> None:
    found = {one.name for one in plain_categories()}
    assert {"dog", "cat", "bird", "musical instrument", "pug"} <= found
    assert not {"chordate", "odonate", "conveyance", "artifact"} & found
    assert len({one.classes for one in plain_categories()}) == len(plain_categories())


def test_all_plain_names_are_in_the_tree() -> None:
    from lookalike.maps import plain

    assert {one.name for one in category_tree()} >= plain.PLAIN


# -- by words --------------------------------------------------------------------------------------


def test_words_that_all_files_share_name_nothing() -> None:
    evidence = Evidence(ids(12), *showing(*[{}] * 12), words=said(
        *["summer norway"] * 6, *["summer rome"] * 6))  # fmt: skip
    assert names(named([0] * 6 + [1] * 6, evidence)) == ["Norway", "Rome"]


def test_a_folder_that_fits_better_than_any_category_is_the_name() -> None:
    cats = [{"leopard": 0.5, "cheetah": 0.2}] * 10
    words = said(*["leopards"] * 10, *["kennel"] * 10)
    evidence = Evidence(ids(20), *showing(*cats, *[{"pug": 0.9}] * 10), words=words)
    first = named([0] * 10 + [1] * 10, evidence).finest.clusters[0]
    assert first.name == "Leopards"
    assert first.words[0] in ("big cat", "leopard")


def test_a_label_that_the_user_gave_counts_more_than_a_folder() -> None:
    evidence = Evidence(
        ids(12), *showing(*[{}] * 12), words=said(*["norway"] * 6, *["rome"] * 6),
        labels=said(*["holiday"] * 6, *["work"] * 6),
    )  # fmt: skip
    found = named([0] * 6 + [1] * 6, evidence)
    assert names(found) == ["Holiday", "Work"]
    assert found.finest.clusters[0].words == ("norway",)


def test_keywords_of_side_tables_name_clusters() -> None:
    records = [UUID(bytes=one.tobytes()) for one in ids(8)]
    keywords = {one: ["Still  life"] if at < 4 else ["portrait"] for at, one in enumerate(records)}
    evidence = Evidence.gather(ids(8), keywords=keywords)
    assert names(named([0] * 4 + [1] * 4, evidence)) == ["Still life", "Portrait"]


def test_equal_names_get_a_second_word() -> None:
    evidence = Evidence(
        ids(30), *showing(*[{}] * 30),
        labels=said(*["dog"] * 10, *["else"] * 20),
        words=said(*["garden", "garden", "", "", ""], *["beach", "beach", "", "", ""], *[""] * 20),
    )  # fmt: skip
    found = names(named([1] * 5 + [2] * 5 + [0] * 20, evidence))
    assert found == ["Else", "Dog, garden", "Dog, beach"]


def test_where_nothing_fits_the_colour_is_the_name() -> None:
    red, blue = 15 << 8, 15
    part = HistogramPart(
        np.array([red] * 3 + [blue] * 2, np.uint16), np.full(5, 100, np.uint16),
        np.arange(1, 6, dtype=np.uint64),
    )  # fmt: skip
    table = HistogramTable(ids(5), [part], np.ones(5, bool))
    found = named([0, 0, 0, 1, 1], Evidence.gather(ids(5), histograms=table))
    assert names(found) == ["Red", "Blue"]
    assert found.finest.clusters[0].colours == (("#ff0000", 1.0),)


def test_without_anything_clusters_have_numbers() -> None:
    assert names(named([0, 0, 1], Evidence.gather(ids(3)))) == ["Cluster 1", "Cluster 2"]


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=40), st.integers(0, 99))
def test_names_are_unique_and_never_empty(drawn: list[int], seed: int) -> None:
    used = sorted({one for one in drawn if one >= 0})
    of = [used.index(one) if one >= 0 else -1 for one in drawn]
    if not used:
        of = [0] * len(of)
    rng = np.random.default_rng(seed)
    kinds = [{"pug": 0.5}, {"beagle": 0.6, "pug": 0.3}, {}, {"tabby": 0.2}]
    evidence = Evidence(
        ids(len(of)), *showing(*(kinds[one] for one in rng.integers(0, 4, len(of)))),
        words=said(*(["sea", "", "hill sea"][one] for one in rng.integers(0, 3, len(of)))),
    )  # fmt: skip
    coarser = (np.zeros(max(of) + 1, np.int32),)
    clustering = named(of, evidence, coarser)
    for level in clustering.levels:
        found = [one.name for one in level.clusters]
        assert len({name.casefold() for name in found}) == len(found) == level.of.max() + 1
        for name, cluster in zip(found, level.clusters, strict=True):
            assert name.strip()
            assert name[0] == name[0].upper()
            assert cluster.size == np.count_nonzero(level.of == found.index(name))
            assert cluster.exemplars[0] == cluster.medoid


# -- words of paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/ann/Norway 2019/fjord_03.jpg", {"norway", "fjord", "ann"}),
        ("/p/IMG_20190704_1234.JPG", set()),
        ("/p/DSCF0001.jpg", set()),
        ("/p/P1010203.RW2", set()),
        ("/p/d41d8cd98f00b204e9800998ecf8427e.png", set()),
        ("/p/550e8400-e29b-41d4-a716-446655440000.png", set()),
        ("/p/ceiling_fan/image_0001.jpg", {"ceiling", "fan", "ceiling fan"}),
        (
            "/p/Sächsische-Schweiz/Café.jpeg",
            {"sächsische", "schweiz", "sächsische schweiz", "café"},
        ),
        ("C:\\Bilder\\Hochzeit\\DSC_0042.JPG", {"hochzeit"}),
        ("/p/МояСемья/東京.jpg", {"моясемья", "東京"}),
        ("/p/myBirthdayParty.jpg", {"birthday", "party"}),
        ("/p/the and der die.jpg", set()),
        ("/p/deadbeef cafe.jpg", {"deadbeef", "cafe"}),
        ("noname", {"noname"}),
    ],
)
def test_words_of_a_path(path: str, expected: set[str]) -> None:
    assert words_of(path) == expected


@given(st.text(max_size=60))
def test_any_path_has_words(path: str) -> None:
    assert all(word == word.lower() and word for word in words_of(path))


# -- exemplars and places --------------------------------------------------------------------------


def test_members_are_the_rows_of_each_cluster() -> None:
    found = [rows.tolist() for rows in members(np.array([1, -1, 0, 1], np.int32), 2)]
    assert found == [[2], [0, 3]]


@given(st.integers(1, 60), st.integers(0, 100))
def test_exemplars_are_rows_of_the_cluster_and_the_medoid_is_first(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(100, 5)).astype(np.float32)
    rows = np.sort(rng.permutation(100)[:count])
    found = exemplars(points, rows)
    assert 1 <= len(found) <= min(MOST, count)
    assert len(set(found)) == len(found)
    assert set(found) <= set(rows.tolist())
    apart = ((points[rows][:, None].astype(float) - points[rows]) ** 2).sum(axis=(1, 2))
    assert apart[list(rows).index(found[0])] <= apart.min() * (1 + 1e-5)


def test_near_twins_are_no_further_exemplars() -> None:
    points = np.zeros((40, 4), np.float32)
    points[:10, 0], points[10:20, 1], points[20:30, 2], points[30:, 3] = 1, 1, 1, 1
    points += np.random.default_rng(0).normal(0, 0.001, points.shape).astype(np.float32)
    found = exemplars(points, np.arange(40))
    assert sorted(row // 10 for row in found) == [0, 1, 2, 3][: len(found)]
    assert exemplars(np.zeros((9, 4), np.float32), np.arange(9)) == [0]


def test_a_name_does_not_stand_in_the_hole_of_a_ring() -> None:
    angles = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    dense = np.array([1.0, 0.0]) + np.random.default_rng(0).normal(0, 0.02, (200, 2))
    positions = np.concatenate([ring, dense]).astype(np.float32)
    x, y = middle(positions, np.arange(500))
    assert np.hypot(x - 1, y) < 0.1


# -- colours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgb", "names"),
    [
        ((79, 130, 169), "blue"),
        ((161, 184, 208), "light blue"),
        ((38, 52, 92), "dark blue"),
        ((99, 94, 56), "olive"),
        ((130, 128, 125), "grey"),
        ((96, 94, 89), "grey, dark grey"),
        ((249, 248, 247), "white"),
        ((215, 190, 155), "beige"),
        ((120, 82, 60), "brown"),
        ((70, 110, 72), "green, dark green"),
        ((150, 60, 62), "red, brown"),
        ((215, 160, 175), "pink"),
    ],
)
def test_pale_colours_have_the_name_of_their_hue(rgb: tuple[int, int, int], names: str) -> None:
    assert colours.name_of(rgb) in names.split(", ")


def test_colours_of_a_cluster_are_those_of_its_pictures() -> None:
    shares = np.zeros((2, BINS))
    shares[0, [15 << 8, (15 << 8) + 1, 0]] = 0.5, 0.1, 0.4
    ((first, much), (second, less)), nothing = colours.dominant(shares)
    assert nothing == []
    assert (colours.name_of(first), colours.name_of(second)) == ("red", "black")
    assert (much, less) == pytest.approx((0.6, 0.4))
    assert colours.as_hex((255, 0, 16)) == "#ff0010"


def test_mean_histogram_is_the_mean_of_shares() -> None:
    part = HistogramPart(
        np.array([5, 7, 5], np.uint16), np.array([30, 10, 8], np.uint16),
        np.array([2, 3, 3], np.uint64),
    )  # fmt: skip
    table = HistogramTable(ids(6), [part, part], np.ones(6, bool))
    mean = colours.mean_histogram(table, np.array([0, 1, -1, 3]))
    assert mean[5] == pytest.approx((0.75 + 1 + 0.75) / 3)
    assert mean.sum() == pytest.approx(1)
    assert not colours.mean_histogram(table, np.array([-1])).any()


def test_evidence_reads_paths_and_labels_of_a_library(tmp_path: Path) -> None:
    from PIL import Image

    from lookalike import Library
    from lookalike.stores import SqliteStore

    for number in range(4):
        place = (
            tmp_path / "photos" / ("Harbour" if number < 2 else "Forest") / f"IMG_000{number}.png"
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (60 * number, 80, 200)).save(place)
    with Library.open(tmp_path / "library", create=True) as library:
        library.add([tmp_path / "photos"])
        records = library.matching("width = 64")
        library.label("blue", records)
    store = SqliteStore(tmp_path / "library")
    table = store.vectors(store.spaces()[0])
    evidence = Evidence.gather(np.array(table.ids), store=store, histograms=store.histograms())
    store.close()
    assert {"harbour", "forest"} <= set(evidence.words.names)
    assert evidence.labels.names == ("blue",)
    assert len(evidence.labels.rows) == 4
    assert (evidence.histogram_rows >= 0).all()
