"""Batches that come as triplets."""

from __future__ import annotations

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Batch, Pairs, Triplets, pairs_from_triplets


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
                "Embeddings packaged as triplets must be 3 rows for each triplet, without "
                f"keys. Received: {rows} rows" + (" and keys." * batch.has_keys or ".")
            )
        rows = ops.shape(batch.embeddings)[0]
        anchors = ops.arange(rows // 3, dtype="int32") * 3
        triplets = Triplets(anchors, anchors + 1, anchors + 2)
        return pairs_from_triplets(triplets, (rows, rows))
