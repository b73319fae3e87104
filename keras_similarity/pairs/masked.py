"""Masks, and extrema and sums over the entries of a row that one allows."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import framework, is_traced, ops

Tensor = Any

# Values from which on the time of an operation is that of its values.
_LARGE = 2**14
# From so many pairs on, those that are a small share of them are worth finding.
_MANY = 2**17
_FEW = 1 / 32
# What float32 holds twice.
_FAR = 1e38
# A term that is less than the largest by a factor of exp(60) changes no sum.
_DEPTH = 60.0


def off_diagonal(mask: Tensor) -> Tensor:
    """A square mask, false on its diagonal: of rows compared with each other."""
    if framework() == "torch":  # Two kernels in place of five.
        return mask.clone().fill_diagonal_(False)
    row = ops.arange(ops.shape(mask)[0])
    return mask & (row[:, None] != row[None, :])


def few_places(mask: Tensor) -> Tensor | None:
    """Where a large mask is true, if that is a small part of it.

    An array as large costs more than finding them: on a CPU most of its time goes by in
    getting its memory.

    Args:
        mask: Bool `[n, M]`.

    Returns:
        Places `[T]` in the rows one after the other; or `None` where it is better, or
        where only run time knows, to look at all.
    """
    if framework() != "torch" or mask.device.type != "cpu" or mask.numel() < _MANY:
        return None
    if is_traced(mask) or int(mask.count_nonzero()) > _FEW * mask.numel():
        return None
    return mask.reshape(-1).nonzero()[:, 0]


def one_if_zero(counts: Tensor) -> Tensor:
    """Floats from 0 on, with 1 in place of 0: what a sum is divided by."""
    if framework() == "torch":  # One kernel in place of three.
        return ops.threshold(counts, 0.0, 1.0)
    return counts + ops.cast(counts == 0, counts.dtype)


def masked_max(values: Tensor, mask: Tensor) -> Tensor:
    """Largest allowed value of each row, `[n, 1]`; -inf where none is allowed."""
    # Not `ops.max`, which in Keras 3.15 breaks the graph of `torch.compile`.
    return ops.amax(ops.where(mask, values, -float("inf")), axis=1, keepdims=True)


def masked_min(values: Tensor, mask: Tensor) -> Tensor:
    """Smallest allowed value of each row, `[n, 1]`; inf where none is allowed."""
    return ops.amin(ops.where(mask, values, float("inf")), axis=1, keepdims=True)


def masked_log1p_sum_exp(values: Tensor, mask: Tensor) -> Tensor:
    """`log(1 + sum exp(value))` over the allowed values of each row, `[n, 1]`.

    Neither large nor small values overflow; 0, with gradient 0, where none is allowed.
    """
    return ops.softplus(masked_log_sum_exp(values, mask))


def has_any(mask: Tensor) -> Tensor:
    """Does the row allow anything? Bool `[n, 1]`."""
    return ops.any(mask, axis=1, keepdims=True)


def masked_log_sum_exp(
    values: Tensor, mask: Tensor, weights: Tensor | None = None
) -> Tensor:
    """`log(sum exp(value))` over the allowed values of each row, `[n, 1]`.

    Args:
        values: Floats `[n, M]`.
        mask: Bool `[n, M]`.
        weights: Floats `[n, M]`: a value that counts `k` times is there `k` times.

    Returns:
        Floats `[n, 1]`; -inf, with gradient 0, where none is allowed.
    """
    if weights is not None:
        weights = ops.cast(ops.where(mask, weights, 1.0), values.dtype)
        values = values + ops.log(weights)
    if framework() == "torch" and not is_traced(values):
        mask = ops.convert_to_tensor(mask)
        places = few_places(mask) if mask.shape == values.shape else None
        if places is None:
            return ops.masked_log_sum_exp(values, mask)[0]
        return _log_sum_exp_of_few(values, places)
    if _is_large(values):
        return _log_sum_exp_of_many(values, mask)
    allowed = ops.where(mask, values, -float("inf"))
    return ops.logsumexp(allowed, axis=1, keepdims=True)


def _is_large(values: Tensor) -> bool:
    shape = tuple(values.shape)
    return None not in shape and shape[0] * shape[1] >= _LARGE


def _barrier(values: Tensor, mask: Tensor) -> Tensor:
    """Floats `[n, M]`: 0 where allowed, else so small that what it is added to drowns."""
    return (ops.cast(mask, values.dtype) - 1.0) * _FAR


def _log_sum_exp_of_many(values: Tensor, mask: Tensor) -> Tensor:
    """The same, in more operations, none of which is slow on many values.

    What is not allowed gets a large negative number added, and what is too small to
    change the sum is raised to where it still does not.
    """
    barrier = _barrier(values, mask)
    largest = ops.amax(ops.stop_gradient(values) + barrier, axis=1, keepdims=True)
    floor = largest - _DEPTH
    terms = ops.exp(ops.relu(values + (barrier - floor)))
    found = floor + ops.log(ops.sum(terms, axis=1, keepdims=True))
    return ops.where(largest > -0.5 * _FAR, found, -float("inf"))


def _log_sum_exp_of_few(values: Tensor, places: Tensor) -> Tensor:
    """The same of values at a list of places; on torch."""
    rows, keys = values.shape
    row = places // keys
    chosen = values.reshape(-1).index_select(0, places)
    largest = chosen.new_full((rows,), -_FAR)
    largest = largest.scatter_reduce(0, row, chosen.detach(), "amax")
    terms = (chosen - largest.index_select(0, row)).exp()
    totals = terms.new_zeros(rows).index_add(0, row, terms)
    # Of nothing: -inf, whose slope must not become NaN.
    found = largest + one_if_zero(totals).log()
    return found.masked_fill(totals == 0.0, -float("inf"))[:, None]


def log_sum_exp_or_zero(
    values: Tensor, mask: Tensor, weights: Tensor | None = None
) -> Tensor:
    """As `masked_log_sum_exp`, but 0 where none is allowed."""
    return ops.where(has_any(mask), masked_log_sum_exp(values, mask, weights), 0.0)
