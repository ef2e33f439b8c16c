from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import InputError
from lookalike.maps.base import CLUSTERINGS
from lookalike.maps.clusters import cut, default_count, group, lifted, recut, smallest_cluster
from lookalike.maps.clusters.dbscan import dbscan, found_reach
from lookalike.maps.clusters.evoc import parents
from lookalike.maps.clusters.grouping import by_size, means
from lookalike.maps.clusters.kmeans import kmeans
from lookalike.maps.clusters.levels import joined, sizes
from lookalike.maps.clusters.ward import cut_leaves, ward
from lookalike.types import FloatArray

pytest.importorskip("scipy")
sklearn_cluster = pytest.importorskip("sklearn.cluster")


def blobs(count: int, each: int, seed: int = 0) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Points, places on a map, and the truth: ``count`` groups that lie well apart in both."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(count), each)
    centres = rng.permutation(np.eye(64)[:count] * 10)
    angles = 2 * np.pi * np.arange(count) / count
    places = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = centres[truth] + rng.normal(0, 0.3, (len(truth), 64))
    positions = places[truth] + rng.normal(0, 0.02, (len(truth), 2))
    return points.astype(np.float32), positions.astype(np.float32), truth


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


# -- all methods -----------------------------------------------------------------------------------

METHODS = [
    pytest.param(name, marks=pytest.mark.long) if name == "evoc" else name for name in CLUSTERINGS
]
"""EVoC is compiled when it first runs, which takes a minute and a half."""


@pytest.mark.parametrize("method", METHODS)
def test_groups_that_lie_apart_are_found(method: str) -> None:
    points, positions, truth = blobs(8, 60)
    count = 8 if method in ("kmeans", "agglomerative") else None
    grouping = group(method, points, positions, count=count)
    clustered = grouping.of >= 0
    assert clustered.mean() > 0.7
    if method == "evoc":  # which of its layers is the best is its own judgement
        score = pytest.importorskip("sklearn.metrics").normalized_mutual_info_score
        assert score(truth[clustered], grouping.of[clustered]) > 0.8
    else:
        assert same_partition(grouping.of[clustered], truth[clustered])
        assert grouping.parameters["clusters"] == 8


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_clusters(method: str) -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(600, 64)).astype(np.float32)
    positions = rng.uniform(-1, 1, (600, 3)).astype(np.float32)
    first, second = (group(method, points, positions, seed=5) for _ in range(2))
    assert (first.of == second.of).all()
    assert first.parameters == second.parameters
    for one, other in zip(first.coarser, second.coarser, strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 2, 5, 30, 150])
@pytest.mark.parametrize("different", ["all", "few", "one"])
def test_small_and_equal_tables_have_clusters(method: str, rows: int, different: str) -> None:
    rng = np.random.default_rng(rows)
    points = rng.normal(size=(rows, 64)).astype(np.float32)
    points = {"all": points, "few": points[np.arange(rows) % 3 % rows], "one": points[[0] * rows]}[
        different
    ]
    positions = points[:, :2] if different != "all" else points[:, 2:4]
    count = 20 if method in ("kmeans", "agglomerative") else None
    grouping = group(method, points, positions, count=count)
    assert 1 <= grouping.count <= rows
    assert grouping.of.shape == (rows,)
    assert grouping.of.dtype == np.int32
    found = np.bincount(grouping.of[grouping.of >= 0])
    assert (np.diff(found) <= 0).all()  # by size
    for coarser in grouping.coarser:
        assert coarser.shape == (grouping.count,)
        assert set(coarser.tolist()) == set(range(int(coarser.max()) + 1))
    if different == "one":
        assert grouping.count == 1


def test_kmeans_has_no_more_clusters_than_different_points() -> None:
    points = np.eye(64, dtype=np.float32)[np.arange(40) % 3]
    grouping = group("kmeans", points, points[:, :2], count=10)
    assert grouping.count == 3


