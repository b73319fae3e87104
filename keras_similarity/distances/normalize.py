"""Unit vectors that stay finite."""

from __future__ import annotations

from keras_similarity.array_ops import Array, Namespace, dtype_name
from keras_similarity.backend import is_traced
from keras_similarity.distances.powers import absolute, constant

# Shorter rows are rounding noise.
_SHORTEST = 1e-12
# Squares of lengths up to 1e25 fit into float32, and that of the shortest one still does.
# A power of 2 rounds nothing.
_SCALE = 2.0**-20


def unit(x: Array, ops: Namespace, p: float = 2) -> Array:
    """Rows of `x` (last axis) scaled to p-norm 1; a zero row gives 0, its gradient too.

    A row counts as zero when it is shorter than 1e-12 (PyTorch Metric Learning shrinks
    those, `x / 1e-12`), and in float32 also when it is longer than 1e25.

    Args:
        x: Float array `[..., D]`, float32 or float64.
        ops: `keras.ops` or NumPy's namespace.
        p: Which norm; from 1, 2 being the usual length. For other norms than that a row
            is zero when its largest coordinate is below 1e-12.
    """
    if p == 2 and hasattr(x, "detach"):
        return ops.unit_rows(x, _SHORTEST, _SCALE)[0]
    return unit_and_presence(x, ops, p)[0]


def cosines(query: Array, key: Array, ops: Namespace) -> Array:
    """Cosines `[..., N, M]` of rows `[..., N, D]` and `[..., M, D]`, 0 for a zero row."""
    if key is query and is_eager_torch(query):
        return among_rows(query, ops, is_cosine=True)
    unit_query = unit(query, ops)
    unit_key = unit_query if key is query else unit(key, ops)
    return unit_query @ ops.swapaxes(unit_key, -1, -2)


def is_eager_torch(rows: Array) -> bool:
    """Are they a matrix of torch's, and no compiler is at work, which fuses alone?"""
    return hasattr(rows, "detach") and rows.ndim == 2 and not is_traced(rows)


def among_rows(
    rows: Array, ops: Namespace, *, is_cosine: bool = False, floor: float | None = None
) -> Array:
    """What rows are to each other, by torch's function for it: see `AmongUnitRows`."""
    return ops.among_unit_rows(rows, _SHORTEST, _SCALE, is_cosine, floor)[0]


def unit_and_presence(x: Array, ops: Namespace, p: float = 2) -> tuple[Array, Array]:
    """The unit rows `[..., D]`, and 1 for each, or 0 for a zero row, `[..., 1]`."""
    return _unit_by_length(x, ops) if p == 2 else _unit_by_size(x, ops, p)


def _unit_by_length(x: Array, ops: Namespace) -> tuple[Array, Array]:
    if hasattr(x, "detach"):
        x, length = ops.unit_rows(x, _SHORTEST, _SCALE)
        return x, (length < float("inf")).to(x.dtype)
    x = x * _SCALE
    squared = ops.sum(x * x, axis=-1, keepdims=True)
    is_present = ops.cast(squared >= (_SHORTEST * _SCALE) ** 2, dtype_name(x))
    # Not rsqrt: its slope is the cube of its value, which leaves float32 sooner.
    length = ops.sqrt(squared + (1.0 - is_present))
    return x * (is_present / length), is_present


def _unit_by_size(x: Array, ops: Namespace, p: float) -> tuple[Array, Array]:
    # Powers of numbers up to 1 cannot overflow. What a row is divided by first does not
    # change the result, so it needs no gradient.
    # Not `ops.max`, which in Keras 3.15 breaks the graph of `torch.compile`.
    size = constant(ops.amax(ops.abs(x), axis=-1, keepdims=True), ops)
    is_present = ops.cast(size >= _SHORTEST, dtype_name(x))
    x = x * (is_present / (size + (1.0 - is_present)))
    total = ops.sum(absolute(x, ops) ** p, axis=-1, keepdims=True)
    return x / (total + (1.0 - is_present)) ** (1.0 / p), is_present
