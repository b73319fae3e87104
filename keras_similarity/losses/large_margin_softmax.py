"""Large-margin softmax loss."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import full_precision, ops
from keras_similarity.distances.base import as_floats
from keras_similarity.distances.normalize import unit
from keras_similarity.losses.margin_softmax import MarginSoftmaxLoss
from keras_similarity.losses.metric_loss import register

Tensor = Any

# A cosine may be above 1 by its rounding.
_BELOW_1 = 1.0 - 1e-6


def multiplied_angle(cosines: Tensor, *, margin: int) -> Tensor:
    """Cosines of angles `margin` times as large, made to fall all the way.

    `(-1)^k cos(m theta) - 2k` with `k = floor(m theta / pi)`: it falls from 1 at
    `theta = 0` to `1 - 2m` at `pi`.

    Args:
        cosines: Floats `[N]`, `cos(theta)`.
        margin: `m`, 1 or more.
    """
    # cos(m theta) as a polynomial, since the angle's slope is infinite at +-1.
    before, multiple, twice = 1.0, cosines, 2.0 * cosines
    for _ in range(margin - 1):
        before, multiple = multiple, twice * multiple - before
    # The pieces meet with a slope of 0, so it does not matter that the angle is not
    # quite right. It stays below pi, where the slope would turn round.
    angles = ops.arccos(ops.stop_gradient(cosines) * _BELOW_1)
    piece = ops.floor(angles * (margin / math.pi))
    is_odd = piece - 2.0 * ops.floor(piece / 2.0)
    return (1.0 - 2.0 * is_odd) * multiple - 2.0 * piece


def unit_and_length(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows `[N, D]` at length 1, and their lengths `[N, 1]`; 0 for a zero row."""
    directions = unit(x, ops)
    return directions, ops.sum(x * directions, axis=1, keepdims=True)


@register("large_margin_softmax")
class LargeMarginSoftmaxLoss(MarginSoftmaxLoss):
    """Large-margin softmax: the angle to the own class is multiplied.

    `-log softmax(scale * |e| * |W_c| * cos(theta_c))` of the row's class, whose own
    angle is `margin` times as large; see `multiplied_angle()`.

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
        [Liu et al., 2016](https://arxiv.org/abs/1612.02295)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import LargeMarginSoftmaxLoss
        >>> loss = LargeMarginSoftmaxLoss(2, 2, margin=2, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 1.0]]))), 3)  # cos(90) = 0
        1.313
    """

    default_name = "large_margin_softmax_loss"
    #: Do the lengths of the class vectors count?
    has_class_lengths: ClassVar[bool] = True

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float = 4,
        scale: float = 1,
        **kwargs: Any,
    ) -> None:
        if not 1 <= margin < math.inf:
            raise ValueError(
                "`margin` must be an integer, 1 or more; a fraction is cut off. "
                f"Received: margin={margin}."
            )
        super().__init__(num_classes, embedding_size, int(margin), scale, **kwargs)

    def target_cosines(self, cosines: Tensor) -> Tensor:
        return multiplied_angle(cosines, margin=int(self.margin))

    def cosines_and_scale(self, embeddings: Tensor) -> tuple[Tensor, Any]:
        embeddings = as_floats(embeddings, ops)
        weights = ops.cast(self.class_rows, dtype_name(embeddings))
        with full_precision(embeddings):
            rows, row_lengths = unit_and_length(embeddings)
            classes, class_lengths = unit_and_length(weights)
            cosines = rows @ ops.transpose(classes)
            scale = self.scale * row_lengths
            if self.has_class_lengths:
                scale = scale * ops.transpose(class_lengths)
        return cosines, scale
