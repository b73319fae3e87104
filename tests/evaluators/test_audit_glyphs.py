"""Label errors among classes that an embedding model never saw."""

import dataclasses

import numpy as np
import pytest

from keras_similarity.cli.recipe import Recipe
from keras_similarity.datasets import load_glyphs
from keras_similarity.evaluators import audit


def at_half_size(pictures):
    return pictures.reshape(len(pictures), 16, 2, 16, 2, 1).mean(axis=(2, 4))


@pytest.fixture(scope="module")
def unseen():
    """Embeddings and labels of 260 characters, by a model trained on 520 others."""
    glyphs = load_glyphs()
    recipe = dataclasses.replace(Recipe(), filters=16, epochs=1, steps_per_epoch=400)
    model = recipe.train(at_half_size(glyphs.x_train), glyphs.y_train, verbose=0)
    embeddings = model.predict(at_half_size(glyphs.x_test), batch_size=256, verbose=0)
    return embeddings, glyphs.y_test


def test_flipped_labels_come_first_and_are_named(unseen):
    embeddings, labels = unseen
    random = np.random.default_rng(0)
    names = np.unique(labels)
    rows = random.choice(len(labels), len(labels) // 50, replace=False)
    place = np.searchsorted(names, labels[rows])
    wrong = labels.copy()
    wrong[rows] = names[(place + random.integers(1, len(names), len(rows))) % len(names)]

    errors = audit(embeddings, wrong).label_errors
    first = errors["row"].head(int(0.03 * len(labels)))
    assert np.isin(rows, first).mean() >= 0.95
    suggested = errors.set_index("row")["suggested"][rows].to_numpy()
    assert (suggested == labels[rows]).mean() > 0.75
