"""Proxy-NCA loss."""

from __future__ import annotations

from functools import partial
from typing import Any

from keras_similarity.backend import cross_entropy, ops
from keras_similarity.distances import LpDistance
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.pairs import Batch, sample_weights
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("proxy_nca")
class ProxyNCALoss(ClassWeightLoss):
    """Proxy-NCA: each row is drawn to its class's proxy, away from the others.

    `-log softmax(-softmax_scale * cost)` of the row's class; its own proxy is in the
    denominator, too.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        softmax_scale: What costs are multiplied by.
        distance: A `Distance` or its name; squared Euclidean of normalised vectors by
            default.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ... A miner weights
            rows by how often each is an anchor.

    Attributes:
        proxies: The variable of the weights, `[num_classes, D]`; normal of deviation 1
            at first.

    Reference:
        [Movshovitz-Attias et al., 2017](https://arxiv.org/abs/1703.07464)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ProxyNCALoss
        >>> loss = ProxyNCALoss(2, 2, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 0.0]]))), 3)  # 0, and 2
        0.127
    """

    default_name = "proxy_nca_loss"
    default_distance = partial(LpDistance, power=2)
    has_row_layout = True
    weight_name = "proxies"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        softmax_scale: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, **kwargs)
        self.softmax_scale = softmax_scale

    @property
    def proxies(self) -> Any:
        """The variable of the weights, `[num_classes, D]`."""
        return self.class_weights

    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cost = self.distance.cost(embeddings, self.class_rows)
        return cross_entropy(cost * -self.softmax_scale, labels)

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        values = self.class_losses(batch.embeddings, batch.labels)
        if batch.has_given_pairs:
            values = values * sample_weights(batch.pairs, anchors_only=True)
        return {"loss": SubLoss(values)}

    def get_logits(self, embeddings: Any) -> Tensor:
        """Distances `[N, num_classes]` of embeddings `[N, D]` and proxies."""
        return self.distance(ops.convert_to_tensor(embeddings), self.class_rows)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "softmax_scale": self.softmax_scale}
