"""What all metric losses share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from keras_similarity import distances
from keras_similarity.array_ops import is_host_data
from keras_similarity.backend import keras, ops
from keras_similarity.distances import Distance
from keras_similarity.pairs import Pairs, pairs_from_labels
from keras_similarity.registry import Registry

Tensor = Any


class MetricLoss(keras.losses.Loss):
    """A loss over the embeddings of a batch and their labels.

    Give it to `compile()`, or call it in any training loop of JAX, PyTorch or
    TensorFlow:

    - `loss(labels, embeddings)`: each row is an anchor, the other rows are its keys;
    - `loss(labels, embeddings, key_labels=..., key_embeddings=...)`: other keys;
    - `loss(None, embeddings, pairs=pairs)`: pairs of your own.

    A subclass writes its formula for a block of anchors against all keys, in
    `anchor_losses`, and holds the options of the formula.

    `keras.losses.Loss` would cast labels to float32, in which ids above 2**24 collide.
    Here labels become masks first, and weights and reduction are done on the losses of
    the anchors.

    Args:
        distance: A `Distance`, its name or its config. The formula sees its cost, in
            which smaller means closer, so that a similarity is treated right.
        reduction: `"sum_over_batch_size"` (the mean over all anchors, those without a
            pair included), `"sum"`, `"mean_with_sample_weight"`, or `"none"` for the
            losses `[N]` of the anchors.
        name: Name of the loss.
        dtype: As Keras' losses; computations are in float32 at least.
        remove_diagonal: Is a row never its own positive? Only for losses without keys
            of their own.
    """

    default_name: str | None = None

    def __init__(
        self,
        distance: Distance | str = "cosine",
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        remove_diagonal: bool = True,
    ) -> None:
        super().__init__(name=name or self.default_name, reduction=reduction, dtype=dtype)
        self.distance = distances.get(distance)
        self.remove_diagonal = remove_diagonal

    @abstractmethod
    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        """Loss `[n]` of each anchor: the formula.

        Args:
            cost: Cost `[n, M]` of anchors and keys, smaller is closer; float32 or
                float64.
            pairs: Bool masks `[n, M]` of the positives and the negatives.
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
        """The reduced loss of a batch.

        Args:
            y_true: Labels, integers `[N]` or `[N, 1]`; `None` if `pairs` are given.
            y_pred: Embeddings `[N, D]`.
            sample_weight: Weight `[N]` of each anchor.
            key_labels: Labels `[M]` of `key_embeddings`.
            key_embeddings: Keys `[M, D]` that take the place of the batch.
            pairs: Pairs of anchors and keys, in place of those that the labels make.

        Returns:
            Float scalar, or `[N]` with `reduction="none"`.

        Raises:
            TypeError: If labels are no integers.
            ValueError: If shapes do not fit.
        """
        losses = self._anchor_losses_of(y_true, y_pred, key_labels, key_embeddings, pairs)
        return self._reduce(losses, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Loss `[N]` of each anchor, unweighted and not reduced."""
        return self._anchor_losses_of(y_true, y_pred, None, None, None)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {
            **super().get_config(),
            "distance": distances.serialize(self.distance),
            "remove_diagonal": self.remove_diagonal,
        }

    def _anchor_losses_of(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any,
        key_embeddings: Any,
        pairs: Pairs | None,
    ) -> Tensor:
        embeddings = ops.convert_to_tensor(embeddings)
        _check_embeddings("y_pred", embeddings)
        if key_embeddings is not None:
            key_embeddings = ops.convert_to_tensor(key_embeddings)
            _check_embeddings("key_embeddings", key_embeddings)
        if pairs is None:
            pairs = self._pairs(labels, embeddings, key_labels, key_embeddings)
        cost = self.distance.cost(embeddings, key_embeddings)
        return self.anchor_losses(cost, _as_masks(pairs, tuple(cost.shape)))

    def _pairs(
        self, labels: Any, embeddings: Tensor, key_labels: Any, key_embeddings: Any
    ) -> Pairs:
        if labels is None:
            raise ValueError("`y_true` must be the labels if no `pairs` are given.")
        if (key_labels is None) != (key_embeddings is None):
            raise ValueError(
                "`key_labels` and `key_embeddings` belong together: give both, or none."
            )
        _check_rows("y_true", labels, "y_pred", embeddings)
        if key_labels is not None:
            _check_rows("key_labels", key_labels, "key_embeddings", key_embeddings)
        elif not self.remove_diagonal:
            key_labels = labels
        return pairs_from_labels(labels, key_labels, name="y_true")

    def _reduce(self, losses: Tensor, sample_weight: Any) -> Tensor:
        if sample_weight is not None:
            sample_weight = ops.cast(ops.convert_to_tensor(sample_weight), losses.dtype)
            _check_rows("sample_weight", sample_weight, "y_pred", losses)
            losses = losses * ops.reshape(sample_weight, (-1,))
        if self.reduction in (None, "none"):
            return losses
        total = ops.sum(losses)
        if self.reduction == "sum":
            return total
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            return ops.divide_no_nan(total, ops.sum(sample_weight))
        return total / ops.cast(ops.shape(losses)[0], losses.dtype)


registry = Registry("loss", MetricLoss)
register = registry.register


def _check_embeddings(name: str, embeddings: Tensor) -> None:
    shape = tuple(embeddings.shape)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"`{name}` must be embeddings of the shape [rows, embedding size], at least "
            f"one of them. Received: {name}.shape={shape}. A metric loss is called as "
            "loss(labels, embeddings)."
        )


def _check_rows(name: str, column: Any, rows_name: str, rows: Tensor) -> None:
    """Is there one entry of `column`, `[N]` or `[N, 1]`, for each of the rows?"""
    shape = tuple(np.shape(column) if is_host_data(column) else column.shape)
    is_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    count = rows.shape[0]
    if not is_column or (None not in (shape[0], count) and shape[0] != count):
        raise ValueError(
            f"`{name}` must hold one value a row of `{rows_name}`, of which there are "
            f"{count}. Received: {name}.shape={shape}. A metric loss is called as "
            "loss(labels, embeddings)."
        )


def _as_masks(pairs: Pairs, shape: tuple[int | None, ...]) -> Pairs:
    masks = []
    for name in ("positive_mask", "negative_mask"):
        mask = ops.convert_to_tensor(getattr(pairs, name), dtype="bool")
        if len(mask.shape) != 2 or _differs(mask.shape, shape):
            raise ValueError(
                f"`pairs.{name}` must have the shape [anchors, keys], {shape}. Received: "
                f"{tuple(mask.shape)}."
            )
        masks.append(mask)
    return Pairs(*masks)


def _differs(shape: Any, expected: Any) -> bool:
    return any(
        None not in (size, other) and size != other
        for size, other in zip(shape, expected, strict=True)
    )
