"""Histogram loss."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.no_keys import refuse_keys
from keras_similarity.losses.soft_histogram import soft_histograms
from keras_similarity.pairs import Batch, has_any, one_if_zero
from keras_similarity.reducers import SubLoss

Tensor = Any


def histogram(
    similarity: Tensor,
    positive_mask: Tensor,
    negative_mask: Tensor,
    *,
    delta: float,
    are_disjoint: bool = False,
) -> Tensor:
    """Probability that a positive pair is less similar than a negative one, a scalar.

    `sum_b h-_b sum_(c <= b) h+_c` of the two histograms, each of sum 1.

    Args:
        similarity: Similarities `[n, n]`, from -1 to 1.
        positive_mask: Bool `[n, n]`: the positive pairs.
        negative_mask: Bool `[n, n]`: the negative pairs.
        delta: Width of a bin.
        are_disjoint: Is no pair both? It is faster to know.

    Returns:
        0 where one of the masks is empty.
    """
    bins = math.ceil(2.0 / delta - 1e-6) + 1
    places = (similarity + 1.0) * (1.0 / delta)
    places, *masks = (
        ops.reshape(matrix, (1, -1)) for matrix in (places, positive_mask, negative_mask)
    )
    both = soft_histograms(places, masks, bins, are_disjoint=are_disjoint)[0]
    totals = ops.sum(both, axis=1, keepdims=True)
    densities = both / one_if_zero(totals)
    return ops.sum(densities[1] * ops.cumsum(densities[0]))


@register("histogram")
class HistogramLoss(MetricLoss):
    """How far the similarities of positives and of negatives overlap; see `histogram()`.

    Each pair counts once, whichever of its rows is the anchor, if the anchor has both a
    positive and a negative. The value is one number, whatever the reducer.

    Args:
        n_bins: Number of intervals from -1 to 1; 100 if neither is given.
        delta: Their width, `2 / n_bins`.
        **kwargs: Those of `MetricLoss`: `distance` (one that measures cosines), `miner`,
            `name`, ...

    Raises:
        ValueError: If `n_bins` and `delta` contradict each other or are not positive, or
            `distance` does not measure cosines; when called, if there are keys.

    Reference:
        [Ustinova and Lempitsky, 2016](https://arxiv.org/abs/1611.00822)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import HistogramLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
        >>> loss = HistogramLoss(n_bins=10)
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)
        1.0
    """

    default_name = "histogram_loss"
    default_distance = CosineSimilarity
    takes_pairs = False  # With keys of their own.
    is_row_wise = False

    def __init__(
        self, n_bins: int | None = None, delta: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("n_bins", n_bins), ("delta", delta)):
            if value is not None and value <= 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
        if n_bins is not None and delta is not None and abs(delta * n_bins - 2) > 1e-9:
            raise ValueError(
                "`delta` must be 2 / n_bins where both are given. Received: "
                f"n_bins={n_bins}, delta={delta}."
            )
        self.n_bins = n_bins
        self.delta = delta if delta is not None else 2.0 / (n_bins or 100)

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        refuse_keys(batch, type(self).__name__)
        positive, negative = batch.pairs.positive_mask, batch.pairs.negative_mask
        has_both = has_any(positive) & has_any(negative)
        # Labels are equal or they are not, whichever row comes first.
        of_labels = not batch.has_given_pairs
        value = histogram(
            cosine_matrix(batch),
            _once(positive, has_both, is_symmetric=of_labels),
            _once(negative, has_both, is_symmetric=of_labels),
            delta=self.delta,
            are_disjoint=of_labels,
        )
        return {"loss": SubLoss(value, kind="reduced")}

    def get_config(self) -> dict[str, Any]:
        delta = None if self.n_bins is not None else self.delta
        return {**super().get_config(), "n_bins": self.n_bins, "delta": delta}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)


def _once(mask: Tensor, is_used: Tensor, *, is_symmetric: bool) -> Tensor:
    """The pairs of used rows `[n, 1]` with others, each in one of its two orders."""
    row = ops.arange(ops.shape(mask)[0], dtype="int32")
    is_upper = row[:, None] <= row[None, :]
    if is_symmetric:
        return mask & is_upper & (is_used | ops.transpose(is_used))
    mask = mask & is_used
    return (mask | ops.transpose(mask)) & is_upper
