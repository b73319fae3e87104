"""SphereFace loss."""

from __future__ import annotations

from keras_similarity.losses.large_margin_softmax import LargeMarginSoftmaxLoss
from keras_similarity.losses.metric_loss import register


@register("sphere_face")
class SphereFaceLoss(LargeMarginSoftmaxLoss):
    """SphereFace: large-margin softmax with class vectors of length 1.

    `-log softmax(scale * |e| * cos(theta_c))` of the row's class, whose own angle is
    `margin` times as large; see `multiplied_angle()`.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        margin: What the angle is multiplied by: an integer, 1 or more; a fraction is
            cut off.
        scale: What logits are multiplied by.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ...; a `distance`
            must measure cosines.

    Attributes:
        W: The variable of the weights, `[D, num_classes]`; normal of deviation 1 at
            first.

    Raises:
        ValueError: If a size is not positive, `margin` is below 1, or `distance` does
            not measure cosines; when called, as in `ClassWeightLoss`.

    Reference:
        [Liu et al., 2017](https://arxiv.org/abs/1704.08063)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SphereFaceLoss
        >>> loss = SphereFaceLoss(2, 2, margin=2, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 1.0]]))), 3)  # cos(90) = 0
        1.313
    """

    default_name = "sphere_face_loss"
    has_class_lengths = False
