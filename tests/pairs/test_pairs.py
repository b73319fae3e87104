import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.pairs import masked_log1p_sum_exp, masked_max, pairs_from_labels
from tests.backend import eager, gradient, jit

LABELS = {
    "two classes": [0, 0, 1, 1, 0],
    "negative ids": [-5, -5, 3, 3, -1],
    "ids float32 cannot tell apart": [2**24, 2**24, 2**24 + 1, 2**24 + 1, 2**24],
    "ids int32 cannot tell apart": [7, 7, 2**32 + 7, 2**40 + 7, 2**40 + 7],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_pair_is_positive_where_labels_are_equal_but_for_the_row_itself(labels):
    pairs = pairs_from_labels(np.array(labels))
    for i, label in enumerate(labels):
        for j, other in enumerate(labels):
            is_same = label == other
            assert bool(pairs.positive_mask[i][j]) == (is_same and i != j)
            assert bool(pairs.negative_mask[i][j]) == (not is_same)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_keys_of_their_own_keep_the_diagonal(labels):
    keys = [*labels[1:], 99]
    pairs = pairs_from_labels(np.array(labels), np.array(keys))
    expected = np.array(labels)[:, None] == np.array(keys)[None, :]
    np.testing.assert_array_equal(ops.convert_to_numpy(pairs.positive_mask), expected)
    np.testing.assert_array_equal(ops.convert_to_numpy(pairs.negative_mask), ~expected)


@pytest.mark.parametrize("mode", [eager, jit])
def test_tensors_of_a_column_of_labels_are_taken(mode):
    labels = ops.convert_to_tensor(np.array([[1], [2], [1]], "int32"))
    found = mode(lambda y: pairs_from_labels(y).positive_mask)(labels)
    expected = [[False, False, True], [False, False, False], [True, False, False]]
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)


def test_float_tensors_are_refused_since_ids_may_have_collided():
    with pytest.raises(TypeError, match=r"`labels` must be integers.*float32"):
        pairs_from_labels(ops.convert_to_tensor(np.array([1.0, 2.0], "float32")))


@pytest.mark.parametrize(
    "labels", [np.float32([16777216, 16777217]), np.array([1.0, 2.0]), [1.0, 2.0]]
)
def test_floats_of_the_host_are_refused_too(labels):
    with pytest.raises(TypeError, match=r"`labels` must be integers; .*float.*Cast them"):
        pairs_from_labels(labels)
    with pytest.raises(TypeError, match="`key_labels` must be integers; as float"):
        pairs_from_labels([1, 2], labels)


def test_lists_of_integers_are_labels():
    found = pairs_from_labels([16777216, 16777217], [16777217]).positive_mask
    assert ops.convert_to_numpy(found).tolist() == [[False], [True]]
    assert pairs_from_labels([1, 2], []).positive_mask.shape == (2, 0)


def test_labels_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"labels.shape=\(2, 3\)"):
        pairs_from_labels(ops.convert_to_tensor(np.zeros((2, 3), "int32")))


def test_log1p_sum_exp_neither_overflows_nor_makes_a_nan():
    values = np.array([[1e4, 2.0, 3.0], [-1e4, -1e4, 0.0], [0.5, 1.0, 1.5]], "float32")
    mask = np.array([[True, False, True], [True, True, False], [False] * 3])
    found = ops.convert_to_numpy(
        masked_log1p_sum_exp(ops.convert_to_tensor(values), mask)
    )
    np.testing.assert_allclose(found[:, 0], [1e4, 0.0, 0.0], rtol=1e-6)
    slope = gradient(lambda x: ops.sum(masked_log1p_sum_exp(x, mask)), values)
    np.testing.assert_allclose(slope, [[1, 0, 0], [0, 0, 0], [0, 0, 0]], atol=1e-6)


def test_an_empty_mask_has_an_infinite_maximum_and_no_gradient():
    mask = np.array([[False, False], [True, False]])
    values = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    found = ops.convert_to_numpy(masked_max(ops.convert_to_tensor(values), mask))
    np.testing.assert_array_equal(found, [[-np.inf], [3.0]])
    slope = gradient(lambda x: masked_max(x, mask)[1, 0], values)
    np.testing.assert_array_equal(slope, [[0, 0], [1, 0]])
