"""Distance between embeddings of one class."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.array_ops import NUMPY
from keras_similarity.distances.normalize import unit
from keras_similarity.set_metrics.base import SetMetric, register
from keras_similarity.set_metrics.pair_counts import EXACT_WEIGHTS
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.set_metrics.weighing import (
    class_ranges,
    positive_pairs,
    sums_of_pairs,
    sums_of_rows,
)
from keras_similarity.types import Floats


@register("alignment")
class Alignment(SetMetric):
    """Alignment: the mean of `||x - y|| ** alpha` over positive pairs, on the sphere.

    Embeddings are scaled to length 1 first, and the distance asked for plays no role. 0
    is perfect, and easily reached by a collapsed model: read it with `Uniformity`. All
    pairs of one class count, copies of a row with it too, at 0. NaN without such a pair.
    With weights and more than 2**29 weights of pairs, a pair weighs `w_i + w_j - 1`.

    Args:
        alpha: Exponent, greater than 0; the paper's is 2.
        name: Name of the object.

    Raises:
        ValueError: If `alpha` is not greater than 0.

    Reference:
        [Wang and Isola, 2020](https://arxiv.org/abs/2005.10242)

    Example:
        >>> from keras_similarity.set_metrics import Alignment
        >>> Alignment().compute([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], [0, 0, 1])
        2.0
    """

    default_name = "alignment"

    def __init__(self, alpha: float = 2.0, name: str | None = None) -> None:
        super().__init__(name)
        if not 0 < alpha < np.inf:
            raise ValueError(f"`alpha` must be greater than 0. Received: alpha={alpha}.")
        self.alpha = float(alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}

    def summarize(self, rows: Rows) -> Floats:
        """Weighted sums `[R, 2]` over positive pairs: of the values, and of 1."""
        queries, keys = unit(rows.embeddings, NUMPY), unit(rows.key_embeddings, NUMPY)
        ranges = class_ranges(rows.labels, rows.key_labels)
        sizes = ranges[2] - ranges[1]
        is_product = rows.is_self and not rows.draws_classes and rows.weights is not None
        is_listed = is_product and int(sizes.sum()) * rows.draws <= EXACT_WEIGHTS
        sums = np.zeros((len(queries), 2))
        listed = []
        for place in range(int(sizes.max(initial=0))):
            query, key = positive_pairs(rows, ranges, place)
            values = np.ones((len(query), 2))
            difference = queries[query] - keys[key]
            squared = np.einsum("nd,nd->n", difference, difference)
            values[:, 0] = squared ** (self.alpha / 2)
            sums[query] += values
            if is_listed:
                listed.append((query, key, values))
        if is_listed and listed:
            parts = (np.concatenate(part) for part in zip(*listed, strict=True))
            return sums_of_pairs(rows, *parts)
        return sums_of_rows(rows, sums, same_class=True)

    def value(self, summary: Floats) -> Floats:
        total, count = summary.T
        return np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan)
