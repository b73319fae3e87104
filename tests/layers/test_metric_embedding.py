import keras
import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.layers import MetricEmbedding
from tests.backend import gradient

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("shape", [(4, 3), (4, 6, 3), (2, 5, 6, 3)])
def test_outputs_have_length_1_along_the_last_axis(shape):
    layer = MetricEmbedding(7)
    found = ops.convert_to_numpy(layer(RNG.normal(size=shape).astype("float32")))
    assert found.shape == (*shape[:-1], 7)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    assert layer.compute_output_shape(shape) == found.shape


def test_it_is_a_dense_layer_with_its_output_normalised():
    x = RNG.normal(size=(4, 3)).astype("float32")
    layer = MetricEmbedding(5, activation="tanh")
    found = ops.convert_to_numpy(layer(x))
    kernel, bias = (ops.convert_to_numpy(weight) for weight in layer.weights)
    dense = np.tanh(x @ kernel + bias)
    np.testing.assert_allclose(
        found, dense / np.linalg.norm(dense, axis=1, keepdims=True), rtol=1e-5
    )


def test_an_output_of_zeros_stays_zero_and_its_gradient_finite():
    layer = MetricEmbedding(2, use_bias=False)
    zeros = np.zeros((3, 2), "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(zeros)), zeros)
    slope = gradient(lambda x: ops.sum(layer(x)), zeros)
    assert np.isfinite(slope).all()


def test_lengths_are_exact_under_mixed_precision():
    inputs = keras.Input((3,))
    outputs = MetricEmbedding(64, dtype="mixed_bfloat16")(inputs)
    assert outputs.dtype == "float32"
    model = keras.Model(inputs, outputs)
    found = ops.convert_to_numpy(model(RNG.normal(size=(5, 3)).astype("float32")))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_config_gives_the_layer_back():
    layer = MetricEmbedding(5, activation="relu", use_bias=False, name="head")
    copy = MetricEmbedding.from_config(layer.get_config())
    assert (copy.units, copy.use_bias, copy.name) == (5, False, "head")
    assert keras.activations.serialize(copy.activation) == "relu"
