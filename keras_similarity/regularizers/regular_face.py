"""RegularFace regularizer."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.pairs import has_any, masked_max
from keras_similarity.reducers import SubLoss
from keras_similarity.regularizers.base import Regularizer, register

Tensor = Any


@register("regular_face")
class RegularFaceRegularizer(Regularizer):
    """Penalty `max_{j != i} s(x_i, x_j)` of each row: keeps classes apart.

    A row that is alone has penalty 0.

    Args:
        reducer: A `Reducer` or its name; the mean by default.
        distance: A similarity or its name: larger must mean closer. Cosine similarity by
            default.

    Raises:
        ValueError: If larger does not mean closer.

    Reference:
        [Zhao et al., 2019](https://openaccess.thecvf.com/content_CVPR_2019/html/Zhao_RegularFace_Deep_Face_Recognition_via_Exclusive_Regularization_CVPR_2019_paper.html)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.regularizers import RegularFaceRegularizer
        >>> x = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
        >>> round(float(RegularFaceRegularizer()(x)), 3)  # (0.6 + 0.6 - 0.6) / 3
        0.2
    """

    default_distance = CosineSimilarity

    def row_penalties(self, x: Tensor) -> SubLoss:
        row = ops.arange(ops.shape(x)[0])
        is_other = row[:, None] != row[None, :]
        nearest = masked_max(self.distance(x), is_other)
        return SubLoss(ops.where(has_any(is_other), nearest, 0.0)[:, 0])

    def _checked_distance(self, distance: Distance) -> Distance:
        if not distance.is_similarity:
            raise ValueError(
                "`distance` must be a similarity, in which larger means closer. "
                f"Received: {distance!r}. Use `CosineSimilarity()`."
            )
        return distance
