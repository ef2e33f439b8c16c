"""HDBSCAN on a map: clusters of any shape, each denser than what lies around it.

R. Campello, D. Moulavi, J. Sander, "Density-Based Clustering Based on Hierarchical Density
Estimates", 2013, as ``fast_hdbscan`` (BSD-2) has it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lookalike.errors import MissingExtraError
from lookalike.maps.clusters.grouping import Numbers, by_size
from lookalike.types import FloatArray


def hdbscan(positions: FloatArray, smallest: int, least: int) -> Numbers:
    """The cluster of every row of ``positions`` (n, 2|3), int32 (n,), -1 for noise.

    ``smallest``: the fewest rows of a cluster; ``least``: rows near a place that make it dense.
    """
    if len(positions) <= max(smallest, least):
        return np.full(len(positions), -1, np.int32)
    with warnings.catch_warnings():  # of numba, on its first run
        warnings.simplefilter("ignore")
        model = _hdbscan()(min_cluster_size=smallest, min_samples=least, reproducible=True)
        return by_size(np.asarray(model.fit(positions.astype(np.float64)).labels_))


def _hdbscan() -> Any:
    try:
        from fast_hdbscan import HDBSCAN
    except ImportError as error:
        raise MissingExtraError("clustering by hdbscan", "map") from error
    return HDBSCAN
