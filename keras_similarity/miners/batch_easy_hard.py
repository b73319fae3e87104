"""Batch easy-hard miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.miners.extremes import (
    Extreme,
    farthest,
    nearest,
    pairs_of_extremes,
)
from keras_similarity.pairs import Batch, Pairs

Tensor = Any
Range = tuple[float, float] | list[float]

STRATEGIES = ("hard", "semihard", "easy", "all")


@register("batch_easy_hard")
class BatchEasyHardMiner(Miner):
    """One positive and one negative of each anchor, each the hardest or the easiest.

    | | hard | easy | semihard |
    |---|---|---|---|
    | positive | farthest | nearest | farthest that is nearer than the negative |
    | negative | nearest | farthest | nearest that is farther than the positive |

    `"all"` takes every pair of that side. Where neither side is `"all"`, an anchor
    without either has no pair. Of keys at equal distance one is taken.

    Args:
        pos_strategy: `"hard"`, `"semihard"`, `"easy"` or `"all"`.
        neg_strategy: The same. `"semihard"` goes neither with itself nor with `"all"`.
        allowed_pos_range: `(low, high)`: only positives from `low` to `high` are there
            to choose from; in units of the distance.
        allowed_neg_range: The same of negatives.
        distance: A `Distance` or its name; `None` shares the loss's, and is normalised
            Euclidean where the miner is called by itself.

    Raises:
        ValueError: If a strategy is unknown, the two do not go together, or a range is
            not two numbers in their order.

    Reference:
        [Xuan et al., 2020](https://arxiv.org/abs/1904.04370)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import BatchEasyHardMiner
        >>> from keras_similarity.pairs import pair_indices
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-1.0, 0.0]])
        >>> pairs = BatchEasyHardMiner()(np.array([0, 0, 1, 1]), embeddings)
        >>> [column.tolist() for column in pair_indices(pairs)]
        [[0, 3], [1, 2], [0, 3], [3, 0]]
    """

    def __init__(
        self,
        pos_strategy: str = "easy",
        neg_strategy: str = "semihard",
        allowed_pos_range: Range | None = None,
        allowed_neg_range: Range | None = None,
        distance: Distance | str | None = None,
    ) -> None:
        super().__init__(distance)
        _check_strategies(pos_strategy, neg_strategy)
        _check_range("allowed_pos_range", allowed_pos_range)
        _check_range("allowed_neg_range", allowed_neg_range)
        self.pos_strategy = pos_strategy
        self.neg_strategy = neg_strategy
        self.allowed_pos_range = allowed_pos_range
        self.allowed_neg_range = allowed_neg_range

    def mine_batch(self, batch: Batch) -> Pairs:
        cost = ops.stop_gradient(batch.cost_of(self.distance))
        distances = self.distance_in(batch).to_cost(cost)
        positives, negatives = batch.pairs.positive_mask, batch.pairs.negative_mask
        positives = _within(self.allowed_pos_range, distances, positives)
        negatives = _within(self.allowed_neg_range, distances, negatives)
        keys = ops.shape(cost)[1]
        if "all" in (self.pos_strategy, self.neg_strategy):
            if self.pos_strategy != "all":
                positives = self._positive(cost, positives).mask(keys)
            if self.neg_strategy != "all":
                negatives = self._negative(cost, negatives).mask(keys)
            return Pairs(positives, negatives)
        if self.pos_strategy == "semihard":
            negative = self._negative(cost, negatives)
            positive = farthest(cost, positives & (cost < negative.cost))
        else:
            positive = self._positive(cost, positives)
            if self.neg_strategy == "semihard":
                negative = nearest(cost, negatives & (cost > positive.cost))
            else:
                negative = self._negative(cost, negatives)
        return pairs_of_extremes(positive, negative, keys)

    def _positive(self, cost: Tensor, mask: Tensor) -> Extreme:
        return (farthest if self.pos_strategy == "hard" else nearest)(cost, mask)

    def _negative(self, cost: Tensor, mask: Tensor) -> Extreme:
        return (nearest if self.neg_strategy == "hard" else farthest)(cost, mask)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pos_strategy": self.pos_strategy,
            "neg_strategy": self.neg_strategy,
            "allowed_pos_range": self.allowed_pos_range,
            "allowed_neg_range": self.allowed_neg_range,
        }


def _within(allowed: Range | None, distances: Tensor, mask: Tensor) -> Tensor:
    if allowed is None:
        return mask
    return mask & (distances >= allowed[0]) & (distances <= allowed[1])


def _check_strategies(pos_strategy: str, neg_strategy: str) -> None:
    both = {"pos_strategy": pos_strategy, "neg_strategy": neg_strategy}
    for name, strategy in both.items():
        if strategy not in STRATEGIES:
            raise ValueError(
                f"`{name}` must be one of {', '.join(STRATEGIES)}. Received: "
                f"{name}={strategy!r}."
            )
    if "semihard" in both.values() and set(both.values()) <= {"semihard", "all"}:
        raise ValueError(
            "A semihard strategy needs one key on the other side to compare with. "
            f"Received: pos_strategy={pos_strategy!r}, neg_strategy={neg_strategy!r}."
        )


def _check_range(name: str, allowed: Range | None) -> None:
    if allowed is None:
        return
    if len(allowed) != 2 or not allowed[0] <= allowed[1]:
        raise ValueError(
            f"`{name}` must be two numbers, the smaller one first. Received: "
            f"{name}={allowed!r}."
        )
