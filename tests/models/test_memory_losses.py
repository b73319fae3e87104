"""A similarity model trains, keeps, saves and restores the memory of its loss."""

import keras
import numpy as np
import pytest

from keras_similarity.backend import ops
from keras_similarity.losses import (
    XBM,
    ContrastiveLoss,
    CrossBatchMemory,
    DynamicSoftMarginLoss,
    MultipleLosses,
    TripletLoss,
)
from keras_similarity.models import SimilarityModel

RANDOM = np.random.default_rng(2)
Y = np.repeat(np.arange(4), 6).astype("int32")
X = (RANDOM.normal(size=(4, 6))[Y] + 0.3 * RANDOM.normal(size=(24, 6))).astype("float32")


def make_model(loss, optimizer="sgd", **kwargs):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    model = SimilarityModel(inputs, keras.layers.Dense(5)(inputs))
    model.compile(optimizer, loss=loss, **kwargs)
    return model


def cross_batch_memory():
    return CrossBatchMemory(ContrastiveLoss(), 5, memory_size=20)


def state(loss):
    return [np.array(ops.convert_to_numpy(variable)) for variable in loss.variables]


LOSSES = {
    "cross-batch": cross_batch_memory,
    "xbm": lambda: XBM(TripletLoss(margin=0.3), 20),
    "xbm, warm-up": lambda: XBM(TripletLoss(margin=0.3), 20, warmup_steps=1),
    "multiple": lambda: MultipleLosses([cross_batch_memory(), "contrastive"]),
    "histogram": DynamicSoftMarginLoss,
}
all_losses = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_the_memory_advances_in_fit_and_rests_in_evaluate(run_eagerly):
    loss = cross_batch_memory()
    model = make_model(loss, run_eagerly=run_eagerly)
    options = {"batch_size": 8, "verbose": 0, "shuffle": False}
    model.fit(X[:8], Y[:8], **options)
    assert (loss.queue_idx, loss.has_been_filled) == (8, False)
    labels = ops.convert_to_numpy(loss.label_memory)
    np.testing.assert_array_equal(labels[:8], Y[:8])
    assert np.abs(ops.convert_to_numpy(loss.embedding_memory)[:8]).min(axis=1).all()

    before = state(loss)
    value = model.evaluate(X, Y, batch_size=8, verbose=0)
    assert np.isfinite(value)
    for now, old in zip(state(loss), before, strict=True):
        np.testing.assert_array_equal(now, old)

    model.fit(X[8:], Y[8:], validation_data=(X, Y), **options)
    assert (loss.queue_idx, loss.has_been_filled) == (4, True)
    loss.reset_queue()
    assert (loss.queue_idx, loss.has_been_filled) == (0, False)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_the_histogram_advances_in_fit_and_rests_in_evaluate(run_eagerly):
    loss = DynamicSoftMarginLoss()
    model = make_model(loss, keras.optimizers.SGD(0.0), run_eagerly=run_eagerly)
    options = {"batch_size": 8, "verbose": 0, "shuffle": False}
    by_hand, embeddings = DynamicSoftMarginLoss(), model.predict(X, verbose=0)
    for part in (slice(0, 8), slice(8, 16)):
        model.fit(X[part], Y[part], validation_data=(X[16:], Y[16:]), **options)
        by_hand(Y[part], embeddings[part])
        (found,), (expected,) = state(loss), state(by_hand)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    value = model.evaluate(X[16:], Y[16:], batch_size=8, verbose=0)
    np.testing.assert_array_equal(state(loss)[0], found)
    by_hand.training = False
    assert value == pytest.approx(float(by_hand(Y[16:], embeddings[16:])), rel=1e-4)


def test_the_memory_holds_the_embeddings_as_they_were():
    loss = cross_batch_memory()
    model = make_model(loss, keras.optimizers.SGD(0.0))
    model.fit(X[:16], Y[:16], batch_size=8, verbose=0, shuffle=False)
    expected = model.predict(X[:16], verbose=0)
    found = ops.convert_to_numpy(loss.embedding_memory)[:16]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    by_hand = cross_batch_memory()
    for part in (slice(0, 8), slice(8, 16)):
        value = by_hand(Y[part], expected[part])
    loss.reset_queue()
    model.fit(X[:8], Y[:8], batch_size=8, verbose=0, shuffle=False)
    history = model.fit(X[8:16], Y[8:16], batch_size=8, verbose=0, shuffle=False)
    assert history.history["loss"][0] == pytest.approx(float(value), rel=1e-4)


@all_losses
def test_saved_and_restored_training_goes_on(make, tmp_path):
    loss = make()
    model = make_model(loss)
    options = {"batch_size": 8, "verbose": 0, "shuffle": False}
    model.fit(X[:16], Y[:16], **options)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    before = state(loss)
    assert any(values.any() for values in before)
    for now, old in zip(state(loaded.loss), before, strict=True):
        np.testing.assert_array_equal(now, old)
    again = [
        each.fit(X[16:], Y[16:], **options).history["loss"][0] for each in (model, loaded)
    ]
    assert again[0] == pytest.approx(again[1], rel=1e-6)
    for now, other in zip(state(loaded.loss), state(loss), strict=True):
        np.testing.assert_allclose(now, other, rtol=1e-6)


def test_an_xbm_learns_its_width_from_the_model():
    loss = XBM(TripletLoss(), 20)
    assert loss.embedding_size is None
    make_model(loss)
    assert loss.embedding_size == 5
    with pytest.raises(ValueError, match="`embedding_size` of CrossBatchMemory"):
        make_model(CrossBatchMemory("contrastive", 7))
