import json

import keras
import numpy as np
import pytest

from keras_similarity import distances, training_metrics
from keras_similarity.backend import framework, ops
from keras_similarity.distances import EuclideanDistance, InnerProductSimilarity
from keras_similarity.losses import TripletLoss
from keras_similarity.models import SimilarityModel
from keras_similarity.training_metrics import DistanceGapMetric, DistanceMetric
from tests.training_metrics.loops import metric_by_loops

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(24, 5)).astype("float32")
Y = RANDOM.integers(0, 6, 24)
Y[::8] = 100 + np.arange(3)  # Three classes of one.
BATCHES = [(Y[start : start + 8], X[start : start + 8]) for start in (0, 8, 16)]
NAMES = [f"{a}_{side}" for side in ("pos", "neg") for a in ("max", "avg", "min", "sum")]


def identity_model(metrics, size=5, **options):
    inputs = keras.Input((size,))
    model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
    model.compile("sgd", loss=TripletLoss("l2"), metrics=metrics, **options)
    return model


def value(metric):
    return float(ops.convert_to_numpy(metric.result()))


def updated(metric, batches=BATCHES):
    for labels, embeddings in batches:
        metric.update_state(labels, embeddings)
    return value(metric)


@pytest.mark.parametrize("distance", ["cosine", "l2", "sql2", "l1"])
def test_each_shortcut_is_the_formula_over_all_batches(distance):
    for name in NAMES:
        metric = getattr(training_metrics, name)(distance)
        expected = metric_by_loops(metric, BATCHES)
        np.testing.assert_allclose(updated(metric), expected, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("anchor", "positive", "negative"),
    [
        ("positive", "easy", "hard"),
        ("positive", "semi-hard", "hard"),
        ("negative", "hard", "easy"),
    ],
)
def test_each_strategy_is_the_formula(anchor, positive, negative):
    metric = DistanceMetric("l2", "mean", anchor, None, positive, negative)
    np.testing.assert_allclose(updated(metric), metric_by_loops(metric, BATCHES), 1e-5)
    hard = DistanceMetric("l2", "mean", anchor)
    assert updated(hard) != pytest.approx(value(metric))


def test_fit_and_evaluate_give_the_values_of_all_batches_in_every_epoch():
    metrics = [getattr(training_metrics, name)("l2") for name in NAMES]
    model = identity_model([*metrics, DistanceGapMetric("l2")])
    history = model.fit(
        X,
        Y,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=(X[:8], Y[:8]),
        validation_batch_size=8,
    ).history
    for metric in metrics:
        expected = metric_by_loops(metric, BATCHES)
        np.testing.assert_allclose(history[metric.name], [expected] * 2, rtol=1e-5)
        expected = metric_by_loops(metric, BATCHES[:1])
        np.testing.assert_allclose(history[f"val_{metric.name}"], [expected] * 2, 1e-5)
    gap = np.subtract(history["min_neg"], history["max_pos"])
    np.testing.assert_allclose(history["dist_gap"], gap, rtol=1e-5)
    assert gap[0] < 0


@pytest.mark.parametrize("offset", [2**24, 2**40])
def test_ids_that_floats_cannot_tell_apart_are_told_apart_in_fit(offset):
    x = np.array([[0.0], [1.0], [10.0], [12.0]], "float32")
    y = np.array([0, 0, 1, 1]) + offset
    model = identity_model([training_metrics.max_pos("l2")], size=1)
    assert model.fit(x, y, verbose=0, shuffle=False).history["max_pos"] == [2.0]


def test_ids_a_power_of_two_apart_are_told_apart_in_fit():
    x = np.array([[0.0], [1.0], [10.0], [12.0]], "float32")
    y = np.array([7, 7, 2**40 + 7, 2**40 + 7])
    model = identity_model([training_metrics.max_pos("l2")], size=1)
    assert model.fit(x, y, verbose=0, shuffle=False).history["max_pos"] == [2.0]


def test_of_a_similarity_the_hard_positive_is_the_least_similar():
    x = np.array([[2.0], [1.0], [4.0], [-1.0]])
    y = np.array([0, 0, 0, 1])
    similarity = InnerProductSimilarity()
    # Least similar positives: 2, 2, 4; most similar negatives of all four: -2 -1 -4 -1.
    assert updated(training_metrics.avg_pos(similarity), [(y, x)]) == pytest.approx(8 / 3)
    assert updated(training_metrics.avg_neg(similarity), [(y, x)]) == -2.0
    # Costs: the farthest positive is at -2, the nearest negative at 1.
    assert updated(DistanceGapMetric(similarity), [(y, x)]) == 3.0


@pytest.mark.parametrize("labels", [np.arange(8), np.zeros(8, int)])
def test_without_partners_nothing_counts_and_nothing_is_nan(labels):
    side = "pos" if labels.any() else "neg"
    for name in ("max", "avg", "min", "sum"):
        metric = getattr(training_metrics, f"{name}_{side}")("cosine")
        assert updated(metric, [(labels, X[:8])]) == 0.0
    gap = training_metrics.dist_gap("cosine")
    assert updated(gap, [(labels, X[:8])]) == 0.0
    # A batch without partners does not change what the others gave.
    metric = getattr(training_metrics, f"min_{side}")("cosine")
    both = [BATCHES[0], (labels, X[:8])]
    assert updated(metric, both) == pytest.approx(metric_by_loops(metric, BATCHES[:1]))


