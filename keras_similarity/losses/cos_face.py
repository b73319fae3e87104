"""CosFace loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.losses.margin_softmax import MarginSoftmaxLoss
from keras_similarity.losses.metric_loss import register

Tensor = Any


@register("cos_face")
class CosFaceLoss(MarginSoftmaxLoss):
    """CosFace: a softmax over classes in which the own one's cosine is lowered.

    `-log softmax(scale * cos(theta))` of the row's class, whose own cosine is `margin`
    lower.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        margin: Taken from the cosine.
        scale: What cosines are multiplied by.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ...; a `distance`
            must measure cosines.

    Attributes:
        W: The variable of the weights, `[D, num_classes]`; normal of deviation 1 at
            first.

    Reference:
        [Wang et al., 2018](https://arxiv.org/abs/1801.09414)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import CosFaceLoss
        >>> loss = CosFaceLoss(2, 2, margin=0.5, scale=2, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 0.0]]))), 3)
        0.313
    """

    default_name = "cos_face_loss"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.35,
        scale: float = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, margin, scale, **kwargs)

    def target_cosines(self, cosines: Tensor) -> Tensor:
        return cosines - self.margin
