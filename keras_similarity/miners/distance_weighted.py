"""Distance-weighted miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras, ops, static_value
from keras_similarity.distances import Distance
from keras_similarity.distances.unit_euclidean import (
    checked_unit_euclidean,
    is_unit_euclidean,
)
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import (
    Batch,
    Pairs,
    draw_columns,
    draw_uniform,
    masked_max,
    pairs_from_triplets,
    triplets_of_columns,
)

Tensor = Any

# At 2, the distance of opposite points, the density is 0.
_OPPOSITE = 2.0 - 1e-6


def distance_weights(
    distances: Tensor,
    mask: Tensor,
    *,
    dim: int,
    cutoff: float,
    nonzero_loss_cutoff: float,
) -> Tensor:
    """How often each negative is drawn, relative to the anchor's most frequent one.

    `1 / q(d)`, where `q` is the density of distances between random points of a sphere:
    `q(d) = d ** (dim - 2) * (1 - d ** 2 / 4) ** ((dim - 3) / 2)`, `d` at least `cutoff`.

    Args:
        distances: Euclidean distances `[n, M]` of embeddings of length 1.
        mask: Bool `[n, M]`: what may be drawn.
        dim: Embedding width.
        cutoff: Nearer negatives are drawn as often as those at this distance.
        nonzero_loss_cutoff: Negatives from this distance on are not drawn.

    Returns:
        Floats `[n, M]` from 0 to 1.
    """
    bound = min(nonzero_loss_cutoff, _OPPOSITE)
    distances = ops.clip(distances, cutoff, bound)
    mask = mask & (distances < bound)
    logs = (2.0 - dim) * ops.log(distances)
    logs = logs - (0.5 * (dim - 3)) * ops.log(1.0 - 0.25 * distances * distances)
    # Over the largest of the row, so that no row underflows as a whole.
    return ops.where(mask, ops.exp(logs - masked_max(logs, mask)), 0.0)


@register("distance_weighted")
class DistanceWeightedMiner(Miner):
    """Draws negatives so that all distances are equally likely.

    An anchor of a class with `k` keys, itself included, has `k` random triplets: the
    positive is drawn uniformly, the negative by `distance_weights()`. An anchor without
    a positive, or without a negative that can be drawn, has none.

    Eager, the list has as many triplets an anchor as the largest class has keys; in a
    compiled step, where only run time knows that number, one a key, of which those that
    are too many have weight 0.

    Args:
        cutoff: Nearer negatives are drawn as often as those at this distance; greater
            than 0.
        nonzero_loss_cutoff: Negatives from this distance on are not drawn.
        distance: A `LpDistance` with its defaults. `None` shares the loss's if it is
            such a distance, and else is one.
        seed: Seed of the draws; `None` for a random one.

    Raises:
        ValueError: If `cutoff` is not positive, or the distance is another one.

    Reference:
        [Wu et al., 2017](https://arxiv.org/abs/1706.07567)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import DistanceWeightedMiner
        >>> from keras_similarity.pairs import triplet_indices
        >>> embeddings = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.8, 0.6, 0.0]])
        >>> pairs = DistanceWeightedMiner(seed=0)(np.array([0, 0, 1]), embeddings)
        >>> [column.tolist() for column in triplet_indices(pairs)]
        [[0, 0, 1, 1], [1, 1, 0, 0], [2, 2, 2, 2]]
    """

    def __init__(
        self,
        cutoff: float = 0.5,
        nonzero_loss_cutoff: float = 1.4,
        distance: Distance | str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(distance)
        if cutoff <= 0:
            raise ValueError(f"`cutoff` must be positive. Received: cutoff={cutoff}.")
        self.cutoff = cutoff
        self.nonzero_loss_cutoff = nonzero_loss_cutoff
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    @property
    def seed_generator(self) -> keras.random.SeedGenerator:
        return self._generator

    def mine_batch(self, batch: Batch) -> Pairs:
        pairs = batch.pairs
        positive = pairs.positive_counts
        weights = self._weights(batch)
        per_anchor = self._triplets_per_anchor(batch, weights)  # [n]
        rows, keys = ops.shape(positive)
        most = static_value(ops.amax(per_anchor))
        most = keys if most is None else max(most, 1)
        uniform = draw_uniform((2, rows, most), self._generator, weights)
        negatives = draw_columns(weights, uniform[1])
        # Sums in float32 can be off so far that a column of weight 0 is drawn.
        can_be = ops.take_along_axis(weights, negatives, axis=1) > 0.0
        slot = ops.arange(most, dtype="int32")
        counts = ops.cast((slot < per_anchor[:, None]) & can_be, "float32")
        positives = draw_columns(positive, uniform[0])
        triplets = triplets_of_columns(positives, negatives, counts)
        return pairs_from_triplets(triplets, (rows, keys))

    def _weights(self, batch: Batch) -> Tensor:
        """Floats `[n, M]`: how often each negative is drawn."""
        distance = self.distance
        if distance is None and not is_unit_euclidean(batch.distance):
            distance = self.default_distance()
        return distance_weights(
            ops.stop_gradient(batch.cost_of(distance)),
            batch.pairs.negative_mask,
            dim=batch.embeddings.shape[1],
            cutoff=self.cutoff,
            nonzero_loss_cutoff=self.nonzero_loss_cutoff,
        )

    def _triplets_per_anchor(self, batch: Batch, weights: Tensor) -> Tensor:
        """Integers `[n]`: how many keys the anchor's class has; 0 without a triplet."""
        count = ops.sum(ops.cast(batch.pairs.positive_mask, "int32"), axis=1)
        can_be = (count > 0) & (ops.sum(weights, axis=1) > 0.0)
        if batch.remove_diagonal and not batch.has_keys:
            count = count + 1
        return count * ops.cast(can_be, "int32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cutoff": self.cutoff,
            "nonzero_loss_cutoff": self.nonzero_loss_cutoff,
            "seed": self.seed,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_unit_euclidean(distance, type(self).__name__, power=1)
