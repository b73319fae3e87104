"""N-pairs loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import cross_entropy, is_traced, ops
from keras_similarity.distances import DotProductSimilarity
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Batch, Pairs, masked_log_sum_exp
from keras_similarity.reducers import SubLoss

Tensor = Any

_NOWHERE = 2**31 - 1
# Rows up to which all costs are made sooner than the used ones are picked.
_FEW = 64


@register("n_pairs")
class NPairsLoss(MetricLoss):
    """One pair a class, the positive of each against those of all the others.

    Takes the first positive pair `(a_c, p_c)` of each class `c`, in the order of rows,
    and of it `log sum_k exp(s(a_c, p_k)) - s(a_c, p_c)`, over the classes `k`. It depends
    on the order of the rows; labels are needed beside pairs.

    Args:
        **kwargs: Those of `MetricLoss`: `distance` (`DotProductSimilarity`, which
            normalises, by default), `miner`, `reducer`, `name`, ...

    Reference:
        [Sohn, 2016](https://papers.nips.cc/paper/6200)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import NPairsLoss
        >>> labels, embeddings = np.array([0, 0, 1, 1]), np.eye(4, dtype="float32")
        >>> round(float(NPairsLoss()(labels, embeddings)), 3)  # log 2
        0.693
    """

    default_name = "n_pairs_loss"
    default_distance = DotProductSimilarity
    takes_pairs = False  # Without labels.
    is_row_wise = False

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        positives, is_first = _first_pairs(batch)
        values = self._values(batch, positives, is_first)
        return {"loss": SubLoss(values, ops.cast(is_first, values.dtype))}

    def _values(self, batch: Batch, positives: Tensor, is_first: Tensor) -> Tensor:
        """Loss `[n]` of the rows that are the first of a pair; 0 of the others."""
        if is_traced(is_first):
            # On JAX columns of the costs would take longer than measuring them.
            keys = ops.take(batch.keys, positives, axis=0)
            return _cross_entropies(self.distance.cost(batch.embeddings, keys), is_first)
        anchors = ops.nonzero(is_first)[0]
        count = anchors.shape[0]
        if not count:
            return _cross_entropies(ops.take(batch.cost, positives, axis=1), is_first)
        positives = ops.take(positives, anchors, axis=0)
        if len(is_first) <= _FEW:
            cost = ops.take(ops.take(batch.cost, anchors, axis=0), positives, axis=1)
        else:
            cost = self.distance.cost(
                ops.take(batch.embeddings, anchors, axis=0),
                ops.take(batch.keys, positives, axis=0),
            )
        values = cross_entropy(-cost, ops.arange(count, dtype="int32"))
        return ops.segment_sum(values, anchors, num_segments=is_first.shape[0])


def _cross_entropies(cost: Tensor, is_pair: Tensor) -> Tensor:
    """Loss `[n]` from the cost `[n, n]` of anchors and positives; 0 where no pair is."""
    every = masked_log_sum_exp(-cost, is_pair[None, :])[:, 0]
    return ops.where(is_pair, every + ops.diagonal(cost), 0.0)


def _first_pairs(batch: Batch) -> tuple[Tensor, Tensor]:
    """The first positive `[n]` of each row, and is the pair the first of its class?"""
    labels, pairs = batch.labels, batch.pairs
    row = ops.arange(ops.shape(labels)[0], dtype="int32")
    if pairs is batch.label_pairs and not batch.has_keys and batch.remove_diagonal:
        positive = ops.argmax(ops.cast(pairs.positive_mask, "int32"), axis=1)
        return positive, positive > row
    order = _order(pairs)
    first = ops.amin(order, axis=1)
    is_own = labels[:, None] == labels[None, :]
    first_of_class = ops.amin(ops.where(is_own, first[None, :], _NOWHERE), axis=1)
    is_first = (first == first_of_class) & (first != _NOWHERE)
    return ops.argmin(order, axis=1), is_first


def _order(pairs: Pairs) -> Tensor:
    """Integers `[n, M]`: place of each positive; larger than all of them elsewhere."""
    order = pairs.positive_order
    if order is None:
        rows, keys = ops.shape(pairs.positive_mask)
        order = ops.reshape(ops.arange(rows * keys, dtype="int32"), (rows, keys))
    return ops.where(pairs.positive_mask, order, _NOWHERE)
