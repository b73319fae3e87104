"""MAP@R."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.mean_average_precision import average_precision
from keras_similarity.retrieval_metrics.ranked import RankedMetric
from keras_similarity.types import Bools, Floats, Ints


def average_precision_at_r(match_mask: Bools, relevant: Ints) -> Floats:
    """Average precision of the `R` nearest neighbours; see `average_precision()`.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        relevant: `R`, int `[Q]`: how many relevant rows there are, found or not.

    Returns:
        Float `[Q]`; NaN where `R` is 0.
    """
    counts = np.arange(match_mask.shape[1]) < relevant[:, None]
    return average_precision(match_mask & counts, relevant)


@register("mean_average_precision_at_r")
class MeanAveragePrecisionAtR(RankedMetric):
    """MAP@R: mean average precision of the `R` nearest; see `average_precision_at_r()`.

    `R` is the number of rows that are relevant to the query. The sum ends at the `R`-th
    neighbour and is divided by `R`, also where fewer than `R` neighbours count.

    Queries without a relevant row are NaN and left out of averages. Ties and duplicates
    are as in `RetrievalMetric`.

    Args:
        name: Key of the metric in results.
        **kwargs: Those of `RankedMetric`.

    Reference:
        [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505); PyTorch Metric
        Learning's `mean_average_precision_at_r`.

    Example:
        >>> from keras_similarity.retrieval_metrics import MeanAveragePrecisionAtR
        >>> MeanAveragePrecisionAtR().name
        'mean_average_precision_at_r'
    """

    def __init__(self, name: str = "mean_average_precision_at_r", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "mean_average_precision_at_r")
        super().__init__(name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        return average_precision_at_r(match_mask, relevant)
