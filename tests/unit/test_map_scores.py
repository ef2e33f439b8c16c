"""Scores of maps and clusters, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.maps import scores
from lookalike.maps.scores import (
    label_purity,
    mutual_information,
    numbered,
    score_clusters,
    score_layout,
    silhouette,
    trustworthiness,
)


def blobs(rows: int = 120, groups: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    of = (np.arange(rows) % groups).astype(np.int32)
    centres = dice.normal(size=(groups, 64)) * 2
    return (centres[of] + dice.normal(size=(rows, 64))).astype(np.float32), of


@pytest.mark.parametrize("k", [1, 5, 15])
@pytest.mark.parametrize("cells", [100, 16_000_000])
def test_trustworthiness_is_scikit_learns(
    k: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifold = pytest.importorskip("sklearn.manifold")
    monkeypatch.setattr(scores, "_CELLS", cells)
    points, _ = blobs()
    for positions in (points[:, :2], np.random.default_rng(9).normal(size=(120, 3))):
        wanted = manifold.trustworthiness(points, positions, n_neighbors=k)
        assert trustworthiness(points, positions, k) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("groups", [2, 5, 40])
def test_silhouette_is_scikit_learns(groups: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    points, of = blobs(121, groups)
    assert silhouette(points, of) == pytest.approx(metrics.silhouette_score(points, of), abs=1e-4)


def test_a_cluster_of_one_has_no_silhouette() -> None:
    points = np.array([[0, 0], [0, 1], [9, 9]], np.float32)
    near = 1 - 1 / np.array([np.hypot(9, 9), np.hypot(9, 8)])
    assert silhouette(points, np.array([0, 0, 7], np.int32)) == pytest.approx(near.sum() / 3)
    assert silhouette(points, np.zeros(3, np.int32)) is None


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 3)), min_size=1, max_size=60))
def test_mutual_information_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    one, two = np.array(pairs, np.int32).T
    wanted = metrics.normalized_mutual_info_score(one, two)
    assert mutual_information(one, two) == pytest.approx(wanted, abs=1e-9)


def test_a_map_that_is_the_space_keeps_everything() -> None:
    points, of = blobs()
    found = score_layout(points, points, of)
    assert found.trustworthiness == found.neighbours_kept == 1
    assert found.purity == found.purity_of_space


def test_a_random_map_keeps_next_to_nothing() -> None:
    points, of = blobs(400)
    positions = np.random.default_rng(1).normal(size=(400, 2)).astype(np.float32)
    found = score_layout(points, positions, of)
    assert found.trustworthiness < 0.6
    assert found.neighbours_kept < 0.08
    assert 0.15 < (found.purity or 0) < 0.35
    assert (found.purity_of_space or 0) > 0.9


def test_a_sample_is_near_the_whole() -> None:
    points, of = blobs(2_000, 8)
    positions = points[:, :2].copy()
    whole = score_layout(points, positions, of, sample=2_000)
    some = score_layout(points, positions, of, sample=500)
    assert some != whole
    assert some.trustworthiness == pytest.approx(whole.trustworthiness, abs=0.02)
    assert some.neighbours_kept == pytest.approx(whole.neighbours_kept, abs=0.02)
    assert some == score_layout(points, positions, of, sample=500)


def test_purity_by_hand() -> None:
    line = np.array([[0], [1], [2], [10], [11], [50]], np.float32)
    labels = np.array([0, 0, 1, 1, 1, -1], np.int32)
    rows = np.arange(5)
    # the nearest of 0 1 2 10 11 are 1 0 1 11 10: labels 0 0 0 1 1 of 0 0 1 1 1
    assert label_purity(line, labels, rows, 1) == pytest.approx(4 / 5)
    assert label_purity(line, labels, np.array([4]), 99) == pytest.approx(2 / 4)
    assert label_purity(line, labels, np.array([4]), 99, only_labelled=False) == pytest.approx(0.4)


def test_clusters_that_lie_apart_are_together_and_known_by_their_labels() -> None:
    points, of = blobs(200)
    found = score_clusters(points, points[:, :2], of, of)
    assert found.clusters == 4
    assert found.alone == 0
    assert found.nmi == pytest.approx(1)
    mixed = np.random.default_rng(2).permutation(of)
    worse = score_clusters(points, points[:, :2], mixed, of)
    assert (worse.together or 0) < (found.together or 0)
    assert (worse.silhouette_of_space or 0) < 0.05 < (found.silhouette_of_space or 0)
    assert (worse.nmi or 0) < 0.1


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5])
def test_few_rows_and_no_clusters_have_scores(rows: int) -> None:
    points, of = blobs(max(rows, 1))
    points, of = points[:rows], of[:rows]
    layout = score_layout(points, points[:, :2], of)
    assert 0 <= layout.trustworthiness <= 1
    none = score_clusters(points, points[:, :2], np.full(rows, -1, np.int32), of)
    assert none.clusters == 0
    assert none.silhouette is none.together is None
    assert none.to_dict()["alone"] == (1 if rows else 0)


def test_labels_are_numbered_by_name() -> None:
    assert numbered(["b", "", "a", "b"]).tolist() == [1, -1, 0, 1]
