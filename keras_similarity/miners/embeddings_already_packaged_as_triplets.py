"""Batches that come as triplets."""

from __future__ import annotations

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Batch, Pairs, Triplets


@register("embeddings_already_packaged_as_triplets")
class EmbeddingsAlreadyPackagedAsTriplets(Miner):
    """Takes each three rows of a batch as anchor, positive and negative.

    Rows 0, 3, 6, ... are anchors, 1, 4, 7, ... their positives, 2, 5, 8, ... their
    negatives. Labels do not matter.

    Args:
        distance: Not looked at; every miner has one.

    Raises:
        ValueError: When it is called with keys, or with rows that are no triplets.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import EmbeddingsAlreadyPackagedAsTriplets
        >>> from keras_similarity.pairs import triplet_indices
        >>> embeddings = np.random.default_rng(0).normal(size=(6, 2))
        >>> pairs = EmbeddingsAlreadyPackagedAsTriplets()(np.zeros(6, int), embeddings)
        >>> [column.tolist() for column in triplet_indices(pairs)]
        [[0, 3], [1, 4], [2, 5]]
    """

    def __init__(self, distance: Distance | str | None = None) -> None:
        super().__init__(distance)

    def mine_batch(self, batch: Batch) -> Pairs:
        rows = batch.embeddings.shape[0]
        if batch.has_keys or (rows is not None and rows % 3):
            raise ValueError(
                "Embeddings packaged as triplets must be 3 rows for each triplet, "
                f"without keys. Received: {rows} rows"
                + (" and keys." if batch.has_keys else ".")
            )
        row = ops.arange(ops.shape(batch.embeddings)[0], dtype="int32")
        is_anchor = (row % 3 == 0)[:, None]
        steps = row[None, :] - row[:, None]  # From the anchor to the key.
        anchors = row[::3]
        return Pairs(
            is_anchor & (steps == 1),
            is_anchor & (steps == 2),
            triplets=Triplets(anchors, anchors + 1, anchors + 2),
        )
