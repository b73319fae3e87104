"""Normalised discounted cumulative gain."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import register
from keras_similarity.retrieval_metrics.ranked import RankedMetric
from keras_similarity.retrieval_metrics.ranking import Ranking
from keras_similarity.types import Bools, Floats, Ints


def ndcg(gains: Floats, ideal_gains: Floats) -> Floats:
    """NDCG of each query: its discounted gains by those of the best order there is.

    `sum_i g_i / log2(i + 1)` over the neighbours `i = 1 ... K`, divided by the same sum
    over the `K` largest gains that there are, found or not.

    Args:
        gains: Floats from 0, `[Q, K]`, nearest first.
        ideal_gains: The largest gains `[Q, K]`, largest first.

    Returns:
        Float `[Q]`; NaN where no gain is above 0.
    """
    discounts = 1.0 / np.log2(np.arange(2, gains.shape[1] + 2))
    ideal = ideal_gains @ discounts
    return np.where(ideal > 0, gains @ discounts / np.where(ideal > 0, ideal, 1), np.nan)


@register("graded_ndcg")
class NDCG(RankedMetric):
    """NDCG@k, of graded relevance where there are grades; see `ndcg()`.

    The gain of a neighbour is its grade as it is (not `2 ** grade - 1`); without grades
    1 where it matches. The best order is that of everything there is to find: what is
    not found is missing. (`BNDCG`, TensorFlow Similarity's `ndcg@k`, knows matches only,
    and measures against the best order of those that were found.)

    Queries without a relevant row are NaN and left out of averages. Ties and duplicates
    are as in `RetrievalMetric`.

    Args:
        k: How many neighbours count; `None` for as many as are looked up.
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RankedMetric`. `compute`, which gets no grades, takes matches.

    Reference:
        Jarvelin and Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques, 2002.

    Example:
        >>> from keras_similarity.retrieval_metrics import NDCG
        >>> NDCG(k=10).name
        'graded_ndcg@10'
    """

    def __init__(
        self, k: int | None = 5, name: str = "graded_ndcg", **kwargs: Any
    ) -> None:
        kwargs.setdefault("canonical_name", "graded_ndcg@k")
        super().__init__(k=k, name=name, **kwargs)

    def of_ranking(self, ranking: Ranking) -> Floats:
        if ranking.gains is None or ranking.ideal_gains is None:
            return super().of_ranking(ranking)
        hits = self._hits(ranking)
        # Where the first neighbour is dropped, its gain is, too.
        gains = ranking.gains[:, ranking.gains.shape[1] - hits.shape[1] :]
        k = min(self.cutoff or ranking.k, hits.shape[1])
        return ndcg(np.where(hits, gains, 0.0)[:, :k], ranking.ideal_gains[:, :k])

    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        ideal = np.arange(match_mask.shape[1]) < relevant[:, None]
        return ndcg(match_mask.astype("float64"), ideal.astype("float64"))
