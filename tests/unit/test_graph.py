"""The neighbour graph is right where all is compared, nearly right elsewhere, and kept current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import Library, kernels
from lookalike.errors import InputError
from lookalike.indexes import graph as graph_module
from lookalike.indexes import regions
from lookalike.indexes.derived import DerivedFolder
from lookalike.indexes.graph import (
    GraphCache,
    NeighbourGraph,
    Reduction,
    TableGraph,
    build,
    wanting,
    with_rows,
    without_dead,
)
from lookalike.stores.base import VectorTable
from tests.conftest import record_ids, vector_table
from tests.unit.test_compact import clusters

ROWS, DIM, K = 4_000, 60, 15  # so few dimensions that the reduction only turns them
POINTS, IDS = clusters(ROWS, DIM), record_ids(ROWS)

Array = np.ndarray[Any, Any]


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred rows are cut into regions already, and a quarter of these are looked at."""
    for module in (graph_module, regions):
        monkeypatch.setattr(module, "EXACT_ROWS", 300)
    monkeypatch.setattr(regions, "PROBES", 16)
    monkeypatch.setattr(regions, "_BLOCK", 500)  # several, as of a large table


def table_of(rows: int, dead: Any = ()) -> VectorTable:
    """The first so many rows, some of which have no file any more."""
    table = vector_table(POINTS[:rows], IDS[:rows])
    table.live[list(dead)] = False
    return table


def truth(table: VectorTable, k: int) -> tuple[Array, Array]:
    """Places among the live and distances of the k nearest others, by comparing all."""
    points = Reduction.fit(table).points(table)[table.live].astype(np.float64)
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(apart, order, axis=1)


def recall(found: NeighbourGraph, table: VectorTable, step: int = 20) -> float:
    """The share of true neighbours in the lists of every so manieth record."""
    points = Reduction.fit(table).points(table)[table.live]
    shares = []
    for place in range(0, len(points), step):
        apart = ((points - points[place]) ** 2).sum(axis=1)
        apart[place] = np.inf
        nearest = np.argsort(apart)[: found.neighbours.shape[1]]
        shares.append(np.isin(nearest, found.neighbours[place]).mean())
    return float(np.mean(shares))


def well_formed(found: NeighbourGraph, table: VectorTable, k: int) -> None:
    """What holds for every graph, exact or not."""
    count = int(table.live.sum())
    assert found.ids.tolist() == table.ids[table.live].tolist()
    assert found.neighbours.shape == found.distances.shape == (count, k)
    assert (found.neighbours.dtype, found.distances.dtype) == (np.int32, np.float32)
    free = found.neighbours < 0
    assert (found.neighbours < count).all()
    assert (np.isinf(found.distances) == free).all()
    assert (np.diff(free.astype(int), axis=1) >= 0).all()  # free places come last
    with np.errstate(invalid="ignore"):
        assert not (np.diff(found.distances, axis=1) < 0).any()
    for place, (row, none) in enumerate(zip(found.neighbours, free, strict=True)):
        others = row[~none].tolist()
        assert place not in others
        assert len(set(others)) == len(others)


def equal(one: NeighbourGraph, other: NeighbourGraph) -> bool:
    return (
        one.ids.tolist() == other.ids.tolist()
        and np.array_equal(one.neighbours, other.neighbours)
        and np.array_equal(one.distances, other.distances)
    )


def of_table(table: VectorTable, k: int = K) -> NeighbourGraph:
    return build(table, k).of_records(table)


# -- what is found ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dead", [(), range(0, 300, 7)])
def test_a_small_table_is_compared_in_full(dead: Any) -> None:
    table = table_of(300, dead)
    found = of_table(table)
    places, distances = truth(table, K)
    well_formed(found, table, K)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4)
    assert (found.neighbours == places).mean() > 0.999  # but for ties in rounding


@pytest.mark.usefixtures("approximate")
def test_nearly_all_neighbours_are_found_in_the_nearest_regions() -> None:
    table = table_of(ROWS, range(0, ROWS, 9))
    kept = build(table, K)
    found = kept.of_records(table)
    well_formed(found, table, K)
    assert len(kept.regions.centres) > 3 * regions.PROBES
    assert 0.99 <= recall(found, table) <= 1


