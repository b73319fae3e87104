"""Margin loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_similarity.backend import keras, ops
from keras_similarity.distances import LpDistance
from keras_similarity.losses.classes import check_classes, positive_integer
from keras_similarity.losses.hinge_sums import HingeTerm
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.triplet_sums import check_triplets_per_anchor, drawn
from keras_similarity.pairs import Batch, Pairs
from keras_similarity.reducers import SubLoss

Tensor = Any


@dataclass(frozen=True, eq=False)
class _SeparableTerm(HingeTerm):
    """Values `positive - negative`, none of them below 0, of all triplets of a batch.

    Attributes:
        counts_of_pairs: In how many triplets each positive, and each negative, is:
            floats `[n, M]`.
    """

    counts_of_pairs: tuple[Tensor, Tensor] = (None, None)

    def sums(self, low: float | None, high: float | None) -> tuple[Tensor, Tensor | None]:
        if high is not None or (low is not None and low >= 0):
            return super().sums(low, high)
        of_positives, of_negatives = self.counts_of_pairs
        sums = of_positives * self.values - of_negatives * self.negative_values
        return ops.sum(sums, axis=1), ops.sum(of_positives, axis=1)


@register("margin")
class MarginLoss(MetricLoss):
    """A boundary `beta` with a margin on both sides, for all triplets of a batch.

    `max(c_ap - beta + margin, 0) + max(beta - c_an + margin, 0)` for each triplet, which
    separates into sums over pairs. The sum is divided by the number of terms above 0.

    A learned `beta` is the variable `loss.beta`, which a similarity model trains; in a
    loop of your own it is in `loss.trainable_variables`.

    Args:
        margin: In units of the distance.
        nu: Weight of the penalty `nu * beta`, if `beta` is learned.
        beta: The boundary, or where it starts; in units of the distance.
        triplets_per_anchor: `"all"`, or how many random ones an anchor has, drawn anew
            each time; where pairs are given or mined, all of those.
        learn_beta: Is `beta` trained?
        num_classes: A `beta` for each of so many classes, labelled 0, 1, ...; one for
            all if `None`.
        seed: Seed of the draws; `None` for a random one.
        learning_rate_multiplier: `beta` learns so many times as fast as the model.
        **kwargs: Those of `MetricLoss`: `distance` (normalised Euclidean by default),
            `miner`, `reducer` (`DivisorReducer`), `name`, ...

    Attributes:
        beta: The variable, `[1]` or `[num_classes]`, if it is learned; else the number.

    Raises:
        ValueError: If `triplets_per_anchor` is neither, or `num_classes` is not positive;
            when called, outside of jit, if there is a `beta` for each class and a label
            is no class.

    Reference:
        [Wu et al., 2017](https://arxiv.org/abs/1706.07567)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import MarginLoss
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> loss = MarginLoss(margin=1.0, beta=1.5, distance="sql2")
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # (4 + 2) / 4
        1.5
    """

    default_name = "margin_loss"
    default_distance = LpDistance
    default_reducer = "divisor"

    def __init__(
        self,
        margin: float = 0.2,
        nu: float = 0.0,
        beta: float = 1.2,
        triplets_per_anchor: int | str = "all",
        learn_beta: bool = False,
        num_classes: int | None = None,
        *,
        seed: int | None = None,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_triplets_per_anchor(triplets_per_anchor)
        self.margin = margin
        self.nu = nu
        self.initial_beta = float(beta)
        self.triplets_per_anchor = triplets_per_anchor
        self.learn_beta = learn_beta
        self.num_classes = (
            None if num_classes is None else positive_integer("num_classes", num_classes)
        )
        self.seed = seed
        self.learning_rate_multiplier = learning_rate_multiplier
        self.beta: Any = self.initial_beta
        self._draws = None
        if triplets_per_anchor != "all":
            self._draws = keras.random.SeedGenerator(seed)
            self.make_head().triplet_draws = self._draws
        if learn_beta:
            head = self.make_head()
            head.learning_rate_multiplier = learning_rate_multiplier
            self.beta = head.add_weight(
                shape=(self.num_classes or 1,),
                initializer=keras.initializers.Constant(self.initial_beta),
                name="beta",
            )

    def check_classes(self, labels: Any, name: str = "y_true") -> None:
        """Raises a `ValueError` if a label has no `beta`; nothing under jit."""
        if self.learn_beta and self.num_classes:
            check_classes(labels, self.num_classes, name)

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        if batch.has_labels:
            # As they were given: a batch numbers ids anew that are beyond int32.
            self.check_classes(batch.given_labels)
        batch = drawn(batch, self.triplets_per_anchor, self._draws)
        cost, boundary = batch.cost, self.distance.to_cost(self._beta_of_rows(batch))
        pull = ops.relu(cost - boundary + self.margin)
        push = ops.relu(boundary - cost + self.margin)
        of_positives, of_negatives = counts = tuple(
            ops.cast(count, cost.dtype) for count in _triplets_of_pairs(batch.pairs)
        )
        is_pulled = ops.cast(pull > 0, pull.dtype)
        is_pushed = ops.cast(push > 0, push.dtype)
        number = ops.sum(of_positives * is_pulled + of_negatives * is_pushed)
        term = _SeparableTerm(
            pull,
            kind="triplet",
            divisor=number,
            pairs=batch.pairs,
            negative_values=-push,
            counts_of_pairs=counts,
        )
        penalty = self._penalty(batch, of_positives, number)
        return {"margin_loss": term, "beta_reg_loss": penalty}

    def _beta_of_rows(self, batch: Batch) -> Any:
        """The boundary: a number, `[1]`, or `[n, 1]` of the anchors."""
        if not self.learn_beta:
            return self.initial_beta
        beta = ops.cast(ops.convert_to_tensor(self.beta), batch.cost.dtype)
        return ops.take(beta, batch.labels)[:, None] if self.num_classes else beta

    def _penalty(self, batch: Batch, triplets: Tensor, divisor: Tensor) -> SubLoss:
        """The penalty on `beta`; `triplets` `[n, M]` are how many a positive is in."""
        if not self.learn_beta:
            return SubLoss(ops.zeros((), triplets.dtype), kind="reduced")
        penalty = self._beta_of_rows(batch) * self.nu
        if self.num_classes:
            return SubLoss(penalty[:, 0], ops.sum(triplets, axis=1), divisor=divisor)
        has_triplets = ops.cast(ops.any(triplets > 0), triplets.dtype)
        return SubLoss(penalty[0] * has_triplets, kind="reduced")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "margin": self.margin,
            "nu": self.nu,
            "beta": self.initial_beta,
            "triplets_per_anchor": self.triplets_per_anchor,
            "learn_beta": self.learn_beta,
            "num_classes": self.num_classes,
            "seed": self.seed,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }


def _triplets_of_pairs(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """In how many triplets each positive, and each negative, is: floats `[n, M]`."""
    positives, negatives = pairs.positive_counts, pairs.negative_counts
    if pairs.triplets is not None:  # Then that is what they count.
        return positives, negatives
    return (
        positives * ops.sum(negatives, axis=1, keepdims=True),
        negatives * ops.sum(positives, axis=1, keepdims=True),
    )
