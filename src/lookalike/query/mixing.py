"""What a part weighs in a mixture: shares in units of how far each part spreads in the library.

Cosines of a library's pictures and likenesses of their colours spread differently, by encoder, by
metric and by what the pictures show. Taken as they are, a share of colour would mean something else
each time. So each part is measured in its own spread, the standard deviation over random pairs.
That only changes the weights: the mixture stays a weighted mean of both, and bounds on the parts
stay bounds on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.query.tables import Tables, drawn
from lookalike.types import DoubleArray, Measure

LEAST_PAIRS = 400
"""Fewer pairs than these say nothing of a spread."""

LEAST_SPREAD = 0.01
"""A part that hardly differs at all does not count for more than this makes it."""

USUAL_MEANING = 0.08
USUAL_COLOUR: Mapping[str, float] = {
    "bhattacharyya": 0.12,
    "intersection": 0.13,
    "correlation": 0.25,
    "chi-square": 0.16,
}
"""Spreads in libraries too small to say, from photos that show all sorts of things."""

_POINTS, OTHERS = 64, 256


@dataclass(frozen=True, slots=True)
class Spreads:
    """Standard deviations of the cosines and of the colours' likenesses of random pairs."""

    meaning: float
    colour: float

    def weight(self, share: float) -> float:
        """The weight of colour, 0..1, at which it counts for ``share`` when both are in spreads."""
        colour, meaning = share / self.colour, (1.0 - share) / self.meaning
        return round(colour / (colour + meaning), 4)  # as exact as a draw of pairs is, and more


def colour_likeness(scores: DoubleArray, measure: Measure) -> DoubleArray:
    """Scores of any colour measure as a likeness that is 1 for equal histograms."""
    if measure.higher_is_better:
        return scores
    return 1.0 - scores if np.isfinite(measure.highest) else 1.0 / (1.0 + scores)


def spreads(tables: Tables, metric: str) -> Spreads:
    """How far a library's random pairs spread by meaning and by a colour metric.

    Equal records give equal spreads, whatever the order of indexing.
    """
    if metric not in tables.spreads:
        tables.spreads[metric] = _measured(tables, metric)
    return Spreads(*tables.spreads[metric])


def _measured(tables: Tables, metric: str) -> tuple[float, float]:
    live = np.flatnonzero(tables.vectors.live & tables.coloured)
    rows = drawn(tables.vectors.ids, live, OTHERS)
    points = rows[:_POINTS]
    if len(points) * (len(rows) - 1) < LEAST_PAIRS:
        return USUAL_MEANING, USUAL_COLOUR[metric]
    index, coloured = tables.colour(metric), tables.histogram_rows(rows)
    others = np.sort(rows)
    order = np.argsort(coloured)
    cosines, colours = [], []
    for row, histogram in zip(points.tolist(), coloured.tolist(), strict=False):
        vector = tables.vectors.vector(row)
        cosines.append(tables.exact.rough(vector, others)[others != row])
        dense = tables.histograms.histogram(histogram).dense()
        scores = index.rough(dense, coloured[order])[rows[order] != row]
        colours.append(colour_likeness(scores, index.measure))
    return _spread(cosines), _spread(colours)


def _spread(numbers: Sequence[NDArray[np.floating]]) -> float:
    # Rounded, so that the order of a sum decides nothing.
    return max(LEAST_SPREAD, round(float(np.std(np.concatenate(numbers), dtype=np.float64)), 6))
