"""Metrics of the whole set, with the draws that say how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.evaluators.intervals import draw_counts
from keras_similarity.evaluators.sampling import Sampling
from keras_similarity.set_metrics import SetMetric, compute_all
from keras_similarity.types import Floats

#: Draws of the bootstrap: each is an evaluation of the whole set.
DRAWS = 200


@dataclass(eq=False)
class SetValues:
    """Metrics that are no mean over queries.

    Attributes:
        metrics: Name -> metric.
        embeddings: Queries `[Q, D]`.
        labels: Integers `[Q]`, or `None`.
        distance: How they are compared.
        keys: `key_embeddings` and `key_labels`, where there are keys.
    """

    metrics: Mapping[str, SetMetric]
    embeddings: Floats
    labels: Any
    distance: Distance
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._drawn: dict[tuple[str, int], dict[str, Any]] = {}
        self.values = self._compute(None) if self.metrics else {}

    def draws(self, sampling: Sampling, seed: int) -> dict[str, Any]:
        """Name -> values `[R]` of bootstrap draws; kept, since they take long."""
        key = sampling.unit, seed
        if key not in self._drawn:
            unit = sampling.unit_of_queries(len(self.embeddings))
            generator = np.random.default_rng(seed)
            counts = draw_counts(generator, DRAWS, int(unit.max()) + 1)
            self._drawn[key] = self._compute(counts.astype("int16")[:, unit])
        return self._drawn[key]

    def interval(
        self, name: str, sampling: Sampling, confidence: float, seed: int
    ) -> Any:
        """Ends `[2]` of the percentile interval of a metric."""
        return percentiles(self.draws(sampling, seed)[name], confidence)

    def _compute(self, weights: Any) -> dict[str, Any]:
        return compute_all(
            self.metrics,
            self.embeddings,
            self.labels,
            self.distance,
            weights=weights,
            **self.keys,
        )


def percentiles(draws: Floats, confidence: float) -> Floats:
    """Ends `[2]` of the middle share of draws; NaN without two of them."""
    tail = (1 - confidence) / 2
    known = draws[~np.isnan(draws)]
    if len(known) < 2:
        return np.full(2, np.nan)
    return np.quantile(known, [tail, 1 - tail])
