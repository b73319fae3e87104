"""Fewer pairs than there were."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.pairs.pairs import Pairs, pairs_by_rule, pairs_from_triplets
from keras_similarity.pairs.triplets import TripletRule, Triplets

Tensor = Any


def keep_pairs(pairs: Pairs, positive: Tensor, negative: Tensor) -> Pairs:
    """The pairs that masks allow, counted as often as before.

    Of triplets those stay of which both pairs do.

    Args:
        pairs: Pairs `[n, M]`.
        positive: Bool `[n, M]`: which of the positives stay?
        negative: Bool `[n, M]`: which of the negatives stay?
    """
    triplets = pairs.triplets
    if isinstance(triplets, Triplets):
        return _keep_listed(triplets, positive, negative)
    positive = pairs.positive_mask & positive
    negative = pairs.negative_mask & negative
    if isinstance(triplets, TripletRule):
        return pairs_by_rule(Pairs(positive, negative), triplets)
    return Pairs(
        positive,
        negative,
        _weights_of(pairs.positive_weights, positive),
        _weights_of(pairs.negative_weights, negative),
    )


def _weights_of(weights: Tensor | None, mask: Tensor) -> Tensor | None:
    return None if weights is None else weights * ops.cast(mask, weights.dtype)


def _keep_listed(triplets: Triplets, positive: Tensor, negative: Tensor) -> Pairs:
    rows, keys = ops.shape(positive)
    weights = triplets.counts
    for mask, columns in ((positive, triplets.positives), (negative, triplets.negatives)):
        place = ops.cast(triplets.anchors, "int32") * keys + ops.cast(columns, "int32")
        kept = ops.take(ops.reshape(mask, (-1,)), place)
        weights = weights * ops.cast(kept, weights.dtype)
    kept_triplets = Triplets(
        triplets.anchors, triplets.positives, triplets.negatives, weights
    )
    return pairs_from_triplets(kept_triplets, (rows, keys))
