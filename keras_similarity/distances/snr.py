"""Signal-to-noise-ratio distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.array_ops import Array, Namespace, dtype_name
from keras_similarity.distances.base import Distance, register
from keras_similarity.distances.normalize import unit


@register("snr", "signal-to-noise-ratio")
class SNRDistance(Distance):
    """Noise over signal `var(q - k) / var(q)`, variances over the features.

    The query is the anchor: the distance is not symmetric. `var(q - k)` is expanded
    into variances and a covariance, one matrix product. The signal of a constant query,
    which has none, counts as the dtype's epsilon, so that its distances are large and
    finite.

    Args:
        normalize_embeddings: Scale embeddings to length 1 first? PyTorch Metric
            Learning's default is `True`.
        power: Exponent of the distance.
        name: Name of the object.

    Reference:
        [Yuan et al., 2019](https://arxiv.org/abs/1904.02616)

    Example:
        >>> from keras_similarity.distances import SNRDistance
        >>> SNRDistance()([[-1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]).tolist()
        [[0.0, 4.0]]
    """

    default_name = "snr"

    def __init__(
        self,
        normalize_embeddings: bool = False,
        power: float = 1,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.normalize_embeddings = normalize_embeddings
        self.power = power

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        if self.normalize_embeddings:
            query, key = unit(query, ops), unit(key, ops)
        query = query - ops.mean(query, axis=-1, keepdims=True)
        key = key - ops.mean(key, axis=-1, keepdims=True)
        signal = ops.mean(ops.square(query), axis=-1, keepdims=True)  # [N, 1]
        key_variance = ops.mean(ops.square(key), axis=-1, keepdims=True)  # [M, 1]
        covariance = query @ ops.swapaxes(key, -1, -2) / query.shape[-1]  # [N, M]
        noise = signal + ops.swapaxes(key_variance, -1, -2) - 2.0 * covariance
        epsilon = float(np.finfo(dtype_name(query)).eps)
        distances = ops.relu(noise) / ops.where(signal < epsilon, epsilon, signal)
        return distances if self.power == 1 else distances**self.power

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "normalize_embeddings": self.normalize_embeddings,
            "power": self.power,
        }
