"""Recall@k."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import RetrievalMetric, check_k, register
from keras_similarity.types import Bools, Floats, Ints


def recall_at_k(match_mask: Bools, *, k: int) -> Floats:
    """Recall@k of each query in the metric-learning sense: a hit or a miss.

    1 if one of the `k` nearest neighbours matches, else 0. (Information retrieval means
    another thing by the name: the share of all relevant items that is found.)

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        k: Cut-off, from 1 to K.

    Returns:
        Float `[Q]`.

    Raises:
        ValueError: If `k` is not between 1 and K.
    """
    check_k(k, match_mask)
    return np.any(match_mask[:, :k], axis=1).astype("float64")


@register()
class RecallAtK(RetrievalMetric):
    """Recall@k; see `recall_at_k()`.

    Ties and duplicates are as in `RetrievalMetric`. A query without a relevant row scores
    0; `evaluators.evaluate` leaves it out unless told otherwise.

    With `drop_closest_lookup` it takes the `k` neighbours after the dropped one, so a
    lookup must have `k + 1`.

    Args:
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RetrievalMetric`: `k`, `distance_threshold`, `average`,
            `drop_closest_lookup`.

    Reference:
        [Jegou et al., 2011](https://doi.org/10.1109/TPAMI.2010.57), taken up in metric
        learning by [Oh Song et al., 2016](https://arxiv.org/abs/1511.06452).

    Example:
        >>> from keras_similarity.retrieval_metrics import RecallAtK
        >>> RecallAtK(k=1).name
        'recall@1'
    """

    def __init__(self, name: str = "recall", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "recall@k")
        super().__init__(name=name, **kwargs)

    def per_query(self, query_labels: Ints, match_mask: Bools) -> Floats:
        return recall_at_k(match_mask, k=self.k)
