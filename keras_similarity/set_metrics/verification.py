"""What the metrics of pairs share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from keras_similarity.set_metrics.base import SetMetric
from keras_similarity.set_metrics.pair_counts import PairCounts, PairSummary, count_pairs
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats


class VerificationMetric(SetMetric):
    """How well a threshold on the distance tells pairs of one class from others.

    A pair is positive if its labels are equal, and accepted if its distance is at most a
    threshold. All pairs count, each once, without those of a row and itself; or the pairs
    given. FAR (also FMR, FPR) is the share of the negative pairs that are accepted, TAR
    (TPR, 1 - FNMR) that of the positive ones. Pairs at one distance are accepted
    together. Exact copies of a row are rows of their own, at distance 0. Where there is
    no positive pair or no negative one the metric is NaN.

    What is exact up to how many pairs, and how fine it is above, says
    `set_metrics.pair_counts.count_pairs`.

    Args:
        pairs: Rows of queries and rows of keys, `[P]` each, whose pairs count; `None`:
            all pairs.
        name: Name of the object.
    """

    def __init__(
        self, pairs: Sequence[Sequence[int]] | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.pairs = None if pairs is None else tuple(pairs)

    @property
    def summary_key(self) -> Hashable:
        return "pairs", None if self.pairs is None else tuple(map(id, self.pairs))

    def summarize(self, rows: Rows) -> PairSummary:
        return count_pairs(rows, self.pairs)

    def value(self, summary: PairSummary) -> Floats:
        return np.concatenate([self._defined_values(c) for c in summary.counts()])

    @abstractmethod
    def values(self, counts: PairCounts) -> Floats:
        """The metric `[r]` of some draws, each with positive and negative pairs."""

    def get_config(self) -> dict[str, Any]:
        pairs = self.pairs
        lists = None if pairs is None else [np.asarray(side).tolist() for side in pairs]
        return {**super().get_config(), "pairs": lists}

    def _defined_values(self, counts: PairCounts) -> Floats:
        is_defined = (counts.positives.sum(axis=1) > 0) & (
            counts.negatives.sum(axis=1) > 0
        )
        values = np.full(len(is_defined), np.nan)
        if is_defined.any():
            some = PairCounts(
                counts.thresholds,
                counts.positives[is_defined],
                counts.negatives[is_defined],
                counts.is_exact,
            )
            values[is_defined] = self.values(some)
        return values


def check_rate(rate: float, name: str) -> float:
    """The rate, if it is one between 0 and 1."""
    if not 0 < rate < 1:
        raise ValueError(f"`{name}` must be between 0 and 1. Received: {name}={rate}.")
    return float(rate)
