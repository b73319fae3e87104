"""Self-supervised loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops
from keras_similarity.losses.metric_loss import register, registry
from keras_similarity.losses.two_views import two_view_batch
from keras_similarity.losses.wrapper import LossWrapper, pair_loss
from keras_similarity.pairs import Batch, Pairs
from keras_similarity.reducers import SubLoss

Tensor = Any


@register("self_supervised")
class SelfSupervisedLoss(LossWrapper):
    """A loss of labels, for two views of rows that have none.

    Called as all losses over two views, `loss(view, other_view)`; each row is a class of
    its own, with one row in each view.

    Args:
        loss: A loss about pairs, its name or its config.
        symmetric: Compare all rows of both views with each other? Else the rows of the
            first are anchors, and those of the second are keys.
        **kwargs: `name` and `dtype`, as Keras' losses.

    Call arguments:
        y_true: One view, `[N, D]`.
        y_pred: The other view, `[N, D]`.

    Raises:
        TypeError: If an option of the loss inside is given here.
        ValueError: If the loss looks at more than pairs.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import NTXentLoss, SelfSupervisedLoss
        >>> view = np.eye(2, dtype="float32")
        >>> loss = SelfSupervisedLoss(NTXentLoss(temperature=1.0))
        >>> round(float(loss(view, view)), 3)
        0.551
    """

    default_name = "self_supervised_loss"
    takes_pairs = False
    is_row_wise = False

    def __init__(self, loss: Any, symmetric: bool = True, **kwargs: Any) -> None:
        self.loss = pair_loss(loss, type(self).__name__)
        super().__init__([self.loss], **kwargs)
        self.reducer, self.reduction = self.loss.reducer, self.loss.reduction
        self.symmetric = symmetric

    def of_batch(self, batch: Batch, sample_weight: Any = None) -> Tensor:
        if self.symmetric and sample_weight is not None:
            sample_weight = ops.reshape(ops.convert_to_tensor(sample_weight), (-1,))
            sample_weight = ops.concatenate([sample_weight, sample_weight], axis=0)
        return super().of_batch(batch, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "loss": registry.serialize(self.loss),
            "symmetric": self.symmetric,
        }

    def _terms(self, batch: Batch) -> dict[str, SubLoss]:
        return self.loss._terms(batch)

    def _batch(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Batch:
        others = (key_labels, key_embeddings, pairs)
        views = two_view_batch(labels, embeddings, *others, loss=self)
        view, other = views.embeddings, views.keys
        rows = ops.arange(ops.shape(view)[0], dtype="int32")
        if not self.symmetric:
            return Batch(rows, view, rows, other, distance=self.distance)
        both = [ops.concatenate(pair, axis=0) for pair in ((rows, rows), (view, other))]
        return Batch(*both, distance=self.distance)
