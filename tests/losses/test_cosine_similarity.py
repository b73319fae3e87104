import keras
import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.losses import cosine_similarity
from tests.backend import gradient

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_values_are_those_of_keras(axis):
    y_true = RNG.normal(size=(3, 4, 5)).astype("float32")
    y_pred = RNG.normal(size=(3, 4, 5)).astype("float32")
    expected = keras.losses.cosine_similarity(y_true, y_pred, axis=axis)
    actual = cosine_similarity(y_true, y_pred, axis=axis)
    np.testing.assert_allclose(
        ops.convert_to_numpy(actual), ops.convert_to_numpy(expected), atol=1e-6
    )


@pytest.mark.parametrize("length", [1e-9, 1e-7, 1e-3, 1e3])
def test_short_vectors_are_those_of_keras(length):
    short, one = np.array([[length, 0.0]], "float32"), np.array([[1.0, 0.0]], "float32")
    expected = float(keras.losses.cosine_similarity(short, one)[0])
    assert float(cosine_similarity(short, one)[0]) == pytest.approx(expected, rel=1e-4)


def test_the_documented_example():
    y_true, y_pred = [[0.0, 1], [1, 1], [1, 1]], [[1.0, 0], [1, 1], [-1, -1]]
    actual = ops.convert_to_numpy(cosine_similarity(y_true, y_pred))
    np.testing.assert_allclose(actual, [0, -1, 1], atol=1e-6)


def test_a_zero_vector_has_value_0_and_gradient_0():
    zero, one = np.zeros((1, 3), "float32"), np.ones((1, 3), "float32")
    assert float(cosine_similarity(zero, one)[0]) == 0
    assert float(cosine_similarity(one, zero)[0]) == 0
    slope = gradient(lambda x: ops.sum(cosine_similarity(one, x)), zero)
    np.testing.assert_array_equal(slope, np.zeros((1, 3)))
