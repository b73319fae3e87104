"""Sparse-centers regularizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.distances.powers import raised
from keras_similarity.reducers import SubLoss
from keras_similarity.regularizers.base import Regularizer, register

Tensor = Any


@register("sparse_centers")
class SparseCentersRegularizer(Regularizer):
    """Penalty `sqrt(2 - 2 cos)` of each two centers of a class: makes them merge.

    For classes with several centers each, as `SoftTripleLoss` has: rows are centers,
    those of class 0 first, then those of class 1, ... Centers of one direction have
    penalty 0, with gradient 0.

    Args:
        num_classes: Number of classes.
        centers_per_class: Centers that each has; at least 2.
        reducer: A `Reducer` or its name; by default `DivisorReducer`, which gives half
            the mean.
        distance: A cosine distance or similarity, or its name.

    Raises:
        ValueError: If the distance is no cosine, `centers_per_class` is below 2, or,
            when called, there are not as many rows as centers.

    Reference:
        [Qian et al., 2019](https://arxiv.org/abs/1909.05235)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.regularizers import SparseCentersRegularizer
        >>> penalty = SparseCentersRegularizer(num_classes=2, centers_per_class=2)
        >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> float(penalty(x))  # (2 + 0) / (2 * 2)
        0.5
    """

    default_reducer = "divisor"
    default_distance = CosineSimilarity

    def __init__(self, num_classes: int, centers_per_class: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(
                f"`num_classes` must be at least 1. Received: num_classes={num_classes}."
            )
        if centers_per_class < 2:
            raise ValueError(
                "`centers_per_class` must be at least 2, or there is nothing to merge. "
                f"Received: centers_per_class={centers_per_class}."
            )
        self.num_classes = num_classes
        self.centers_per_class = centers_per_class

    def row_penalties(self, x: Tensor) -> SubLoss:
        classes, centers = self.num_classes, self.centers_per_class
        if x.shape[0] not in (None, classes * centers):
            raise ValueError(
                "`x` must have num_classes * centers_per_class = "
                f"{classes * centers} rows. Received: x.shape={tuple(x.shape)}."
            )
        x = ops.reshape(x, (classes, centers, x.shape[1]))
        cost = self.distance.to_cost(self.distance.matrix(x, x, ops))
        # Not an array: `torch.compile` does not know NumPy's.
        place = [i * centers + j for i in range(centers) for j in range(i + 1, centers)]
        cost = ops.take(ops.reshape(cost, (classes, centers**2)), place, axis=1)
        squared = 2.0 + 2.0 * (cost - self.distance.cosine_offset)  # 2 - 2 cos
        # Nearer ones are the same but for rounding; the root's slope there has no bound.
        noise = 16.0 * float(np.finfo(dtype_name(x)).eps)
        values = ops.reshape(raised(ops.relu(squared), 0.5, ops, noise), (-1,))
        labels = ops.repeat(ops.arange(classes, dtype="int32"), len(place))
        return SubLoss(values, divisor=2.0 * classes * len(place), labels=labels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "centers_per_class": self.centers_per_class,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        if not distance.is_cosine:
            raise ValueError(
                "`distance` must be a cosine: the penalty is a formula of it. Received: "
                f"{distance!r}. Use `CosineSimilarity()`."
            )
        return distance
