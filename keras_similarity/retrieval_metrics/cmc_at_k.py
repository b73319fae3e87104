"""Cumulative match characteristic."""

from __future__ import annotations

from typing import Any

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.recall_at_k import RecallAtK


@register("cmc")
class CMCAtK(RecallAtK):
    """CMC@k: the share of queries whose first match is among the `k` nearest.

    One point of the cumulative match characteristic, as re-identification calls it;
    the formula is that of `recall_at_k()`. Rows that a protocol leaves out (of the same
    camera, say) must be left out of the search.

    Queries without a relevant row score 0; `evaluators.evaluate` leaves them out unless
    told otherwise. Ties and duplicates are as in `RetrievalMetric`.

    Args:
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RetrievalMetric`: `k`, `distance_threshold`, `average`,
            `drop_closest_lookup`.

    Reference:
        Moon and Phillips, Computational and Performance Aspects of PCA-Based
        Face-Recognition Algorithms, 2001.

    Example:
        >>> from keras_similarity.retrieval_metrics import CMCAtK
        >>> CMCAtK(k=10).name
        'cmc@10'
    """

    def __init__(self, name: str = "cmc", **kwargs: Any) -> None:
        kwargs.setdefault("canonical_name", "cmc@k")
        super().__init__(name=name, **kwargs)
