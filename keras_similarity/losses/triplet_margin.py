"""Triplet margin loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras, ops
from keras_similarity.distances import LpDistance
from keras_similarity.losses.hinge_sums import hinge_term
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.triplet_sums import (
    check_triplets_per_anchor,
    drawn,
    triplet_term,
)
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("triplet_margin")
class TripletMarginLoss(MetricLoss):
    """Triplet margin loss over all triplets of a batch, none of which is listed.

    `max(c_ap - c_an + margin, 0)` for every anchor, positive and negative, in
    `O(N M P D)` time at most, `P` the largest number of positives of an anchor, and
    `O(N M)` memory.

    Args:
        margin: In units of the distance.
        swap: Take the negative's cost to the positive where that is smaller?
        smooth_loss: `log(1 + exp(...))` in place of the hinge?
        triplets_per_anchor: `"all"`, or how many random ones an anchor has, where no
            miner has chosen and no pairs were given.
        seed: Seed of the random triplets; `None` for a random one.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean by default),
            `miner`, `reducer` (the mean of the values above 0), `name`, ...

    Raises:
        ValueError: If `triplets_per_anchor` is neither.

    Reference:
        [Weinberger et al., 2005](https://papers.nips.cc/paper/2795); the swap:
        [Balntas et al., 2016](https://bmva-archive.org.uk/bmvc/2016/papers/paper119)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import TripletMarginLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> loss = TripletMarginLoss(margin=1.0, distance="sql2")
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # (3 + 1) / 2
        2.0
    """

    default_name = "triplet_margin_loss"
    default_distance = LpDistance
    default_reducer = "avg_non_zero"
    breaks_torch_graph = True

    def __init__(
        self,
        margin: float = 0.05,
        swap: bool = False,
        smooth_loss: bool = False,
        triplets_per_anchor: int | str = "all",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_triplets_per_anchor(triplets_per_anchor)
        self.margin = margin
        self.swap = swap
        self.smooth_loss = smooth_loss
        self.triplets_per_anchor = triplets_per_anchor
        self.seed = seed
        self._draws = None
        if triplets_per_anchor != "all":
            self._draws = keras.random.SeedGenerator(seed)
            self.make_head().triplet_draws = self._draws

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        batch = drawn(batch, self.triplets_per_anchor, self._draws)
        if not self.swap and not self.smooth_loss:
            return {"loss": hinge_term(batch.cost + self.margin, batch.cost, batch)}
        return {"loss": triplet_term(self._values, batch, with_keys=self.swap)}

    def _values(self, positive: Tensor, negative: Tensor, between: Any) -> Tensor:
        if self.swap:
            negative = negative - ops.relu(negative - between)
        gap = positive - negative + self.margin
        return ops.softplus(gap) if self.smooth_loss else ops.relu(gap)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "swap": self.swap,
            "smooth_loss": self.smooth_loss,
            "triplets_per_anchor": self.triplets_per_anchor,
            "seed": self.seed,
        }
