"""A map is made once, kept, follows its library, and is the same wherever it is made."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from lookalike.errors import InputError, MissingExtraError
from lookalike.indexes.graph import GraphCache
from lookalike.maps import MapOptions, PictureMap, making
from lookalike.maps import layout as layout_module
from lookalike.maps.evidence import Evidence
from lookalike.maps.ground import Colour, Meaning, ground_of
from lookalike.maps.kept import LayoutFolder, clusters_name, layout_name, states
from lookalike.maps.layout import lay_out, opentsne
from lookalike.maps.making import Cutter, MapMaker
from lookalike.maps.placing import majority, place
from lookalike.stores.base import VectorTable
from tests.conftest import histogram_table, record_ids, sparse, vector_table

ROWS, DIM, GROUPS = 600, 40, 12
Array = np.ndarray[Any, Any]


def grouped(rows: int, seed: int = 0) -> tuple[Array, Array]:
    """Unit vectors float32 (rows, DIM) around GROUPS centres, and the group of each."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(GROUPS, DIM))
    group = rng.integers(GROUPS, size=rows)
    points = centres[group] + 0.35 * rng.normal(size=(rows, DIM))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), group


POINTS, GROUP = grouped(ROWS)
IDS = record_ids(ROWS)
AGGLOMERATIVE = MapOptions(clusters="agglomerative", count=6)


def evidence(ids: Array) -> Evidence:
    """Nothing is known of any record."""
    return Evidence.gather(ids)


class Made:
    """A maker over a table in a folder, and the steps that it has taken."""

    def __init__(self, folder: Path, table: VectorTable, gather: Any = evidence) -> None:
        self.steps: list[str] = []
        source = Meaning(table, GraphCache(folder / "graph", table).by_rows)
        self.maker = MapMaker(folder / "maps", source, table.live, "toy", gather, self.steps.append)

    def map(self, options: MapOptions = MapOptions(), **more: Any) -> PictureMap:
        return self.maker.map(options, **more)


def table_of(rows: int, dead: Any = ()) -> VectorTable:
    table = vector_table(POINTS[:rows], IDS[:rows])
    table.live[list(dead)] = False
    return table


def near_on_map(positions: Array, k: int = 5) -> Array:
    apart = np.linalg.norm(positions[:, None].astype(float) - positions, axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, :k]


def same_group(positions: Array, group: Array, k: int = 5) -> float:
    """How often the k nearest on a map belong to the same group."""
    return float((group[near_on_map(positions, k)] == group[:, None]).mean())


# -- made ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.parametrize("dims", [2, 3])
def test_alike_records_lie_beside_each_other(tmp_path: Path, method: str, dims: int) -> None:
    chart = Made(tmp_path, table_of(ROWS)).map(MapOptions(method=method, dims=dims))
    assert (chart.ids == IDS).all()
    assert chart.positions.dtype == np.float32
    assert chart.positions.shape == (ROWS, dims)
    assert np.abs(chart.positions).max() == pytest.approx(1)
    assert same_group(chart.positions, GROUP) > 0.95
    assert not chart.placed.any()


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_the_same_records_give_the_same_map_anywhere(tmp_path: Path, method: str) -> None:
    options = MapOptions(method=method)
    one = Made(tmp_path / "one", table_of(ROWS)).map(options)
    two = Made(tmp_path / "two", table_of(ROWS)).map(options)
    assert (one.positions == two.positions).all()
    seeded = Made(tmp_path / "two", table_of(ROWS)).map(replace(options, seed=1))
    again = Made(tmp_path / "one", table_of(ROWS)).map(replace(options, seed=1))
    assert (seeded.positions == again.positions).all()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 12, 31, 32])
@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.parametrize("dims", [2, 3])
def test_few_records_have_a_map_too(rows: int, method: str, dims: int, tmp_path: Path) -> None:
    options = MapOptions(method=method, dims=dims)
    positions, parameters = lay_out(_ground(POINTS[:rows]), options)
    assert positions.shape == (rows, dims)
    assert np.isfinite(positions).all()
    assert np.abs(positions).max() <= 1
    assert parameters["engine"]


