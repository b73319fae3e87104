"""Signal-to-noise-ratio distance."""

from __future__ import annotations

import numpy as np

from keras_similarity.array_ops import Array, Namespace, dtype_name, namespace
from keras_similarity.distances.base import as_floats, register
from keras_similarity.distances.base_distance import BaseDistance

# Squares of deviations up to 1e24 fit into float32. The distance has no unit, and a power
# of 2 rounds nothing.
_SCALE = 2.0**-20


@register("snr", "signal-to-noise-ratio")
class SNRDistance(BaseDistance):
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
        p: Which norm embeddings are normalised by.
        collect_stats: As `BaseDistance` has it.

    Reference:
        [Yuan et al., 2019](https://arxiv.org/abs/1904.02616)

    Example:
        >>> from keras_similarity.distances import SNRDistance
        >>> SNRDistance()([[-1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]).tolist()
        [[0.0, 4.0]]
    """

    default_name = "snr"
    takes_any_array = True

    def __init__(
        self,
        normalize_embeddings: bool = False,
        power: float = 1,
        name: str | None = None,
        *,
        p: float = 2,
        collect_stats: bool | None = None,
    ) -> None:
        super().__init__(
            normalize_embeddings, p, power, collect_stats=collect_stats, name=name
        )

    def compute_mat(self, query: Array, ref: Array) -> Array:
        ops = namespace(query, ref)
        query, ref = _deviations(query, ops), _deviations(ref, ops)
        signal = ops.mean(query * query, axis=-1, keepdims=True)  # [N, 1]
        ref_variance = ops.mean(ref * ref, axis=-1, keepdims=True)  # [M, 1]
        covariance = query @ ops.swapaxes(ref, -1, -2) / query.shape[-1]  # [N, M]
        noise = signal + ops.swapaxes(ref_variance, -1, -2) - 2.0 * covariance
        return ops.relu(noise) / _at_least_epsilon(signal, ops)

    def pairwise_distance(self, query: Array, ref: Array) -> Array:
        """`var(q - r) / var(q)` `[N]` of each row and the one beside it, as they are."""
        ops = namespace(query, ref)
        query, ref = _deviations(query, ops), _deviations(ref, ops)
        noise = ops.mean(ops.square(query - ref), axis=-1)
        return noise / _at_least_epsilon(ops.mean(query * query, axis=-1), ops)


def _deviations(x: Array, ops: Namespace) -> Array:
    x = as_floats(x, ops) * _SCALE
    return x - ops.mean(x, axis=-1, keepdims=True)


def _at_least_epsilon(signal: Array, ops: Namespace) -> Array:
    epsilon = float(np.finfo(dtype_name(signal)).eps) * _SCALE**2
    return ops.where(signal < epsilon, epsilon, signal)
