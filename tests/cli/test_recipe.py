import numpy as np

from keras_similarity.backend import ops
from keras_similarity.cli.recipe import Recipe

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(np.arange(6), 8)
# A class is a pattern, and a picture is the pattern with noise.
X = RANDOM.random((6, 8, 8, 1), dtype="float32")[LABELS]
X = X + 0.3 * RANDOM.normal(size=X.shape).astype("float32")

RECIPE = Recipe(
    embedding_size=8,
    filters=8,
    classes_per_batch=4,
    examples_per_class=2,
    epochs=3,
    steps_per_epoch=20,
)


def embeddings(model):
    return np.asarray(model.predict(X, verbose=0))


def test_batches_are_filled_where_classes_are_few():
    recipe = Recipe(classes_per_batch=32, examples_per_class=4)
    assert recipe.batch_shape(500) == (32, 4)
    assert recipe.batch_shape(7) == (7, 18)


def test_the_learning_rate_falls_to_zero_with_the_last_step():
    schedule = RECIPE.make_optimizer()._learning_rate
    rates = [float(ops.convert_to_numpy(schedule(step))) for step in (0, 30, 60)]
    np.testing.assert_allclose(rates, [3e-3, 1.5e-3, 0.0], atol=1e-9)


def test_training_lowers_the_loss_and_the_seed_repeats_it():
    loss = RECIPE.make_loss()
    trained = RECIPE.train(X, LABELS, verbose=0)
    before = float(loss(LABELS, embeddings(RECIPE.make_model(X.shape[1:]))))
    after = float(loss(LABELS, embeddings(trained)))
    assert after < 0.9 * before
    again = RECIPE.train(X, LABELS, verbose=0)
    np.testing.assert_allclose(embeddings(again), embeddings(trained), atol=1e-4)


def test_an_optimizer_step_is_taken_for_each_batch():
    model = RECIPE.train(X, LABELS, verbose=0)
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == RECIPE.steps == 60
