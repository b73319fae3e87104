"""Mean average precision over all that is relevant."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.ranked import RankedMetric, per_relevant
from keras_similarity.types import Bools, Floats, Ints


def average_precision(match_mask: Bools, relevant: Ints) -> Floats:
    """Precision at each match, summed, divided by `R`.

    `sum_i g_i * precision@i / R` over the neighbours `i = 1 ... K`, `g_i` 1 where
    neighbour `i` matches.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        relevant: `R`, int `[Q]`: how many relevant rows there are, found or not.

    Returns:
        Float `[Q]`; NaN where `R` is 0.
    """
    found = np.cumsum(match_mask, axis=1, dtype="int32")
    precisions = found / np.arange(1, match_mask.shape[1] + 1)
    return per_relevant(np.sum(precisions, axis=1, where=match_mask), relevant)


@register("mean_average_precision")
class MeanAveragePrecision(RankedMetric):
    """Mean average precision; see `average_precision()`.

    Divides by all relevant rows `R`, also where fewer than `R` neighbours count, so that
    what is not found is missing. (`MapAtK` divides by `k`, or by what is given.)

    Queries without a relevant row are NaN and left out of averages. Ties and duplicates
    are as in `RetrievalMetric`.

    Args:
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RankedMetric`.

    Reference:
        Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 8.4;
        PyTorch Metric Learning's `mean_average_precision`.

    Example:
        >>> from keras_similarity.retrieval_metrics import MeanAveragePrecision
        >>> MeanAveragePrecision(k=10).name
        'mean_average_precision@10'
    """

    def __init__(self, name: str = "mean_average_precision", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "mean_average_precision")
        super().__init__(name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        return average_precision(match_mask, relevant)
