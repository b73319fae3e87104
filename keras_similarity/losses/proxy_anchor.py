"""Proxy-anchor loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.backend import keras, ops
from keras_similarity.distances import CosineSimilarity
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.pairs import Batch
from keras_similarity.pairs.masked import masked_log1p_sum_exp
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("proxy_anchor")
class ProxyAnchorLoss(ClassWeightLoss):
    """Proxy-anchor: each class's proxy draws its rows and repels the others.

    `log(1 + sum_i exp(alpha (d_i - margin)))` over the rows `i` of each class, meaned
    over the classes that have rows; and `log(1 + sum_i exp(alpha (-margin - d_i)))` over
    the rows of other classes, meaned over all classes. With a similarity the differences
    are turned round.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        margin: In units of the distance.
        alpha: How steep.
        distance: A `Distance` or its name; cosine similarity by default.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ... The values are of
            classes: `reduction="none"` gives `[num_classes]`. A miner's weight `w` of a
            row adds `w - 1` to its exponent.

    Attributes:
        proxies: The variable of the weights, `[num_classes, D]`; normal of deviation
            `sqrt(2 / num_classes)` at first.

    Raises:
        ValueError: When called with `sample_weight`: values are not those of rows.

    Reference:
        [Kim et al., 2020](https://arxiv.org/abs/2003.13911)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ProxyAnchorLoss
        >>> loss = ProxyAnchorLoss(2, 2, alpha=1, weight_init_func="identity")
        >>> # log(1 + exp(0.1 - 1)) + log(1 + exp(0.1 + 0)) / 2
        >>> round(float(loss(np.array([0]), np.array([[1.0, 0.0]]))), 3)
        0.713
    """

    default_name = "proxy_anchor_loss"
    default_distance = CosineSimilarity
    default_reducer = "divisor"
    is_row_wise = False
    has_row_layout = True
    weight_name = "proxies"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.1,
        alpha: float = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, **kwargs)
        self.margin = margin
        self.alpha = alpha

    def of_batch(self, batch: Batch, sample_weight: Any = None) -> Tensor:
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must not be given: the values of `ProxyAnchorLoss` are "
                "those of classes, not of rows. Received: weights of the shape "
                f"{tuple(np.shape(sample_weight))}."
            )
        return super().of_batch(batch)

    @property
    def proxies(self) -> Any:
        """The variable of the weights, `[num_classes, D]`."""
        return self.class_weights

    def default_initializer(self) -> Any:
        stddev = (2.0 / self.num_classes) ** 0.5
        return keras.initializers.RandomNormal(stddev=stddev)

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        classes = ops.arange(self.num_classes, dtype="int32")
        is_own = classes[:, None] == ops.cast(batch.labels, "int32")  # [C, N]
        cost = ops.transpose(self.distance.cost(batch.embeddings, self.class_rows))
        # An own row costs what it is too far, another one what it is too near.
        turned = cost * (2.0 * ops.cast(is_own, cost.dtype) - 1.0)
        exponents = self.alpha * (turned - self.distance.to_cost(self.margin))
        if batch.sample_weights is not None:
            exponents = exponents + (batch.sample_weights - 1.0)
        positive = masked_log1p_sum_exp(exponents, is_own)[:, 0]
        negative = masked_log1p_sum_exp(exponents, ~is_own)[:, 0]
        present = ops.sum(ops.cast(ops.any(is_own, axis=1), "float32"))
        return {
            "pos_loss": SubLoss(positive, divisor=present, labels=classes),
            "neg_loss": SubLoss(negative, divisor=self.num_classes, labels=classes),
        }

    def get_logits(self, embeddings: Any) -> Tensor:
        """Distances `[N, num_classes]` of embeddings `[N, D]` and proxies."""
        return self.distance(ops.convert_to_tensor(embeddings), self.class_rows)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "alpha": self.alpha}
