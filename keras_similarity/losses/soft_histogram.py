"""Histograms with a slope: a value is shared by the two nearest bins."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import ops

Tensor = Any


def soft_histogram(
    places: Tensor, counts: Tensor, bins: int, groups: Tensor | None = None, size: int = 1
) -> Tensor:
    """Histogram of values: one at `b + f` counts `1 - f` in bin `b` and `f` in the next.

    Args:
        places: Floats of any shape: values, in units of bins from the first one; what is
            outside counts in the first or the last.
        counts: Floats of that shape: how often each counts.
        bins: Number of bins; at least 2.
        groups: Integers of that shape, from 0: which histogram each belongs to.
        size: Number of histograms.

    Returns:
        Floats `[size, bins]`.
    """
    places = ops.clip(places, 0.0, bins - 1.0)
    bin_ = ops.minimum(ops.floor(ops.stop_gradient(places)), bins - 2.0)
    upper = (places - bin_) * counts
    bin_ = ops.cast(bin_, "int32")
    if groups is not None:
        bin_ = bin_ + groups * bins
    flat = ops.reshape(bin_, (-1,))
    lower, upper = (
        ops.reshape(
            ops.segment_sum(ops.reshape(part, (-1,)), flat, num_segments=size * bins),
            (size, bins),
        )
        for part in (counts - upper, upper)
    )
    # The last bin is never the lower one.
    return lower + ops.pad(upper[:, :-1], ((0, 0), (1, 0)))
