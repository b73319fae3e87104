"""Sums over the positives of each anchor, a few of them at a time.

What couples an anchor, a positive and a negative has `n * P * M` terms. Here they are
made for a slab of `k` positives of every anchor, summed, and forgotten, forwards and
backwards, so that memory is `[n, k, M]` for any number of positives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_similarity.backend import (
    framework,
    is_traced,
    ops,
    search_rows,
    static_value,
    sums_up_to,
    vector_jacobian_product,
)

Tensor = Any
Step = Callable[[Any, Tensor, Tensor], Any]

# Values of a slab: as many as make its passes worth their start.
_SLAB = 2**22
# Up to so many triplets of keys finding the positives costs more than it saves.
_SMALL = 2**15
# Positives of a slab where their number is only known at run time.
_UNROLLED = 4


def sum_over_positives(
    term: Callable[..., Any],
    positive_mask: Tensor,
    *tensors: Tensor,
    constants: Sequence[Tensor] = (),
    may_take_all: bool = True,
) -> Any:
    """Sum over the positives of each anchor of a term that is a function of tensors.

    Exact for any number of positives, which may be known at run time only, and
    differentiable in `tensors` by computing each slab again.

    Args:
        term: `term(columns, is_positive, *tensors, *constants)` gives the sum over a
            slab, floats of any shape or a tuple of floats of one shape: `columns` are
            integers `[n, k]`, the keys that are the anchors' positives, or `None` for all
            keys in their order (see `take_keys` and `take_rows`); where `is_positive`
            `[n, k]` is false there is none, and the term must be 0. It must reach all
            tensors through its arguments.
        positive_mask: Bool `[n, M]`.
        *tensors: Floats that `term` is a function of.
        constants: What else it looks at, without a gradient.
        may_take_all: Give small batches' keys all at once? Not where a term costs more
            than finding the positives.

    Returns:
        What `term` returns, summed.
    """
    constants = tuple(constants)
    shape = tuple(positive_mask.shape)
    is_small = None not in shape and shape[0] * shape[1] ** 2 <= _SMALL
    may_take_all = may_take_all and is_small
    count = None
    if not (may_take_all and is_traced(positive_mask)):
        count = count_positives(positive_mask)
    # Where it is known how few the positives are, finding them saves most of the work.
    if may_take_all and (count is None or 2 * count >= shape[1]):
        return term(None, positive_mask, *tensors, *constants)
    if count is not None and count * math.prod(shape) <= _SLAB:
        columns = _first_positives(positive_mask, max(count, 1))
        return term(*columns, *tensors, *constants)
    return _sum_of_slabs(term, positive_mask, tensors, constants)


def _sum_of_slabs(
    term: Callable[..., Any],
    positive_mask: Tensor,
    tensors: tuple[Tensor, ...],
    constants: tuple[Tensor, ...],
) -> Any:
    number = len(tensors)
    is_tuple = []

    def as_tensor(sums: Any) -> Tensor:
        return ops.stack(sums) if isinstance(sums, tuple) else sums

    # All is handed in: what JAX traces must not be found in a closure when the gradient
    # is taken of a compiled function.
    @ops.custom_gradient
    def summed(positive_mask: Tensor, *given: Tensor) -> Any:
        tensors, constants = given[:number], given[number:]

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Any:
            if upstream is None:  # JAX and TensorFlow pass it by position.
                (upstream,) = args

            def add_slopes(total: Any, columns: Tensor, is_positive: Tensor) -> Any:
                slopes = vector_jacobian_product(
                    lambda *tensors: as_tensor(
                        term(columns, is_positive, *tensors, *constants)
                    ),
                    tensors,
                    upstream,
                )
                return tuple(a + b for a, b in zip(total, slopes, strict=True))

            zeros = tuple(ops.zeros_like(tensor) for tensor in tensors)
            slopes = fold_positives(add_slopes, zeros, positive_mask)
            return (None, *slopes, *(None for _ in constants))

        def add(total: Any, columns: Tensor, is_positive: Tensor) -> Any:
            sums = term(columns, is_positive, *tensors, *constants)
            return (total[0] + as_tensor(sums),)

        nothing = ops.zeros_like(positive_mask[:, :1], dtype="int32")
        zero = term(nothing, nothing > 0, *tensors, *constants)
        is_tuple.append(isinstance(zero, tuple))
        zero = ops.zeros_like(as_tensor(zero))
        return fold_positives(add, (zero,), positive_mask)[0], gradient

    total = summed(positive_mask, *tensors, *constants)
    return tuple(total[i] for i in range(total.shape[0])) if is_tuple[0] else total


def take_keys(values: Tensor, columns: Tensor | None) -> Tensor:
    """Of floats `[n, M]` those of an anchor's keys, `[n, k]`; all if `None`."""
    return values if columns is None else ops.take_along_axis(values, columns, axis=1)