@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.parametrize("rows", [5, 100])
def test_equal_vectors_have_a_map(rows: int, method: str) -> None:
    positions, _ = lay_out(_ground(np.repeat(POINTS[:1], rows, axis=0)), MapOptions(method=method))
    assert np.isfinite(positions).all()
    assert np.abs(positions).max() <= 1


def test_opentsne_makes_the_same_kind_of_map() -> None:
    ground = _ground(POINTS)
    positions, parameters = opentsne(ground, MapOptions())
    assert same_group(positions, GROUP) > 0.95
    assert str(parameters["engine"]).startswith("openTSNE")
    again, _ = opentsne(ground, MapOptions())
    assert (positions == again).all()


def test_three_dimensions_of_tsne_are_for_so_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "TSNE_3D_ROWS", 599)
    with pytest.raises(InputError, match=r"up to 599 records, here are 600.*umap"):
        lay_out(_ground(POINTS), MapOptions(dims=3))


def _ground(points: Array) -> Any:
    table = vector_table(points, record_ids(len(points)))
    source = Meaning(table, GraphCache(Path("/dev/null/none"), table).by_rows)
    return ground_of(source, table.live)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "pca"}, "method 'pca': not known; use one of: tsne, umap"),
        ({"dims": 4}, "dims 4"),
        ({"by": "size"}, "by 'size'"),
        ({"clusters": "x"}, "clusters 'x'"),
        ({"seed": -1}, "seed -1"),
        ({"count": 5}, "hdbscan finds the number of clusters itself"),
        ({"clusters": "kmeans", "count": 1}, "count 1: from 2 to"),
    ],
)
def test_what_cannot_be_made_is_told(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        MapOptions(**wrong).check()


# -- by colour -------------------------------------------------------------------------------------


def test_points_by_colour_lie_apart_as_the_metric_says() -> None:
    rng = np.random.default_rng(3)
    histograms = [
        sparse({int(bin_): int(rng.integers(1, 90)) for bin_ in rng.choice(30, 6, replace=False)})
        for _ in range(40)
    ]
    table = histogram_table(histograms, parts=3)
    source = Colour(table)
    points = source.points(source.fit())
    roots = np.sqrt([one.dense() for one in histograms])
    coefficient = roots @ roots.T
    wanted = np.sqrt(np.maximum(2 - 2 * coefficient, 0))
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    assert apart == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("bins", [[7] * 9, [7, 8] * 5], ids=["one", "two"])
def test_pictures_of_one_colour_each_have_a_map(tmp_path: Path, bins: list[int]) -> None:
    table = histogram_table([sparse({bin_: 50}) for bin_ in bins])
    folder = tmp_path / "maps"
    maker = MapMaker(folder, Colour(table), table.live, "toy", evidence, lambda name: None)
    positions = maker.map(MapOptions(by="colour")).positions
    assert np.isfinite(positions).all()
    reduced = Colour(table).points(Colour(table).fit())
    apart = np.linalg.norm(reduced - reduced[0], axis=1)
    assert apart == pytest.approx(np.sqrt(2) * (np.array(bins) != bins[0]), abs=1e-3)


# -- what is not there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("absent", "options"),
    [
        ("scipy", MapOptions(clusters="kmeans")),
        ("fast_hdbscan", MapOptions()),
        ("evoc", MapOptions(clusters="evoc")),
        ("manifolds_rs", MapOptions(method="umap")),
        ("openTSNE", MapOptions(dims=3)),
    ],
)
def test_a_missing_part_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str, options: MapOptions
) -> None:
    chart = Made(tmp_path / "kept", table_of(20)).map(options)
    monkeypatch.setitem(sys.modules, absent, None)
    made = Made(tmp_path / "none", table_of(20))
    with pytest.raises(MissingExtraError, match=r"lookalike\[map\]"):
        made.map(options)
    assert made.steps == []
    assert_same(Made(tmp_path / "kept", table_of(20)).map(options), chart)


