"""New records beside those that a layout has, by their nearest neighbours among these.

Nothing that lies there moves. A layout cannot be continued exactly (nothing projects new points
into t-SNE or UMAP but another fit), and a mean of all neighbours' places would lie between groups
where neighbours are split; so a record goes where most of its weight is: into the middle of those
neighbours that lie around their medoid on the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.regions import Rows
from lookalike.types import FloatArray

PLACED_BY = 10
"""Neighbours that place a record."""

FAR_SHARE = 0.99
"""A record is far from all others if its neighbours are farther than those of this share are."""

REFIT_PLACED = 0.3
"""Share of placed records from which on a refit pays: see docs/map.md."""

REFIT_FAR = 0.01
"""Share of records that were placed though far from all others, from which on a refit pays."""

_CHUNK = 8_192


@dataclass(frozen=True)
class Placement:
    """Where new records go: ``positions`` float32 (m, dims), and ``far`` bool (m,).

    ``far``: nothing that was there is near; a place among others says little.
    """

    positions: FloatArray
    far: NDArray[np.bool_]


def place(positions: FloatArray, near: Rows, distances: FloatArray, reach: float) -> Placement:
    """Where records go whose nearest among those with ``positions`` float32 (n, dims) are ``near``.

    ``near`` int32 (m, k), -1 where there are fewer, at least one each; ``distances`` float32
    (m, k); ``reach``: the distance from which on the last neighbour is far.
    """
    out = np.zeros((len(near), positions.shape[1]), np.float32)
    for at in range(0, len(near), _CHUNK):
        some = slice(at, at + _CHUNK)
        out[some] = _middle(positions, near[some], distances[some])
    have = np.maximum((near >= 0).sum(axis=1) - 1, 0)
    last = distances[np.arange(len(near)), have]
    return Placement(out, last > reach)


def _middle(positions: FloatArray, near: Rows, distances: FloatArray) -> FloatArray:
    """Means of neighbours' places, weighted by nearness, of the half around their medoid."""
    known = near >= 0
    places = positions[near]
    reach = np.where(known, distances, 0).max(axis=1, keepdims=True)
    weights = np.where(known, 1 - 0.9 * distances / np.maximum(reach, 1e-12), 0.0)
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=3)
    cost = (apart * weights[:, None]).sum(axis=2)
    medoid = np.where(known, cost, np.inf).argmin(axis=1)
    around = apart[np.arange(len(near)), medoid]
    median = np.nanmedian(np.where(known, around, np.nan), axis=1, keepdims=True)
    weights = np.where(around <= median, weights, 0.0)[:, :, None]
    middle: FloatArray = ((places * weights).sum(axis=1) / weights.sum(axis=1)).astype(np.float32)
    return middle


def majority(of: NDArray[np.int32], near: Rows) -> NDArray[np.int32]:
    """The cluster that most neighbours are in, ties to the nearest; -1 where most are in none.

    ``of`` int32 (n,) by row, ``near`` int32 (m, k) as in ``place``.
    """
    groups = np.where(near >= 0, of[near], -2)
    votes = (groups[:, :, None] == groups[:, None]).sum(axis=2)
    votes[groups == -2] = 0
    winner: NDArray[np.int32] = groups[np.arange(len(near)), votes.argmax(axis=1)]
    return np.maximum(winner, -1)  # -1 too where there is no neighbour at all
