"""EVoC: density clusters in the reduced space itself, with layers of its own.

L. McInnes, "EVoC" (BSD-2): a node embedding of a neighbour graph in a few dimensions, clustered as
HDBSCAN does; layers are the most persistent granularities.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from lookalike.errors import MissingExtraError
from lookalike.maps.clusters.grouping import Numbers, by_size
from lookalike.types import FloatArray

FEWEST = 100
"""Rows that it needs to say anything; its own graph fails on fewer."""


def layers(points: FloatArray, smallest: int, seed: int) -> list[Numbers]:
    """Clusters of rows at each layer, int32 (n,), the finest that is worth its noise first.

    ``smallest``: the fewest rows of a cluster of the finest layer. The first one is the layer that
    EVoC calls its best, those after it are wider.
    """
    if len(points) < FEWEST:
        return [np.full(len(points), -1, np.int32)]
    with warnings.catch_warnings(), _one_thread():  # numba's and its own, about small tables
        warnings.simplefilter("ignore")
        model = _evoc()(base_min_cluster_size=smallest, random_state=seed)
        best = by_size(np.asarray(model.fit_predict(points)))
    wider = [by_size(np.asarray(layer)) for layer in model.cluster_layers_]
    return [best, *(layer for layer in wider if layer.max(initial=-1) < best.max(initial=-1))]


def parents(of: Numbers, wider: Numbers) -> Numbers:
    """For each cluster of ``of`` the one of ``wider`` that has most of its rows; -1 if none has.

    int32 (clusters,).
    """
    count, above = int(of.max(initial=-1)) + 1, int(wider.max(initial=-1)) + 1
    both = (of >= 0) & (wider >= 0)
    if not both.any():
        return np.full(count, -1, np.int32)
    pairs, rows = np.unique(of[both].astype(np.int64) * above + wider[both], return_counts=True)
    found = np.full(count, -1, np.int32)
    order = np.argsort(rows, kind="stable")  # the most rows last; of equals the smaller cluster
    found[pairs[order] // above] = pairs[order] % above
    return found


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Lets numba use one thread: with several, the result depends on how many there are."""
    _evoc()  # first, so that a missing part is told of by its extra
    numba = importlib.import_module("numba")
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _evoc() -> Any:
    try:
        from evoc import EVoC
    except ImportError as error:
        raise MissingExtraError("clustering by evoc", "map") from error
    return EVoC
