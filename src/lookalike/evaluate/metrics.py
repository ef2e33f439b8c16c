"""How good is a ranking? Precision, recall, average precision and nDCG, with intervals.

A record is relevant to a query or it is not. The two measures that implementations get wrong, of
whole rankings, are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import MissingExtraError
from lookalike.types import DoubleArray

RESAMPLES = 2_000
"""Bootstrap samples of an interval."""

_DRAWN_AT_ONCE = 1_000_000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries, 0..1 (of differences -1..1), and its 95 % interval."""

    mean: float
    low: float
    high: float


def precision_at(hits: NDArray[np.bool_], k: int) -> float:
    """P@k: the relevant ones among the first k hits, of k. ``hits``: relevant or not, in order."""
    return float(hits[:k].sum()) / k


def recall_at(hits: NDArray[np.bool_], k: int, relevant: int) -> float:
    """R@k: the relevant ones among the first k hits, of all ``relevant`` records there are."""
    return float(hits[:k].sum()) / relevant


class RankingMeasures:
    """Average precision and nDCG. Raises MissingExtraError without scikit-learn."""

    def __init__(self) -> None:
        try:
            from sklearn.metrics import average_precision_score, ndcg_score
        except ImportError as error:
            raise MissingExtraError("evaluation", "evaluate") from error
        self._average_precision: Callable[..., Any] = average_precision_score
        self._ndcg: Callable[..., Any] = ndcg_score

    def average_precision(self, relevant: NDArray[np.bool_], scores: DoubleArray) -> float:
        """AP over all records, (n,) each; ``scores`` rise with likeness. Its mean is mAP."""
        return float(self._average_precision(relevant, scores))

    def ndcg_at(self, hits: NDArray[np.bool_], k: int, relevant: int) -> float:
        """nDCG@k of k hits, or of all records if there are fewer, in their order.

        The ideal ranking, which scores 1, has all ``relevant`` records first.
        """
        gains = np.concatenate([hits, np.ones(relevant - int(hits.sum()), bool)]).astype(float)
        if len(gains) == 1:  # scikit-learn wants two
            return float(gains[0])
        order = -np.arange(len(gains), dtype=float)  # what was missed comes after the hits
        return float(self._ndcg([gains], [order], k=k, ignore_ties=True))


def estimate(values: DoubleArray) -> Estimate:
    """The mean of one number per query, float64 (n,), and its bootstrap interval."""
    low, high = np.percentile(_resampled(values), [2.5, 97.5]).tolist()
    return Estimate(float(values.mean()), low, high)


def _resampled(values: DoubleArray) -> DoubleArray:
    """Means of as many queries, drawn anew with repetition, float64 (RESAMPLES,)."""
    dice, count = np.random.default_rng(_SEED), len(values)
    step = max(1, _DRAWN_AT_ONCE // count)
    return np.concatenate(
        [
            values[dice.integers(0, count, (min(step, RESAMPLES - at), count))].mean(axis=1)
            for at in range(0, RESAMPLES, step)
        ]
    )
