"""A small convolutional network that trains in a minute or two on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_similarity.backend import keras
from keras_similarity.layers import MetricEmbedding
from keras_similarity.models import SimilarityModel

Tensor = Any

_MAX_FILTERS = 256
_MAX_SIDE = 4  # Of the last map, in pixels.


def SmallConvSim(
    input_shape: Sequence[int],
    embedding_size: int = 64,
    filters: int = 32,
    l2_norm: bool = True,
    include_top: bool = True,
    pooling: str = "flatten",
    name: str = "small_conv_sim",
) -> SimilarityModel:
    """A small convolutional network for pictures from 8x8 pixels on.

    Blocks of a 3x3 convolution with stride 2, batch normalization and ReLU, until a map
    of at most 4x4 is left, with `filters` channels in the first block and twice as many
    in each next one, up to 256. Strides instead of pooling cost a CPU a fifth. The last
    map is flattened, which keeps where things are: characters that differ in the place
    of a stroke are told apart better than after averaging. The head is a layer of
    unit-length embeddings.

    Args:
        input_shape: Height, width and channels of the inputs, which should have a range
            near 0 to 1.
        embedding_size: Size of the embeddings.
        filters: Channels of the first block.
        l2_norm: Have the embeddings length 1? The head is a `MetricEmbedding` then,
            else a `Dense` layer.
        include_top: Is there a head? Without one the outputs are the features.
        pooling: `"flatten"`, or `"avg"` or `"max"` over the places, which makes the
            network smaller and lets an object be anywhere.
        name: Name of the model.

    Returns:
        A `SimilarityModel` that is not compiled yet. 224,480 parameters at 32x32x1.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> from keras_similarity.architectures import SmallConvSim
        >>> SmallConvSim((28, 28, 1), embedding_size=16).output_shape
        (None, 16)
    """
    _check_arguments(input_shape, embedding_size, filters, pooling)
    inputs = keras.Input(shape=tuple(input_shape), name="pictures")
    features = inputs
    channels = filters
    while max(features.shape[1:3]) > _MAX_SIDE:
        features = _halve(features, channels)
        channels = min(2 * channels, max(_MAX_FILTERS, filters))
    outputs = _pool(features, pooling)
    if include_top:
        head = MetricEmbedding if l2_norm else keras.layers.Dense
        outputs = head(embedding_size, name="embedding")(outputs)
    return SimilarityModel(inputs, outputs, name=name)


def _halve(features: Tensor, channels: int) -> Tensor:
    convolution = keras.layers.Conv2D(
        channels,
        kernel_size=3,
        strides=2,
        padding="same",
        use_bias=False,  # Batch normalization has one.
        kernel_initializer="he_normal",
    )
    features = keras.layers.BatchNormalization()(convolution(features))
    return keras.layers.ReLU()(features)


def _pool(features: Tensor, pooling: str) -> Tensor:
    if pooling == "flatten":
        return keras.layers.Flatten()(features)
    if pooling == "avg":
        return keras.layers.GlobalAveragePooling2D()(features)
    return keras.layers.GlobalMaxPooling2D()(features)


def _check_arguments(
    input_shape: Sequence[int], embedding_size: int, filters: int, pooling: str
) -> None:
    sides = tuple(input_shape)
    is_known = all(isinstance(side, int) and side >= 1 for side in sides)
    if len(sides) != 3 or not is_known or min(sides[:2]) < 8:
        raise ValueError(
            "`input_shape` must be the height, the width (8 or more) and the number of "
            f"channels of a picture. Received: input_shape={input_shape!r}."
        )
    if embedding_size < 1 or filters < 1:
        raise ValueError(
            "`embedding_size` and `filters` must be 1 or more. Received: "
            f"embedding_size={embedding_size}, filters={filters}."
        )
    if pooling not in ("flatten", "avg", "max"):
        raise ValueError(
            f"`pooling` must be 'flatten', 'avg' or 'max'. Received: pooling={pooling!r}."
        )
