"""Normalized softmax loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import cross_entropy, ops
from keras_similarity.distances import DotProductSimilarity
from keras_similarity.distances.normalize import unit
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.metric_loss import register

Tensor = Any


@register("normalized_softmax")
class NormalizedSoftmaxLoss(ClassWeightLoss):
    """Normalized softmax: cross entropy over similarities to class vectors of length 1.

    `-log softmax(-cost / temperature)` of the row's class.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        temperature: Divides; greater than 0.
        distance: A `Distance` or its name; the inner product of normalised vectors by
            default. Class vectors are normalised first, whatever the distance does.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ...

    Attributes:
        W: The variable of the weights, `[D, num_classes]`; normal of deviation 1 at
            first.

    Raises:
        ValueError: If a size or `temperature` is not positive; when called, as in
            `ClassWeightLoss`.

    Reference:
        [Zhai and Wu, 2018](https://arxiv.org/abs/1811.12649)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import NormalizedSoftmaxLoss
        >>> loss = NormalizedSoftmaxLoss(2, 2, 0.5, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 0.0]]))), 3)
        0.127
    """

    default_name = "normalized_softmax_loss"
    default_distance = DotProductSimilarity

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        temperature: float = 0.05,
        **kwargs: Any,
    ) -> None:
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        super().__init__(num_classes, embedding_size, **kwargs)
        self.temperature = temperature

    @property
    def W(self) -> Any:
        """The variable of the weights, `[D, num_classes]`."""
        return self.class_weights

    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(self.get_logits(embeddings), labels)

    def get_logits(self, embeddings: Any) -> Tensor:
        """Logits `[N, num_classes]` of embeddings `[N, D]`."""
        rows = self.class_rows
        if not self.distance.normalize_embeddings:
            rows = unit(rows, ops, self.distance.p)
        sign = 1.0 if self.distance.is_similarity else -1.0
        return self.distance(embeddings, rows) * (sign / self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
