"""What holds for any pairs, found by `hypothesis`.

Of few shapes: JAX compiles each anew.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_similarity.backend import ops
from keras_similarity.pairs import (
    Pairs,
    TripletRule,
    pair_indices,
    pairs_by_rule,
    pairs_from_hierarchy,
    pairs_from_indices,
    pairs_from_labels,
    pairs_from_multi_hot,
    sample_weights,
    triplet_indices,
)

SHAPE = ROWS, KEYS = 4, 5
some = settings(max_examples=12, deadline=None)


def counts(largest=2, shape=SHAPE):
    return hnp.arrays(np.int64, shape, elements=st.integers(0, largest))


def ids(*shape, largest=2):
    return hnp.arrays(np.int64, shape, elements=st.integers(0, largest))


def make(positive, negative):
    weights = [ops.convert_to_tensor(x.astype("float32")) for x in (positive, negative)]
    return Pairs(weights[0] > 0, weights[1] > 0, *weights)


def host(pairs):
    """Masks and counts as arrays."""
    fields = ("positive_mask", "negative_mask", "positive_counts", "negative_counts")
    return [ops.convert_to_numpy(getattr(pairs, field)) for field in fields]


def assert_same(actual, expected):
    for a, b in zip(host(actual), host(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def triplets_by_loops(positive, negative, is_kept=lambda *triplet: True):
    """Each `(anchor, positive, negative)` as often as it counts, in order."""
    found = []
    for a, p, n in np.ndindex(ROWS, KEYS, KEYS):
        if is_kept(a, p, n):
            found += [(a, p, n)] * int(positive[a, p] * negative[a, n])
    return np.reshape(found, (-1, 3))


@some
@given(counts(), counts())
def test_pairs_go_through_lists_and_back(positive, negative):
    pairs = make(positive, negative)
    assert_same(pairs_from_indices(pair_indices(pairs), SHAPE), pairs)


@some
@given(counts(largest=1), counts(largest=1))
def test_masks_go_through_lists_and_back(positive, negative):
    pairs = Pairs(*(ops.convert_to_tensor(x == 1) for x in (positive, negative)))
    assert_same(pairs_from_indices(pair_indices(pairs), SHAPE), pairs)


@some
@given(hnp.arrays(np.int64, (7, 3), elements=st.integers(0, ROWS - 1)))
def test_triplets_go_through_pairs_and_back(triplets):
    pairs = pairs_from_indices(tuple(triplets.T), SHAPE)
    found = np.stack(triplet_indices(pairs), axis=1)
    assert found.tolist() == sorted(triplets.tolist())
    again = pairs_from_indices(tuple(found.T), SHAPE)
    assert_same(again, pairs)


@some
@given(counts(), counts())
def test_triplets_are_the_product_of_an_anchors_pairs(positive, negative):
    indices = triplet_indices(make(positive, negative))
    np.testing.assert_array_equal(
        np.stack(indices, axis=1), triplets_by_loops(positive, negative)
    )
    # And back: a positive is in a triplet with each negative of its anchor.
    again = pairs_from_indices(indices, SHAPE)
    expected = make(
        positive * negative.sum(1, keepdims=True),
        negative * positive.sum(1, keepdims=True),
    )
    assert_same(again, expected)


@some
@given(counts(largest=1), counts(largest=1), counts(largest=3))
def test_a_rule_keeps_what_it_says(positive, negative, cost):
    def select(columns, cost):
        to_positive = ops.take_along_axis(cost, columns, axis=1)
        return cost[:, None, :] <= to_positive[:, :, None]

    pairs = Pairs(*(ops.convert_to_tensor(x == 1) for x in (positive, negative)))
    rule = TripletRule(select, (ops.convert_to_tensor(cost.astype("float32")),))
    pairs = pairs_by_rule(pairs, rule)
    indices = triplet_indices(pairs)
    np.testing.assert_array_equal(
        np.stack(indices, axis=1),
        triplets_by_loops(positive, negative, lambda a, p, n: cost[a, n] <= cost[a, p]),
    )
    assert_same(pairs_from_indices(indices, SHAPE), pairs)


@some
@given(ids(6), st.permutations(range(6)))
def test_the_order_of_rows_is_the_order_of_pairs(labels, order):
    order = np.array(order)
    for x in host(pairs_from_labels(labels)):
        assert (x == x.T).all()
    moved = host(pairs_from_labels(labels[order]))
    for a, b in zip(moved, host(pairs_from_labels(labels)), strict=True):
        np.testing.assert_array_equal(a, b[order][:, order])
    weights = ops.convert_to_numpy(sample_weights(pairs_from_labels(labels)))
    moved = ops.convert_to_numpy(sample_weights(pairs_from_labels(labels[order])))
    np.testing.assert_array_equal(moved, weights[order])


@some
@given(ids(6), ids(4))
def test_one_label_of_many_and_one_level_are_a_label(labels, keys):
    one_hot = np.eye(3, dtype="int64")
    for given_keys in (None, keys):
        expected = pairs_from_labels(labels, given_keys)
        hot_keys = None if given_keys is None else one_hot[given_keys]
        assert_same(pairs_from_multi_hot(one_hot[labels], hot_keys), expected)
        column = None if given_keys is None else given_keys[:, None]
        assert_same(pairs_from_hierarchy(labels[:, None], column), expected)


@some
@given(ids(5, 3, largest=1))
def test_a_finer_level_only_raises_weights(labels):
    coarse = host(pairs_from_hierarchy(labels[:, 1:], level_weights=[0.5, 0.25]))
    fine = host(pairs_from_hierarchy(labels, level_weights=[1.0, 0.5, 0.25]))
    np.testing.assert_array_equal(coarse[0], fine[0])
    assert (fine[2] >= coarse[2]).all()
    assert (fine[2][fine[2] != coarse[2]] == 1).all()
