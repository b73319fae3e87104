"""Triplet margin miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Pairs, TripletRule, pairs_by_rule

Tensor = Any

TYPES = ("all", "hard", "semihard", "easy")


@register("triplet_margin")
class TripletMarginMiner(Miner):
    """Keeps triplets by how much farther than the positive the negative is.

    With `gap = c_an - c_ap`, which stay: `"all"`, those within the margin (`gap <=
    margin`); of these `"hard"`, `gap <= 0`, and `"semihard"`, `gap > 0`; or `"easy"`,
    those beyond the margin. None is listed: triplet losses look at the rule, pair losses
    at how often each pair is in a triplet that stays.

    Args:
        margin: In units of the distance.
        type_of_triplets: `"all"`, `"hard"`, `"semihard"` or `"easy"`.
        distance: A `Distance` or its name; `None` shares the loss's, and is normalised
            Euclidean where the miner is called by itself.

    Raises:
        ValueError: If `type_of_triplets` is unknown.

    Reference:
        [Schroff et al., 2015](https://arxiv.org/abs/1503.03832)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import TripletMarginMiner
        >>> from keras_similarity.pairs import triplet_indices
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
        >>> pairs = TripletMarginMiner()(np.array([0, 0, 1]), embeddings)
        >>> [column.tolist() for column in triplet_indices(pairs)]
        [[0, 1], [1, 0], [2, 2]]
    """

    def __init__(
        self,
        margin: float = 0.2,
        type_of_triplets: str = "all",
        distance: Distance | str | None = None,
    ) -> None:
        super().__init__(distance)
        if type_of_triplets not in TYPES:
            raise ValueError(
                f"`type_of_triplets` must be one of {', '.join(TYPES)}. Received: "
                f"type_of_triplets={type_of_triplets!r}."
            )
        self.margin = margin
        self.type_of_triplets = type_of_triplets

    def mine(self, cost: Tensor, pairs: Pairs) -> Pairs:
        return pairs_by_rule(pairs, TripletRule(self._keeps, (cost,)))

    def _keeps(self, columns: Tensor, cost: Tensor) -> Tensor:
        to_positive = ops.take_along_axis(cost, columns, axis=1)
        gap = cost[:, None, :] - to_positive[:, :, None]  # [n, k, M]
        if self.type_of_triplets == "easy":
            return gap > self.margin
        if self.type_of_triplets == "hard":
            return gap <= min(self.margin, 0.0)
        is_within = gap <= self.margin
        return is_within if self.type_of_triplets == "all" else is_within & (gap > 0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "type_of_triplets": self.type_of_triplets,
        }
