"""Angular loss."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.distances.base import as_floats
from keras_similarity.distances.normalize import unit
from keras_similarity.distances.unit_euclidean import checked_unit_euclidean
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.pair_losses import of_positives
from keras_similarity.pairs import (
    Batch,
    has_any,
    one_if_zero,
    take_keys,
    take_rows,
    values_of_positives,
)
from keras_similarity.reducers import SubLoss

Tensor = Any


def angular(
    embeddings: Tensor,
    keys: Tensor,
    positive_mask: Tensor,
    negative_mask: Tensor,
    *,
    alpha: float,
) -> Tensor:
    """Angular loss of each positive pair.

    `log(1 + sum_n exp(4 t (a + p).n - 2 (1 + t) a.p))`, `t = tan(alpha) ** 2`, of unit
    vectors `a` and `p`.

    Args:
        embeddings: Anchors `[n, D]`, float32 or float64.
        keys: Keys `[M, D]`; the very object `embeddings` where they are the anchors.
        positive_mask: Bool `[n, M]`.
        negative_mask: Bool `[n, M]`.
        alpha: Upper bound of the angle at the negative, in radians.

    Returns:
        Loss `[n, M]`; 0 where a pair is not positive or its anchor has no negative.
    """
    tangent = math.tan(alpha) ** 2
    anchors = unit(embeddings, ops)
    positives = anchors if keys is embeddings else unit(keys, ops)
    transposed = ops.transpose(keys) * (4.0 * tangent)
    from_anchors = anchors @ transposed  # [n, M]
    from_positives = from_anchors if keys is embeddings else positives @ transposed
    # `a.p` from what is there, in place of another product of matrices.
    lengths = ops.sum(positives * keys, axis=1)
    scale = (1.0 + tangent) / (2.0 * tangent)
    between = from_anchors * (scale / one_if_zero(lengths))
    # -inf is left out of the sum; of nothing but -inf the slope would be NaN.
    has_negative = has_any(negative_mask)
    is_out = ~negative_mask & has_negative
    from_anchors = ops.where(is_out, -float("inf"), from_anchors)

    def term(columns: Any, is_positive: Tensor, *tensors: Tensor) -> Tensor:
        from_anchors, from_positives, between = tensors
        logits = from_anchors[:, None, :] + take_rows(from_positives, columns)
        total = ops.logsumexp(logits, axis=2)  # [n, k]
        return ops.softplus(total - take_keys(between, columns))

    positive_mask = positive_mask & has_negative
    return values_of_positives(term, positive_mask, from_anchors, from_positives, between)


@register("angular")
class AngularLoss(MetricLoss):
    """The angle that a negative sees an anchor and its positive under; see `angular()`.

    A value for each positive pair, over all keys of other labels: pairs that are given
    or mined choose among the positives. Anchors and positives are normalised, negatives
    are not (as in PyTorch Metric Learning): with unit vectors it is the paper's loss.

    Args:
        alpha: Upper bound of the angle, in degrees; between 0 and 90.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean, no other),
            `miner`, `reducer`, `name`, ...

    Raises:
        ValueError: If `alpha` is out of range or the distance is another.

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1708.01682)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import AngularLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(AngularLoss()(labels, embeddings)), 3)  # log 2
        0.693
    """

    default_name = "angular_loss"
    default_distance = LpDistance
    takes_pairs = False  # Without labels.

    def __init__(self, alpha: float = 40.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < alpha < 90:
            raise ValueError(
                "`alpha` must be an angle between 0 and 90 degrees. Received: "
                f"alpha={alpha}."
            )
        self.alpha = alpha

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        embeddings = as_floats(batch.embeddings, ops)
        keys = as_floats(batch.keys, ops) if batch.has_keys else embeddings
        values = angular(
            embeddings,
            keys,
            batch.pairs.positive_mask,
            batch.label_pairs.negative_mask,
            alpha=math.radians(self.alpha),
        )
        if batch.has_given_pairs:  # Of the chosen negatives only their presence counts.
            has_negatives = ops.any(batch.pairs.negative_mask)
            values = values * ops.cast(has_negatives, values.dtype)
        return {"loss": of_positives(values, batch.pairs)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_unit_euclidean(distance, type(self).__name__, power=1)
