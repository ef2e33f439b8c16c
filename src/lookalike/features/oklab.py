"""The colours of histogram bins, and how far apart colours look."""

from __future__ import annotations

import numpy as np

from lookalike.types import BINS, DoubleArray


def oklab(rgb: DoubleArray) -> DoubleArray:
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


BIN_RGB = np.stack(np.unravel_index(np.arange(BINS), (16, 16, 16)), axis=1).astype(np.float64) * 17
"""Each bin's colour: sixteen levels from 0 to 255, so that black is black and white is white."""

BIN_OKLAB = oklab(BIN_RGB)