@pytest.mark.parametrize(
    ("method", "rows", "complaint"),
    [("leiden", 3, "not known"), ("kmeans", 0, "at least one record")],
)
def test_what_cannot_be_grouped_is_refused(method: str, rows: int, complaint: str) -> None:
    empty = np.empty((rows, 2), np.float32)
    with pytest.raises(InputError, match=complaint):
        group(method, empty, empty)


def test_found_parameters_follow_the_number_of_records() -> None:
    assert [default_count(rows) for rows in (1, 30, 7_807, 444_668)] == [1, 5, 79, 305]
    assert [smallest_cluster(rows) for rows in (1, 400, 7_807, 444_668)] == [5, 5, 22, 167]


# -- numbering -------------------------------------------------------------------------------------


def test_clusters_are_numbered_by_size_and_ties_by_first_row() -> None:
    assert by_size(np.array([7, 3, 3, -1, 9, 7, 7, 9])).tolist() == [0, 1, 1, -1, 2, 0, 0, 2]


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=40))
def test_numbering_by_size_keeps_who_belongs_together(of: list[int]) -> None:
    numbered = by_size(np.array(of))
    assert ((numbered < 0) == (np.array(of) < 0)).all()
    assert same_partition(numbered, np.array(of))
    assert (np.diff(np.bincount(numbered[numbered >= 0])) <= 0).all()


def test_means_are_of_the_rows_in_a_cluster() -> None:
    values = np.array([[0, 2], [4, 2], [9, 9]], np.float32)
    assert means(values, np.array([0, 0, -1], np.int32), 1).tolist() == [[2, 2]]


# -- DBSCAN ----------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 250),
    dims=st.sampled_from([2, 3]),
    reach=st.sampled_from([0.0503, 0.1507, 0.3511, 1.0007]),
    least=st.integers(1, 12),
    shape=st.sampled_from(["cloud", "lattice", "heaps"]),
)
def test_dbscan_is_scikit_learns(
    seed: int, rows: int, dims: int, reach: float, least: int, shape: str
) -> None:
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(rows, dims))
    if shape == "lattice":
        places = np.round(places, 1)
    if shape == "heaps":
        places = np.concatenate([places, places[:3].repeat(30, axis=0)])
    found = dbscan(places, reach, least)
    oracle = sklearn_cluster.DBSCAN(eps=reach, min_samples=least, algorithm="brute").fit(places)
    assert ((found < 0) == (oracle.labels_ < 0)).all()
    cores = oracle.core_sample_indices_
    assert same_partition(found[cores], oracle.labels_[cores])
    border = np.setdiff1d(np.flatnonzero(found >= 0), cores)
    for row in border:  # of the nearest core's cluster, where scikit-learn takes the first
        apart = np.linalg.norm(places[cores] - places[row], axis=1)
        nearest = cores[apart <= apart.min() + 1e-12]
        assert found[row] in found[nearest]


def test_dbscan_joins_dense_heaps_without_listing_their_pairs() -> None:
    rng = np.random.default_rng(0)
    heaps = np.array([[0, 0], [1, 0], [5, 5]])[np.arange(30_000) % 3]
    found = dbscan(heaps + rng.uniform(0, 0.01, (30_000, 2)), 1.0, 10)
    assert same_partition(found, np.array([0, 0, 1])[np.arange(30_000) % 3])


def test_a_reach_is_found_where_most_rows_lie_on_one_place() -> None:
    places = np.zeros((300, 2))
    places[200:] += 1
    reach, of = found_reach(places, 10)
    assert reach > 0
    assert same_partition(of, (np.arange(300) >= 200).astype(int))


# -- k-means and Ward ------------------------------------------------------------------------------


