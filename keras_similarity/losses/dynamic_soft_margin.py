"""Dynamic soft margin loss."""

from __future__ import annotations

import math
from typing import Any

from keras_similarity.backend import framework, is_traced, keeps_state, ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.distances.unit_euclidean import checked_unit_euclidean
from keras_similarity.losses.gap_sums import gap_sums
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.soft_histogram import bin_sums
from keras_similarity.losses.triplet_sums import triplet_term
from keras_similarity.pairs import Batch, one_if_zero
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("dynamic_soft_margin")
class DynamicSoftMarginLoss(MetricLoss):
    """Weights each triplet by how many had a smaller gap lately.

    `mean F(x) x` over the gaps `x = c_ap - c_an` of all triplets, `F` their cumulative
    distribution, read from a histogram that remembers earlier batches: `1 - momentum` of
    it, of sum 1, and `momentum` for each triplet of this batch. The gradient flows
    through the histogram of the batch, not through what is remembered. The value is one
    number, whatever the reducer.

    Without labels and with keys, each row's positive is the key of its own number, and
    its negative the nearest pair of two others that has the row, or that key, in it.

    The histogram is the variable `loss.histogram`; it changes with each call while
    `loss.training`. Gaps beyond the histogram count in its last bin.

    Args:
        min_val: Where the histogram begins; it ends at `-min_val`.
        num_bins: Number of its bins; at least 2.
        momentum: Weight of the batch, above 0 and up to 1.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean by default, or
            a power of it), `miner`, `name`, ...

    Attributes:
        histogram: The variable of the histogram, `[num_bins]`; 0 at first.

    Raises:
        ValueError: If an argument is out of range or the distance is another.

    Reference:
        [Zhang and Rusinkiewicz, 2019](https://openaccess.thecvf.com/content_ICCV_2019/html/Zhang_Learning_Local_Descriptors_With_a_CDF-Based_Dynamic_Soft_Margin_ICCV_2019_paper.html)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import DynamicSoftMarginLoss
        >>> embeddings = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
        >>> loss = DynamicSoftMarginLoss()
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # 2 - sqrt 2, halved
        0.314
    """

    default_name = "dynamic_soft_margin_loss"
    default_distance = LpDistance
    is_row_wise = False
    is_stateful = True
    breaks_torch_graph = True

    def __init__(
        self,
        min_val: float = -2.0,
        num_bins: int = 10,
        momentum: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min_val == 0 or num_bins < 2 or not 0 < momentum <= 1:
            raise ValueError(
                "`min_val` must not be 0, `num_bins` at least 2, `momentum` above 0, at "
                f"most 1. Received: min_val={min_val}, num_bins={num_bins}, "
                f"momentum={momentum}."
            )
        self.min_val = min_val
        self.num_bins = int(num_bins)
        self.momentum = momentum
        self.histogram = self.make_head().add_weight(
            shape=(self.num_bins,),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            name="histogram",
        )

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        if not batch.has_labels and not batch.has_given_pairs:
            gaps, counts = _gaps_of_numbered(batch.cost)
            bins = self._binned(gaps, counts)
        else:
            bins = self._bins_of_triplets(batch)
        return {"loss": SubLoss(self._loss_of(bins), kind="reduced")}

    def _bins_of_triplets(self, batch: Batch) -> Any:
        pairs = batch.pairs
        if framework() != "jax" or pairs.is_chosen or not is_traced(batch.cost):
            return triplet_term(_gap, batch).total(self._binned, may_take_all=False)
        width = 2.0 * abs(self.min_val) / self.num_bins
        edges = [self.min_val + width * bin_ for bin_ in range(self.num_bins)]
        counts, gaps = gap_sums(
            batch.cost, pairs.positive_mask, pairs.negative_mask, [-math.inf, *edges]
        )
        counts, gaps = counts - _next(counts), gaps - _next(gaps)
        # Those below the first edge are in the first bin, at its lower end, and those in
        # the last bin at its lower end, too.
        places = gaps[1:-1] - counts[1:-1] * ops.convert_to_tensor(edges[:-1], gaps.dtype)
        zero = ops.zeros_like(gaps[:1])
        return (
            ops.concatenate([counts[:1] + counts[1:2], counts[2:]], axis=0),
            ops.concatenate([places * (1.0 / width), zero], axis=0),
            ops.concatenate([gaps[:1] + gaps[1:2], gaps[2:]], axis=0),
        )

    def _binned(self, gaps: Tensor, counts: Tensor) -> Any:
        """For each bin how many gaps it has, their places in it, and their sum."""
        places = (gaps - self.min_val) * (self.num_bins / (2.0 * abs(self.min_val)))
        places = ops.clip(places, 0.0, self.num_bins - 1.0)
        bin_ = ops.floor(ops.stop_gradient(places))
        columns = [counts, (places - bin_) * counts, gaps * counts]
        return tuple(bin_sums(columns, bin_, self.num_bins))

    def _loss_of(self, bins: Any) -> Tensor:
        counts, places, gaps = bins
        number = ops.sum(ops.stop_gradient(counts))
        # A gap is shared by its bin and the next; nothing is beyond the last.
        batch = counts - places + ops.roll(places, 1)
        # The first batch is all there is, and an empty one changes nothing.
        old = ops.convert_to_tensor(self.histogram, dtype=batch.dtype)
        mixed = old * (1.0 - self.momentum) + batch * self.momentum
        mixed = mixed / one_if_zero(ops.sum(mixed))
        if self.training:
            self._remember(ops.stop_gradient(mixed))
        return ops.sum(ops.cumsum(mixed) * gaps) / one_if_zero(number)

    def _remember(self, histogram: Tensor) -> None:
        if not keeps_state(histogram):
            raise ValueError(
                "A loss with a histogram changes its variables, which `jax.jit` does not "
                "allow. Hand them in and out, `with keras.StatelessScope(state_mapping="
                "zip(loss.variables, values)) as scope: ...`, or leave the histogram as "
                "it is, `loss.training = False`."
            )
        self.histogram.assign(histogram)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "min_val": self.min_val,
            "num_bins": self.num_bins,
            "momentum": self.momentum,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_unit_euclidean(distance, type(self).__name__)


def _next(sums: Tensor) -> Tensor:
    return ops.concatenate([sums[1:], ops.zeros_like(sums[:1])], axis=0)


def _gap(positive: Tensor, negative: Tensor, between: Tensor | None) -> Tensor:
    return positive - negative


def _gaps_of_numbered(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Gap of each row and the key of its own number; and 1 for each that has a negative.

    `c_ii - min(min_j c_ji, min_j c_ij)`, over `j` other than `i`: floats `[min(n, M)]`.
    """
    rows, keys = ops.shape(cost)
    size = min(rows, keys)
    own = ops.arange(rows, dtype="int32")[:, None] == ops.arange(keys, dtype="int32")
    others = ops.where(own, float("inf"), cost)
    nearest = ops.minimum(
        ops.amin(others, axis=1)[:size], ops.amin(others, axis=0)[:size]
    )
    has_negative = ops.isfinite(nearest)
    gaps = ops.diagonal(cost) - ops.where(has_negative, nearest, 0.0)
    counts = ops.cast(has_negative, cost.dtype)
    return gaps * counts, counts
