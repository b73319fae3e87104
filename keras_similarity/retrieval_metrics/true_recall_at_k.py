"""Recall@k in the sense of information retrieval."""

from __future__ import annotations

from typing import Any

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.ranked import RankedMetric, per_relevant
from keras_similarity.types import Bools, Floats, Ints


def true_recall(match_mask: Bools, relevant: Ints) -> Floats:
    """The share of the relevant rows that is among the neighbours.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        relevant: Int `[Q]`: how many relevant rows there are.

    Returns:
        Float `[Q]`; NaN where nothing is relevant.
    """
    return per_relevant(match_mask.sum(axis=1).astype("float64"), relevant)


@register("true_recall")
class TrueRecallAtK(RankedMetric):
    """Recall@k in information retrieval: matches among the `k` nearest, by `R`.

    See `true_recall()`. `R` is the number of rows that are relevant to the query; with
    `R > k` the value stays below 1. (`RecallAtK` is what metric learning calls recall: a
    hit or a miss.)

    Queries without a relevant row are NaN and left out of averages. Ties and duplicates
    are as in `RetrievalMetric`.

    Args:
        k: How many neighbours count.
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RankedMetric`.

    Reference:
        Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 8.3.

    Example:
        >>> from keras_similarity.retrieval_metrics import TrueRecallAtK
        >>> TrueRecallAtK(k=10).name
        'true_recall@10'
    """

    def __init__(
        self, k: int | None = 5, name: str = "true_recall", **kwargs: Any
    ) -> None:
        kwargs.setdefault("canonical_name", "true_recall@k")
        super().__init__(k=k, name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        return true_recall(match_mask, relevant)