def test_kmeans_is_as_good_as_scikit_learns() -> None:
    points = np.random.default_rng(1).normal(size=(3_000, 16)).astype(np.float32)
    of, centres = kmeans(points, 40, seed=0)
    oracle = sklearn_cluster.KMeans(40, n_init=1, random_state=0).fit(points)
    inertia = float(((points - centres[of]) ** 2).sum())
    assert inertia < 1.02 * oracle.inertia_


def test_every_row_is_with_the_nearest_centre_of_kmeans() -> None:
    points = np.random.default_rng(2).normal(size=(500, 8)).astype(np.float32)
    of, centres = kmeans(points, 12, seed=0)
    apart = np.linalg.norm(points[:, None] - centres, axis=2)
    assert (apart[np.arange(500), of] <= apart.min(axis=1) + 1e-5).all()


@given(st.integers(0, 1_000), st.integers(1, 30))
def test_a_tree_is_cut_as_scipy_cuts_it(seed: int, count: int) -> None:
    from scipy.cluster.hierarchy import fcluster

    points = np.random.default_rng(seed).normal(size=(25, 3)).astype(np.float32)
    merges = ward(points)
    found = cut_leaves(merges, count)
    assert len(set(found.tolist())) == min(count, 25)
    assert same_partition(found, fcluster(merges, min(count, 25), "maxclust"))


def test_the_number_of_clusters_is_a_slider() -> None:
    points, positions, truth = blobs(8, 60)
    grouping = group("agglomerative", points, positions, count=3)
    assert grouping.tree is not None
    assert grouping.count == 3
    assert same_partition(cut(grouping.tree, 8), truth)
    moved = recut(grouping, points, positions, 8)
    assert same_partition(moved.of, truth)
    assert moved.parameters["clusters"] == 8
    for wide, narrow in ((2, 5), (5, 20), (20, 100)):  # a finer cut splits, and never joins
        pairs = set(zip(cut(grouping.tree, wide), cut(grouping.tree, narrow), strict=True))
        assert len(pairs) == narrow


def test_clusters_without_a_tree_cannot_be_cut_again() -> None:
    points, positions, _ = blobs(3, 20)
    grouping = group("kmeans", points, positions, count=3)
    with pytest.raises(InputError, match="no tree"):
        recut(grouping, points, positions, 2)


# -- levels ----------------------------------------------------------------------------------------


def test_wider_levels_have_a_fourth_and_a_sixteenth_of_the_clusters() -> None:
    assert [sizes(count) for count in (1, 5, 6, 12, 100, 305)] == [
        [], [], [3], [3], [6, 25], [19, 76],
    ]  # fmt: skip


def test_wider_levels_hold_each_other() -> None:
    points, positions, _ = blobs(40, 12)
    grouping = group("kmeans", points, positions, count=40)
    wide, middle = grouping.coarser
    assert (int(wide.max()) + 1, int(middle.max()) + 1) == (3, 10)
    assert len(set(zip(wide.tolist(), middle.tolist(), strict=True))) == 10
    assert [int(of.max()) + 1 for of in grouping.levels()] == [3, 10, 40]


def test_neighbours_in_space_and_on_the_map_are_joined_first() -> None:
    points, positions, _ = blobs(12, 10)
    points[:60] += 50  # clusters 0 to 5 are one region, and lie side by side
    of = np.repeat(np.arange(12), 10).astype(np.int32)
    (parent,) = joined(of, points, positions)
    assert not set(parent[:6].tolist()) & set(parent[6:].tolist())


def test_rows_in_no_cluster_are_in_none_at_wider_levels() -> None:
    assert lifted(np.array([1, -1, 0], np.int32), np.array([4, 5], np.int32)).tolist() == [5, -1, 4]


def test_a_cluster_goes_where_most_of_its_rows_are() -> None:
    of = np.array([0, 0, 0, 1, 1, 2], np.int32)
    wider = np.array([1, 1, 0, 0, -1, -1], np.int32)
    assert parents(of, wider).tolist() == [1, 0, -1]
