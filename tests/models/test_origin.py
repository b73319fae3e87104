"""Tests that an index is asked only by the model that made it."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_similarity
from keras_similarity.backend import framework
from keras_similarity.layers import MetricEmbedding
from keras_similarity.losses import ArcFaceLoss, TripletLoss
from keras_similarity.models import SimilarityModel
from keras_similarity.models.origin import origin_of
from keras_similarity.preprocessing import Preprocessing

X = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")
Y = np.arange(12) % 3


def make_model(seed=0, loss=None):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5, activation="relu")(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    model = SimilarityModel(inputs, MetricEmbedding(3)(x))
    model.compile("sgd", loss=loss)
    return model


@pytest.fixture
def saved(tmp_path):
    """A model, and the folder of its index."""
    model = make_model()
    model.index(X, Y, verbose=0)
    model.calibrate(X, Y, verbose=0)
    model.save_index(tmp_path / "index")
    return model, tmp_path / "index"


ASKS = {
    "lookup": lambda model: model.lookup(X, verbose=0),
    "single": lambda model: model.single_lookup(X[0]),
    "match": lambda model: model.match(X),
    "calibrate": lambda model: model.calibrate(X, Y, verbose=0),
    "evaluate": lambda model: model.evaluate_classification(X, Y, verbose=0),
    "index": lambda model: model.index(X, Y, verbose=0),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_another_model_is_refused_at_its_first_question(saved, ask):
    other = make_model(seed=1)
    other.load_index(saved[1])
    assert other.index_size() == 12  # Not before it is asked.
    for _ in range(2):
        with pytest.raises(ValueError, match="a model with other weights"):
            ask(other)
    other.reset_index()
    other.index(X, Y, verbose=0)
    assert len(other.lookup(X, verbose=0)) == 12


def test_the_check_can_be_left_out(saved, tmp_path):
    other = make_model(seed=1)
    other.load_index(saved[1], check_model=False)
    assert len(other.lookup(X, verbose=0)) == 12
    other.save(tmp_path / "other.keras")
    assert len(keras.saving.load_model(tmp_path / "other.keras").lookup(X)) == 12


def test_the_model_itself_is_not_refused(saved, tmp_path):
    model, path = saved
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    copy = make_model(seed=1)
    copy.set_weights(model.get_weights())
    copy.load_index(path)
    for each in (model, loaded, copy):
        assert each.match(X) == model.match(X)


def test_a_model_trained_on_is_told_once_and_refused_once_loaded(tmp_path, caplog):
    model = make_model(loss=TripletLoss())
    model.fit(X, Y, verbose=0)
    model.index(X, Y, verbose=0)
    model.lookup(X, verbose=0)
    assert "trained on" not in caplog.text
    model.fit(X, Y, verbose=0)
    for _ in range(2):
        model.lookup(X, verbose=0)
    assert caplog.text.count("trained on") == 1
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="a model with other weights"):
        loaded.lookup(X, verbose=0)
    loaded.load_index(tmp_path / "model.keras", check_model=False)
    loaded.lookup(X, verbose=0)
    caplog.clear()
    model.reset_index()
    model.index(X, Y, verbose=0)
    model.lookup(X, verbose=0)
    assert "keras_similarity" not in caplog.text


def test_another_preprocessing_is_refused(saved):
    model, path = saved
    model.preprocessing = Preprocessing((6, 1), channels=1)
    model.reset_index()
    model.index(X, Y, verbose=0)
    model.save_index(path)
    other = make_model()
    other.load_index(path)
    other.lookup(X, verbose=0)  # Has none that could differ.
    other.preprocessing = Preprocessing((3, 2), channels=1)
    other.load_index(path)
    with pytest.raises(ValueError, match="a model with other preprocessing"):
        other.lookup(X, verbose=0)


def test_every_weight_of_the_embedding_counts_and_no_other(tmp_path):
    model = make_model(loss=ArcFaceLoss(num_classes=3, embedding_size=3))
    first = origin_of(model)
    assert first == origin_of(model) == origin_of(make_model())
    for head in model.loss_heads:
        for weight in head.weights:
            weight.assign(weight + 1)
    assert origin_of(model) == first
    seen = {first["weights"]}
    heads = {id(w) for head in model.loss_heads for w in head.weights}
    weights = [weight for weight in model.weights if id(weight) not in heads]
    assert len(weights) == 8  # Of the batch norm, the moving mean and variance, too.
    for weight in weights:
        weight.assign(weight + 1)
        seen.add(origin_of(model)["weights"])
    assert len(seen) == 9


SCRIPT = """
import sys, keras_similarity, keras
from keras_similarity.models.origin import origin_of
print(origin_of(keras.saving.load_model(sys.argv[1]))["weights"])
"""


def test_the_hash_is_the_same_under_another_backend(saved, tmp_path):
    model, _ = saved
    model.save(tmp_path / "model.keras")
    backend = {"jax": "torch", "torch": "tensorflow", "tensorflow": "jax"}[framework()]
    package = str(Path(keras_similarity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "model.keras")],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": package},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == origin_of(model)["weights"], done.stderr


def test_an_index_is_mapped_from_a_folder_only(saved, tmp_path):
    model, path = saved
    expected = model.lookup(X, verbose=0).ids
    model.load_index(path, mmap=True)
    np.testing.assert_array_equal(model.lookup(X, verbose=0).ids, expected)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="must be a folder to be mapped"):
        model.load_index(tmp_path / "model.keras", mmap=True)
