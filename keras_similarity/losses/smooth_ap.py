"""Smooth-AP loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.losses.no_keys import refuse_keys
from keras_similarity.pairs import Batch, sum_over_positives, take_keys
from keras_similarity.reducers import SubLoss

Tensor = Any


def smooth_ap(similarity: Tensor, class_mask: Tensor, *, temperature: float) -> Tensor:
    """One minus the average precision of each row, with a sigmoid for the step.

    `1 - mean_j rank+(j) / rank(j)` over the rows `j` of the class, the row itself
    included; `rank(j) = 1 + sum_k sigmoid((s_k - s_j) / t)` over all other rows `k`, and
    `rank+` over those of the class.

    Args:
        similarity: Similarities `[n, n]`.
        class_mask: Bool `[n, n]`: are the rows of one class? The diagonal is true.
        temperature: Divides the differences; greater than 0.

    Returns:
        Floats `[n]`.
    """
    logits = similarity * (1.0 / temperature)
    of_class = ops.cast(class_mask, logits.dtype)

    def term(
        columns: Any, is_positive: Tensor, logits: Tensor, of_class: Tensor
    ) -> Tensor:
        own = take_keys(logits, columns)[:, :, None]
        steps = ops.sigmoid(logits[:, None, :] - own)  # [n, k, n], 0.5 for j itself
        ranks = ops.sum(steps, axis=2) + 0.5
        ranks_in_class = ops.sum(steps * of_class[:, None, :], axis=2) + 0.5
        precision = ranks_in_class / ranks * ops.cast(is_positive, logits.dtype)
        return ops.sum(precision, axis=1)

    total = sum_over_positives(term, class_mask, logits, constants=[of_class])
    return 1.0 - total / ops.sum(of_class, axis=1)


@register("smooth_ap")
class SmoothAPLoss(MetricLoss):
    """A smooth average precision of each row, ranked by cosine; see `smooth_ap()`.

    Labels say who belongs together, in any order of rows and in classes of any size.
    (PyTorch Metric Learning 2.9 cuts the rows into blocks of as many rows as there are
    classes: there values agree only where that is the size of a class, in sorted order.)
    Pairs that are given or mined weight the rows (`Batch.sample_weights`).

    Args:
        temperature: Of the sigmoid; greater than 0. Smaller is closer to the step.
        **kwargs: Those of `MetricLoss`: `distance` (one that measures cosines), `miner`,
            `reducer`, `name`, ...

    Raises:
        ValueError: If `temperature` is not positive, or `distance` does not measure
            cosines; when called, if there are keys.

    Reference:
        [Brown et al., 2020](https://arxiv.org/abs/2007.12163)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SmoothAPLoss
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> round(float(SmoothAPLoss()(labels, embeddings)), 3)  # Ranks 2 of 2.5, twice.
        0.067
    """

    default_name = "smooth_ap_loss"
    default_distance = CosineSimilarity
    takes_pairs = False  # Without labels.

    def __init__(self, temperature: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.temperature = temperature

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        refuse_keys(batch, type(self).__name__)
        labels = batch.labels
        values = smooth_ap(
            cosine_matrix(batch),
            labels[:, None] == labels[None, :],
            temperature=self.temperature,
        )
        weights = batch.sample_weights
        if weights is not None:
            values = values * ops.cast(weights, values.dtype)
        return {"ap_loss": SubLoss(values)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)
