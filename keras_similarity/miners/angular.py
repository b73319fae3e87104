"""Angular miner."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance, EuclideanDistance
from keras_similarity.distances.unit_euclidean import checked_unit_euclidean
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Batch, Pairs, TripletRule, pairs_by_rule

Tensor = Any


@register("angular")
class AngularMiner(Miner):
    """Keeps triplets whose angle at the negative is above a threshold.

    `arctan(||a - p|| / (2 ||n - (a + p) / 2||)) > angle`, of embeddings as they are, not
    normalised, for which the distance does not matter. None is listed.

    Args:
        angle: In degrees, from 0 to below 90.
        distance: A `LpDistance` with its defaults, or `None`.

    Raises:
        ValueError: If `angle` is out of range, or the distance is another one.

    Reference:
        [Wang et al., 2017](https://arxiv.org/abs/1708.01682)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import AngularMiner
        >>> from keras_similarity.pairs import triplet_indices
        >>> embeddings = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
        >>> pairs = AngularMiner(angle=20)(np.array([0, 0, 1, 2]), embeddings)
        >>> [column.tolist() for column in triplet_indices(pairs)]
        [[0, 1], [1, 0], [2, 2]]
    """

    def __init__(self, angle: float = 20, distance: Distance | str | None = None) -> None:
        super().__init__(distance)
        if not 0 <= angle < 90:
            raise ValueError(
                f"`angle` must be from 0 to below 90 degrees. Received: angle={angle}."
            )
        self.angle = angle

    def mine_batch(self, batch: Batch) -> Pairs:
        embeddings = ops.stop_gradient(batch.embeddings)
        keys = ops.stop_gradient(batch.keys) if batch.has_keys else None
        squared = _scaled_squares(embeddings, keys)
        rule = TripletRule(self._keeps, squared)
        return pairs_by_rule(batch.pairs, rule)

    def _keeps(self, columns: Tensor, squared: Tensor, key_squared: Tensor) -> Tensor:
        # The median's length is (2 an^2 + 2 pn^2 - ap^2) / 4, squared; so tan > t is
        # ap^2 (1 + t^2) > 2 t^2 (an^2 + pn^2).
        to_positive = ops.take_along_axis(squared, columns, axis=1)[:, :, None]
        between = ops.take(key_squared, columns, axis=0)  # [n, k, M]
        threshold = 2.0 * math.sin(math.radians(self.angle)) ** 2
        return to_positive > (squared[:, None, :] + between) * threshold

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "angle": self.angle}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_unit_euclidean(distance, type(self).__name__, power=1)


def _scaled_squares(embeddings: Tensor, keys: Tensor | None) -> tuple[Tensor, Tensor]:
    """Squared distances to the keys `[n, M]`, and of keys `[M, M]`, in some unit."""
    # Not squared distances from the start, which rounding hides less of where they are 0.
    distance = EuclideanDistance()
    if keys is None:
        distances = distance(embeddings)
        squared = ops.square(ops.divide_no_nan(distances, ops.amax(distances)))
        return squared, squared
    distances, between = distance(embeddings, keys), distance(keys)
    unit = ops.amax(distances) + ops.amax(between)
    return tuple(ops.square(ops.divide_no_nan(x, unit)) for x in (distances, between))
