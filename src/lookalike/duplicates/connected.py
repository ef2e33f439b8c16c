"""Which pairs hang together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def components(first: Rows, second: Rows) -> Rows:
    """For each pair the least row that it is connected with, int64 (m,)."""
    if not len(first):
        return first
    root = np.arange(int(max(first.max(), second.max())) + 1)
    while True:  # every round halves the longest way at least
        low = np.minimum(root[first], root[second])
        new = root.copy()
        np.minimum.at(new, root[first], low)
        np.minimum.at(new, root[second], low)
        new = new[new]
        if (new == root).all():
            return root[first]
        root = new
