"""What the metrics share that divide by how much there was to find."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.retrieval_metrics.base import RetrievalMetric
from keras_similarity.retrieval_metrics.ranking import Ranking
from keras_similarity.retrieval_metrics.relevance import relevant_counts
from keras_similarity.types import Bools, Floats, Ints


class RankedMetric(RetrievalMetric):
    """A retrieval metric that knows `R`, how many relevant rows a query has.

    `evaluators.evaluate` counts them. A query that has none is NaN, and is left out of
    averages.

    Args:
        k: How many neighbours count; `None` for as many as are looked up, which makes
            the name one without `@k`.
        r: Class id -> number of indexed examples, for `compute`, which needs it; of
            these, one is the query itself with `drop_closest_lookup`. `evaluate` does
            without.
        name: Key of the metric in results, without the cut-off.
        canonical_name: Name of the formula.
        **kwargs: Those of `RetrievalMetric`: `distance_threshold`, `average`,
            `drop_closest_lookup`.
    """

    def __init__(
        self,
        k: int | None = None,
        r: Mapping[int, int] | None = None,
        name: str = "",
        canonical_name: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            name=name, canonical_name=canonical_name, k=1 if k is None else k, **kwargs
        )
        self.cutoff = k
        # JSON makes strings of the keys.
        self.r = None if r is None else {int(key): int(n) for key, n in r.items()}

    @property
    def name(self) -> str:
        cutoff = "" if self.cutoff is None else f"@{self.cutoff}"
        return f"{self.base_name}{cutoff}{self._threshold_suffix}"

    def per_query(self, query_labels: Ints, match_mask: Bools) -> Floats:
        if self.r is None:
            raise ValueError(
                f"`r` must be given for {self.name} to be computed from lookups alone: "
                "class id -> number of indexed examples. Received: r=None. "
                "`evaluators.evaluate` counts them."
            )
        relevant = relevant_counts(query_labels, self.r) - self.drop_closest_lookup
        return self.score(match_mask[:, : self.cutoff], np.maximum(relevant, 0))

    def of_ranking(self, ranking: Ranking) -> Floats:
        hits = self._hits(ranking)[:, : self.cutoff or ranking.k]
        return self.score(hits, ranking.relevant)

    @abstractmethod
    def score(self, match_mask: Bools, relevant: Ints) -> Floats:
        """Value `[Q]` of each query, NaN where `relevant` `[Q]` is 0.

        Args:
            match_mask: Bool `[Q, k]`, the neighbours that count, nearest first.
            relevant: How many relevant rows there are.
        """

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.cutoff, "r": self.r}


def per_relevant(total: Floats, relevant: Ints) -> Floats:
    """`total / relevant`, both `[Q]`; NaN where nothing is relevant."""
    return np.where(relevant > 0, total / np.maximum(relevant, 1), np.nan)
