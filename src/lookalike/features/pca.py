"""Principal components of a space's vectors: fewer dimensions, centred, unit length again.

Three methods. ``linear`` is exact and streams: one pass for the covariance, memory of dim x dim.
``incremental`` (scikit-learn) updates its components batch by batch; it exists for comparison.
``kernel`` (scikit-learn, RBF) is fitted on a sample and bends the space; it costs a comparison with
every sampled vector per projected one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.errors import InputError, MissingExtraError
from lookalike.types import DoubleArray, FloatArray

PCA_METHODS = ("linear", "incremental", "kernel")
KERNEL_SAMPLE = 1_000
"""Vectors that a kernel PCA is fitted on, drawn evenly over the rows."""

FEW = 16
"""Vectors that are multiplied without NumPy's threads, which searches would wait for."""

Chunks = Callable[[], Iterable[FloatArray]]
"""Gives the vectors, float32 (m, dim) at a time; may be asked more than once."""


@dataclass(frozen=True)
class PcaModel:
    """A fitted reduction to ``dims`` components, ordered by the variance they explain.

    ``arrays`` are, for linear and incremental: ``mean`` (dim,), ``components`` (dims, dim); for
    kernel: ``landmarks`` (m, dim), ``weights`` (m, dims), ``row_means`` (m,), ``mean`` (),
    ``gamma`` (). ``variance_ratio`` (dims,) is each component's share of the total variance.
    """

    method: str
    variance_ratio: DoubleArray
    arrays: dict[str, NDArray[Any]]

    @property
    def dims(self) -> int:
        """Components at hand."""
        return len(self.variance_ratio)

    def transform(self, vectors: NDArray[np.floating], dims: int) -> FloatArray:
        """Vectors (m, dim) as float32 (m, dims) of unit length; a vector of zeros stays zero."""
        projected = (
            self._kernel(vectors, dims) if self.method == "kernel" else self._turned(vectors, dims)
        )
        lengths = np.linalg.norm(projected, axis=1, keepdims=True)
        return (projected / np.where(lengths > 1e-12, lengths, 1.0)).astype(np.float32)

    def _turned(self, vectors: NDArray[np.floating], dims: int) -> NDArray[np.floating]:
        centred = (vectors - self.arrays["mean"]).astype(np.float32)
        axes = self.arrays["components"][:dims]
        return kernels.products(centred, axes) if len(centred) <= FEW else centred @ axes.T

    def _kernel(self, vectors: NDArray[np.floating], dims: int) -> NDArray[np.floating]:
        kernel = _rbf(vectors, self.arrays["landmarks"], float(self.arrays["gamma"]))
        centred = (
            kernel
            - kernel.mean(axis=1, keepdims=True)
            - self.arrays["row_means"]
            + self.arrays["mean"]
        )
        return np.asarray(centred @ self.arrays["weights"][:, :dims])

    def save(self, path: Path) -> None:
        """Write to an ``.npz`` file."""
        with open(path, "wb") as file:
            stored: dict[str, Any] = {
                "method": np.array(self.method),
                "variance_ratio": self.variance_ratio,
                **self.arrays,
            }
            np.savez(file, allow_pickle=False, **stored)

    @classmethod
    def load(cls, path: Path) -> PcaModel:
        """Read what ``save`` wrote; nothing is unpickled."""
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: np.array(stored[name], order="C") for name in stored.files}
        return cls(str(arrays.pop("method")), arrays.pop("variance_ratio"), arrays)


def fit(method: str, chunks: Chunks, rows: int, dims: int) -> PcaModel:
    """Fit ``dims`` components to ``rows`` vectors; raises InputError if there are too few."""
    check_dims(method, rows, next(iter(chunks())).shape[1] if rows else 0, dims)
    with np.errstate(invalid="ignore", divide="ignore"):  # equal vectors have no variance
        return _FITS[method](chunks, dims)


def check_dims(method: str, rows: int, own: int, dims: int) -> None:
    """Raise InputError if ``rows`` vectors of ``own`` dimensions have no ``dims`` components."""
    if method == "kernel":
        rows = min(rows, KERNEL_SAMPLE)
    most = max(0, rows - 1)
    if dims > most:
        raise InputError(
            f"dims {dims}: {rows} vectors have at most {most} components by {method} PCA;"
            " ask for fewer or index more images"
        )
    if method != "kernel" and dims > own:
        raise InputError(f"dims {dims}: the vectors have {own}; ask for at most that")


