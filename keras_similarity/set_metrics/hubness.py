"""Rows that are everybody's neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.set_metrics.base import SetMetric, register
from keras_similarity.set_metrics.neighbors import nearest_keys
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Floats


@register("hubness")
class Hubness(SetMetric):
    """Hubness: skewness of how many rows have a key among their `k` nearest.

    `mean((o - mean(o))^3) / std(o)^3` of the occurrences `o` of the keys, standard
    deviation with N. About 0 where every key is found about as often, 1 and more where
    some are neighbours of a large part of the set. Labels play no role. Of keys at the
    same distance the first are neighbours. NaN where all occur equally often, and where
    there are not `k` other keys. In a draw a row counts as often as it holds it: as one
    that looks, and as a key of the set itself; who is whose neighbour stays.

    Args:
        k: Number of neighbours.
        name: Name of the object.

    Raises:
        ValueError: If `k` is less than 1.

    Reference:
        [Radovanovic et al., 2010](https://jmlr.org/papers/v11/radovanovic10a.html)

    Example:
        >>> from keras_similarity.set_metrics import Hubness
        >>> star = [[0.0, 0.0], [3.0, 0.0], [-3.1, 0.0], [0.0, 3.2], [0.0, -3.3]]
        >>> round(Hubness(k=1).compute(star, None, "euclidean"), 3)
        1.291
    """

    default_name = "hubness"
    needs_labels = False

    def __init__(self, k: int = 10, name: str | None = None) -> None:
        super().__init__(name)
        if k < 1:
            raise ValueError(f"`k` must be at least 1. Received: k={k}.")
        self.k = int(k)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}

    def summarize(self, rows: Rows) -> Floats:
        """Moments `[R, 3]` of the occurrences: mean, variance, third central one."""
        found, _ = nearest_keys(rows, self.k)
        if found.shape[1] < self.k or len(found) == 0:
            return np.full((rows.draws, 3), np.nan)
        moments = []
        keys = len(rows.key_labels)
        for draw in range(rows.draws):
            (weights,) = rows.weights_of(slice(None), slice(draw, draw + 1))
            counts = np.bincount(
                found.ravel(), np.repeat(weights, self.k), minlength=keys
            )
            shares = weights / weights.sum() if rows.is_self else np.full(keys, 1 / keys)
            mean = shares @ counts
            moments.append([mean, *(shares @ (counts - mean) ** p for p in (2, 3))])
        return np.array(moments)

    def value(self, summary: Floats) -> Floats:
        mean, variance, third = summary.T
        # Rounding leaves a little variance where there is none.
        is_spread = variance > 1e-12 * mean**2
        return np.where(
            is_spread, third / np.where(is_spread, variance, 1.0) ** 1.5, np.nan
        )
