"""FastAP loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.distances.unit_euclidean import checked_unit_euclidean
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.no_keys import refuse_keys
from keras_similarity.losses.soft_histogram import soft_histograms
from keras_similarity.pairs import Batch, Pairs, one_if_zero
from keras_similarity.reducers import SubLoss

Tensor = Any


def fast_ap(
    distances: Tensor, pairs: Pairs, *, num_bins: int, largest: float
) -> tuple[Tensor, Tensor]:
    """One minus the average precision of each anchor, from histograms of distances.

    `1 - sum_b h+_b H+_b / H_b / |positives|`, `h+` the histogram of the positives, `H+`
    and `H` the cumulative ones of the positives and of all.

    Args:
        distances: Distances `[n, M]`.
        pairs: Bool masks `[n, M]` of the positives and the negatives; none is both.
        num_bins: Number of intervals.
        largest: The largest possible distance.

    Returns:
        Floats `[n]`, and how many positives each anchor has `[n]`.
    """
    masks = (pairs.positive_mask, pairs.negative_mask)
    places = distances * (num_bins / largest)
    histograms = soft_histograms(places, masks, num_bins + 1, are_disjoint=True)
    positives = histograms[:, 0]
    both = ops.cumsum(histograms, axis=2)
    cumulative, ranked = both[:, 0], both[:, 0] + both[:, 1]
    number = ops.sum(ops.cast(masks[0], distances.dtype), axis=1)
    precision = positives * cumulative / one_if_zero(ranked)
    return 1.0 - ops.sum(precision, axis=1) / one_if_zero(number), number


@register("fast_ap")
class FastAPLoss(MetricLoss):
    """Average precision over quantised distances; see `fast_ap()`.

    Positives and negatives are those of the labels; pairs that are given or mined weight
    the anchors (`Batch.sample_weights`). An anchor without a positive does not count.

    Args:
        num_bins: Into how many intervals distances are quantised.
        **kwargs: Those of `MetricLoss`: `distance` (squared Euclidean of unit vectors by
            default; another power may do), `miner`, `reducer`, `name`, ...

    Raises:
        ValueError: If `num_bins` is less than 1 or the distance is another; when called,
            if there are keys.

    Reference:
        [Cakir et al., 2019](https://openaccess.thecvf.com/content_CVPR_2019/html/Cakir_Deep_Metric_Learning_to_Rank_CVPR_2019_paper.html)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import FastAPLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(FastAPLoss()(labels, embeddings)), 3)  # Both rank alike.
        0.5
    """

    default_name = "fast_ap_loss"
    takes_pairs = False  # Without labels.

    @staticmethod
    def default_distance() -> Distance:
        return LpDistance(power=2)

    def __init__(self, num_bins: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_bins < 1:
            raise ValueError(
                f"`num_bins` must be at least 1. Received: num_bins={num_bins}."
            )
        self.num_bins = int(num_bins)

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        refuse_keys(batch, type(self).__name__)
        values, number = fast_ap(
            batch.distances,
            batch.label_pairs,
            num_bins=self.num_bins,
            largest=2.0**self.distance.power,
        )
        weights = batch.sample_weights
        if weights is not None:
            values = values * ops.cast(weights, values.dtype)
        return {"loss": SubLoss(values, ops.cast(number > 0, values.dtype))}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_unit_euclidean(distance, type(self).__name__)