@pytest.mark.usefixtures("approximate")
def test_fewer_probes_find_less(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(ROWS)
    monkeypatch.setattr(regions, "PROBES", 1)
    assert recall(of_table(table), table) < 0.97


@pytest.mark.usefixtures("approximate")
def test_equal_tables_give_equal_graphs_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(kernels, "cores", lambda cores=cores: cores)
        graphs.append(of_table(table_of(2_000)))
    assert equal(graphs[0], graphs[1])
    assert equal(graphs[0], graphs[2])


@pytest.mark.parametrize("rows", [1, 2, 3, 10])
def test_where_there_are_fewer_neighbours_places_stay_free(rows: int) -> None:
    table = table_of(rows)
    found = of_table(table)
    well_formed(found, table, K)
    assert ((found.neighbours >= 0).sum(axis=1) == rows - 1).all()


def test_an_empty_table_and_one_of_dead_rows_have_an_empty_graph(tmp_path: Path) -> None:
    for table in (vector_table(np.empty((0, 8))), table_of(5, range(5))):
        found = GraphCache(tmp_path, table).graph(4)
        well_formed(found, table, 4)
    assert not list(tmp_path.iterdir())


def test_equal_vectors_and_zeros_are_neighbours_in_the_order_of_the_table() -> None:
    points = np.concatenate([POINTS[:40], np.tile(POINTS[5], (30, 1)), np.zeros((3, DIM))])
    table = vector_table(points)
    found = of_table(table, 4)
    well_formed(found, table, 4)
    assert found.neighbours[5].tolist() == [40, 41, 42, 43]
    assert found.neighbours[69].tolist() == [5, 40, 41, 42]
    assert (found.distances[[5, *range(40, 70)]] == 0).all()
    assert found.neighbours[71][:2].tolist() == [70, 72]
    assert found.distances[71][:2].tolist() == [0, 0]


def test_distances_are_those_of_the_centred_vectors_where_no_dimension_is_left_out() -> None:
    table = vector_table(POINTS[:50, :20])
    whole = np.asarray(table.parts[0], np.float64)
    found = of_table(table, 49)
    apart = np.sqrt(((whole[:, None] - whole[found.neighbours]) ** 2).sum(axis=2))
    np.testing.assert_allclose(found.distances, apart, rtol=1e-4)


@given(order=st.permutations(range(40)))
def test_the_order_of_the_table_changes_no_neighbour(order: list[int]) -> None:
    moved = vector_table(POINTS[order], IDS[order])
    plain, permuted = of_table(table_of(40), 6), of_table(moved, 6)
    back = np.argsort(order)
    np.testing.assert_allclose(permuted.distances[back], plain.distances, atol=1e-5)
    assert permuted.ids[permuted.neighbours[back]].tolist() == plain.ids[plain.neighbours].tolist()


def test_of_many_dimensions_those_stay_in_which_the_vectors_differ_most() -> None:
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(200, 200)))
    points = rng.normal(size=(500, 200)) * np.where(np.arange(200) < 64, 10, 0.01) @ turn.T
    table = vector_table(points + 3)
    reduction = Reduction.fit(table)
    assert reduction.axes.shape == (200, 64)
    variance = reduction.points(table).var(axis=0)
    assert (np.diff(variance) < 0).all()
    whole = np.asarray(table.parts[0], np.float64)
    assert variance.sum() == pytest.approx(whole.var(axis=0).sum(), rel=1e-2)
    found = of_table(table, 5)
    apart = np.sqrt(((whole[:, None] - whole[found.neighbours]) ** 2).sum(axis=2))
    assert (found.distances <= apart * 1.0001).all()  # what is left out only adds to them
    assert (found.distances > apart * 0.95).all()


# -- keeping it current ----------------------------------------------------------------------------


def updated(graph: TableGraph, table: VectorTable) -> TableGraph:
    """As ``GraphCache`` updates, told to."""
    known = len(graph.regions.of)
    graph = without_dead(graph, table.live[:known])
    added = table.live.copy()
    added[:known] &= graph.regions.of < 0
    return with_rows(graph, table, np.flatnonzero(added).astype(np.int32), wanting(graph))


