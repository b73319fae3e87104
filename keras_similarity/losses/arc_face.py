"""ArcFace loss."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.losses.margin_softmax import MarginSoftmaxLoss
from keras_similarity.losses.metric_loss import register

Tensor = Any

# So that a root has a slope at 0; its own root is rounding noise of a cosine.
_TINY = 1e-14


def arc_face(cosines: Tensor, *, margin: float) -> Tensor:
    """Cosines of angles that are `margin` larger.

    `cos(theta + m)` up to `theta = pi - m`, and `cos(theta) - m sin(m)` beyond, where
    the former would rise again.

    Args:
        cosines: Floats `[N]`, `cos(theta)`.
        margin: `m`, in radians.

    Returns:
        Floats `[N]`. At an angle of 0, where the slope is undefined, it is that of
        `cos(m) cos(theta)`.
    """
    # cos(theta + m), without the angle, whose slope is infinite at a cosine of 1.
    # The slope of the root is that of `relu`, 0, where rounding leaves nothing of it.
    sines = ops.sqrt(ops.relu(1.0 - cosines * cosines) + _TINY)
    larger = cosines * math.cos(margin) - sines * math.sin(margin)
    beyond = cosines - margin * math.sin(margin)
    return ops.where(cosines >= -math.cos(margin), larger, beyond)


@register("arc_face")
class ArcFaceLoss(MarginSoftmaxLoss):
    """ArcFace: a softmax over classes in which the angle to the own one is enlarged.

    `-log softmax(scale * cos(theta))` of the row's class, whose own angle `theta` is
    `margin` degrees larger; see `arc_face()`.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        margin: In degrees, from 0 to 180.
        scale: What cosines are multiplied by.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ...; a `distance`
            must measure cosines.

    Attributes:
        W: The variable of the weights, `[D, num_classes]`; normal of deviation 1 at
            first.

    Raises:
        ValueError: If a size is not positive, `margin` is out of range, or `distance`
            does not measure cosines; when called, as in `ClassWeightLoss`.

    Reference:
        [Deng et al., 2018](https://arxiv.org/abs/1801.07698)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ArcFaceLoss
        >>> loss = ArcFaceLoss(2, 2, margin=60, scale=2, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 0.0]]))), 3)  # cos(60) = 0.5
        0.313
    """

    default_name = "arc_face_loss"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float = 28.6,
        scale: float = 64,
        **kwargs: Any,
    ) -> None:
        if not 0 <= margin <= 180:
            raise ValueError(
                f"`margin` must be from 0 to 180 degrees. Received: margin={margin}."
            )
        super().__init__(num_classes, embedding_size, margin, scale, **kwargs)

    def target_cosines(self, cosines: Tensor) -> Tensor:
        return arc_face(cosines, margin=math.radians(self.margin))
