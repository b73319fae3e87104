"""Multi-similarity miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Pairs, keep_pairs, masked_max, masked_min

Tensor = Any


def hard_pairs(cost: Tensor, pairs: Pairs, *, epsilon: float) -> Pairs:
    """The pairs that are hard beside the anchor's other pairs.

    A negative stays if it is nearer than the farthest positive plus `epsilon`, a
    positive if it is farther than the nearest negative minus `epsilon`. An anchor
    without a positive or without a negative keeps no pair.
    """
    nearest_negative = masked_min(cost, pairs.negative_mask)  # [n, 1], inf if none
    farthest_positive = masked_max(cost, pairs.positive_mask)  # [n, 1], -inf if none
    return Pairs(
        pairs.positive_mask & (cost > nearest_negative - epsilon),
        pairs.negative_mask & (cost < farthest_positive + epsilon),
    )


@register("multi_similarity")
class MultiSimilarityMiner(Miner):
    """Keeps the pairs that are hard beside the anchor's others; see `hard_pairs()`.

    Args:
        epsilon: Slack, in units of the distance.
        distance: A `Distance` or its name; `None` shares the loss's, and is cosine
            similarity where the miner is called by itself.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1904.06627)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.miners import MultiSimilarityMiner
        >>> embeddings = np.array([[1, 0], [0, 1], [1, 0.1], [-1, 0.1]])
        >>> pairs = MultiSimilarityMiner()(np.array([0, 0, 1, 2]), embeddings)
        >>> ops.convert_to_numpy(pairs.negative_mask[0]).tolist()
        [False, False, True, False]
    """

    default_distance = CosineSimilarity

    def __init__(
        self, epsilon: float = 0.1, distance: Distance | str | None = None
    ) -> None:
        super().__init__(distance)
        self.epsilon = epsilon

    def mine(self, cost: Tensor, pairs: Pairs) -> Pairs:
        hard = hard_pairs(cost, pairs, epsilon=self.epsilon)
        return keep_pairs(pairs, hard.positive_mask, hard.negative_mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
