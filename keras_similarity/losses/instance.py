"""Instance loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.cosine_only import checked_cosine, cosine_matrix
from keras_similarity.losses.metric_loss import MetricLoss, register
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss

Tensor = Any

TARGETS = ("own_class", "class_rank")


@register("instance")
class InstanceLoss(MetricLoss):
    """Cross entropy over the rows of a batch: each is to be told to be of its class.

    `log sum_j exp(gamma cos(x, x_j)) - gamma mean_c cos(x, x_c)` for each row `x`, the
    sum over all rows, `x` itself included, the mean over those of its class, which take
    the place of the paper's learned column of the class. With one row a class that is the
    authors' loss without labels: each row is told from all others.

    Args:
        gamma: Scale of the cosines.
        target: `"own_class"`; or `"class_rank"` for the values of PyTorch Metric
            Learning, whose target is the row whose number is the rank of the label among
            those of the batch: mostly a row of another class.
        **kwargs: Those of `MetricLoss`: `distance` (one that measures cosines),
            `reducer`, `name`, ... Pairs that a miner chooses weight the rows.

    Raises:
        ValueError: If `target` is unknown, or `distance` does not measure cosines.

    Reference:
        [Zheng et al., 2017](https://arxiv.org/abs/1711.05535)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import InstanceLoss
        >>> labels, embeddings = np.arange(3), np.eye(3, dtype="float32")
        >>> round(float(InstanceLoss(gamma=1)(labels, embeddings)), 3)  # log(e + 2) - 1
        0.551
    """

    default_name = "instance_loss"
    default_distance = CosineSimilarity
    takes_pairs = False  # Without labels.

    def __init__(
        self, gamma: float = 64.0, target: str = "own_class", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if target not in TARGETS:
            raise ValueError(
                f"`target` must be one of {', '.join(TARGETS)}. Received: {target!r}."
            )
        self.gamma = gamma
        self.target = target

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        if batch.has_keys:
            raise ValueError(
                "`InstanceLoss` compares the rows of a batch with each other, and takes "
                "no keys. Received: `key_embeddings`."
            )
        logits = cosine_matrix(batch) * self.gamma
        of_target = _of_own_class if self.target == "own_class" else _of_class_rank
        values = of_target(ops.log_softmax(logits, axis=1), batch.labels)
        weights = batch.sample_weights
        if weights is not None:
            values = values * ops.cast(weights, values.dtype)
        return {"loss": SubLoss(values)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "target": self.target}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)


def _of_own_class(values: Tensor, labels: Tensor) -> Tensor:
    is_own = labels[:, None] == labels[None, :]
    own = SubLoss(values, is_own, kind="positive_pair").with_few_listed()
    if own.counts is None:
        totals, counts = own.sums(None, None)
        return -totals / counts
    shares = ops.cast(is_own, values.dtype)
    shares = shares / -ops.sum(shares, axis=1, keepdims=True)
    return ops.sum(values * shares, axis=1)


def _of_class_rank(values: Tensor, labels: Tensor) -> Tensor:
    """Value `[n]` of the column whose number is the rank of the class, negated."""
    size = ops.sum(ops.cast(labels[:, None] == labels[None, :], values.dtype), axis=1)
    is_smaller = ops.cast(labels[None, :] < labels[:, None], values.dtype)
    rank = ops.cast(ops.round(ops.sum(is_smaller / size, axis=1)), "int32")
    return -ops.take_along_axis(values, rank[:, None], axis=1)[:, 0]