def test_too_many_records_are_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout_module, "TSNE_3D_ROWS", 599)
    made = Made(tmp_path, table_of(ROWS))
    with pytest.raises(InputError, match="up to 599 records"):
        made.map(MapOptions(dims=3))
    assert made.steps == []


# -- kept ------------------------------------------------------------------------------------------


def test_a_map_is_made_once(tmp_path: Path) -> None:
    first = Made(tmp_path, table_of(ROWS))
    chart = first.map()
    assert first.steps == ["neighbours", "layout", "clusters by hdbscan", "names of clusters"]
    again = Made(tmp_path, table_of(ROWS))
    assert_same(again.map(), chart)
    assert again.steps == []
    anew = Made(tmp_path, table_of(ROWS))
    assert_same(anew.map(refit=True), chart)
    assert anew.steps == first.steps


def test_a_map_made_anew_has_the_names_that_are_right_now(tmp_path: Path) -> None:
    def labelled(ids: Array) -> Evidence:
        keywords = {UUID(bytes=id_.tobytes()): ["ships"] for id_ in ids}
        return Evidence.gather(ids, keywords=keywords)

    options = MapOptions(clusters="kmeans", count=2)
    before = Made(tmp_path, table_of(20)).map(options)
    after = Made(tmp_path, table_of(20), labelled).map(options, refit=True)
    assert "Ships" not in {one.name for one in before.clustering.finest.clusters}
    assert "ships" in " ".join(one.name for one in after.clustering.finest.clusters).lower()


def assert_same(one: PictureMap, two: PictureMap) -> None:
    assert (one.ids == two.ids).all()
    assert (one.positions == two.positions).all()
    assert (one.placed == two.placed).all()
    assert dict(one.parameters) == dict(two.parameters)
    for own, other in zip(one.clustering.levels, two.clustering.levels, strict=True):
        assert (own.of == other.of).all()
        assert own.clusters == other.clusters
    assert dict(one.clustering.parameters) == dict(two.clustering.parameters)
    for own, other in zip(trees(one), trees(two), strict=True):
        assert (own == other).all()


def trees(chart: PictureMap) -> list[Array]:
    tree = chart.clustering.tree
    return [] if tree is None else [tree.leaf, tree.merges]


def test_what_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    def stopped(ids: Array) -> Evidence:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Made(tmp_path, table_of(ROWS), stopped).map(AGGLOMERATIVE)
    again = Made(tmp_path, table_of(ROWS))
    chart = again.map(AGGLOMERATIVE)
    assert again.steps == ["names of clusters"]
    assert_same(chart, Made(tmp_path / "other", table_of(ROWS)).map(AGGLOMERATIVE))


def test_clusterings_share_a_layout(tmp_path: Path) -> None:
    Made(tmp_path, table_of(ROWS)).map()
    other = Made(tmp_path, table_of(ROWS))
    chart = other.map(MapOptions(clusters="kmeans", count=7))
    assert other.steps == ["clusters by kmeans", "names of clusters"]
    assert len(chart.clustering.finest.clusters) == 7


