"""Normalised discounted cumulative gain with binary relevance."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import RetrievalMetric, check_k, register
from keras_similarity.types import Bools, Floats, Ints


def bndcg(match_mask: Bools, *, k: int) -> Floats:
    """Binary NDCG@k of each query: how early its matches come.

    `sum_j g_j / log2(j + 1)`, with `g_j` 1 where neighbour `j = 1 ... k` matches,
    divided by the same sum with the matches first. The best order is that of the matches
    found, not of all there are; without any the value is 0.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        k: Cut-off, from 1 to K.

    Returns:
        Float `[Q]`.

    Raises:
        ValueError: If `k` is not between 1 and K.
    """
    check_k(k, match_mask)
    gains = match_mask[:, :k]
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    # Entry m: the sum with m matches in front.
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[gains.sum(axis=1)]
    return gains @ discounts / np.where(ideal == 0.0, 1.0, ideal)


@register()
class BNDCG(RetrievalMetric):
    """Binary NDCG@k; see `bndcg()`.

    Ties and duplicates are as in `RetrievalMetric`. A query without a relevant row scores
    0; `evaluators.evaluate` leaves it out unless told otherwise.

    With `drop_closest_lookup` it takes the `k` neighbours after the dropped one, so a
    lookup must have `k + 1`.

    Args:
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RetrievalMetric`: `k`, `distance_threshold`, `average`,
            `drop_closest_lookup`.

    Reference:
        Jarvelin and Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques, 2002;
        TensorFlow Similarity's `BNDCG`, whose best order is that of the matches found.

    Example:
        >>> from keras_similarity.retrieval_metrics import BNDCG
        >>> BNDCG(k=3).name
        'ndcg@3'
    """

    def __init__(self, name: str = "ndcg", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "ndcg@k")
        super().__init__(name=name, **kwargs)

    def per_query(self, query_labels: Ints, match_mask: Bools) -> Floats:
        return bndcg(match_mask, k=self.k)
