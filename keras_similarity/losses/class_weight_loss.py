"""What losses share that own a weight vector for each class."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from keras_similarity import regularizers
from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import keras, ops
from keras_similarity.losses.classes import check_classes, positive_integer
from keras_similarity.losses.metric_loss import MetricLoss
from keras_similarity.pairs import Batch
from keras_similarity.reducers import SubLoss
from keras_similarity.regularizers import Regularizer

Tensor = Any


class ClassWeightLoss(MetricLoss):
    """A loss of embeddings against weight vectors of classes, which are trained, too.

    The weights live in the loss's `head`. `SimilarityModel.compile` attaches it, so that
    `fit` trains them and `save` keeps them; in a training loop of your own
    `loss.trainable_variables` hands them out. Labels are the classes, from 0 to
    `num_classes - 1`.

    A subclass writes its formula in `class_losses`.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        weight_init_func: A `keras.initializers.Initializer`, its name or its config, or
            a function of shape and dtype; the class's default if `None`.
        weight_regularizer: A `Regularizer` of the weights, one row for each class, or
            its name.
        weight_reg_weight: What its penalty is multiplied by.
        learning_rate_multiplier: Under `fit` of a similarity model the weights learn
            this many times as fast as the model, as if they had an optimizer of their
            own whose learning rate is multiplied.
        **kwargs: Those of `MetricLoss`. A `miner` weights the rows: by how often each is
            in the pairs that it chose.

    Attributes:
        class_weights: The variable of the weights.

    Raises:
        ValueError: If a size is not positive, the multiplier is negative, or the formula
            cannot use the distance; when called, if the embeddings have another width,
            if keys are given, or, outside of jit, if a label is no class. A compiled step
            cannot notice that; `SimilarityModel.fit` looks at labels that are one NumPy
            array before.
    """

    takes_pairs = False
    #: Is the variable `[rows, D]`, in place of `[D, rows]`?
    has_row_layout: ClassVar[bool] = False
    #: What PyTorch Metric Learning calls it.
    weight_name: ClassVar[str] = "W"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        weight_init_func: Any = None,
        weight_regularizer: Regularizer | str | None = None,
        weight_reg_weight: float = 1.0,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = positive_integer("num_classes", num_classes)
        self.embedding_size = positive_integer("embedding_size", embedding_size)
        self.weight_init_func = (
            None if weight_init_func is None else keras.initializers.get(weight_init_func)
        )
        self.weight_regularizer = (
            None if weight_regularizer is None else regularizers.get(weight_regularizer)
        )
        self.weight_reg_weight = weight_reg_weight
        head = self.make_head(learning_rate_multiplier)
        rows, width = self.num_rows, self.embedding_size
        self.class_weights = head.add_weight(
            shape=(rows, width) if self.has_row_layout else (width, rows),
            initializer=self.weight_init_func or self.default_initializer(),
            constraint=self.constraint(),
            name=self.weight_name,
        )

    @abstractmethod
    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss `[N]` of each row.

        Args:
            embeddings: Floats `[N, D]` of any precision.
            labels: Integers `[N]`: the classes.
        """

    @property
    def num_rows(self) -> int:
        """How many weight vectors there are: one a class, or several."""
        return self.num_classes

    @property
    def class_rows(self) -> Tensor:
        """The weights as a tensor `[rows, D]`, whatever the layout of the variable."""
        weights = self.class_weights.value
        return weights if self.has_row_layout else ops.transpose(weights)

    def default_initializer(self) -> Any:
        """What the weights are at first, unless `weight_init_func` says otherwise."""
        return keras.initializers.RandomNormal(stddev=1.0)

    def constraint(self) -> Any:
        """What optimizers of Keras keep the weights to; `None` for nothing."""
        return None

    def build(self, embedding_size: int) -> None:
        """Raises a `ValueError` if the embeddings of a model have another width."""
        if embedding_size != self.embedding_size:
            raise ValueError(
                f"`embedding_size` of {self.name} must be the width of the model's "
                f"embeddings, {embedding_size}. Received: "
                f"embedding_size={self.embedding_size}."
            )

    def check_classes(self, labels: Any, name: str = "y_true") -> None:
        """Raises a `ValueError` if a label is no class; nothing under jit.

        Args:
            labels: Integers of any shape.
            name: What the caller calls them, for the message.
        """
        check_classes(labels, self.num_classes, name)

    def sub_losses(self, batch: Batch) -> dict[str, SubLoss]:
        values = self.class_losses(batch.embeddings, batch.labels)
        weights = batch.sample_weights
        return {"loss": SubLoss(values if weights is None else values * weights)}

    def get_config(self) -> dict[str, Any]:
        init, regularizer = self.weight_init_func, self.weight_regularizer
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "embedding_size": self.embedding_size,
            "weight_init_func": None if init is None else _plain_initializer(init),
            "weight_regularizer": (
                None if regularizer is None else regularizers.serialize(regularizer)
            ),
            "weight_reg_weight": self.weight_reg_weight,
            "learning_rate_multiplier": self.make_head().learning_rate_multiplier,
        }

    def _terms(self, batch: Batch) -> dict[str, SubLoss]:
        self._check_batch(batch)
        terms = super()._terms(batch)
        if self.weight_regularizer is None:
            return terms
        penalty = self.weight_regularizer(self.class_rows) * self.weight_reg_weight
        values = next(iter(terms.values())).values
        penalty = ops.cast(penalty, dtype_name(values))
        return {**terms, "weight_reg_loss": SubLoss(penalty, kind="reduced")}

    def _check_batch(self, batch: Batch) -> None:
        if batch.has_keys:
            raise ValueError(
                f"`key_embeddings` and `key_labels` must not be given: {self.name} "
                "compares embeddings with its weights of classes, not with each other. "
                f"Received: key_embeddings.shape={tuple(batch.keys.shape)}."
            )
        width = batch.embeddings.shape[1]
        if width not in (None, self.embedding_size):
            raise ValueError(
                f"`y_pred` must be of the loss's embedding size, {self.embedding_size}. "
                f"Received: y_pred.shape={tuple(batch.embeddings.shape)}."
            )
        if not batch.has_labels:
            raise ValueError(
                "`y_true` must be the classes of the rows. Received: None. `pairs` may "
                "be given beside them."
            )
        # As they were given: a batch numbers ids anew that are beyond int32.
        self.check_classes(batch.given_labels)


def _plain_initializer(initializer: Any) -> Any:
    return keras.initializers.serialize(initializer)
