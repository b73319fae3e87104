"""Triplet loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Pairs, has_any, masked_max, masked_min

Tensor = Any

POSITIVE_STRATEGIES = ("hard", "easy")
NEGATIVE_STRATEGIES = ("hard", "semi-hard", "easy")


def triplet(
    cost: Tensor, pairs: Pairs, *, positive: str, negative: str, margin: float | None
) -> Tensor:
    """Triplet loss `[n]` of each anchor, with one positive and one negative.

    `max(c_ap - c_an + margin, 0)`, or `log(1 + exp(c_ap - c_an))` without a margin.

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer.
        pairs: Bool masks `[n, M]` of the positives and the negatives.
        positive: `"hard"`, the farthest positive, or `"easy"`, the nearest.
        negative: `"hard"`, the nearest negative, `"easy"`, the farthest, or
            `"semi-hard"`, the nearest of those farther than all positives, or the
            farthest if there is none.
        margin: In units of the distance; `None` for the soft margin.

    Returns:
        Loss `[n]`; 0 where an anchor has no positive or no negative.
    """
    gap = positive_cost(cost, pairs, positive) - negative_cost(cost, pairs, negative)
    return gap_losses(gap, pairs, margin)[:, 0]


def gap_losses(gap: Tensor, pairs: Pairs, margin: float | None) -> Tensor:
    """Loss `[n, 1]` of how much farther the chosen positive is than the negative.

    Args:
        gap: Floats `[n, 1]`; anything where an anchor has no positive or no negative.
        pairs: Pairs `[n, M]`.
        margin: In units of the distance; `None` for the soft margin.
    """
    has_both = has_any(pairs.positive_mask) & has_any(pairs.negative_mask)
    # The gap of an anchor without a pair is infinite; its gradient would be NaN.
    gap = ops.where(has_both, gap, 0.0)
    losses = ops.softplus(gap) if margin is None else ops.relu(gap + margin)
    return ops.where(has_both, losses, 0.0)


def positive_cost(cost: Tensor, pairs: Pairs, strategy: str) -> Tensor:
    """Cost `[n, 1]` of the positive that `strategy` chooses for each anchor."""
    choose = masked_max if strategy == "hard" else masked_min
    return choose(cost, pairs.positive_mask)


def negative_cost(cost: Tensor, pairs: Pairs, strategy: str) -> Tensor:
    """Cost `[n, 1]` of the negative that `strategy` chooses for each anchor."""
    if strategy == "hard":
        return masked_min(cost, pairs.negative_mask)
    farthest = masked_max(cost, pairs.negative_mask)
    if strategy == "easy":
        return farthest
    is_beyond = cost > masked_max(cost, pairs.positive_mask)
    nearest_beyond = masked_min(cost, pairs.negative_mask & is_beyond)
    return ops.where(ops.isinf(nearest_beyond), farthest, nearest_beyond)


def column_of(chosen: Tensor, cost: Tensor, mask: Tensor) -> Tensor:
    """Column `[n]` of the first allowed key at the cost `chosen` `[n, 1]`; else 0."""
    return ops.argmax(ops.cast((cost == chosen) & mask, "int32"), axis=1)


@register("triplet_loss", "triplet")
class TripletLoss(MetricLoss):
    """Triplet loss with online mining: one triplet an anchor; see `triplet()`.

    Args:
        distance: A `Distance` or its name.
        positive_mining_strategy: `"hard"` or `"easy"`.
        negative_mining_strategy: `"hard"`, `"semi-hard"` or `"easy"`.
        margin: In units of the distance; `None` for the soft margin.
        **kwargs: Those of `MetricLoss`: `reduction`, `name`, ...

    Raises:
        ValueError: If a strategy is unknown.

    Reference:
        [Schroff et al., 2015](https://arxiv.org/abs/1503.03832); the soft margin:
        [Hermans et al., 2017](https://arxiv.org/abs/1703.07737)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import TripletLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> loss = TripletLoss(distance="sql2", margin=1.0)
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # (3 + 1 + 0) / 3
        1.333
    """

    default_name = "triplet_loss"

    def __init__(
        self,
        distance: Distance | str = "cosine",
        positive_mining_strategy: str = "hard",
        negative_mining_strategy: str = "semi-hard",
        margin: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(distance, **kwargs)
        check_strategy("positive", positive_mining_strategy, POSITIVE_STRATEGIES)
        check_strategy("negative", negative_mining_strategy, NEGATIVE_STRATEGIES)
        self.positive_mining_strategy = positive_mining_strategy
        self.negative_mining_strategy = negative_mining_strategy
        self.margin = margin

    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        return triplet(
            cost,
            pairs,
            positive=self.positive_mining_strategy,
            negative=self.negative_mining_strategy,
            margin=self.margin,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "positive_mining_strategy": self.positive_mining_strategy,
            "negative_mining_strategy": self.negative_mining_strategy,
            "margin": self.margin,
        }


def check_strategy(side: str, strategy: str, known: tuple[str, ...]) -> None:
    """Raises a `ValueError` unless the strategy of a side is known."""
    if strategy not in known:
        raise ValueError(
            f"Invalid {side} mining strategy: `{side}_mining_strategy` must be one of "
            f"{', '.join(known)}. Received: {strategy!r}."
        )
