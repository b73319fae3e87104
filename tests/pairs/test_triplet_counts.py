"""Counts and sums over triplets against loops, for few positives, many, and slabs."""

import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.pairs import (
    Pairs,
    count_triplets,
    pairs_from_labels,
    positives,
    sum_over_positives,
    take_keys,
    triplet_counts,
    values_of_positives,
)
from tests.backend import eager, gradients, jit

RNG = np.random.default_rng(5)
LABELS = {
    "two classes": np.arange(14) % 2,
    "some alone": np.array([0] * 9 + [1, 1, 2, 3, 3]),
    "all alone": np.arange(14),
    "one class": np.zeros(14, "int64"),
}
# Costs on a coarse grid, so that many are equal.
COST = (RNG.integers(-3, 3, size=(14, 14)) / 2).astype("float32")
over_labels = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


def loose_jit(function):
    """On torch the number of positives breaks the graph."""
    return jit(function, full_graph=False)


over_modes = pytest.mark.parametrize("mode", [eager, loose_jit])


def counts_by_loops(positive, negative, positive_mask, negative_mask):
    found = np.zeros(positive.shape), np.zeros(positive.shape)
    for i, p in zip(*np.nonzero(positive_mask), strict=True):
        for n in np.nonzero(negative_mask[i])[0]:
            if positive[i, p] > negative[i, n]:
                found[0][i, p] += 1
                found[1][i, n] += 1
    return found


@pytest.mark.parametrize("few", [0, 5, 100], ids=["ranks", "both", "one by one"])
@over_modes
@over_labels
def test_counts_are_those_of_loops(labels, mode, few, monkeypatch):
    monkeypatch.setattr(triplet_counts, "_FEW", few)
    monkeypatch.setattr(positives, "_SLAB", 14 * 14 * 2)
    is_same = labels[:, None] == labels[None, :]
    expected = counts_by_loops(
        COST + 0.5, COST, is_same & ~np.eye(14, dtype=bool), ~is_same
    )

    def counts(labels, cost):
        return count_triplets(cost + 0.5, cost, pairs_from_labels(labels))

    tensors = [ops.convert_to_tensor(x) for x in (labels.astype("int32"), COST)]
    for actual, known in zip(mode(counts)(*tensors), expected, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(actual), known)


def test_a_pair_may_be_both(monkeypatch):
    monkeypatch.setattr(triplet_counts, "_FEW", 0)
    masks = RNG.integers(0, 2, size=(2, 14, 14)).astype(bool)
    expected = counts_by_loops(COST, COST, *masks)
    pairs = Pairs(*(ops.convert_to_tensor(mask) for mask in masks))
    cost = ops.convert_to_tensor(COST)
    for actual, known in zip(count_triplets(cost, cost, pairs), expected, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(actual), known)


def test_infinite_ranks_and_negative_zeros(monkeypatch):
    positive = np.array([[0.0, -0.0, 3e38, -3e38, 0.0, 0.0]], "float32")
    negative = np.array([[0.0, 0.0, 0.0, 0.0, -0.0, -1e-30]], "float32")
    masks = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], bool)[:, None]
    expected = counts_by_loops(positive, negative, *masks)
    for few in (0, 100):
        monkeypatch.setattr(triplet_counts, "_FEW", few)
        tensors = [ops.convert_to_tensor(x) for x in (positive, negative, *masks)]
        found = count_triplets(*tensors[:2], Pairs(*tensors[2:]))
        for actual, known in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(actual), known)


@pytest.mark.parametrize("small", [0, 2**15], ids=["found", "all keys"])
@pytest.mark.parametrize("slab", [2**22, 14 * 14 * 2], ids=["one slab", "slabs"])
@over_modes
def test_sums_and_values_of_positives(mode, slab, small, monkeypatch):
    """Exact and differentiable for any number of positives, in slabs of any size."""
    labels = LABELS["some alone"]
    monkeypatch.setattr(positives, "_SLAB", slab)
    monkeypatch.setattr(positives, "_SMALL", small)
    is_same = labels[:, None] == labels[None, :]
    mask = ops.convert_to_tensor(is_same & ~np.eye(14, dtype=bool))

    def term(columns, is_positive, cost):
        gaps = ops.tanh(take_keys(cost, columns)[:, :, None] - 2.0 * cost[:, None, :])
        values = ops.sum(gaps, axis=2)
        return values * ops.cast(is_positive, cost.dtype)

    def row_sums(*arguments):
        return ops.sum(term(*arguments), axis=1)

    def total(cost):
        return ops.sum(sum_over_positives(row_sums, mask, cost))

    def pair(cost):
        def twice(*arguments):
            return row_sums(*arguments), 2.0 * row_sums(*arguments)

        both = sum_over_positives(twice, mask, cost)
        return ops.sum(both[0]) + ops.sum(both[1])

    def squares(cost):
        return ops.sum(values_of_positives(term, mask, cost) ** 2)

    cost = COST.astype("float64")
    each = (
        np.tanh(cost[:, :, None] - 2 * cost[:, None, :])
        * ops.convert_to_numpy(mask)[:, :, None]
    )
    slopes = (1 - each**2) * ops.convert_to_numpy(mask)[:, :, None]
    sums = each.sum(2)
    for function, value, weight in [
        (total, sums.sum(), np.ones_like(sums)),
        (pair, 3 * sums.sum(), np.full_like(sums, 3.0)),
        (squares, (sums**2).sum(), 2 * sums),
    ]:
        actual = mode(function)(ops.convert_to_tensor(COST))
        np.testing.assert_allclose(float(actual), value, rtol=1e-5, atol=1e-5)
        weighted = slopes * weight[:, :, None]
        gradient = weighted.sum(2) - 2 * weighted.sum(1)
        found = gradients(mode(function), COST)[0]
        np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-4)