@pytest.mark.parametrize("pattern", ["*.npy", "*.npz", "*.json"])
@pytest.mark.parametrize("how", ["cut", "empty", "other"])
def test_damaged_files_are_made_anew(tmp_path: Path, pattern: str, how: str) -> None:
    chart = Made(tmp_path, table_of(ROWS)).map(AGGLOMERATIVE)
    for path in (tmp_path / "maps").rglob(pattern):
        data = path.read_bytes()
        path.write_bytes(
            {"cut": data[: len(data) // 2], "empty": b"", "other": b"[]" + data[2:]}[how]
        )
    assert_same(Made(tmp_path, table_of(ROWS)).map(AGGLOMERATIVE), chart)


FEW = 60


@functools.cache
def few() -> tuple[PictureMap, dict[str, bytes]]:
    """A map of few records, and what is kept of it by path."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Made(Path(folder), table_of(FEW)).map(AGGLOMERATIVE)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return chart, {str(path.relative_to(folder)): path.read_bytes() for path in files}


def kept_few(folder: Path) -> PictureMap:
    """That map, and its files in a folder."""
    chart, files = few()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return chart


EDITS: dict[str, Any] = {
    "layout reach": ("layout.json", ["reach"], 1e999),
    "layout parameters": ("layout.json", ["parameters"], [1]),
    "layout parameter": ("layout.json", ["parameters", "iterations"], float("nan")),
    "layout rows": ("layout.json", ["source_rows"], 1e999),
    "layout rows below": ("layout.json", ["source_rows"], -1),
    "layout space": ("layout.json", ["options", "space"], ["toy"]),
    "layout method": ("layout.json", ["options", "method"], "umap"),
    "layout dims": ("layout.json", ["options", "dims"], True),
    "levels": ("clusters.json", ["levels"], "ab"),
    "clusters size": ("clusters.json", ["levels", -1, 0, "size"], 10**30),
    "clusters infinite": ("clusters.json", ["levels", -1, 0, "size"], 1e999),
    "clusters centre": ("clusters.json", ["levels", -1, 0, "centre"], [0.1, float("nan")]),
    "clusters flat": ("clusters.json", ["levels", -1, 0, "centre"], [0.1]),
    "clusters medoid": ("clusters.json", ["levels", -1, 0, "medoid"], 7),
    "clusters exemplars": ("clusters.json", ["levels", -1, 0, "exemplars"], ["x"]),
    "clusters method": ("clusters.json", ["method"], None),
    "clusters parameters": ("clusters.json", ["parameters"], "x"),
    "grouping parents": ("grouping.json", ["coarser"], [[99] * 6]),
    "grouping infinite": ("grouping.json", ["coarser"], [[10**30] * 6]),
    "grouping parameters": ("grouping.json", ["parameters"], {"a": [1]}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_a_changed_json_file_says_is_not_believed(tmp_path: Path, edit: str) -> None:
    chart = kept_few(tmp_path)
    name, (*way, last), value = EDITS[edit]
    for path in (tmp_path / "maps").rglob(f"*.{name}"):
        facts = place_in = json.loads(path.read_text())
        for step in way:
            place_in = place_in[step]
        place_in[last] = value
        path.write_text(json.dumps(facts))
    if name == "grouping.json":
        remove(tmp_path, "clusters.json")
    assert_same(Made(tmp_path, table_of(FEW)).map(AGGLOMERATIVE), chart)
    assert len(states(tmp_path / "maps", lambda options: table_of(FEW))) == 1


def remove(folder: Path, name: str) -> None:
    for path in (folder / "maps").rglob(f"*.{name}"):
        path.unlink()


SHAPES: dict[str, Any] = {
    "objects": lambda array: np.array([{"a": 1}] * len(array), object),
    "one less": lambda array: array[:-1],
    "none": lambda array: array[:0],
    "one number": lambda array: np.array(3, "i4"),
    "a column": lambda array: array.reshape(len(array), -1)[:, :1],
    "far out": lambda array: np.full(array.shape, 10**6, "f8" if array.ndim == 2 else "i4"),
    "nan": lambda array: np.full(array.shape, np.nan, "f8"),
}


@pytest.mark.parametrize("name", ["finest", "leaf", "merges", "of", "placed", "far", "ids"])
@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_that_do_not_fit_are_not_taken(tmp_path: Path, name: str, shape: str) -> None:
    chart = kept_few(tmp_path)
    for path in (tmp_path / "maps").rglob(f"*.{name}.npy"):
        changed = SHAPES[shape](np.load(path))
        with open(path, "wb") as file:
            np.save(file, changed, allow_pickle=True)
    if name in ("finest", "leaf", "merges"):
        remove(tmp_path, "clusters.json")
    assert_same(Made(tmp_path, table_of(FEW)).map(AGGLOMERATIVE), chart)


@pytest.mark.parametrize("name", ["mean", "axes", "centres"])
@pytest.mark.parametrize("shape", SHAPES)
def test_axes_that_do_not_fit_are_not_taken(tmp_path: Path, name: str, shape: str) -> None:
    chart = kept_few(tmp_path)
    for path in (tmp_path / "maps").rglob("*.space.npz"):
        stored = dict(np.load(path))
        np.savez(path, **{**stored, name: SHAPES[shape](stored[name])})
    again = Made(tmp_path, table_of(FEW))
    assert_same(again.map(AGGLOMERATIVE), chart)
    assert np.isfinite(again.maker.points(chart)).all()


def test_a_layout_in_the_folder_of_another_is_not_taken(tmp_path: Path) -> None:
    kept_few(tmp_path)
    (tsne,) = (tmp_path / "maps").iterdir()
    tsne.rename(tmp_path / "maps" / tsne.name.replace("tsne", "umap"))
    made = Made(tmp_path, table_of(FEW))
    made.map(MapOptions(method="umap"))
    assert "layout" in made.steps


def test_positions_of_other_records_are_not_taken(tmp_path: Path) -> None:
    Made(tmp_path, table_of(ROWS)).map()
    other = Made(tmp_path, vector_table(POINTS[::-1].copy(), IDS))
    other.map()
    assert "layout" in other.steps


def test_where_nothing_can_be_written_a_map_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text("a file, not a folder")
    assert len(Made(tmp_path, table_of(ROWS)).map()) == ROWS


def test_names_of_folders_tell_maps_apart() -> None:
    asked = [
        MapOptions(), MapOptions(method="umap"), MapOptions(dims=3), MapOptions(by="colour"),
        MapOptions(where="width > 3"), MapOptions(where="width > 4"), MapOptions(seed=2),
    ]  # fmt: skip
    names = [layout_name(options, "a/b c") for options in asked]
    assert len({*names}) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._") for name in names)
    assert clusters_name(MapOptions(clusters="kmeans", count=7)) == "kmeans-7"


# -- followed --------------------------------------------------------------------------------------


def test_new_records_are_placed_among_their_like(tmp_path: Path) -> None:
    chart = Made(tmp_path, table_of(500)).map(AGGLOMERATIVE)
    later = Made(tmp_path, table_of(ROWS))
    grown = later.map(AGGLOMERATIVE)
    assert later.steps == ["placing what is new"]
    assert (grown.positions[:500] == chart.positions).all()
    assert (grown.placed == (np.arange(ROWS) >= 500)).all()
    near = near_on_map(grown.positions)[500:]
    assert (GROUP[near] == GROUP[500:, None]).mean() > 0.9
    of = grown.clustering.finest.of
    assert (of[:500] == chart.clustering.finest.of).all()
    alike = [np.bincount(of[:500][GROUP[:500] == one]).argmax() for one in range(GROUPS)]
    assert (of[500:] == np.array(alike)[GROUP[500:]]).mean() > 0.9
    for level in grown.clustering.levels:
        assert [one.size for one in level.clusters] == np.bincount(level.of).tolist()
    assert grown.clustering.tree is not None
    assert len(grown.clustering.tree.leaf) == ROWS
    assert_same(Made(tmp_path, table_of(ROWS)).map(AGGLOMERATIVE), grown)


def test_placed_in_two_steps_is_placed_in_one(tmp_path: Path) -> None:
    for folder, steps in (("one", (500, 600)), ("two", (500, 550, 600))):
        for rows in steps:
            last = Made(tmp_path / folder, table_of(rows)).map()
        np.save(tmp_path / f"{folder}.npy", last.positions)
    one, two = (np.load(tmp_path / f"{name}.npy") for name in ("one", "two"))
    assert (one == two).all()


def test_records_that_are_gone_leave_the_map(tmp_path: Path) -> None:
    chart = Made(tmp_path, table_of(ROWS)).map()
    gone = chart.clustering.finest.clusters[0].exemplars[:3]
    dead = np.flatnonzero([UUID(bytes=id_.tobytes()) in gone for id_ in IDS])
    left = Made(tmp_path, table_of(ROWS, dead)).map()
    stays = np.delete(np.arange(ROWS), dead)
    assert (left.ids == IDS[stays]).all()
    assert (left.positions == chart.positions[stays]).all()
    first = left.clustering.finest.clusters[0]
    assert not {*gone} & {first.medoid, *first.exemplars}
    assert first.size == int((left.clustering.finest.of == 0).sum())


def test_a_cluster_whose_pictures_are_all_gone_shows_another_of_its_records(tmp_path: Path) -> None:
    chart = Made(tmp_path, table_of(ROWS)).map()
    gone = chart.clustering.finest.clusters[0].exemplars
    dead = np.flatnonzero([UUID(bytes=id_.tobytes()) in gone for id_ in IDS])
    left = Made(tmp_path, table_of(ROWS, dead)).map()
    first = left.clustering.finest.clusters[0]
    members = {UUID(bytes=id_.tobytes()) for id_ in left.ids[left.clustering.finest.of == 0]}
    assert first.medoid in members
    assert first.exemplars == (first.medoid,)


def test_a_map_of_which_only_placed_records_are_left_is_made_anew(tmp_path: Path) -> None:
    for rows in (300, 400):
        Made(tmp_path, table_of(rows)).map(AGGLOMERATIVE)
    later = Made(tmp_path, table_of(500, range(300)))
    chart = later.map(AGGLOMERATIVE)
    assert "layout" in later.steps
    assert not chart.placed.any()
    assert len(chart) == 200


def test_where_nothing_is_near_a_record_goes_to_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(points: Array, regions: Any, rows: Array, k: int) -> tuple[Array, Array]:
        return np.full((len(rows), k), -1, np.int32), np.full((len(rows), k), np.inf, np.float32)

    Made(tmp_path, table_of(500)).map(AGGLOMERATIVE)
    monkeypatch.setattr(making, "nearest_known", nothing)  # as in a region that has been emptied
    later = Made(tmp_path, table_of(510))
    chart = later.map(AGGLOMERATIVE)
    assert (chart.positions[500:] == 0).all()
    assert (chart.clustering.finest.of[500:] == -1).all()
    (state,) = states(tmp_path / "maps", lambda options: table_of(510))
    assert state.far == 10
    assert_same(Made(tmp_path, table_of(510)).map(AGGLOMERATIVE), chart)
    cut = Cutter(chart, later.maker.points(chart), evidence(chart.ids)).cut(3).finest
    assert (cut.of[500:] == -1).all()
    assert (cut.of[:500] >= 0).all()


def test_a_map_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record for a map"):
        Made(tmp_path, table_of(ROWS, range(ROWS))).map()


def test_what_is_like_nothing_there_is_far(tmp_path: Path) -> None:
    here = GROUP < 8
    table = vector_table(POINTS[here], IDS[here])
    Made(tmp_path, table).map()
    order = np.concatenate([np.flatnonzero(here), np.flatnonzero(~here)])
    Made(tmp_path, vector_table(POINTS[order], IDS[order])).map()
    layout = LayoutFolder(tmp_path / "maps" / layout_name(MapOptions(), "toy")).load()
    assert layout is not None
    assert layout.far[layout.placed].mean() > 0.9
    assert not layout.far[~layout.placed].any()


def test_the_points_of_a_map_are_those_of_its_records(tmp_path: Path) -> None:
    made = Made(tmp_path, table_of(ROWS, [3, 4]))
    chart = made.map()
    points = made.maker.points(chart)
    apart = np.linalg.norm(points[:20, None] - points[:20], axis=2)
    own = POINTS[np.delete(np.arange(ROWS), [3, 4])][:20]
    assert apart == pytest.approx(np.linalg.norm(own[:, None] - own, axis=2), abs=0.02)


def test_the_number_of_clusters_can_be_chosen_afterwards(tmp_path: Path) -> None:
    made = Made(tmp_path, table_of(ROWS))
    chart = made.map(AGGLOMERATIVE)
    cutter = Cutter(chart, made.maker.points(chart), evidence(chart.ids))
    assert (cutter.cut(6).finest.of == chart.clustering.finest.of).all()
    wide, narrow = cutter.cut(3).finest, cutter.cut(12).finest
    assert (len(wide.clusters), len(narrow.clusters)) == (3, 12)
    for number in range(12):
        assert len({*wide.of[narrow.of == number].tolist()}) == 1
    with pytest.raises(InputError, match="no tree"):
        Cutter(made.map(), made.maker.points(chart), evidence(chart.ids)).cut(3)


# -- placing ---------------------------------------------------------------------------------------


def test_split_neighbours_do_not_draw_a_record_between_them() -> None:
    positions = np.array([[0, 0], [0.1, 0], [0, 0.1], [1, 1]], np.float32)
    near = np.array([[0, 1, 2, 3]], np.int32)
    spot = place(positions, near, np.array([[1.0, 1.0, 1.0, 1.0]], np.float32), 2.0)
    assert np.linalg.norm(spot.positions[0]) < 0.15
    assert not spot.far[0]


def test_one_neighbour_is_enough() -> None:
    near = np.array([[1, -1, -1]], np.int32)
    far = np.array([[3.0, np.inf, np.inf]], np.float32)
    spot = place(np.array([[0, 0], [0.5, -0.5]], np.float32), near, far, 2.0)
    assert spot.positions[0] == pytest.approx([0.5, -0.5])
    assert spot.far[0]


def test_most_neighbours_say_the_cluster() -> None:
    of = np.array([4, 5, 5, -1, -1, -1], np.int32)
    near = np.array([[0, 1, 2, 3], [0, 1, 3, -1], [3, 4, 5, 0], [2, -1, -1, -1]], np.int32)
    assert majority(of, near).tolist() == [5, 4, -1, 5]


def test_what_has_no_neighbours_is_in_no_cluster() -> None:
    of = np.array([1, 0, 2], np.int32)
    assert majority(of, np.full((2, 3), -1, np.int32)).tolist() == [-1, -1]


# -- how it stands ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "refit"), [(600, False), (480, False), (300, True)], ids=["all", "most", "half"]
)
def test_a_refit_pays_when_much_was_placed(tmp_path: Path, first: int, refit: bool) -> None:
    Made(tmp_path, table_of(first)).map()
    table = table_of(ROWS)
    (waiting,) = states(tmp_path / "maps", lambda options: table)
    assert (waiting.records, waiting.placed, waiting.waiting) == (first, 0, ROWS - first)
    assert waiting.refit == refit
    Made(tmp_path, table).map()
    (state,) = states(tmp_path / "maps", lambda options: table)
    assert (state.records, state.placed, state.waiting) == (ROWS, ROWS - first, 0)
    assert state.refit == refit


def test_a_refit_pays_when_little_but_new_was_placed(tmp_path: Path) -> None:
    order = np.argsort(GROUP == 3, kind="stable")
    many = int((GROUP != 3).sum())
    Made(tmp_path, vector_table(POINTS[order][:many], IDS[:many])).map()
    table = vector_table(POINTS[order], IDS)
    Made(tmp_path, table).map()
    (state,) = states(tmp_path / "maps", lambda options: table)
    assert state.placed < 0.12 * ROWS
    assert state.far > 0.9 * state.placed
    assert state.refit


def test_maps_of_other_spaces_are_left_out(tmp_path: Path) -> None:
    Made(tmp_path, table_of(ROWS)).map()
    assert states(tmp_path / "maps", lambda options: None) == []
    assert states(tmp_path / "nothing", lambda options: table_of(ROWS)) == []