def test_reset_state_forgets_larger_and_smaller_values():
    for name in ("max_pos", "min_pos", "avg_neg", "dist_gap"):
        metric = getattr(training_metrics, name)("l2")
        updated(metric, [(labels, 100 * x) for labels, x in BATCHES])
        metric.reset_state()
        fresh = getattr(training_metrics, name)("l2")
        assert updated(metric) == updated(fresh)


def test_weights_count_in_mean_and_sum_and_leave_anchors_out_of_extremes():
    x, y = np.array([[0.0], [1.0], [5.0]]), np.array([0, 0, 0])
    farthest = np.array([5.0, 4.0, 5.0])
    weights = np.array([0.0, 3.0, 1.0])
    expected = {"avg": 17 / 4, "sum": 17.0, "min": 4.0, "max": 5.0}
    for name, wanted in expected.items():
        metric = getattr(training_metrics, f"{name}_pos")("l1")
        metric.update_state(y, x, weights)
        assert value(metric) == pytest.approx(wanted)
    metric = training_metrics.min_pos("l1")
    metric.update_state(y, x, np.array([1.0, 0.0, 1.0]))
    assert value(metric) == farthest.max()
    with pytest.raises(ValueError, match="`sample_weight` must hold one value a row"):
        metric.update_state(y, x, np.ones(2))


def test_a_saved_model_keeps_its_metrics(tmp_path):
    metrics = [
        DistanceMetric("l1", "max", "negative", "far", "easy", "easy"),
        DistanceGapMetric("l1", "gap"),
    ]
    model = identity_model(metrics)
    before = model.fit(X, Y, batch_size=8, verbose=0, shuffle=False).history
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    after = loaded.fit(X, Y, batch_size=8, verbose=0, shuffle=False).history
    assert before == after
    assert {"far", "gap"} < set(before)


@pytest.mark.parametrize(
    "metric",
    [
        DistanceMetric("l1", "max", "negative", "far", "easy", "easy"),
        DistanceGapMetric(distances.EuclideanDistance(name="mine"), "gap"),
    ],
)
def test_a_config_goes_through_json(metric):
    config = json.loads(json.dumps(metric.get_config()))
    other = type(metric).from_config(config)
    assert other.get_config() == metric.get_config()
    assert updated(other) == updated(metric)


class CountedDistance(EuclideanDistance):
    calls = 0

    def matrix(self, query, key, ops):
        type(self).calls += 1
        return super().matrix(query, key, ops)


@pytest.mark.skipif(framework() != "torch", reason="Compilers merge what is alike.")
def test_metrics_of_one_batch_compare_it_once_and_notice_changes():
    metrics = [getattr(training_metrics, name)(CountedDistance()) for name in NAMES]
    x, y = ops.convert_to_tensor(X[:8].copy()), ops.convert_to_tensor(Y[:8])
    CountedDistance.calls = 0
    values = [updated(metric, [(y, x)]) for metric in metrics]
    assert CountedDistance.calls == 1
    for metric in metrics:
        metric.reset_state()
    x.mul_(2.0)  # In place: the same tensor with other values.
    twice = [updated(metric, [(y, x)]) for metric in metrics]
    np.testing.assert_allclose(twice, np.multiply(values, 2.0), rtol=1e-5)
    assert CountedDistance.calls == 2
    y[0] = y[1]
    updated(metrics[0], [(y, x)])
    assert CountedDistance.calls == 3
    # Another distance of the same batch is another matrix.
    other = training_metrics.max_pos("l1")
    expected = metric_by_loops(other, [(y.numpy(), x.numpy())])
    assert updated(other, [(y, x)]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(framework() != "torch", reason="Only there a batch is kept.")
def test_nothing_is_kept_once_the_embeddings_are_gone():
    from keras_similarity.training_metrics import shared_batch

    x = ops.convert_to_tensor(X[:8].copy())
    training_metrics.max_pos("l2").update_state(ops.convert_to_tensor(Y[:8]), x)
    assert shared_batch._latest is not None
    del x
    assert shared_batch._latest is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregate": "median"}, "Invalid `aggregate`: .*'median'"),
        ({"anchor": "pos"}, "Invalid `anchor`: .*'pos'"),
        ({"positive_mining_strategy": "soft"}, "Invalid `positive_mining_strategy`"),
        ({"negative_mining_strategy": "semi-hard"}, "Invalid `negative_mining_strategy`"),
        ({"distance": "cosin"}, "Unknown distance: 'cosin'"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        DistanceMetric(**{"distance": "cosine", **options})


def test_labels_that_are_no_integers_are_told():
    metric = training_metrics.max_pos("cosine")
    with pytest.raises(TypeError, match="`y_true` must be integers"):
        metric.update_state(ops.ones(8), X[:8])
