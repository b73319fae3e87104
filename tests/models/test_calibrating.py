"""A model passes on what its index decides."""

import keras
import numpy as np
import pytest

from keras_similarity.models import SimilarityModel
from keras_similarity.types import UNKNOWN_LABEL

PLACES = np.random.default_rng(0).normal(size=(12, 4))


def make_model():
    """Embeddings are the inputs, `[N, 4]`; three examples of each of ten classes."""
    inputs = keras.Input((4,))
    model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
    model.compile(distance="euclidean")
    model.index(*examples(1, 30, 10), verbose=0)
    return model


def examples(seed, count, classes=12):
    """Two of twelve classes are not in the index."""
    labels = np.arange(count) % classes
    noise = np.random.default_rng(seed).normal(scale=0.4, size=(count, 4))
    return PLACES[labels] + noise * (1 + labels[:, None] / 6), labels


def test_a_rate_and_thresholds_of_classes_go_with_the_model(tmp_path, capsys):
    model = make_model()
    results = model.calibrate(
        *examples(2, 600), target_far=0.1, confidence=0.9, per_class=True, verbose=0
    )
    promise = results.false_accepts
    assert (promise.target, promise.confidence, promise.kind) == (0.1, 0.9, "wrong")
    assert 0 < promise.accepted < 0.1 * promise.trials
    x, y = examples(3, 600)
    matched = np.array(model.match(x, cutpoint="target_far"))
    nearest = model.lookup(x, k=1, verbose=0).labels[:, 0]
    assert (matched != UNKNOWN_LABEL)[nearest != y].mean() < 0.15
    judged = model.evaluate_classification(x, y, extra_metrics=["fpr"], verbose=0)
    assert list(judged) == ["optimal", "target_far"]
    for name, values in judged.items():
        found = np.array(model.match(x, cutpoint=name))
        accepted = (found != UNKNOWN_LABEL)[nearest != y].mean()
        assert values["fpr"].tolist() == pytest.approx([accepted])
        assert values["distance"] == results.cutpoints[name]["distance"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.match(x, cutpoint="all") == model.match(x, cutpoint="all")
    loaded.index_summary()
    assert str(promise) in capsys.readouterr().out


def test_too_few_examples_match_nothing():
    model = make_model()
    results = model.calibrate(*examples(2, 60), target_far=0.001, verbose=0)
    assert results.false_accepts.more_trials > 2900
    assert set(model.match(examples(3, 20)[0], cutpoint="target_far")) == {UNKNOWN_LABEL}


def test_means_of_classes_match():
    model = make_model()
    centers = model.indexer.centers()
    x, y = examples(2, 600)
    centers.calibrate(model.embed(x), y, verbose=0)
    matched = np.array(centers.match(model.embed(x))["optimal"])
    nearest = centers.batch_lookup(model.embed(x), k=1).labels[:, 0]
    assert centers.size() == 10
    assert (nearest == y).mean() > (
        model.lookup(x, 1, verbose=0).labels[:, 0] == y
    ).mean()
    is_known = matched != UNKNOWN_LABEL
    np.testing.assert_array_equal(matched[is_known], nearest[is_known])
    assert 0 < is_known.mean() < 1


def test_wrong_arguments():
    model = make_model()
    with pytest.raises(ValueError, match="`target_far`"):
        model.calibrate(*examples(2, 60), target_far=0, verbose=0)
    with pytest.raises(TypeError, match="target_frr"):
        model.calibrate(*examples(2, 60), target_frr=0.1, verbose=0)
    assert not model.indexer.is_calibrated
