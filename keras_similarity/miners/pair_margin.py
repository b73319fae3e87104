"""Pair margin miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Batch, Pairs, keep_pairs


@register("pair_margin")
class PairMarginMiner(Miner):
    """Keeps the positives beyond a margin and the negatives within another.

    Args:
        pos_margin: Positives farther than this stay; in units of the distance.
        neg_margin: Negatives nearer than this stay. The defaults suit distances; for a
            similarity, positives below `pos_margin` and negatives above `neg_margin`
            stay.
        distance: A `Distance` or its name; `None` shares the loss's, and is normalised
            Euclidean where the miner is called by itself.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import PairMarginMiner
        >>> from keras_similarity.pairs import pair_indices
        >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
        >>> pairs = PairMarginMiner(neg_margin=0.5)(np.array([0, 0, 1]), embeddings)
        >>> [column.tolist() for column in pair_indices(pairs)]
        [[0, 1], [1, 0], [1, 2], [2, 1]]
    """

    def __init__(
        self,
        pos_margin: float = 0.2,
        neg_margin: float = 0.8,
        distance: Distance | str | None = None,
    ) -> None:
        super().__init__(distance)
        self.pos_margin = pos_margin
        self.neg_margin = neg_margin

    def mine_batch(self, batch: Batch) -> Pairs:
        to_cost = self.distance_in(batch).to_cost
        cost = ops.stop_gradient(batch.cost_of(self.distance))
        is_far = cost > to_cost(self.pos_margin)
        return keep_pairs(batch.pairs, is_far, cost < to_cost(self.neg_margin))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pos_margin": self.pos_margin,
            "neg_margin": self.neg_margin,
        }
