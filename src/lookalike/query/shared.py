"""Which colours two pictures share, and how much of each picture they fill."""

from __future__ import annotations

import numpy as np

from lookalike.features.oklab import BIN_OKLAB, BIN_RGB
from lookalike.types import BINS, DoubleArray, SharedColour

COLOURS = 6
"""Shared colours told of at most."""

LEAST_SHARE = 0.01
"""Colours that fill less of both pictures are left out."""

_ALIKE = 0.09
"""Distance in Oklab up to which colours count as one; black and white are 1 apart."""


def overlap(query: DoubleArray, hit: DoubleArray) -> float:
    """Intersection of two histograms, each float64 (4096,) summing to 1: 0..1."""
    return float(np.minimum(query, hit).sum())


def shared_colours(query: DoubleArray, hit: DoubleArray) -> tuple[SharedColour, ...]:
    """The colours that fill most of both pictures, the largest first.

    ``query``, ``hit``: float64 (4096,) summing to 1. The bin that both have most of, with all bins
    that look about like it, is a colour; then the same of what is left. A colour is shared as far
    as the picture with less of it has it.
    """
    both: DoubleArray = np.minimum(query, hit)
    found: list[SharedColour] = []
    left = np.ones(BINS, bool)
    while both[left].any() and len(found) < 2 * COLOURS:
        centre = int(np.argmax(np.where(left, both, 0)))
        alike = left & (np.linalg.norm(BIN_OKLAB - BIN_OKLAB[centre], axis=1) <= _ALIKE)
        rgb = np.rint(np.average(BIN_RGB[alike], axis=0, weights=both[alike]))
        found.append(
            SharedColour(
                (int(rgb[0]), int(rgb[1]), int(rgb[2])),
                float(query[alike].sum()),
                float(hit[alike].sum()),
            )
        )
        left &= ~alike
    found.sort(key=_share, reverse=True)
    return tuple(one for one in found[:COLOURS] if _share(one) >= LEAST_SHARE)


def _share(colour: SharedColour) -> float:
    return min(colour.in_query, colour.in_hit)
