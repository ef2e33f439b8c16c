"""Wider levels above clusters, so that there are names at every zoom level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lookalike.maps.clusters.evoc import parents
from lookalike.maps.clusters.grouping import Numbers, lifted, means, renumbering
from lookalike.maps.clusters.ward import cut_leaves, ward
from lookalike.types import FloatArray

FEW = 6
"""Fewer clusters have no wider level."""

LEAST = 3
"""Clusters of the widest level at the least."""

STEP = 4
"""How many times fewer clusters a wider level has."""

MAP_WEIGHT = 1.0
"""How much places on the map count beside the reduced space, where both have a spread of 1."""


def sizes(count: int) -> list[int]:
    """Clusters of the wider levels, the widest first: a sixteenth and a fourth of ``count``."""
    if count < FEW:
        return []
    wanted = [max(LEAST, round(count / STEP**2)), max(LEAST, round(count / STEP))]
    return sorted({size for size in wanted if size < count})


def joined(of: Numbers, points: FloatArray, positions: FloatArray) -> tuple[Numbers, ...]:
    """For each wider level, the widest first, the parent of every cluster, int32 (clusters,).

    By Ward's hierarchy over the clusters' means, in the reduced space and on the map at once: by
    the space alone regions would fall into pieces that lie apart on the map, by the map alone they
    would hold what merely lies side by side.
    """
    count = int(of.max(initial=-1)) + 1
    wanted = sizes(count)
    if not wanted:
        return ()
    merges = ward(_places(of, points, positions, count))
    return tuple(_by_rows(cut_leaves(merges, size), of) for size in wanted)


def from_layers(
    layers: list[Numbers], points: FloatArray, positions: FloatArray
) -> tuple[Numbers, ...]:
    """As ``joined``, where the method's own wider layers come first."""
    of, count = layers[0], int(layers[0].max(initial=-1)) + 1
    wanted = sizes(count)
    if not wanted:
        return ()
    places = _places(of, points, positions, count)
    own = {int(layer.max(initial=-1)) + 1: layer for layer in layers[1:]}
    found = []
    for size in wanted:
        near = _nearest(list(own), size)
        if near is None:
            found.append(_by_rows(cut_leaves(ward(places), size), of))
        else:
            found.append(_by_rows(_adopted(parents(of, own.pop(near)), places), of))
    return tuple(found)


def _nearest(counts: list[int], size: int) -> int | None:
    """The count nearest to ``size`` by its ratio, of those within a factor of 2."""
    fits = [count for count in counts if size / 2 <= count <= 2 * size]
    return min(fits, key=lambda count: abs(float(np.log(count / size))), default=None)


def _adopted(parent: Numbers, places: FloatArray) -> Numbers:
    """Clusters that a wider layer takes for noise go where the nearest that has a parent went."""
    orphans, kept = np.flatnonzero(parent < 0), np.flatnonzero(parent >= 0)
    if not len(kept):
        return np.zeros_like(parent)
    adopted = parent.copy()
    for one in orphans:
        apart = places[kept] - places[one]
        adopted[one] = parent[kept[np.argmin((apart * apart).sum(axis=1))]]
    return adopted


def _places(of: Numbers, points: FloatArray, positions: FloatArray, count: int) -> FloatArray:
    """Where clusters lie in the space and on the map, float32 (count, d)."""
    in_space, on_map = (_spread_of_one(means(one, of, count)) for one in (points, positions))
    return np.concatenate([in_space, MAP_WEIGHT * on_map], axis=1)


def _spread_of_one(places: FloatArray) -> FloatArray:
    spread = float(np.sqrt(places.var(axis=0).sum()))
    centred: FloatArray = (places - places.mean(axis=0)) / (spread or 1.0)
    return centred


def _by_rows(parent: NDArray[np.integer], of: Numbers) -> Numbers:
    """Parents numbered by how many rows they have."""
    order, _ = renumbering(lifted(of, parent.astype(np.int32)))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    found: Numbers = number[parent]
    return found