@pytest.mark.usefixtures("approximate")
def test_an_updated_graph_is_as_good_as_a_new_one() -> None:
    dead = np.random.default_rng(4).permutation(3_500)[:500]
    old, new = table_of(3_500, range(0, 300, 3)), table_of(ROWS, dead)  # some come back to life
    found = updated(build(old, K), new).of_records(new)
    well_formed(found, new, K)
    assert recall(found, new) > recall(of_table(new), new) - 0.01
    assert (found.neighbours >= 0).all()


@pytest.mark.usefixtures("approximate")
def test_added_rows_are_in_the_lists_of_old_ones() -> None:
    old, new = table_of(3_000), table_of(3_600)
    before, found = of_table(old), updated(build(old, K), new).of_records(new)
    rebuilt = of_table(new)
    newcomers = [(lists.neighbours[:3_000] >= 3_000).sum() for lists in (found, rebuilt)]
    assert newcomers[0] == pytest.approx(newcomers[1], rel=0.02)
    assert newcomers[0] > 3_000
    assert (found.distances[:3_000, -1] <= before.distances[:, -1]).all()
    well_formed(found, new, K)


@pytest.mark.usefixtures("approximate")
def test_a_list_that_lost_neighbours_takes_none_from_beyond_its_last() -> None:
    old = table_of(2_000)
    first = build(old, K)
    lost = np.unique(first.lists.neighbours[:100, 0])  # of these lists, one or two each
    new = table_of(2_200, lost)
    found = updated(first, new)
    left = np.setdiff1d(np.arange(100), lost)
    left = left[~np.isin(left, wanting(without_dead(first, new.live[:2_000])))]
    assert len(left) > 50
    assert (found.lists.neighbours[left] < 0).any()
    reach = first.lists.distances[left, -1]
    ends = np.where(found.lists.neighbours[left] < 0, 0, found.lists.distances[left])
    assert (found.lists.neighbours[left] >= 2_000).any()
    assert (ends <= reach[:, None]).all()


@pytest.mark.usefixtures("approximate")
def test_the_kept_graph_follows_the_table(tmp_path: Path) -> None:
    steps = [
        table_of(3_000),
        table_of(3_000, [1, 2, 3]),  # few lost: nothing is searched
        table_of(3_100, range(400)),
        table_of(3_100, range(0, 400, 2)),  # some are back
    ]
    for number, table in enumerate(steps):
        found = GraphCache(tmp_path, table).graph(K)
        well_formed(found, table, K)
        assert recall(found, table) > 0.985
        assert equal(GraphCache(tmp_path, table).graph(K), found)
        (name,) = (path.name for path in tmp_path.glob("*.space.npz"))
        rows = 3_000 if number < 2 else 3_100
        assert name.startswith(f"v1-{rows}-3000-{K}-")


@pytest.mark.usefixtures("approximate")
def test_a_table_that_has_grown_by_half_gets_a_new_graph(tmp_path: Path) -> None:
    GraphCache(tmp_path, table_of(1_000)).graph(K)
    GraphCache(tmp_path, table_of(1_500)).graph(K)
    assert [path.name.split("-")[2] for path in tmp_path.glob("*.npz")] == ["1000"]
    found = GraphCache(tmp_path, table_of(1_501)).graph(K)
    assert [path.name.split("-")[2] for path in tmp_path.glob("*.npz")] == ["1501"]
    assert equal(found, of_table(table_of(1_501)))


def test_a_small_table_that_changes_is_compared_in_full_again(tmp_path: Path) -> None:
    GraphCache(tmp_path, table_of(300)).graph(K)
    changed = table_of(310, [4, 5])
    assert equal(GraphCache(tmp_path, changed).graph(K), of_table(changed))


# -- on disk ---------------------------------------------------------------------------------------


def never(*_: Any) -> TableGraph:
    raise AssertionError("the graph was made again")


