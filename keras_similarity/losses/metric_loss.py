"""What all metric losses share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from keras_similarity import distances, miners, reducers, regularizers
from keras_similarity.backend import full_precision, keras, ops
from keras_similarity.distances import CosineDistance, Distance
from keras_similarity.losses.head import LossHead
from keras_similarity.miners import Miner
from keras_similarity.pairs import Batch, Pairs, check_rows
from keras_similarity.reducers import Reducer, SubLoss
from keras_similarity.registry import Registry
from keras_similarity.regularizers import Regularizer

Tensor = Any


class MetricLoss(keras.losses.Loss):
    """A loss over the embeddings of a batch and their labels.

    Give it to `compile()`, or call it in any training loop of JAX, PyTorch or
    TensorFlow:

    - `loss(labels, embeddings)`: each row is an anchor, the other rows are its keys;
    - `loss(labels, embeddings, key_labels=..., key_embeddings=...)`: other keys;
    - `loss(None, embeddings, pairs=pairs)`: pairs of your own.

    A subclass writes its formula for a block of anchors against all keys: in
    `anchor_losses` if it has one value an anchor, else in `sub_losses`; and it holds the
    options of the formula.

    `keras.losses.Loss` would cast labels to float32, in which ids above 2**24 collide.
    Here labels become masks first, and weights and reduction are done on the values of
    the formula.

    Args:
        distance: A `Distance`, its name or its config; `None` for the class's default.
            The formula sees its cost, in which smaller means closer, so that a
            similarity is treated right.
        miner: A `Miner` that chooses among the pairs, or its name.
        reducer: A `Reducer` of the values of pairs, triplets or anchors to one number,
            or its name; `None` for the class's default.
        embedding_regularizer: A `Regularizer` of the embeddings, or its name.
        embedding_reg_weight: What its penalty is multiplied by.
        reduction: Keras' way of reducing, in place of `reducer`, on one value an anchor,
            the mean of those of its pairs or triplets, 0 if it has none:
            `"sum_over_batch_size"` (the mean over all anchors), `"sum"`,
            `"mean_with_sample_weight"`, or `"none"` for the values `[N]`. `"auto"`
            leaves it to `reducer`.
        name: Name of the loss.
        dtype: As Keras' losses; computations are in float32 at least.
        remove_diagonal: Is a row never its own positive? Only for losses without keys
            of their own.

    Raises:
        ValueError: If the formula cannot use the distance, or both `reduction` and
            `reducer` are given.
    """

    default_name: ClassVar[str | None] = None
    default_distance: ClassVar[Callable[[], Distance]] = CosineDistance
    default_reducer: ClassVar[str] = "mean"
    #: Can it be called with `pairs`, and keys, in place of labels?
    takes_pairs: ClassVar[bool] = True
    #: Does an anchor's loss hang on its own row of costs alone?
    is_row_wise: ClassVar[bool] = True
    #: Does a call change what the next one gives?
    is_stateful: ClassVar[bool] = False
    #: Does it branch on what only run time knows, so that `torch.compile` takes it in
    #: several graphs?
    breaks_torch_graph: ClassVar[bool] = False

    def __init__(
        self,
        distance: Distance | str | None = None,
        *,
        miner: Miner | str | None = None,
        reducer: Reducer | str | None = None,
        embedding_regularizer: Regularizer | str | None = None,
        embedding_reg_weight: float = 1.0,
        reduction: str | None = "auto",
        name: str | None = None,
        dtype: Any = None,
        remove_diagonal: bool = True,
    ) -> None:
        is_auto = reduction == "auto"
        super().__init__(
            name=name or self.default_name or type(self).__name__,
            reduction="sum_over_batch_size" if is_auto else reduction,
            dtype=dtype,
        )
        if not is_auto and reducer is not None:
            raise ValueError(
                "`reduction` and `reducer` say the same thing: give one of them. "
                f"Received: reduction={reduction!r}, reducer={reducer!r}."
            )
        self.distance = self._checked_distance(distances.get(distance or self._default()))
        self.miner = None if miner is None else miners.get(miner)
        self.reducer = reducers.get(reducer or self.default_reducer) if is_auto else None
        self.embedding_regularizer = (
            None
            if embedding_regularizer is None
            else regularizers.get(embedding_regularizer)
        )
        self.embedding_reg_weight = embedding_reg_weight
        self.remove_diagonal = remove_diagonal
        # May the loss change its state? A similarity model says so for each step.
        self.training = True
        self.head: LossHead | None = None
        if self.miner is not None and self.miner.seed_generator is not None:
            self.make_head().seed_generator = self.miner.seed_generator

    def anchor_losses(self, cost: Tensor, pairs: Pairs) -> Tensor:
        """Loss `[n]` of each anchor: the formula of losses that have one value each.

        Args:
            cost: Cost `[n, M]` of anchors and keys, smaller is closer; float32 or
                float64.
            pairs: Masks `[n, M]` of the positives and the negatives.
        """
        raise TypeError(
            f"{type(self).__name__} must define `anchor_losses` or `sub_losses`."
        )

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        """The terms of the loss, by name, as values that are not reduced yet."""
        return {"loss": SubLoss(self.anchor_losses(batch.cost, batch.pairs))}

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
            sample_weight: Weight `[N]` of each anchor: what its values are multiplied
                by.
            key_labels: Labels `[M]` of `key_embeddings`.
            key_embeddings: Keys `[M, D]` that take the place of the batch.
            pairs: Pairs of anchors and keys, in place of those that the labels make.

        Returns:
            Float scalar, or `[N]` with `reduction="none"`.

        Raises:
            TypeError: If labels are no integers.
            ValueError: If shapes do not fit.
        """
        batch = self._batch(y_true, y_pred, key_labels, key_embeddings, pairs)
        return self.of_batch(batch, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Loss `[N]` of each anchor, unweighted and not reduced."""
        batch = self._batch(y_true, y_pred)
        with full_precision(batch.embeddings):
            return _anchor_means(self._terms(batch))

    def of_batch(self, batch: Batch, sample_weight: Any = None) -> Tensor:
        """The reduced loss of a batch that is made already; a loss around it calls this.

        Args:
            batch: Anchors, keys and pairs; its distance is the loss's.
            sample_weight: Weight `[N]` of each anchor.
        """
        if sample_weight is not None:
            sample_weight = _row_weights(sample_weight, batch)
        with full_precision(batch.embeddings):
            terms = self._terms(batch)
            if self.reducer is not None:
                return self.reducer(terms, sample_weight)
            return self._reduce_as_keras(terms, sample_weight)

    @property
    def heads(self) -> list[LossHead]:
        """The layers that hold the variables of the loss, and of losses inside it."""
        return [] if self.head is None else [self.head]

    def build(self, embedding_size: int) -> None:
        """Makes the variables that depend on the width of the embeddings, if any do.

        A similarity model calls it when it is compiled, if it knows the width by then.

        Raises:
            ValueError: If the loss is for embeddings of another width.
        """

    @property
    def variables(self) -> list[Any]:
        """All variables of the loss: weights and state."""
        return [variable for head in self.heads for variable in head.variables]

    @property
    def trainable_variables(self) -> list[Any]:
        """The weights that an optimizer trains; a training loop of your own passes them
        to its optimizer. On torch, `[v.value for v in ...]` are parameters."""
        return [variable for head in self.heads for variable in head.trainable_variables]

    def make_head(self, learning_rate_multiplier: float | None = None) -> LossHead:
        """The loss's own head, made now if it has none."""
        if self.head is None:
            # torch finds parameters by path: two losses of one name must not share one.
            name = f"{self.name}_head"
            count = keras.backend.get_uid(name)
            # Whatever the policy, an optimizer's steps would be lost in half precision.
            dtype = "float64" if self.dtype == "float64" else "float32"
            self.head = LossHead(name=f"{name}_{count}", dtype=dtype)
        if learning_rate_multiplier is not None:
            self.head.learning_rate_multiplier = learning_rate_multiplier
        return self.head

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        is_auto = self.reducer is not None
        config = {
            **super().get_config(),
            "distance": distances.serialize(self.distance),
            "miner": _plain(miners, self.miner),
            "reducer": _plain(reducers, self.reducer),
            "embedding_regularizer": _plain(regularizers, self.embedding_regularizer),
            "embedding_reg_weight": self.embedding_reg_weight,
            "remove_diagonal": self.remove_diagonal,
        }
        return {**config, "reduction": "auto"} if is_auto else config

    def _checked_distance(self, distance: Distance) -> Distance:
        """The distance, or a `ValueError` if the formula cannot use it."""
        return distance

    def _default(self) -> Distance:
        return type(self).default_distance()

    def _batch(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Batch:
        return Batch(
            labels,
            embeddings,
            key_labels,
            key_embeddings,
            pairs=pairs,
            distance=self.distance,
            remove_diagonal=self.remove_diagonal,
            names=("y_true", "y_pred"),
        )

    def _terms(self, batch: Batch) -> dict[str, SubLoss]:
        if self.miner is not None:
            batch = batch.with_pairs(self.miner.mine_batch(batch))
        terms = self.sub_losses(batch)
        if self.embedding_regularizer is not None:
            penalty = self.embedding_regularizer(batch.embeddings)
            penalty = penalty * self.embedding_reg_weight
            terms = {**terms, "embedding_reg_loss": SubLoss(penalty, kind="reduced")}
        if self.reducer is not None and self.reducer.needs_labels:
            terms = {
                name: term
                if term.labels is not None
                else replace(term, labels=batch.labels)
                for name, term in terms.items()
            }
        return terms

    def _reduce_as_keras(self, terms: dict[str, SubLoss], weights: Any) -> Tensor:
        losses = _anchor_means(terms)
        if not len(losses.shape):  # All terms are reduced already.
            return losses
        if weights is not None:
            losses = losses * weights
        if self.reduction in (None, "none"):
            return losses
        total = ops.sum(losses)
        if self.reduction == "sum":
            return total
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            return ops.divide_no_nan(total, ops.sum(weights))
        return total / ops.cast(ops.shape(losses)[0], losses.dtype)


registry = Registry("loss", MetricLoss)
register = registry.register


def _plain(module: Any, part: Any) -> dict[str, Any] | None:
    return None if part is None else module.serialize(part)


def _row_weights(sample_weight: Any, batch: Batch) -> Tensor:
    sample_weight = ops.convert_to_tensor(sample_weight)
    check_rows("sample_weight", sample_weight, "y_pred", batch.embeddings)
    return ops.reshape(ops.cast(sample_weight, "float32"), (-1,))


def _anchor_means(terms: dict[str, SubLoss]) -> Tensor:
    """Value `[n]` of each anchor: the mean of those of its pairs or triplets."""
    total: Any = 0.0
    for term in terms.values():
        if term.kind == "reduced":
            total = total + term.values
            continue
        sums, counts = term.sums(None, None)
        total = total + (sums if counts is None else ops.divide_no_nan(sums, counts))
    return total
