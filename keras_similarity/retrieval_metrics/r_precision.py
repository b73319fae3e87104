"""R-precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.ranked import RankedMetric, per_relevant
from keras_similarity.types import Bools, Floats, Ints


def r_precision(match_mask: Bools, relevant: Ints) -> Floats:
    """Matches among the `R` nearest neighbours, divided by `R`.

    With `K` neighbours, fewer than `R`, it is precision@K.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        relevant: `R`, int `[Q]`: how many relevant rows there are.

    Returns:
        Float `[Q]`; NaN where `R` is 0.
    """
    first = np.minimum(relevant, match_mask.shape[1])
    counts = np.arange(match_mask.shape[1]) < first[:, None]
    return per_relevant((match_mask & counts).sum(axis=1).astype("float64"), first)


@register("r_precision")
class RPrecision(RankedMetric):
    """R-precision: the share of relevant rows among the `R` nearest; see `r_precision()`.

    `R` is the number of rows that are relevant to the query. Where fewer neighbours than
    `R` count, it is the share among those.

    Queries without a relevant row are NaN and left out of averages. Ties and duplicates
    are as in `RetrievalMetric`.

    Args:
        name: Key of the metric in results.
        **kwargs: Those of `RankedMetric`.

    Reference:
        [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505); PyTorch Metric
        Learning's `r_precision`.

    Example:
        >>> from keras_similarity.retrieval_metrics import RPrecision
        >>> RPrecision().name
        'r_precision'
    """

    def __init__(self, name: str = "r_precision", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "r_precision")
        super().__init__(name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        return r_precision(match_mask, relevant)
