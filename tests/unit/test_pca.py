"""Principal components: against scikit-learn, and what must hold by geometry."""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA, KernelPCA

from lookalike.errors import InputError, MissingExtraError
from lookalike.features.pca import PCA_METHODS, PcaModel, fit
from lookalike.indexes.pca import PcaCache
from tests.conftest import vector_table

every_method = pytest.mark.parametrize("method", PCA_METHODS)


def cloud(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    """Unit vectors that spread more in some directions than in others, away from the origin."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(rows, dim)) * 0.8 ** np.arange(dim) + 0.5
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def fitted(method: str, points: np.ndarray, dims: int, chunk: int = 37) -> PcaModel:
    def chunks() -> Iterator[np.ndarray]:
        return (points[i : i + chunk] for i in range(0, len(points), chunk))

    return fit(method, chunks, len(points), dims)


def units(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def agree_up_to_sign(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=tolerance)


# -- linear ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "dim", "dims"), [(200, 20, 20), (30, 64, 12), (500, 8, 3)])
def test_linear_is_the_pca_of_scikit_learn(rows: int, dim: int, dims: int) -> None:
    points = cloud(rows, dim)
    reference = PCA(dims, svd_solver="full").fit(points.astype(np.float64))
    model = fitted("linear", points, dims)
    np.testing.assert_allclose(model.variance_ratio, reference.explained_variance_ratio_, atol=1e-6)
    np.testing.assert_allclose(model.arrays["mean"], reference.mean_, atol=1e-6)
    expected = units(reference.transform(points.astype(np.float64)))
    agree_up_to_sign(model.transform(points, dims), expected, 1e-3)


@given(seed=st.integers(0, 999), dim=st.integers(2, 24))
def test_full_rank_keeps_pairwise_distances_before_normalisation(seed: int, dim: int) -> None:
    points = cloud(dim * 3, dim, seed).astype(np.float64)
    model = fitted("linear", points.astype(np.float32), dim)
    projected = (points - model.arrays["mean"]) @ model.arrays["components"].T
    for row in range(0, len(points), 5):
        before = np.linalg.norm(points - points[row], axis=1)
        after = np.linalg.norm(projected - projected[row], axis=1)
        np.testing.assert_allclose(after, before, atol=1e-5)
    assert model.variance_ratio.sum() == pytest.approx(1.0)


@given(seed=st.integers(0, 999), chunk=st.integers(1, 90))
def test_the_size_of_chunks_does_not_matter(seed: int, chunk: int) -> None:
    points = cloud(80, 10, seed)
    first, second = fitted("linear", points, 4, chunk), fitted("linear", points, 4, 80)
    np.testing.assert_allclose(first.transform(points, 4), second.transform(points, 4), atol=2e-3)
    np.testing.assert_allclose(first.variance_ratio, second.variance_ratio, atol=1e-5)


def test_a_mean_far_from_the_origin_costs_no_precision() -> None:
    points = (cloud(300, 6).astype(np.float64) + 1_000).astype(np.float32)
    reference = PCA(6, svd_solver="full").fit(points.astype(np.float64))
    found = fitted("linear", points, 6).variance_ratio
    np.testing.assert_allclose(found, reference.explained_variance_ratio_, rtol=1e-3)


# -- the other methods -----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [300, 5_000])
def test_incremental_is_close_to_linear(rows: int) -> None:
    points = cloud(rows, 16)
    linear, incremental = fitted("linear", points, 5), fitted("incremental", points, 5)
    np.testing.assert_allclose(incremental.variance_ratio, linear.variance_ratio, rtol=0.02)
    cosines = (linear.arrays["components"] * incremental.arrays["components"]).sum(axis=1)
    assert np.abs(cosines).min() > 0.95


def sklearn_kernel(points: np.ndarray, dims: int, gamma: float) -> KernelPCA:
    model = KernelPCA(dims, kernel="rbf", gamma=gamma, eigen_solver="dense")
    return model.fit(points.astype(np.float64))


def test_kernel_is_the_kernel_pca_of_scikit_learn() -> None:
    points, others = cloud(120, 10), cloud(40, 10, seed=1)
    model = fitted("kernel", points, 6)
    reference = sklearn_kernel(points, 6, float(model.arrays["gamma"]))
    for rows in (points, others):
        agree_up_to_sign(model.transform(rows, 6), units(reference.transform(rows)), 2e-3)


def test_kernel_gives_no_weight_to_components_that_are_none() -> None:
    """Twenty different vectors, four times each: 19 components exist, the other 11 are noise."""
    points = np.repeat(cloud(20, 10), 4, axis=0)
    model = fitted("kernel", points, 30)
    reference = sklearn_kernel(points, 30, float(model.arrays["gamma"])).transform(points)
    ours, theirs = model.transform(points, 30).astype(np.float64), units(reference)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-2)


@every_method
def test_equal_vectors_do_not_break_a_fit(method: str) -> None:
    points = np.repeat(cloud(1, 6), 30, axis=0)
    reduced = fitted(method, points, 3).transform(points, 3)
    assert np.isfinite(reduced).all()


# -- all methods -----------------------------------------------------------------------------------


@every_method
def test_reduced_vectors_are_float32_and_of_unit_length(method: str) -> None:
    points = cloud(100, 12)
    reduced = fitted(method, points, 7).transform(points, 4)
    assert reduced.shape == (100, 4)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1.0, atol=1e-5)


@every_method
def test_fewer_dimensions_are_the_first_of_more(method: str) -> None:
    points = cloud(100, 12)
    model = fitted(method, points, 9)
    np.testing.assert_allclose(
        model.transform(points, 3), units(model.transform(points, 9)[:, :3]), atol=1e-4
    )


@every_method
def test_components_are_ordered_by_the_variance_they_explain(method: str) -> None:
    ratio = fitted(method, cloud(200, 12), 9).variance_ratio
    assert (np.diff(ratio) <= 1e-9).all()
    assert 0 < ratio.sum() <= 1 + 1e-9


@every_method
def test_a_fit_repeats_exactly(method: str) -> None:
    points = cloud(150, 12)
    first, second = (fitted(method, points, 5).transform(points, 5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_vector_at_the_mean_stays_zero() -> None:
    model = fitted("linear", cloud(50, 6), 3)
    assert (model.transform(model.arrays["mean"][None], 3) == 0).all()


@every_method
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_too_few_rows_are_refused_with_the_number_that_would_do(method: str, rows: int) -> None:
    most = max(0, rows - 1)
    with pytest.raises(InputError, match=f"dims 6.* at most {most} components"):
        fitted(method, cloud(rows, 12), 6)


@pytest.mark.parametrize("method", ["linear", "incremental"])
def test_more_dimensions_than_the_vectors_have_are_refused(method: str) -> None:
    with pytest.raises(InputError, match="dims 9"):
        fitted(method, cloud(60, 8), 9)


@every_method
def test_a_saved_model_is_loaded_without_pickle(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = cloud(80, 10)
    model = fitted(method, points, 5)

    def forbidden(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "load", forbidden)
    monkeypatch.setattr(pickle, "loads", forbidden)
    model.save(tmp_path / "model.npz")
    loaded = PcaModel.load(tmp_path / "model.npz")
    assert (loaded.method, loaded.dims) == (method, 5)
    np.testing.assert_array_equal(loaded.variance_ratio, model.variance_ratio)
    np.testing.assert_array_equal(loaded.transform(points, 5), model.transform(points, 5))


@pytest.mark.parametrize("method", ["incremental", "kernel"])
def test_without_scikit_learn_the_extra_is_named(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'lookalike\[pca\]'"):
        fitted(method, cloud(50, 6), 3)


# -- the cache -------------------------------------------------------------------------------------


class Fits:
    """Counts how often a model is fitted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counting(*arguments: Any) -> PcaModel:
            self.count += 1
            return fit(*arguments)

        monkeypatch.setattr("lookalike.indexes.pca.fit", counting)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    return Fits(monkeypatch)


def neighbours(cache: PcaCache, points: np.ndarray, dims: int = 4) -> list[int]:
    model, index = cache.index("linear", dims)
    query = model.transform(points[:1], dims)[0].astype(np.float64)
    return index.nearest(query, 10).rows.tolist()


def test_a_model_is_fitted_once_and_kept(tmp_path: Path, fits: Fits) -> None:
    points = cloud(60, 10)
    table = vector_table(points)
    first = neighbours(PcaCache(tmp_path / "pca", table), points)
    assert neighbours(PcaCache(tmp_path / "pca", table), points) == first
    assert fits.count == 1


def test_another_size_needs_no_new_fit(tmp_path: Path, fits: Fits) -> None:
    points = cloud(60, 10)
    for dims in (3, 7, 9):
        neighbours(PcaCache(tmp_path / "pca", vector_table(points)), points, dims)
    assert fits.count == 1


def test_new_rows_are_projected_until_there_are_many(tmp_path: Path, fits: Fits) -> None:
    points = cloud(100, 10)
    for rows, fitted_so_far in ((50, 1), (55, 1), (60, 1), (61, 2), (100, 3)):
        table = vector_table(points[:rows])
        found = neighbours(PcaCache(tmp_path / "pca", table), points)
        assert fits.count == fitted_so_far
        assert found[0] == 0
        assert max(found) < rows
        _, index = PcaCache(tmp_path / "pca", table).index("linear", 4)
        assert len(index.ids) == rows


def test_another_table_of_the_same_size_is_fitted_anew(tmp_path: Path, fits: Fits) -> None:
    for seed in (0, 1):
        points = cloud(60, 10, seed)
        ids = vector_table(points).ids[np.random.default_rng(seed).permutation(60)]
        cached = neighbours(PcaCache(tmp_path / "pca", vector_table(points, ids)), points)
        alone = neighbours(PcaCache(tmp_path / f"{seed}", vector_table(points, ids)), points)
        assert cached == alone


def test_old_models_do_not_pile_up(tmp_path: Path) -> None:
    for rows in (20, 40, 80):
        neighbours(PcaCache(tmp_path / "pca", vector_table(cloud(rows, 6))), cloud(rows, 6))
    assert len(list((tmp_path / "pca").iterdir())) == 2  # a model and its reduced vectors


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    points = cloud(60, 10)
    (tmp_path / "file").touch()
    found = neighbours(PcaCache(tmp_path / "file" / "pca", vector_table(points)), points)
    assert found == neighbours(PcaCache(tmp_path / "pca", vector_table(points)), points)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path: Path, suffix: str) -> None:
    points = cloud(60, 10)
    table = vector_table(points)
    first = neighbours(PcaCache(tmp_path / "pca", table), points)
    for path in (tmp_path / "pca").glob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[:40])
    assert neighbours(PcaCache(tmp_path / "pca", table), points) == first
