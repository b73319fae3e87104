"""A small trained model on real data, shared by the tests of a module."""

import keras
import pytest
from sklearn.datasets import load_digits

from keras_similarity.layers import MetricEmbedding
from keras_similarity.losses import MultiSimilarityLoss
from keras_similarity.models import SimilarityModel


@pytest.fixture(scope="session")
def digits():
    """8x8 digits in 0..1 and their labels."""
    data = load_digits()
    return data.images[..., None].astype("float32") / 16, data.target


def make_model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(64, activation="relu")(x)
    return SimilarityModel(inputs, MetricEmbedding(16)(x))


@pytest.fixture(scope="module")
def trained(digits):
    """A functional model, trained on the first 800 digits, indexed and calibrated."""
    x, y = digits
    model = make_model()
    model.compile("adam", loss=MultiSimilarityLoss())
    model.fit(x[:800], y[:800], batch_size=100, epochs=3, verbose=0)
    model.index(x[:300], y[:300], data=x[:300], verbose=0)
    model.calibrate(
        x[800:1200],
        y[800:1200],
        thresholds_targets={"precise": 0.9},
        calibration_metric="precision",
        extra_metrics=["recall", "f1"],
        verbose=0,
    )
    return model
