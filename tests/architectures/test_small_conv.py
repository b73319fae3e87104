import numpy as np
import pytest

from keras_similarity.architectures import SmallConvSim
from keras_similarity.models import SimilarityModel


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ((8, 8, 1), 1),
        ((28, 28, 1), 3),
        ((32, 32, 3), 3),
        ((64, 64, 3), 4),
        ((33, 20, 1), 4),
    ],
)
def test_every_size_ends_in_a_small_map_and_unit_embeddings(shape, blocks):
    model = SmallConvSim(shape, embedding_size=16)
    pictures = np.random.default_rng(0).random((5, *shape), dtype="float32")
    embeddings = np.asarray(model.predict(pictures, verbose=0))
    assert isinstance(model, SimilarityModel)
    assert embeddings.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    assert sum("conv2d" in layer.name for layer in model.layers) == blocks


def test_parameters_are_those_of_the_documented_layers():
    # Convolutions without bias, four numbers a channel of batch normalization, head.
    convolutions = 9 * (1 * 32 + 32 * 64 + 64 * 128)
    normalization = 4 * (32 + 64 + 128)
    head = (4 * 4 * 128) * 64 + 64
    model = SmallConvSim((32, 32, 1))
    assert model.count_params() == convolutions + normalization + head == 224_480


def test_options_change_the_network():
    shape = (32, 32, 1)
    assert SmallConvSim(shape, pooling="avg").count_params() == 101_600
    assert SmallConvSim(shape, include_top=False).output_shape == (None, 2048)
    assert SmallConvSim(shape, include_top=False, pooling="max").output_shape == (
        None,
        128,
    )
    assert SmallConvSim(shape, filters=8, include_top=False).output_shape == (None, 512)
    assert SmallConvSim((64, 64, 1), filters=64, include_top=False).output_shape == (
        None,
        4 * 4 * 256,
    )
    assert SmallConvSim(shape, name="mine").name == "mine"
    free = SmallConvSim(shape, l2_norm=False)
    pictures = np.random.default_rng(0).random((4, *shape), dtype="float32")
    norms = np.linalg.norm(np.asarray(free.predict(pictures, verbose=0)), axis=1)
    assert np.abs(norms - 1.0).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (32, 32)}, "`input_shape` must be"),
        ({"input_shape": (4, 32, 1)}, "`input_shape` must be"),
        ({"input_shape": (None, 32, 1)}, "`input_shape` must be"),
        ({"input_shape": (32, 32, 1), "embedding_size": 0}, "`embedding_size` and"),
        ({"input_shape": (32, 32, 1), "filters": 0}, "`filters` must be"),
        ({"input_shape": (32, 32, 1), "pooling": "gem"}, "Received: pooling='gem'"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SmallConvSim(**arguments)
