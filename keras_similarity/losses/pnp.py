"""PNP loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.no_keys import refuse_keys
from keras_similarity.pairs import Batch, sum_over_positives, take_keys
from keras_similarity.reducers import SubLoss

Tensor = Any

VARIANTS = ("Ds", "Dq", "Iu", "Ib", "O")


def pnp(
    similarity: Tensor,
    class_mask: Tensor,
    penalty: Callable[[Tensor], Tensor],
    *,
    anneal: float,
) -> Tensor:
    """Penalty of the negatives that come before the rows of a row's class.

    `mean_j penalty(R_j)` over the rows `j` of the class, the row itself included;
    `R_j = sum_n sigmoid((s_n - s_j) / anneal)` over the rows of other classes.

    Args:
        similarity: Similarities `[n, n]`.
        class_mask: Bool `[n, n]`: are the rows of one class? The diagonal is true.
        penalty: What a number of negatives costs.
        anneal: Divides the differences; greater than 0.

    Returns:
        Floats `[n]`.
    """
    logits = similarity * (1.0 / anneal)
    of_class = ops.cast(class_mask, logits.dtype)

    def term(
        columns: Any, is_positive: Tensor, logits: Tensor, of_class: Tensor
    ) -> Tensor:
        own = take_keys(logits, columns)[:, :, None]
        steps = ops.sigmoid(logits[:, None, :] - own)  # [n, k, n]
        before = ops.sum(steps * (1.0 - of_class[:, None, :]), axis=2)
        penalties = penalty(before) * ops.cast(is_positive, logits.dtype)
        return ops.sum(penalties, axis=1)

    total = sum_over_positives(term, class_mask, logits, constants=[of_class])
    return total / ops.sum(of_class, axis=1)


@register("pnp")
class PNPLoss(MetricLoss):
    """Penalises the negatives before positives, and nothing else; see `pnp()`.

    The mean over the rows that have a positive, whatever the reducer. With `R` the number
    of negatives before a positive, it costs

    - `"O"`: `R`;
    - `"Ds"`: `log(1 + R)`;
    - `"Dq"`: `1 - (1 + R) ** -alpha`;
    - `"Iu"`: `(1 + R) log(1 + R)`;
    - `"Ib"`: `(b R - log(1 + b R)) / b ** 2`.

    Args:
        b: Boundary of `"Ib"`; greater than 0.
        alpha: Exponent of `"Dq"`.
        anneal: Temperature of the sigmoid; greater than 0.
        variant: What a number of negatives costs.
        **kwargs: Those of `MetricLoss`: `distance` (one that measures cosines), `name`,
            ...; no `miner`.

    Raises:
        ValueError: If an argument is out of range, there is a miner, or `distance` does
            not measure cosines; when called, if there are keys or pairs.

    Reference:
        [Li et al., 2021](https://arxiv.org/abs/2102.04640)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import PNPLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(PNPLoss()(labels, embeddings)), 3)  # (0 + 1/2) / 2
        0.25
    """

    default_name = "pnp_loss"
    default_distance = CosineSimilarity
    takes_pairs = False
    is_row_wise = False

    def __init__(
        self,
        b: float = 2.0,
        alpha: float = 1.0,
        anneal: float = 0.01,
        variant: str = "O",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if variant not in VARIANTS:
            raise ValueError(
                f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant!r}."
            )
        if b <= 0 or anneal <= 0:
            raise ValueError(
                f"`b` and `anneal` must be positive. Received: b={b}, anneal={anneal}."
            )
        if self.miner is not None:
            raise ValueError(
                "`miner` must be None: `PNPLoss` looks at all rows. Received: "
                f"miner={self.miner!r}."
            )
        self.b = b
        self.alpha = alpha
        self.anneal = anneal
        self.variant = variant

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        refuse_keys(batch, type(self).__name__)
        if batch.has_given_pairs:
            raise ValueError("`PNPLoss` looks at all rows. Received: `pairs`.")
        labels = batch.labels
        class_mask = labels[:, None] == labels[None, :]
        similarity = cosine_matrix(batch)
        values = pnp(similarity, class_mask, self._penalty, anneal=self.anneal)
        number = ops.sum(ops.cast(class_mask, "int32"), axis=1)
        counts = ops.cast(number > 1, values.dtype)
        mean = ops.divide_no_nan(ops.sum(values * counts), ops.sum(counts))
        return {"loss": SubLoss(mean, kind="reduced")}

    def _penalty(self, before: Tensor) -> Tensor:
        """What a number of negatives before a positive costs."""
        if self.variant == "Ds":
            return ops.log1p(before)
        if self.variant == "Dq":
            return 1.0 - (1.0 + before) ** (-self.alpha)
        if self.variant == "Iu":
            return (1.0 + before) * ops.log1p(before)
        if self.variant == "Ib":
            return (self.b * before - ops.log1p(self.b * before)) / self.b**2
        return before

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "b": self.b,
            "alpha": self.alpha,
            "anneal": self.anneal,
            "variant": self.variant,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)
