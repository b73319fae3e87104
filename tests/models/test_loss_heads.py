"""The weights and the state of losses belong to the model that is compiled with them."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_similarity
from keras_similarity.backend import framework, ops
from keras_similarity.losses import ArcFaceLoss, CosFaceLoss, MetricLoss, TripletLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.models import SimilarityModel

RNG = np.random.default_rng(0)
Y = np.repeat(np.arange(4), 6)
X = (RNG.normal(size=(4, 6))[Y] + 0.3 * RNG.normal(size=(24, 6))).astype("float32")


@register("counting")
class CountingLoss(MetricLoss):
    """Counts the rows that it was trained on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        head = self.make_head()
        head.rows = head.add_weight(
            shape=(), initializer="zeros", trainable=False, name="rows"
        )

    def anchor_losses(self, cost, pairs):
        if self.training:
            rows = ops.copy(ops.convert_to_tensor(self.head.rows))
            self.head.rows.assign(rows + ops.shape(cost)[0])
        return ops.sum(cost * ops.cast(pairs.positive_mask, cost.dtype), axis=1)


@keras.saving.register_keras_serializable("tests")
class OneLayerModel(SimilarityModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(5)

    def call(self, x):
        return self.dense(x)


def make_model(kind="functional"):
    keras.utils.set_random_seed(3)
    if kind == "functional":
        inputs = keras.Input((6,))
        return SimilarityModel(inputs, keras.layers.Dense(5)(inputs))
    model = OneLayerModel()
    if kind == "subclassed and built":
        model(X[:2])
    return model


def make_loss(cls=ArcFaceLoss, **kwargs):
    return cls(4, 5, scale=8, **kwargs)


def train(model, epochs=1, **kwargs):
    history = model.fit(X, Y, 24, epochs, verbose=0, shuffle=False, **kwargs)
    return history.history["loss"]


def value(variable):
    return np.array(variable.numpy())


@pytest.mark.parametrize(
    "kind", ["functional", "subclassed", "subclassed and built"], ids=str
)
def test_fit_trains_the_weights_of_a_loss(kind):
    model, loss = make_model(kind), make_loss()
    model.compile(keras.optimizers.SGD(0.05), loss=loss)
    before = value(loss.W)
    losses = train(model, epochs=3)
    assert losses[0] > losses[1] > losses[2]
    assert np.abs(value(loss.W) - before).max() > 1e-3
    assert any(variable is loss.W for variable in model.trainable_variables)


@pytest.mark.parametrize("kind", ["functional", "subclassed and built"], ids=str)
def test_another_loss_takes_the_place_of_the_first(kind):
    model, loss = make_model(kind), make_loss(CosFaceLoss)
    model.compile("sgd", loss=make_loss())
    count = len(model.trainable_variables)
    model.compile("sgd", loss=loss)
    assert len(model.trainable_variables) == count
    assert any(variable is loss.W for variable in model.trainable_variables)
    train(model)
    model.compile("sgd", loss=TripletLoss())
    assert len(model.trainable_variables) == count - 1


def test_without_a_loss_keras_and_its_weights_stay():
    model, loss = make_model(), make_loss()
    model.compile("sgd", loss=loss)
    model.compile("adam", distance="cosine")
    before = value(loss.W)
    train(model)
    assert not np.array_equal(value(loss.W), before)


def test_losses_of_several_outputs_have_their_weights_trained():
    inputs = keras.Input((6,))
    outputs = {"a": keras.layers.Dense(5)(inputs), "b": keras.layers.Dense(3)(inputs)}
    model = SimilarityModel(inputs, outputs)
    losses = {"a": make_loss(), "b": CosFaceLoss(4, 3, scale=8)}
    model.compile("sgd", loss=losses, distance="cosine", embedding_output="a")
    before = [value(loss.W) for loss in losses.values()]
    model.fit(X, {"a": Y, "b": Y}, verbose=0)
    for loss, weights in zip(losses.values(), before, strict=True):
        assert not np.array_equal(value(loss.W), weights)


@pytest.mark.parametrize("kind", ["functional", "subclassed"], ids=str)
def test_training_goes_on_after_loading_as_it_would_have(kind, tmp_path):
    model = make_model(kind)
    model.compile("adam", loss=make_loss(learning_rate_multiplier=10.0))
    train(model, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(value(loaded.loss.W), value(model.loss.W))
    assert loaded.loss.get_config() == model.loss.get_config()
    assert train(loaded, epochs=3) == train(model, epochs=3)
    np.testing.assert_array_equal(value(loaded.loss.W), value(model.loss.W))


def test_a_clone_has_weights_of_its_own():
    model = make_model()
    model.compile("adam", loss=make_loss())
    clone = keras.models.clone_model(model)
    assert clone.loss is not model.loss
    before = value(model.loss.W)
    train(clone)
    np.testing.assert_array_equal(value(model.loss.W), before)


def test_state_changes_in_training_only_and_is_saved(tmp_path):
    model, loss = make_model(), CountingLoss()
    model.compile("sgd", loss=loss)
    model.fit(X, Y, batch_size=8, epochs=2, validation_data=(X, Y), verbose=0)
    model.evaluate(X, Y, verbose=0)
    assert value(loss.head.rows) == 48
    assert loss.training
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert value(loaded.loss.head.rows) == 48


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_weights_are_float32_under_mixed_precision(policy):
    try:
        keras.config.set_dtype_policy(policy)
        model, loss = make_model(), make_loss(learning_rate_multiplier=2.0)
        model.compile(keras.optimizers.SGD(0.05), loss=loss)
        before = value(loss.W)
        losses = train(model, epochs=3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert before.dtype == "float32"
    assert losses[-1] < losses[0]
    assert not np.array_equal(value(loss.W), before)


@pytest.mark.parametrize("kind", ["functional", "subclassed and built"], ids=str)
def test_a_failing_compile_changes_nothing(kind):
    model, loss = make_model(kind), make_loss()
    model.compile("sgd", loss=loss)
    optimizer = model.optimizer
    for arguments in (
        {"loss": ArcFaceLoss(4, 5), "metrics": 3},
        {"loss": ArcFaceLoss(4, 5), "unknown": 1},
        {"loss": ArcFaceLoss(4, 5), "optimizer": "no such"},
        {"loss": ArcFaceLoss(4, 7), "optimizer": 3},
    ):
        with pytest.raises((ValueError, TypeError)):
            model.compile(**{"optimizer": "adam", **arguments})
        assert model.loss is loss
        assert model.optimizer is optimizer
        assert [v is loss.W for v in model.trainable_variables][-1]
        assert len(model.trainable_variables) == 3
    train(model)


def test_a_loss_for_another_width_is_refused():
    model = make_model()
    with pytest.raises(ValueError, match=r"`embedding_size` .* 5\. Received: .*=7"):
        model.compile("sgd", loss=ArcFaceLoss(4, 7))
    assert not model.compiled


def test_labels_that_are_no_classes_are_refused():
    model = make_model()
    model.compile("sgd", loss=make_loss())
    with pytest.raises(ValueError, match=r"`y` must be from 0 to 3.* from 1 to 4"):
        model.fit(X, Y + 1, verbose=0)


SCRIPT = """
import sys, keras, numpy as np, keras_similarity
model = keras.saving.load_model(sys.argv[1])
data = np.load(sys.argv[2])
np.testing.assert_array_equal(model.loss.W.numpy(), data["W"])
losses = model.fit(
    data["x"], data["y"], 24, epochs=2, verbose=0, shuffle=False
).history["loss"]
np.testing.assert_allclose(losses, data["losses"], rtol=1e-4)
np.testing.assert_allclose(model.loss.W.numpy(), data["after"], atol=1e-4)
"""


def test_another_backend_goes_on_with_the_training(tmp_path):
    model = make_model()
    model.compile("adam", loss=make_loss(learning_rate_multiplier=10.0))
    train(model, epochs=2)
    model.save(tmp_path / "model.keras")
    weights = value(model.loss.W)
    losses, after = train(model, epochs=2), value(model.loss.W)
    data = {"W": weights, "x": X, "y": Y, "losses": losses, "after": after}
    np.savez(tmp_path / "data.npz", **data)
    backend = {"jax": "torch", "torch": "tensorflow", "tensorflow": "jax"}[framework()]
    package = str(Path(keras_similarity.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "model.keras", tmp_path / "data.npz"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": package},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