def put_keys(values: Tensor, columns: Tensor, shape: tuple[Any, Any]) -> Tensor:
    """Floats `[n, M]`, the shape: of floats `[n, k]` the sum of those of each column."""
    rows, keys = shape
    if framework() == "torch":
        zeros = values.new_zeros(shape)
        return zeros.scatter_add(1, columns.long(), values)
    row = ops.arange(rows, dtype="int32")[:, None] * keys
    place = row + ops.cast(columns, "int32")
    flat = ops.segment_sum(
        ops.reshape(values, (-1,)), ops.reshape(place, (-1,)), num_segments=rows * keys
    )
    return ops.reshape(flat, shape)


def take_rows(rows: Tensor, columns: Tensor | None) -> Tensor:
    """Of floats `[M, ...]` those of the anchors' keys, `[n, k, ...]`; `[1, M, ...]` if
    `None`."""
    return rows[None] if columns is None else ops.take(rows, columns, axis=0)


def values_of_positives(
    term: Callable[..., Tensor], positive_mask: Tensor, *tensors: Tensor
) -> Tensor:
    """A value for each positive of each anchor, as a function of tensors.

    Args:
        term: As that of `sum_over_positives`, but gives floats `[n, k]`, the value of
            each positive in `columns`. They must be finite where there is none, too.
        positive_mask: Bool `[n, M]`.
        *tensors: Floats that `term` is a function of.

    Returns:
        Floats `[n, M]`; 0 for what is no positive.
    """
    rows, keys = ops.shape(positive_mask)

    def placed(columns: Any, is_positive: Tensor, *tensors: Tensor) -> Tensor:
        values = term(columns, is_positive, *tensors)
        values = values * ops.cast(is_positive, values.dtype)
        if columns is None:
            return values
        return put_keys(values, columns, (rows, keys))

    return sum_over_positives(placed, positive_mask, *tensors)


def fold_positives(
    step: Step, state: Any, positive_mask: Tensor, counts: Tensor | None = None
) -> Any:
    """`state = step(state, columns, is_positive)` for one slab after the other.

    Args:
        step: Takes a tuple of tensors, integers `[n, k]` and bools `[n, k]`, and returns
            a tuple of the same shapes.
        state: Tuple of tensors to start with.
        positive_mask: Bool `[n, M]`.
        counts: What `running_counts` gives, if it was asked before.
    """
    count = count_positives(positive_mask)
    if count is not None:
        for columns, is_positive in _slabs(positive_mask, count):
            state = step(state, columns, is_positive)
        return state
    keys = positive_mask.shape[1] or ops.shape(positive_mask)[1]
    counts = running_counts(positive_mask) if counts is None else counts
    most = ops.amax(counts[:, -1])

    def body(start: Tensor, *state: Tensor) -> Any:
        # The first key up to which there are so many; `keys` where there are not.
        slots = start + ops.arange(1, _UNROLLED + 1, dtype="int32")
        columns = search_rows(counts, ops.zeros_like(counts[:, :1]) + slots, side="left")
        columns = ops.cast(columns, "int32")
        state = step(state, ops.minimum(columns, keys - 1), columns < keys)
        return (start + _UNROLLED, *state)

    def has_more(start: Tensor, *state: Tensor) -> Tensor:
        return start < most

    return ops.while_loop(has_more, body, (ops.zeros_like(most), *state))[1:]


def count_positives(positive_mask: Tensor) -> int | None:
    """The largest number of positives of an anchor; `None` if only run time knows."""
    if None in tuple(positive_mask.shape):
        return None
    return static_value(ops.amax(ops.sum(positive_mask, axis=1)))


def _slabs(positive_mask: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    if not count:
        return
    rows, keys = positive_mask.shape
    columns, is_positive = _first_positives(positive_mask, count)
    size = max(1, _SLAB // (rows * keys))
    for start in range(0, count, size):
        slab = slice(start, start + size)
        yield columns[:, slab], is_positive[:, slab]


def _first_positives(positive_mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    found, columns = ops.top_k(ops.cast(positive_mask, "float32"), count)
    return columns, found > 0


def running_counts(positive_mask: Tensor) -> Tensor:
    """How many positives `[n, M]` an anchor has up to each key, that included."""
    return sums_up_to(ops.cast(positive_mask, "int32"))
