"""Which colours two pictures share, and how much of each picture they fill."""

from __future__ import annotations

import numpy as np

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
        alike = left & (np.linalg.norm(_OKLAB - _OKLAB[centre], axis=1) <= _ALIKE)
        rgb = np.rint(np.average(_RGB[alike], axis=0, weights=both[alike]))
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


def _oklab(rgb: DoubleArray) -> DoubleArray:
    """Colours (n, 3) of 0..255 in B. Ottosson's Oklab (2020), where distances are as seen."""
    shares = rgb / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    lab: DoubleArray = np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
    return lab


_RGB = np.stack(np.unravel_index(np.arange(BINS), (16, 16, 16)), axis=1).astype(np.float64) * 17
"""Each bin's colour: sixteen levels from 0 to 255, so that black is black and white is white."""

_OKLAB = _oklab(_RGB)
