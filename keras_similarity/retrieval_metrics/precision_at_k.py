"""Precision@k and R-precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import check_k, register
from keras_similarity.retrieval_metrics.relevance import RelevanceMetric
from keras_similarity.types import Bools, Floats, Ints


def precision_at_k(match_mask: Bools, *, k: int, relevant: Ints | None = None) -> Floats:
    """Matches among the `k` nearest neighbours, divided by the number of relevant items.

    Args:
        match_mask: Bool `[Q, K]`, nearest first.
        k: Cut-off, from 1 to K.
        relevant: Number `[Q]` of relevant items, `R`; `k` by default. A query with 0
            scores 0.

    Returns:
        Float `[Q]`.

    Raises:
        ValueError: If `k` is not between 1 and K.
    """
    check_k(k, match_mask)
    relevant = np.full(len(match_mask), k) if relevant is None else relevant
    hits = match_mask[:, :k].sum(axis=1)
    return np.where(relevant > 0, hits / np.maximum(relevant, 1), 0.0)


@register()
class PrecisionAtK(RelevanceMetric):
    """Precision@k, or R-precision with `clip_at_r`; see `precision_at_k()`.

    Ties and duplicates are as in `RetrievalMetric`. A query without a relevant row scores
    0; `evaluators.evaluate` leaves it out unless told otherwise.

    With `drop_closest_lookup` it takes the `k - 1` neighbours after the dropped one.

    Args:
        r: Class id -> number of indexed examples; `None` means `k` for every class. A
            class that is not in it has none, and its queries score 0.
        clip_at_r: Look at the first `R` neighbours only; `k` must then be at least the
            largest `R`. The name is without `@k`.
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RetrievalMetric`: `k`, `distance_threshold`, `average`,
            `drop_closest_lookup`.

    Reference:
        Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 8.4.

    Example:
        >>> from keras_similarity.retrieval_metrics import PrecisionAtK
        >>> PrecisionAtK(k=9, r={0: 5, 1: 9}, clip_at_r=True, name="r_precision").name
        'r_precision'
    """

    def __init__(
        self,
        r: Mapping[int, int] | None = None,
        clip_at_r: bool = False,
        name: str = "precision",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("canonical_name", "precision@k")
        super().__init__(r=r, clip_at_r=clip_at_r, name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints, k: int) -> Floats:
        return precision_at_k(match_mask, k=k, relevant=relevant)
