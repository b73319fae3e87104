"""Metrics of the whole set, asked of `evaluate`."""

import numpy as np
import pytest

from keras_similarity import set_metrics
from keras_similarity.evaluators import compare, evaluate
from keras_similarity.indexer import Indexer

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(6)
LABELS = np.arange(120) % 30
CENTERS = RNG.normal(size=(30, 8))
X = CENTERS[LABELS] + RNG.normal(size=(120, 8))
KEY_LABELS = RNG.integers(0, 30, 80)
KEYS = CENTERS[KEY_LABELS] + RNG.normal(size=(80, 8))


def test_names_and_objects_stand_beside_those_of_queries():
    names = ["auroc", "r_precision", set_metrics.TARAtFAR(0.1), "uniformity"]
    result = evaluate(X, LABELS, names)
    tar = names[2].name
    assert list(result) == ["auroc", "r_precision", tar, "uniformity"]
    for name in ("auroc", tar, "uniformity"):
        expected = set_metrics.get(name).compute(X, LABELS, "cosine")
        assert result[name] == pytest.approx(expected, rel=1e-12)
        low, high = result.interval(name)
        assert low < result[name] < high
    assert result["r_precision"] == evaluate(X, LABELS, ["r_precision"])["r_precision"]
    frame = result.to_data_frame()
    assert frame["average"].tolist() == ["set", "micro", "set", "set"]
    assert list(result.per_class()) == ["label", "queries", "r_precision"]
    with pytest.raises(KeyError, match="of the whole set"):
        result.per_query("auroc")


def test_against_keys_and_by_another_distance():
    keys = {"key_embeddings": KEYS, "key_labels": KEY_LABELS}
    result = evaluate(X, LABELS, ["auroc"], distance="euclidean", **keys)
    expected = set_metrics.AUROC().compute(X, LABELS, "euclidean", **keys)
    assert result["auroc"] == pytest.approx(expected, rel=1e-12)
    assert result["auroc"] != evaluate(X, LABELS, ["auroc"])["auroc"]


def test_without_labels():
    result = evaluate(X, None, ["uniformity", "effective_rank"])
    expected = set_metrics.Uniformity().compute(X, None, "cosine")
    assert result["uniformity"] == pytest.approx(expected)
    assert result.sampling.unit == "queries"
    with pytest.raises(TypeError, match="`labels`"):
        evaluate(X, None, ["r_precision"])
    with pytest.raises(ValueError, match="`labels` must be given"):
        evaluate(X, None, ["auroc"])


def test_classes_are_drawn_as_a_whole():
    by_class = evaluate(X, LABELS, ["auroc"])
    by_query = evaluate(X, LABELS, ["auroc"], sampling_unit="queries")
    assert by_class["auroc"] == by_query["auroc"]
    assert by_class.interval("auroc") != by_query.interval("auroc")


def test_intervals_cover():
    """Of 100 sets of new classes; AUROC is a mean over pairs of classes."""
    rng = np.random.default_rng(7)
    labels = np.arange(60) % 30
    results = []
    for seed in range(100):
        noise = np.exp(0.5 * rng.normal(size=(30, 1)))[labels]
        x = rng.normal(size=(30, 4))[labels] + noise * rng.normal(size=(60, 4))
        results.append(evaluate(x, labels, ["auroc"], distance="euclidean", seed=seed))
    values = [result["auroc"] for result in results]
    intervals = np.array([result.interval("auroc") for result in results])
    held = (intervals[:, 0] <= np.mean(values)) & (np.mean(values) <= intervals[:, 1])
    assert 0.9 <= held.mean() <= 0.99


def test_differences():
    a = evaluate(X, LABELS, ["auroc", "r_precision"])
    b = evaluate(
        CENTERS[LABELS] + 0.5 * (X - CENTERS[LABELS]), LABELS, ["auroc", "r_precision"]
    )
    comparison = compare(a, b)
    assert comparison.difference("auroc") == pytest.approx(b["auroc"] - a["auroc"])
    low, high = comparison.interval("auroc")
    assert 0 < low < comparison.difference("auroc") < high
    assert comparison.p_value("auroc") < 0.02 and comparison.is_better("auroc")
    assert 0 < comparison.resolution("auroc") < 0.2
    same = compare(a, a)
    assert same.difference("auroc") == 0 and same.p_value("auroc") == 1


def test_what_they_cannot_be_asked_of():
    index = Indexer(8)
    index.batch_add(KEYS, KEY_LABELS)
    with pytest.raises(ValueError, match=r"Metrics of the whole set \(auroc\)"):
        evaluate(X, LABELS, ["auroc"], index=index)
    with pytest.raises(ValueError, match="keys that do not hold it"):
        evaluate(
            X,
            LABELS,
            ["auroc"],
            key_embeddings=X,
            key_labels=LABELS,
            exclude_self=np.arange(120),
        )
