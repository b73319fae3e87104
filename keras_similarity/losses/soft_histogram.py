"""Histograms of many values in few bins."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras_similarity.backend import framework, is_traced, ops

Tensor = Any

# Up to so many values times bins it is faster to compare each value with each bin; on
# torch, where it is eager, up to fewer.
_SMALL = 2**18
_SMALL_ON_TORCH = 2**14
# So many values are sorted into bins at once.
_PART = 2**21


def soft_histograms(
    places: Tensor, masks: Sequence[Tensor], bins: int, *, are_disjoint: bool
) -> Tensor:
    """Histograms of each row's values, in which a value has a slope.

    A value at `b + f` counts `1 - f` in bin `b` and `f` in the next.

    Args:
        places: Floats `[n, M]`: values, in units of bins from the first one; what is
            outside counts in the first or the last.
        masks: Which values count, for each histogram: bools `[n, M]`.
        bins: Number of bins; at least 2.
        are_disjoint: Is no value in two histograms? Then all are made in one pass.

    Returns:
        Floats `[n, histograms, bins]`.
    """
    places = ops.clip(places, 0.0, bins - 1.0)
    if _is_small(places, bins):
        gaps = places[:, :, None] - ops.arange(bins, dtype=places.dtype)
        shares = ops.relu(1.0 - gaps * ops.sign(gaps))  # [n, M, bins]
        return ops.cast(ops.stack(list(masks), axis=1), shares.dtype) @ shares
    groups = [masks] if are_disjoint else [[mask] for mask in masks]
    made = [_disjoint_histograms(places, group, bins) for group in groups]
    return ops.concatenate(made, axis=1) if len(made) > 1 else made[0]


def _disjoint_histograms(places: Tensor, masks: Sequence[Tensor], bins: int) -> Tensor:
    number, rows = len(masks), ops.shape(places)[0]
    bin_ = ops.floor(ops.stop_gradient(places))
    place = ops.cast(bin_, "int32")
    place = place + ops.arange(rows, dtype="int32")[:, None] * (number * bins)
    is_counted = masks[0]
    for index, mask in enumerate(masks[1:], start=1):
        place = place + ops.cast(mask, "int32") * (index * bins)
        is_counted = is_counted | mask
    counts = ops.cast(is_counted, places.dtype)
    upper = (places - bin_) * counts
    low, up = (
        ops.reshape(sums, (rows, number, bins))
        for sums in bin_sums([counts - upper, upper], place, rows * number * bins)
    )
    # Nothing is above the last bin: what is rolled into the first is 0.
    return low + ops.roll(up, 1, axis=2)


def bin_sums(columns: Sequence[Tensor], places: Tensor, bins: int) -> list[Tensor]:
    """Sums `[bins]` of each column over the values in each bin.

    Args:
        columns: Floats, all of one shape.
        places: Integers of that shape, from 0: the bin of each.
        bins: Number of bins.
    """
    places = ops.reshape(places, (-1,))
    columns = [ops.reshape(column, (-1,)) for column in columns]
    if _is_small(places, bins):
        bin_ = ops.arange(bins, dtype=places.dtype)
        is_in = ops.cast(places[:, None] == bin_, columns[0].dtype)  # [T, bins]
        return [(column[None] @ is_in)[0] for column in columns]
    sums = _segment_sums(bins)(ops.cast(places, "int32"), *columns)
    return [sums[i] for i in range(len(columns))]


def _segment_sums(bins: Any) -> Callable[..., Tensor]:
    # On torch the gradient of `ops.segment_sum` keeps copies of the places.
    @ops.custom_gradient
    def summed(places: Tensor, *columns: Tensor) -> Any:
        def gradient(*args: Tensor, upstream: Tensor | None = None) -> Any:
            if upstream is None:  # JAX and TensorFlow pass it by position.
                (upstream,) = args
            slopes = [ops.take(upstream[i], places, axis=0) for i in range(len(columns))]
            return (None, *slopes)

        sums = [_sum_in_parts(column, places, bins) for column in columns]
        return ops.stack(sums), gradient

    return summed


def _sum_in_parts(column: Tensor, places: Tensor, bins: Any) -> Tensor:
    # `ops.segment_sum` on torch makes several copies of the places, 8 bytes each.
    size = column.shape[0]
    if size is None or size <= _PART:
        return ops.segment_sum(column, places, num_segments=bins)
    total: Any = 0.0
    for start in range(0, size, _PART):
        part = slice(start, start + _PART)
        total = total + ops.segment_sum(column[part], places[part], num_segments=bins)
    return total


def _is_small(places: Tensor, bins: Any) -> bool:
    shape = (*places.shape, bins)
    # A number of rows that only run time knows is None or a tensor.
    if not all(isinstance(size, int) for size in shape):
        return False
    # `torch.compile` takes no gradient of our own, so the less it meets one the better.
    is_eager_torch = framework() == "torch" and not is_traced(places)
    limit = min(_SMALL, _SMALL_ON_TORCH) if is_eager_torch else _SMALL
    return math.prod(shape) <= limit
