"""What losses over two views of the same rows share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from keras_similarity.array_ops import dtype_name, is_host_data
from keras_similarity.backend import ops
from keras_similarity.distances.base import as_floats
from keras_similarity.losses.metric_loss import MetricLoss
from keras_similarity.pairs import Batch, Pairs
from keras_similarity.pairs.batch import is_reversed
from keras_similarity.reducers import Reducer, SubLoss

Tensor = Any


def row_count(rows: Tensor) -> Any:
    """Number of rows, to divide by: a number, or a float where only run time knows."""
    count = ops.shape(rows)[0]
    return ops.cast(count, rows.dtype) if hasattr(count, "dtype") else count


def bounded(view: Tensor, largest: float) -> Tensor:
    """The view with coordinates beyond `largest` as that, so that powers are finite."""
    return ops.clip(view, -largest, largest)


class TwoViewLoss(MetricLoss):
    """A loss over two views of the same rows, without labels.

    All of them are called in one way, `loss(view, other_view)`, with rows that belong
    together in the same place: two augmentations of the same pictures, a projection and
    a prediction, queries and their answers. That is also how Keras calls a loss: the
    first view stands where labels would.

    A subclass writes its formula in `view_losses`.

    Args:
        reducer: A `Reducer` of the values of rows to one number, or its name; the mean
            by default.
        reduction: Keras' way of reducing, in place of `reducer`: `"sum"`, `"none"`, ...,
            as in `MetricLoss`.
        name: Name of the loss.
        dtype: As Keras' losses; computations are in float32 at least.

    Raises:
        ValueError: If both `reduction` and `reducer` are given.
    """

    takes_pairs = False
    #: Can rows be weighted? Some of these losses are about columns.
    takes_sample_weight: ClassVar[bool] = True

    def __init__(
        self,
        *,
        reducer: Reducer | str | None = None,
        reduction: str | None = "auto",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reducer=reducer, reduction=reduction, name=name, dtype=dtype)

    @abstractmethod
    def view_losses(self, view: Tensor, other: Tensor) -> dict[str, SubLoss]:
        """The terms of the loss, by name.

        Args:
            view: Floats `[N, D]`, float32 or float64.
            other: The same of the other view, and of the same dtype.
        """

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Tensor:
        """The reduced loss of two views.

        Args:
            y_true: One view, `[N, D]`.
            y_pred: The other view, `[N, D]`.
            sample_weight: Weight `[N]` of each row, where rows have losses.
            key_labels: Of other losses, and not of this one. So are `key_embeddings` and
                `pairs`.

        Returns:
            Float scalar, or `[N]` with `reduction="none"`, where rows have losses.

        Raises:
            TypeError: If a view is missing, or labels, keys or pairs are given.
            ValueError: If shapes differ, or rows cannot be weighted.
        """
        if sample_weight is not None and not self.takes_sample_weight:
            raise ValueError(
                f"`sample_weight` cannot be used: the losses of {type(self).__name__} "
                "are of columns, not of rows. Received: weights of the shape "
                f"{tuple(np.shape(sample_weight))}."
            )
        return super().__call__(
            y_true,
            y_pred,
            sample_weight,
            key_labels=key_labels,
            key_embeddings=key_embeddings,
            pairs=pairs,
        )

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        view, other = as_floats(batch.embeddings, ops), as_floats(batch.keys, ops)
        if dtype_name(view) != dtype_name(other):
            view, other = ops.cast(view, "float64"), ops.cast(other, "float64")
        return self.view_losses(view, other)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        own = ("name", "reduction", "reducer", "dtype")
        return {name: config[name] for name in own if name in config}

    def _batch(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Batch:
        others = (key_labels, key_embeddings, pairs)
        return two_view_batch(labels, embeddings, *others, loss=self)


def two_view_batch(view: Any, other: Any, *others: Any, loss: MetricLoss) -> Batch:
    """The first view as anchors and the second as keys, without labels.

    Args:
        view: One view, `[N, D]`.
        other: The other view, `[N, D]`.
        *others: `key_labels`, `key_embeddings` and `pairs` of other losses: all `None`.
        loss: The loss that is called.

    Raises:
        TypeError: If a view is missing, or labels, or one of the others, are there.
        ValueError: If the shapes differ.
    """
    names = ("key_labels", "key_embeddings", "pairs")
    received = [
        name for name, value in zip(names, others, strict=True) if value is not None
    ]
    if view is None:
        received.append("y_true=None")
    elif is_reversed(view, other):
        received.append("labels in the place of y_pred")
    if received:
        raise TypeError(
            f"{type(loss).__name__} is called with two views of the same rows, "
            "loss(view, other_view), and without labels, keys or pairs. Received: "
            f"{', '.join(received)}."
        )
    for name, rows in (("y_true", view), ("y_pred", other)):
        shape = np.shape(rows) if is_host_data(rows) else tuple(rows.shape)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"`{name}` must be a view of the shape [rows, embedding size], at least "
                f"one of them. Received: {name}.shape={shape}. A loss over two views is "
                "called as loss(view, other_view), without labels."
            )
    batch = Batch(None, view, None, other, distance=loss.distance)
    shapes = tuple(batch.embeddings.shape), tuple(batch.keys.shape)
    if any(
        None not in sizes and sizes[0] != sizes[1] for sizes in zip(*shapes, strict=True)
    ):
        raise ValueError(
            "`y_true` and `y_pred` must be views of one shape. Received: "
            f"y_true.shape={shapes[0]}, y_pred.shape={shapes[1]}."
        )
    return batch
