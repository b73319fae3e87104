"""Mean reciprocal rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.ranked import RankedMetric
from keras_similarity.types import Bools, Floats, Ints


def reciprocal_rank(match_mask: Bools, relevant: Ints) -> Floats:
    """`1 / rank` of the first match among the neighbours, counted from 1; 0 without one.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        relevant: Int `[Q]`: how many relevant rows there are.

    Returns:
        Float `[Q]`; NaN where nothing is relevant.
    """
    rank = 1.0 + match_mask.argmax(axis=1)
    values = np.where(match_mask.any(axis=1), 1.0 / rank, 0.0)
    return np.where(relevant > 0, values, np.nan)


@register("mean_reciprocal_rank", "mrr")
class MeanReciprocalRank(RankedMetric):
    """Mean reciprocal rank of the first match; see `reciprocal_rank()`.

    A first match beyond the neighbours that count is worth 0.

    Queries without a relevant row are NaN and left out of averages. Ties and duplicates
    are as in `RetrievalMetric`.

    Args:
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RankedMetric`.

    Reference:
        Voorhees, The TREC-8 Question Answering Track Report, 1999; PyTorch Metric
        Learning's `mean_reciprocal_rank`, which computes it in float32.

    Example:
        >>> from keras_similarity.retrieval_metrics import MeanReciprocalRank
        >>> MeanReciprocalRank(k=10, name="mrr").name
        'mrr@10'
    """

    def __init__(self, name: str = "mean_reciprocal_rank", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "mean_reciprocal_rank")
        super().__init__(name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        return reciprocal_rank(match_mask, relevant)
