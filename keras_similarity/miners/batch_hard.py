"""Batch hard miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.miners.base import Miner, register
from keras_similarity.miners.extremes import farthest, nearest, pairs_of_extremes
from keras_similarity.pairs import Pairs

Tensor = Any


@register("batch_hard")
class BatchHardMiner(Miner):
    """One triplet an anchor: its farthest positive and its nearest negative.

    An anchor without a positive or without a negative has none. Of keys at equal
    distance one is taken.

    Args:
        distance: A `Distance` or its name; `None` shares the loss's, and is normalised
            Euclidean where the miner is called by itself.

    Reference:
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import BatchHardMiner
        >>> from keras_similarity.pairs import triplet_indices
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
        >>> pairs = BatchHardMiner()(np.array([0, 0, 1]), embeddings)
        >>> [column.tolist() for column in triplet_indices(pairs)]
        [[0, 1], [1, 0], [2, 2]]
    """

    def mine(self, cost: Tensor, pairs: Pairs) -> Pairs:
        return pairs_of_extremes(
            farthest(cost, pairs.positive_mask),
            nearest(cost, pairs.negative_mask),
            ops.shape(cost)[1],
        )