def _fit_linear(chunks: Chunks, dims: int) -> PcaModel:
    """Exact PCA by the eigenvectors of the covariance, accumulated in one pass.

    Sums are taken about the first chunk's mean, so that the subtraction of the true mean at the end
    loses no precision (T. Chan, G. Golub, R. LeVeque, "Algorithms for Computing the Sample
    Variance", 1983).
    """
    count, shift = 0, np.empty(0)
    for chunk in chunks():
        if count == 0:
            shift = chunk.mean(axis=0, dtype=np.float64)
            total = np.zeros(len(shift))
            products = np.zeros((len(shift), len(shift)))
        shifted = chunk - shift.astype(np.float32)
        total += shifted.sum(axis=0, dtype=np.float64)
        products += shifted.T @ shifted
        count += len(chunk)
    offset = total / count
    covariance = (products - count * np.outer(offset, offset)) / max(1, count - 1)
    values, vectors = np.linalg.eigh(covariance)
    variance = np.clip(values[::-1], 0.0, None)
    components = _signed(vectors[:, ::-1].T[:dims])
    mean = (shift.astype(np.float32) + offset).astype(np.float32)
    ratio = variance[:dims] / max(variance.sum(), 1e-300)
    return PcaModel("linear", ratio, {"mean": mean, "components": components.astype(np.float32)})


def _fit_incremental(chunks: Chunks, dims: int) -> PcaModel:
    decomposition = _scikit_learn()
    model = decomposition.IncrementalPCA(n_components=dims)
    pending: list[FloatArray] = []
    for chunk in chunks():
        pending.append(chunk)
        if sum(map(len, pending)) >= max(dims, 1_000) * 2:
            model.partial_fit(np.concatenate(pending))
            pending = []
    if sum(map(len, pending)) >= dims:  # fewer than dims rows at the end cannot be taken in
        model.partial_fit(np.concatenate(pending))
    arrays = {
        "mean": model.mean_.astype(np.float32),
        "components": _signed(model.components_).astype(np.float32),
    }
    return PcaModel("incremental", np.nan_to_num(model.explained_variance_ratio_), arrays)


def _fit_kernel(chunks: Chunks, dims: int) -> PcaModel:
    decomposition = _scikit_learn()
    sample = _even_sample(chunks, KERNEL_SAMPLE).astype(np.float64)
    gamma = 1.0 / max(float(np.median(_squared_distances(sample, sample))), 1e-12)
    kernel = _rbf(sample, sample, gamma)
    model = decomposition.KernelPCA(n_components=dims, kernel="precomputed", eigen_solver="dense")
    model.fit(kernel)
    values = np.clip(model.eigenvalues_, 0.0, None)
    total = float(np.trace(kernel) - kernel.sum() / len(kernel))
    none = values <= max(total, 1e-12) * 1e-9  # such a component is only rounding
    scales = np.where(none, 0.0, 1.0 / np.sqrt(np.where(none, 1.0, values)))
    arrays = {
        "landmarks": sample.astype(np.float32),
        "weights": (model.eigenvectors_ * scales).astype(np.float32),
        "row_means": kernel.mean(axis=0),
        "mean": np.array(kernel.mean()),
        "gamma": np.array(gamma),
    }
    return PcaModel("kernel", values / max(total, 1e-12), arrays)


_FITS = {"linear": _fit_linear, "incremental": _fit_incremental, "kernel": _fit_kernel}


def _scikit_learn() -> Any:
    try:
        from sklearn import decomposition
    except ImportError as error:
        raise MissingExtraError("incremental and kernel PCA", "pca") from error
    return decomposition


def _signed(components: NDArray[np.floating]) -> NDArray[np.floating]:
    """Components with their largest entry positive, so that a fit repeats exactly."""
    largest = np.argmax(np.abs(components), axis=1)
    return np.asarray(
        components * np.sign(components[np.arange(len(components)), largest])[:, None]
    )


def _even_sample(chunks: Chunks, size: int) -> FloatArray:
    """About ``size`` rows, evenly spread."""
    rows = sum(len(chunk) for chunk in chunks())
    wanted = np.unique(np.linspace(0, rows - 1, min(size, rows)).round().astype(np.int64))
    taken, start = [], 0
    for chunk in chunks():
        inside = wanted[(wanted >= start) & (wanted < start + len(chunk))]
        taken.append(chunk[inside - start])
        start += len(chunk)
    return np.concatenate(taken)


def _squared_distances(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :]
    distances: NDArray[np.floating] = np.clip(squares - 2.0 * (a @ b.T), 0.0, None)
    return distances


def _rbf(a: NDArray[np.floating], b: NDArray[np.floating], gamma: float) -> NDArray[np.floating]:
    return np.asarray(np.exp(-gamma * _squared_distances(a, b)))
