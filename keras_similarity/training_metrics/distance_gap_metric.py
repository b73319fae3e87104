"""The gap between positives and negatives."""

from __future__ import annotations

from typing import Any

from keras_similarity import distances
from keras_similarity.backend import keras, ops
from keras_similarity.distances import Distance
from keras_similarity.registry import register_serializable
from keras_similarity.training_metrics.distance_metric import DistanceMetric

Tensor = Any


@register_serializable
class DistanceGapMetric(keras.metrics.Metric):
    """How much farther the nearest negative is than the farthest positive.

    `min_neg - max_pos` over all anchors since `reset_state`, in units of the distance.
    Above 0 one threshold tells all pairs apart; below 0 some negative is nearer than some
    positive, whatever the distance: of a similarity, its values count the other way
    round. It is 0 as long as there was no positive, or no negative.

    Args:
        distance: A `Distance`, its name or its config.
        name: `"dist_gap"` by default.
        dtype: As Keras' metrics; distances are computed in float32 at least.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.training_metrics import DistanceGapMetric
        >>> metric = DistanceGapMetric("l1")
        >>> metric.update_state(np.array([0, 0, 1]), np.array([[0.0], [2.0], [3.0]]))
        >>> float(metric.result())  # 1 - 2
        -1.0
    """

    def __init__(
        self, distance: Distance | str, name: str | None = None, dtype: Any = None
    ) -> None:
        self.distance = distances.get(distance)
        super().__init__(name=name or "dist_gap", dtype=dtype)
        far, near = ("min", "max") if self.distance.is_similarity else ("max", "min")
        self.positive = DistanceMetric(self.distance, far, "positive", dtype=dtype)
        self.negative = DistanceMetric(self.distance, near, "negative", dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes in a batch; arguments as those of `DistanceMetric.update_state`."""
        self.positive.update_state(y_true, y_pred, sample_weight)
        self.negative.update_state(y_true, y_pred, sample_weight)

    def reset_state(self) -> None:
        """Forgets all batches."""
        self.positive.reset_state()
        self.negative.reset_state()

    def result(self) -> Tensor:
        """The gap since the last `reset_state`; 0 where there is none."""
        to_cost = self.distance.to_cost
        gap = to_cost(self.negative.result()) - to_cost(self.positive.result())
        return ops.where(self.positive.has_none | self.negative.has_none, 0.0, gap)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        config = super().get_config()
        return {**config, "distance": distances.serialize(self.distance)}


def dist_gap(distance: Distance | str) -> DistanceGapMetric:
    """How much farther the nearest negative is than the farthest positive."""
    return DistanceGapMetric(distance)