def test_a_kept_graph_is_mapped_and_serves_for_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(200, [7])
    made = GraphCache(tmp_path, table).graph(12)
    larger = GraphCache(tmp_path, table_of(200)).graph(12)
    monkeypatch.setattr(graph_module, "build", never)
    found = GraphCache(tmp_path, table_of(200)).graph(12)
    assert isinstance(found.neighbours.base, np.memmap) or isinstance(found.neighbours, np.memmap)
    assert equal(found, larger)
    assert not equal(found, made)
    assert equal(GraphCache(tmp_path, table_of(200)).graph(5), larger.first(5))
    with pytest.raises(AssertionError, match="made again"):
        GraphCache(tmp_path, table_of(200)).graph(13)


def test_a_graph_of_another_table_is_refused(tmp_path: Path) -> None:
    GraphCache(tmp_path, table_of(200)).graph(K)
    swapped = IDS[:200].copy()
    swapped[[7, 8]] = swapped[[8, 7]]
    for other in (
        vector_table(POINTS[:200], swapped),
        vector_table(POINTS[:200, :50], IDS[:200]),
        vector_table(-POINTS[:200] + 1, IDS[:200]),
        table_of(199),
    ):
        assert GraphCache(tmp_path, other)._load(K) is None
    assert GraphCache(tmp_path, table_of(200))._load(K) is not None


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other", "range"])
@pytest.mark.parametrize("name", ["neighbours", "distances", "of", "space"])
def test_a_damaged_file_of_the_graph_is_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    table = table_of(200)
    made = GraphCache(tmp_path, table).graph(K)
    made = NeighbourGraph(made.ids, np.array(made.neighbours), np.array(made.distances))
    (path,) = tmp_path.glob(f"*.{name}.np*")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "range" and name in ("neighbours", "of"):
        array = np.load(path)
        array.flat[3] = 200
        np.save(path, array)
    else:
        path.write_bytes({"empty": b"", "truncated": content[:-1]}.get(damage, b"no array" * 99))
    assert GraphCache(tmp_path, table)._load(K) is None
    assert equal(GraphCache(tmp_path, table).graph(K), made)
    assert GraphCache(tmp_path, table)._load(K) is not None


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    table = table_of(100)
    assert equal(GraphCache(tmp_path / "file" / "graph", table).graph(K), of_table(table))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["neighbours", "distances", "of", "space"])
def test_a_disk_that_fills_up_leaves_the_older_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    GraphCache(tmp_path, table_of(100)).graph(K)
    keep = DerivedFolder.keep

    def full(self: DerivedFolder, file: str, *rest: Any) -> bool:
        return f".{name}." not in file and keep(self, file, *rest)

    monkeypatch.setattr(DerivedFolder, "keep", full)
    assert equal(GraphCache(tmp_path, table_of(120)).graph(K), of_table(table_of(120)))
    monkeypatch.undo()
    kept = GraphCache(tmp_path, table_of(100))._load(K)
    assert kept is not None
    assert equal(kept[0].of_records(table_of(100)), of_table(table_of(100)))


# -- of a library ----------------------------------------------------------------------------------


def test_a_library_has_neighbours_that_follow_what_is_added_and_removed(
    filled: Library, photos: Path
) -> None:
    found = filled.neighbours(3)
    assert len(found.ids) == len(filled)
    for place, row in enumerate(found.neighbours[:, 0]):  # here, 8 dimensions: none is left out
        vectors = filled._current().vectors.vectors(np.arange(len(filled)))
        apart = ((vectors - vectors[place]) ** 2).sum(axis=1)
        apart[place] = np.inf
        assert apart[row] == pytest.approx(apart.min(), rel=1e-3)
    gone = sorted(path for path in photos.iterdir() if path.is_file())[0]
    gone.unlink()
    filled.add([photos])
    fewer = filled.neighbours(2)
    assert set(fewer.ids.tolist()) < set(found.ids.tolist())
    assert fewer.neighbours.shape == (len(filled), 2)
    assert (filled.folder / "derived" / "graph" / "toy").is_dir()


def test_at_least_one_neighbour_must_be_asked_for(filled: Library) -> None:
    with pytest.raises(InputError, match="k 0"):
        filled.neighbours(0)
