"""What precision and mean average precision share: how many items are relevant."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from keras_similarity.retrieval_metrics.base import RetrievalMetric
from keras_similarity.retrieval_metrics.ranking import Ranking
from keras_similarity.types import Bools, Floats, Ints


class RelevanceMetric(RetrievalMetric):
    """A retrieval metric that divides by `R`, the number of relevant items.

    With `drop_closest_lookup` the query itself is one of the `k` neighbours and one of
    the `R` items, so that `k - 1` and `R - 1` remain.

    Args:
        r: Class id -> number of indexed examples; `None` means `k` for every class. A
            class that is not in it has none, and its queries score 0.
        clip_at_r: Look at the first `R` neighbours only; `k` must then be at least the
            largest `R`. The name is without `@k`.
        name: Key of the metric in results, without the cut-off.
        **kwargs: Those of `RetrievalMetric`.
    """

    replaces_dropped: ClassVar[bool] = False

    def __init__(
        self,
        r: Mapping[int, int] | None = None,
        clip_at_r: bool = False,
        name: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        # JSON makes strings of the keys.
        self.r = None if r is None else {int(key): int(n) for key, n in r.items()}
        self.clip_at_r = clip_at_r

    @property
    def name(self) -> str:
        if self.clip_at_r:
            return f"{self.base_name}{self._threshold_suffix}"
        return super().name

    def per_query(self, query_labels: Ints, match_mask: Bools) -> Floats:
        relevant = np.full(len(query_labels), self.k)
        if self.r is not None:
            relevant = relevant_counts(query_labels, self.r)
        return self._clipped(match_mask, relevant - self.drop_closest_lookup)

    def of_ranking(self, ranking: Ranking) -> Floats:
        """As of any metric; but `R` is known here, and `clip_at_r` does without `r`."""
        drops = max(int(self.drop_closest_lookup), int(ranking.excludes_self))
        if self.r is not None:
            relevant = relevant_counts(ranking.query_labels, self.r) - drops
        elif self.clip_at_r:
            relevant = ranking.relevant
        else:
            relevant = np.full(len(ranking.relevant), self.k - self.drop_closest_lookup)
        return self._clipped(self._hits(ranking), relevant)

    def _clipped(self, match_mask: Bools, relevant: Ints) -> Floats:
        relevant = np.maximum(relevant, 0)
        if self.clip_at_r:
            match_mask = match_mask & (np.arange(match_mask.shape[1]) < relevant[:, None])
        return self.score(match_mask, relevant, self.k - self.drop_closest_lookup)

    @abstractmethod
    def score(self, match_mask: Bools, relevant: Ints, k: int) -> Floats:
        """Value `[Q]` of each query, given its number of `relevant` items `[Q]`."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "r": self.r, "clip_at_r": self.clip_at_r}


def relevant_counts(query_labels: Ints, r: Mapping[int, int]) -> Ints:
    """`r[label]` of each query `[Q]`, 0 where a label is not in `r`."""
    classes, class_index = np.unique(query_labels, return_inverse=True)
    counts = np.array([r.get(int(label), 0) for label in classes], dtype="int64")
    return counts[class_index]
