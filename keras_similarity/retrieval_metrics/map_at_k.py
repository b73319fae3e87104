"""Mean average precision at k and at R."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import check_k, register
from keras_similarity.retrieval_metrics.relevance import RelevanceMetric
from keras_similarity.types import Bools, Floats, Ints


def average_precision_at_k(
    match_mask: Bools, *, k: int, relevant: Ints | None = None
) -> Floats:
    """Average precision of each query: precision at each of its matches, summed, by `R`.

    `sum_j g_j * precision@j / R` over the neighbours `j = 1 ... k`, `g_j` 1 where
    neighbour `j` matches.

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
    gains = match_mask[:, :k]
    precisions = np.cumsum(gains, axis=1) / np.arange(1, k + 1)
    total = np.sum(precisions, axis=1, where=gains)
    return np.where(relevant > 0, total / np.maximum(relevant, 1), 0.0)


@register()
class MapAtK(RelevanceMetric):
    """Mean average precision at k, or at R with `clip_at_r`.

    See `average_precision_at_k()`. With `drop_closest_lookup` it takes the `k - 1`
    neighbours after the dropped one.

    Ties and duplicates are as in `RetrievalMetric`. A query without a relevant row scores
    0; `evaluators.evaluate` leaves it out unless told otherwise.

    Args:
        r: Class id -> number of indexed examples; `None` means `k` for every class. A
            class that is not in it has none, and its queries score 0.
        clip_at_r: Look at the first `R` neighbours only, which makes it MAP@R; `k` must
            then be at least the largest `R`. The name is without `@k`.
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RetrievalMetric`: `k`, `distance_threshold`,
            `drop_closest_lookup`. `average` is `"micro"`, the mean in its name.

    Reference:
        MAP@R: [Musgrave et al., 2020](https://arxiv.org/abs/2003.08505)

    Example:
        >>> from keras_similarity.retrieval_metrics import MapAtK
        >>> MapAtK(k=10).name
        'map@10'
    """

    def __init__(
        self,
        r: Mapping[int, int] | None = None,
        clip_at_r: bool = False,
        name: str = "map",
        **kwargs: Any,
    ) -> None:
        if kwargs.get("average") == "macro":
            raise ValueError(
                "Mean Average Precision only supports micro averaging. Received: "
                "average='macro'."
            )
        kwargs.setdefault("canonical_name", "map@k")
        super().__init__(r=r, clip_at_r=clip_at_r, name=name, **kwargs)

    def score(self, match_mask: Bools, relevant: Ints, k: int) -> Floats:
        return average_precision_at_k(match_mask, k=k, relevant=relevant)
