"""Class-weighted reducer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances.stats import is_concrete
from keras_similarity.reducers.base import Reducer, mean, register
from keras_similarity.reducers.sub_loss import SubLoss

Tensor = Any


@register("class_weighted")
class ClassWeightedReducer(Reducer):
    """Mean of the values, each multiplied by the weight of its anchor's class.

    Divided by how many values there are, not by the sum of the weights.

    Args:
        weights: Floats: the weight of class 0, 1, ...

    Raises:
        ValueError: If `weights` are empty or no single row; when called, outside of jit,
            if a label has no weight.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss
        >>> from keras_similarity.reducers import ClassWeightedReducer
        >>> loss = ContrastiveLoss(distance="sql2", reducer=ClassWeightedReducer([1, 0]))
        >>> embeddings = np.array([[0.0], [1.0], [5.0], [9.0]])
        >>> float(loss(np.array([0, 0, 1, 1]), embeddings))  # (1 + 1 + 0 + 0) / 4
        0.5
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = _floats(weights)

    @property
    def needs_labels(self) -> bool:
        return True

    def finish(self, totals: Tensor, counts: Tensor | None, sub_loss: SubLoss) -> Tensor:
        labels = sub_loss.labels
        if labels is None:
            raise ValueError(
                "`ClassWeightedReducer` needs the labels of the rows. Received: a "
                f"{sub_loss.kind} term without."
            )
        self._check(labels)
        weights = ops.convert_to_tensor(self.weights, dtype=totals.dtype)
        return mean(totals * ops.take(weights, labels), counts)

    def _check(self, labels: Tensor) -> None:
        # JAX and TensorFlow would read some other weight, or none, without a word.
        if not is_concrete(labels):
            return
        low, high = int(ops.amin(labels)), int(ops.amax(labels))
        if not 0 <= low <= high < len(self.weights):
            raise ValueError(
                "`weights` must have a value for each class: labels index it. Received: "
                f"{len(self.weights)} weights, labels from {low} to {high}."
            )

    def get_config(self) -> dict[str, Any]:
        return {"weights": self.weights}


def _floats(weights: Any) -> list[float]:
    if hasattr(weights, "shape"):
        weights = ops.convert_to_numpy(weights)
        if len(weights.shape) != 1:
            raise ValueError(
                "`weights` must have the shape [classes]. Received: "
                f"weights.shape={tuple(weights.shape)}."
            )
    if not len(weights):
        raise ValueError("`weights` must have a value for each class. Received: none.")
    return [float(weight) for weight in weights]
