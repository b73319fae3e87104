"""Sums over pairs of a value of each pair, under the weights of draws."""

from __future__ import annotations

import numpy as np

from keras_similarity.set_metrics.rows import Rows
from keras_similarity.types import Bools, Floats, Ints

# Products of weights held at once: 32 MiB.
_WEIGHTS = 2**22


def sums_of_rows(rows: Rows, sums: Floats, *, same_class: bool) -> Floats:
    """Weighted sums `[R, V]` over pairs, to first order in the weights.

    A pair weighs `w_i + w_j - 1` (each is seen from both sides); or `w_i`, where the
    keys are not drawn or the pair is within a class that was drawn as a whole.

    Args:
        rows: The rows.
        sums: Sums `[N, V]` over the pairs of each row.
        same_class: Are the pairs within a class?
    """
    linear = not rows.is_self or (same_class and rows.draws_classes)
    values = np.zeros((rows.draws, sums.shape[1]))
    step = max(_WEIGHTS // rows.draws, 1)
    for start in range(0, len(sums), step):
        weights = rows.weights_of(slice(start, start + step))
        values += (weights if linear else 2.0 * weights - 1.0) @ sums[
            start : start + step
        ]
    return values


def sums_of_pairs(rows: Rows, first: Ints, second: Ints, values: Floats) -> Floats:
    """Sums `[R, V]` of the values `[P, V]` of listed pairs, each times `w_i * w_j`."""
    sums = np.zeros((rows.draws, values.shape[1]))
    step = max(_WEIGHTS // max(len(first), 1), 1)
    for start in range(0, rows.draws, step):
        weights = rows.weights_of(slice(None), slice(start, start + step))
        sums[start : start + step] = (weights[:, first] * weights[:, second]) @ values
    return sums


def class_ranges(labels: Ints, key_labels: Ints) -> tuple[Ints, Ints, Ints]:
    """The keys by label, and where in that order the keys of each query's class are.

    Returns:
        Order `[M]` of the keys, and first and one-past-last place `[N]` in it.
    """
    order = np.argsort(key_labels, kind="stable")
    by_label = key_labels[order]
    first = np.searchsorted(by_label, labels, side="left")
    return order, first, np.searchsorted(by_label, labels, side="right")


def positive_pairs(
    rows: Rows, ranges: tuple[Ints, Ints, Ints], place: int
) -> tuple[Ints, Ints]:
    """Each query with the `place`-th key of its class; not with itself."""
    order, first, end = ranges
    has_key = first + place < end
    query = np.flatnonzero(has_key)
    key = order[first[query] + place]
    counted: Bools = query != key if rows.is_self else np.ones(len(query), bool)
    return query[counted], key[counted]
