"""Multi-similarity loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.miners import hard_pairs
from keras_similarity.pairs import Pairs, has_any, masked_log1p_sum_exp

Tensor = Any


def multi_similarity(
    cost: Tensor, pairs: Pairs, *, alpha: float, beta: float, base: float
) -> Tensor:
    """Multi-similarity loss `[n]` of each anchor.

    `log(1 + sum_p exp(alpha (c_p + base))) / alpha
    + log(1 + sum_n exp(-beta (c_n + base))) / beta`

    Args:
        cost: Cost `[n, M]` of anchors and keys, smaller is closer.
        pairs: Bool masks `[n, M]` of the positives and the negatives.
        alpha: Sharpness over the positives, greater than 0.
        beta: Sharpness over the negatives, greater than 0.
        base: Added to the cost: a pair at `-base` is neither close nor far.

    Returns:
        Loss `[n]`; a term is 0 where its mask is empty.
    """
    shifted = cost + base
    positive, negative = pairs.positive_mask, pairs.negative_mask
    attraction = masked_log1p_sum_exp(alpha * shifted, positive) / alpha
    repulsion = masked_log1p_sum_exp(-beta * shifted, negative) / beta
    return (attraction + repulsion)[:, 0]


@register("multisim_loss", "multi_similarity")
class MultiSimilarityLoss(MetricLoss):
    """Multi-similarity loss with the mining of its paper; see `multi_similarity()`.

    Keeps the negatives nearer than the farthest positive plus `epsilon` and the
    positives farther than the nearest negative minus `epsilon`. An anchor that keeps no
    positive or no negative has loss 0, and counts in the mean.

    Args:
        distance: A `Distance` or its name.
        alpha: Sharpness over the positives, greater than 0.
        beta: Sharpness over the negatives, greater than 0.
        epsilon: Slack of the mining, in units of the distance. `None` neither mines nor
            drops an anchor: with `beta=50` that is PyTorch Metric Learning's loss, whose
            `base` is `1 + lmda - center` here.
        lmda: The similarity `lambda` around which pairs are weighted.
        center: What a distance is subtracted from to make a similarity; 1 for cosine.
        **kwargs: Those of `MetricLoss`: `reduction`, `name`, ...

    Raises:
        ValueError: If `alpha` or `beta` is not positive.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1904.06627)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import MultiSimilarityLoss
        >>> labels = np.array([0, 0, 1, 1])
        >>> embeddings = np.eye(4, dtype="float32")
        >>> round(float(MultiSimilarityLoss()(labels, embeddings)), 3)
        0.657
    """

    default_name = "multisim_loss"

    def __init__(
        self,
        distance: Distance | str = "cosine",
        alpha: float = 2.0,
        beta: float = 40.0,
        epsilon: float | None = 0.1,
        lmda: float = 0.5,
        center: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(distance, **kwargs)
        if alpha <= 0 or beta <= 0:
            raise ValueError(
                "`alpha` and `beta` must be positive. Received: "
                f"alpha={alpha}, beta={beta}."
            )
        self.alpha = alpha
        self.beta = beta
        self.epsilon = epsilon
        self.lmda = lmda
        self.center = center

    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        base = self.lmda - self.center
        options = {"alpha": self.alpha, "beta": self.beta, "base": base}
        if self.epsilon is None:
            return multi_similarity(cost, pairs, **options)
        pairs = hard_pairs(cost, pairs, epsilon=self.epsilon)
        has_both = has_any(pairs.positive_mask) & has_any(pairs.negative_mask)
        losses = multi_similarity(cost, pairs, **options)
        return ops.where(has_both[:, 0], losses, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "beta": self.beta,
            "epsilon": self.epsilon,
            "lmda": self.lmda,
            "center": self.center,
        }
