"""P2SGrad loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import added_to_own, framework, keras, ops
from keras_similarity.distances.base import as_floats
from keras_similarity.distances.normalize import unit
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.pairs import one_if_zero

Tensor = Any


@register("p2s_grad")
class P2SGradLoss(ClassWeightLoss):
    """P2SGrad: squared error of cosines, where 1 is right for the own class, else 0.

    `mean_c (cos(e, w_c) - [c is the row's class])^2` for each row. No margin and no
    scale to choose.

    Class vectors count with length 1, and no gradient flows through that scaling;
    optimizers of Keras also leave them with length 1 after each step.

    Args:
        descriptors_dim: Width `D` of the embeddings.
        num_classes: How many classes there are.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ...; a `distance`
            only serves the miner.

    Attributes:
        weight: The variable of the weights, `[D, num_classes]`; uniform directions of
            length 1 at first.

    Reference:
        [Zhang et al., 2019](https://arxiv.org/abs/1905.02479)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import P2SGradLoss
        >>> loss = P2SGradLoss(2, 2, weight_init_func="identity")
        >>> round(float(loss(np.array([1]), np.array([[3.0, 0.0]]))), 3)
        1.0
    """

    default_name = "p2s_grad_loss"
    weight_name = "weight"

    def __init__(self, descriptors_dim: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_classes, descriptors_dim, **kwargs)

    @property
    def weight(self) -> Any:
        """The variable of the weights, `[D, num_classes]`."""
        return self.class_weights

    def default_initializer(self) -> Any:
        return _uniform_directions

    def constraint(self) -> Any:
        return keras.constraints.UnitNorm(axis=0)

    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = as_floats(embeddings, ops)
        weights = self.weight.value
        fixed = ops.stop_gradient(weights)
        # At length 1, but without the gradient of `unit`.
        weights = weights / one_if_zero(_column_norms(fixed))
        if dtype_name(weights) != dtype_name(embeddings):
            weights = ops.cast(weights, dtype_name(embeddings))
        cosines = unit(embeddings, ops) @ weights
        errors = added_to_own(cosines, labels, -1.0)
        return ops.mean(errors * errors, axis=1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["descriptors_dim"] = config.pop("embedding_size")
        return config


def _column_norms(weights: Tensor) -> Tensor:
    if framework() == "torch":  # One kernel in place of three.
        return ops.vector_norm(weights, dim=0, keepdim=True)
    return ops.sqrt(ops.sum(weights * weights, axis=0, keepdims=True))


def _uniform_directions(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    values = keras.random.uniform(shape, -1.0, 1.0, dtype=dtype)
    return ops.transpose(unit(ops.transpose(values), ops))
