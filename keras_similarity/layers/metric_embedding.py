"""A dense layer with unit-length outputs."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras, ops
from keras_similarity.distances.normalize import unit
from keras_similarity.registry import register_serializable

Tensor = Any


@register_serializable
class MetricEmbedding(keras.layers.Dense):
    """Dense layer whose outputs have length 1 along the last axis.

    Usually the last layer of a similarity model. Takes inputs `[..., features]` of any
    rank and gives `[..., units]`; an output of zeros stays zero. Normalised in float32
    also under mixed precision, in which lengths would be off by up to 4e-3.

    Args:
        units: Embedding size.
        activation: Applied before normalising.
        use_bias: Is there a bias?
        **kwargs: Those of `keras.layers.Dense`.

    Example:
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.layers import MetricEmbedding
        >>> embeddings = MetricEmbedding(8)(ops.ones((2, 3)))
        >>> round(float(ops.norm(embeddings[0])), 5)
        1.0
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation=activation, use_bias=use_bias, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        outputs = super().call(inputs, training=training)
        return unit(ops.cast(outputs, _at_least_float32(outputs)), ops)

    def compute_output_spec(self, inputs: Tensor, training: Any = None) -> Any:
        spec = super().compute_output_spec(inputs)
        return keras.KerasTensor(spec.shape, dtype=_at_least_float32(spec))


def _at_least_float32(tensor: Tensor) -> str:
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return "float64" if dtype == "float64" else "float32"
