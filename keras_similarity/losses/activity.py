"""How much of a loss is at work."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.losses.metric_loss import MetricLoss
from keras_similarity.losses.multiple_losses import MultipleLosses
from keras_similarity.losses.two_views import TwoViewLoss

Tensor = Any


def active_counts(
    loss: Any, labels: Any, embeddings: Any
) -> tuple[Tensor, Tensor] | None:
    """How many pairs, triplets or anchors have a loss above 0, and how many there are.

    Args:
        loss: A loss.
        labels: Integers `[N]`.
        embeddings: Floats `[N, D]`.

    Returns:
        Two float scalars; `None` for what is no `MetricLoss`, or has only values that
        are reduced already.
    """
    if isinstance(loss, MultipleLosses):
        each = [active_counts(inner, labels, embeddings) for inner in loss.inner_losses]
        known = [counts for counts in each if counts is not None]
        if not known:
            return None
        return sum(active for active, _ in known), sum(total for _, total in known)
    if not isinstance(loss, MetricLoss) or isinstance(loss, TwoViewLoss):
        return None
    found = loss._terms(loss._batch(labels, embeddings))
    terms = [term for term in found.values() if term.kind != "reduced"]
    if not terms:
        return None
    active: Any = 0.0
    total: Any = 0.0
    for term in terms:
        active = active + _count(term, 0.0)
        total = total + _count(term, None)
    return active, total


def _count(term: Any, low: float | None) -> Tensor:
    sums, counts = term.sums(low, None)
    if counts is None:
        return ops.cast(ops.shape(sums)[0], "float32")
    return ops.sum(ops.cast(counts, "float32"))
