"""Layouts: every point's place in two or three dimensions, near ones beside each other.

t-SNE (L. van der Maaten and G. Hinton, "Visualizing Data using t-SNE", 2008; repulsion by FFT: G.
Linderman et al., 2019) keeps the most neighbours and leaves room between points; UMAP (L. McInnes,
J. Healy and J. Melville, 2018) pulls groups together and also makes three dimensions of any number
of points. Both take the graph that is there already. What each costs and keeps, and who computes
it, is in docs/adr/0013-layout.md.

The usual engine is manifolds-rs. It has no wheel for every platform: where it is not installed
openTSNE makes t-SNE, which also makes those in three dimensions.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError, MissingExtraError
from lookalike.kernels import cores
from lookalike.maps.base import TSNE_3D_ROWS, MapOptions, Parameters
from lookalike.maps.ground import Ground
from lookalike.types import FloatArray

PERPLEXITY = 9.5
"""Of 30 neighbours; an engine wants somewhat more than three times as many."""

TSNE_ITERATIONS = 500
UMAP_NEIGHBOURS = 15
UMAP_DISTANCE = 0.1
UMAP_ITERATIONS = 300
UMAP_MANY_ITERATIONS = 200
"""With more rows than ``MANY``."""

MANY = 100_000

FEW = 8
"""With fewer rows there is nothing to lay out: principal components are as good."""

THREADED_ROWS = 5_000
"""With fewer rows threads wait for each other longer than they work."""

Engine = Callable[[Ground, MapOptions], tuple[NDArray[np.floating[Any]], Parameters]]


def lay_out(ground: Ground, options: MapOptions) -> tuple[FloatArray, Parameters]:
    """Positions float32 (n, dims) within -1..1, and how they were made.

    The same ground and seed give the same positions on one machine. Raises InputError for too many
    rows of a three-dimensional t-SNE, MissingExtraError without any engine.
    """
    rows = len(ground.ids)
    check_layout(options, rows)
    if rows < FEW:
        return _fitted(_components(ground.points, options.dims)), {"engine": "components"}
    found, parameters = _interruptible(engine_of(options), ground, options)
    return _fitted(found), parameters


def check_layout(options: MapOptions, rows: int) -> None:
    """Raise what ``lay_out`` would for so many rows, before any work."""
    if options.method == "tsne" and options.dims == 3 and rows > TSNE_3D_ROWS:
        raise InputError(
            f"dims 3: t-SNE takes up to {TSNE_3D_ROWS:,} records, here are {rows:,}; choose"
            " --method umap, or fewer by --where"
        )
    if rows >= FEW:
        engine_of(options)


def engine_of(options: MapOptions) -> Engine:
    """Who makes the layout here."""
    own = importlib.util.find_spec("manifolds_rs") is not None
    if options.method == "umap":
        if not own:
            raise MissingExtraError("UMAP (manifolds-rs, on Linux x86-64 and macOS)", "map")
        return _manifolds_umap
    if own and options.dims == 2:
        return _manifolds_tsne
    if importlib.util.find_spec("openTSNE") is None:
        raise MissingExtraError("a map", "map")
    return opentsne


def _manifolds_tsne(ground: Ground, options: MapOptions) -> tuple[FloatArray, Parameters]:
    import manifolds_rs

    neighbours, distances = _full_lists(ground)
    perplexity = min(PERPLEXITY, (neighbours.shape[1] - 1) / 3)
    engine = manifolds_rs.TSNE(
        perplexity=perplexity,
        n_epochs=TSNE_ITERATIONS,
        approx="fft",
        seed=options.seed,
        optim_params=manifolds_rs.TsneOptim(late_exag_factor=None),
    )
    found = engine.fit_transform(ground.points, knn_indices=neighbours, knn_distances=distances)
    return found, {
        "engine": f"manifolds-rs {manifolds_rs.__version__}",
        "perplexity": perplexity,
        "iterations": TSNE_ITERATIONS,
    }


def _manifolds_umap(ground: Ground, options: MapOptions) -> tuple[FloatArray, Parameters]:
    import manifolds_rs

    neighbours, distances = _full_lists(ground)
    k = min(UMAP_NEIGHBOURS, neighbours.shape[1])
    iterations = UMAP_ITERATIONS if len(ground.ids) <= MANY else UMAP_MANY_ITERATIONS
    engine = manifolds_rs.UMAP(
        n_components=options.dims,
        n_neighbors=k,
        min_dist=UMAP_DISTANCE,
        n_epochs=iterations,
        init="pca",
        seed=options.seed,
    )
    found = engine.fit_transform(
        ground.points, knn_indices=neighbours[:, :k], knn_distances=distances[:, :k]
    )
    return found, {
        "engine": f"manifolds-rs {manifolds_rs.__version__}",
        "neighbours": k,
        "min_dist": UMAP_DISTANCE,
        "iterations": iterations,
    }


def opentsne(ground: Ground, options: MapOptions) -> tuple[NDArray[np.float64], Parameters]:
    """t-SNE by openTSNE (P. Poličar et al., 2019): 250 iterations of early exaggeration, 250 more.

    Three dimensions by Barnes and Hut's tree, which takes many times as long.
    """
    import openTSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    neighbours, distances = _full_lists(ground)
    perplexity = min(PERPLEXITY, (neighbours.shape[1] - 1) / 3)
    threads = cores() if len(ground.ids) >= THREADED_ROWS else 1
    common = {"n_jobs": threads, "random_state": options.seed}
    known = PrecomputedNeighbors(neighbours, distances)
    affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=known, **common)
    start = _components(ground.points, options.dims)
    start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)
    repulsion = "fft" if options.dims == 2 else "bh"
    layout = openTSNE.TSNEEmbedding(start, affinities, negative_gradient_method=repulsion, **common)
    layout = layout.optimize(250, exaggeration=12, momentum=0.5)
    layout = layout.optimize(250, exaggeration=1, momentum=0.8)
    return np.asarray(layout), {
        "engine": f"openTSNE {openTSNE.__version__}",
        "perplexity": perplexity,
        "iterations": 500,
    }


def _full_lists(ground: Ground) -> tuple[NDArray[np.int32], FloatArray]:
    """Lists without free places: the last neighbour again, or the next row where there is none.

    Engines take no lists of unequal lengths; of a hundred thousand lists hardly one has gaps.
    """
    rows = len(ground.ids)
    k = min(ground.neighbours.shape[1], rows - 1)
    neighbours = np.array(ground.neighbours[:, :k])
    distances = np.array(ground.distances[:, :k])
    far = float(distances[np.isfinite(distances)].max(initial=0.0))
    empty = np.flatnonzero(neighbours[:, 0] < 0)
    neighbours[empty, 0], distances[empty, 0] = (empty + 1) % rows, far
    for place in range(1, k):
        gaps = np.flatnonzero(neighbours[:, place] < 0)
        neighbours[gaps, place] = neighbours[gaps, place - 1]
        distances[gaps, place] = distances[gaps, place - 1]
    return neighbours, distances


def _components(points: FloatArray, dims: int) -> NDArray[np.float64]:
    """The first components, which points have in front; zeros where there are fewer."""
    out = np.zeros((len(points), dims))
    have = min(dims, points.shape[1])
    out[:, :have] = points[:, :have]
    return out


def _fitted(found: NDArray[np.floating[Any]]) -> FloatArray:
    """Moved and scaled into -1..1, all axes alike; what is not finite goes to the middle."""
    positions = np.where(np.isfinite(found), found, 0.0).astype(np.float64)
    low, high = positions.min(axis=0), positions.max(axis=0)
    positions -= (low + high) / 2
    reach = float(np.abs(positions).max())
    if reach > 0:
        positions /= reach
    return positions.astype(np.float32)


def _interruptible(
    engine: Engine, ground: Ground, options: MapOptions
) -> tuple[NDArray[np.floating[Any]], Parameters]:
    """Run an engine beside, so that a signal ends the program at once; engines hear none."""
    found: list[tuple[NDArray[np.floating[Any]], Parameters]] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(engine(ground, options))
        except BaseException as error:  # noqa: BLE001 (raised again by who waits)
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    if failed:
        raise failed[0]
    return found[0]
