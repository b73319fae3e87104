import numpy as np
import pytest

from keras_similarity import evaluators
from keras_similarity.classification_metrics import Recall
from keras_similarity.evaluators import Evaluator, MemoryEvaluator
from keras_similarity.matchers import MatchNearest
from keras_similarity.retrieval_metrics import BNDCG, RecallAtK
from keras_similarity.types import Lookup

pytestmark = pytest.mark.keras_free

INF = float("inf")
EVALUATOR = MemoryEvaluator()

TARGETS = [7, 8, 9, 7]
LOOKUPS = [
    [Lookup(1, 0.1, 7), Lookup(2, 0.4, 8)],
    [Lookup(1, 0.2, 8), Lookup(2, 0.5, 8)],
    [Lookup(1, 0.3, 7), Lookup(2, 0.6, 9)],
    [Lookup(1, 0.4, 7), Lookup(2, 0.7, 9)],
]


def calibrate(targets=TARGETS, lookups=LOOKUPS, **changes):
    arguments = {
        "thresholds_targets": {},
        "calibration_metric": "f1",
        "matcher": "match_nearest",
        **changes,
    }
    return EVALUATOR.calibrate(targets, lookups, **arguments)


def test_retrieval():
    metrics = [RecallAtK(k=1), RecallAtK(k=2), BNDCG(k=2)]
    values = EVALUATOR.evaluate_retrieval(TARGETS, LOOKUPS, metrics)
    assert list(values) == ["recall@1", "recall@2", "ndcg@2"]
    assert (values["recall@1"], values["recall@2"]) == (0.75, 1.0)


def test_retrieval_rounds_distances():
    lookups = [[Lookup(1, 0.504, 7)]]
    metrics = [RecallAtK(k=1, distance_threshold=0.5)]
    exact = EVALUATOR.evaluate_retrieval([7], lookups, metrics)
    rounded = EVALUATOR.evaluate_retrieval([7], lookups, metrics, distance_rounding=2)
    assert (*exact.values(), *rounded.values()) == (0.0, 1.0)


def test_metrics_of_one_name_are_refused_unless_they_are_the_same():
    metrics = [RecallAtK(k=2), RecallAtK(k=2, average="macro")]
    with pytest.raises(ValueError, match="two different metrics named 'recall@2'"):
        EVALUATOR.evaluate_retrieval(TARGETS, LOOKUPS, metrics)
    same = [RecallAtK(k=2), RecallAtK(k=2)]
    assert EVALUATOR.evaluate_retrieval(TARGETS, LOOKUPS, same) == {"recall@2": 1.0}


@pytest.mark.parametrize(
    "targets, metrics, message",
    [
        (TARGETS, ["recall@1"], "`retrieval_metrics` must hold"),
        (TARGETS, [RecallAtK(k=3)], "neighbours must be at least 3"),
        (TARGETS[:3], [RecallAtK(k=1)], "`target_labels`.* 4 of them"),
    ],
)
def test_wrong_retrieval(targets, metrics, message):
    with pytest.raises(ValueError, match=message):
        EVALUATOR.evaluate_retrieval(targets, LOOKUPS, metrics)


def test_classification_at_thresholds():
    values = EVALUATOR.evaluate_classification(
        query_labels=TARGETS,
        lookup_labels=[[7], [8], [7], [7]],
        lookup_distances=[[0.1], [0.2], [0.3], [0.4]],
        distance_thresholds=[0.35, 0.15],
        metrics=["precision", Recall(name="mine")],
        matcher=MatchNearest(),
    )
    assert list(values) == ["distance", "precision", "mine"]
    # Ascending, as the metrics are.
    assert values["distance"].tolist() == np.float32([0.15, 0.35]).tolist()
    np.testing.assert_allclose(values["precision"], [1, 2 / 3])
    np.testing.assert_allclose(values["mine"], [1 / 3, 2 / 3])


def test_classification_rounds_distances():
    arguments = {
        "query_labels": [7],
        "lookup_labels": [[7]],
        "lookup_distances": [[0.504]],
        "distance_thresholds": [0.5],
        "metrics": ["recall"],
        "matcher": "match_nearest",
    }
    evaluate = EVALUATOR.evaluate_classification
    assert evaluate(**arguments)["recall"].tolist() == [0.0]
    assert evaluate(**arguments, distance_rounding=2)["recall"].tolist() == [1.0]


def test_calibration():
    results = calibrate(
        thresholds_targets={"third": 1 / 3, "never": 1.1},
        calibration_metric="recall",
        extra_metrics=["precision"],
    )
    columns = results.thresholds
    assert list(columns) == ["distance", "precision", "recall", "value"]
    distances = np.float32([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(columns["distance"], distances, rtol=1e-6)
    thirds = np.array([1, 2, 2, 3, 3, 3, 3]) / 3
    np.testing.assert_allclose(columns["recall"], thirds)
    np.testing.assert_allclose(columns["value"], thirds)
    np.testing.assert_allclose(columns["precision"], [1, 1, 2 / 3, *[3 / 4] * 4])
    assert set(results.cutpoints) == {"optimal", "third"}
    optimal, third = results.cutpoints["optimal"], results.cutpoints["third"]
    assert set(optimal) == {"name", "value", "distance", "precision", "recall"}
    assert (optimal["name"], optimal["value"]) == ("optimal", 1.0)
    assert optimal["distance"] == pytest.approx(0.7)
    assert (third["name"], third["distance"]) == ("third", pytest.approx(0.1))


def test_calibration_rounds_distances():
    lookups = [[Lookup(1, 0.301, 7)], [Lookup(1, 0.304, 7)]]
    results = calibrate([7, 7], lookups, distance_rounding=2)
    assert results.thresholds["distance"].tolist() == np.float32([0.3]).tolist()
    assert len(calibrate([7, 7], lookups).thresholds["distance"]) == 2


def test_calibration_compares_rounded_values():
    # One of 300 is found beyond the second threshold: recall 0.996667 and 1.
    lookups = [[Lookup(1, 0.1 if query else 0.2, 7)] for query in range(300)]
    arguments = {"calibration_metric": "recall", "thresholds_targets": {"all": 1.0}}
    fine = calibrate([7] * 300, lookups, **arguments)
    coarse = calibrate([7] * 300, lookups, metric_rounding=2, **arguments)
    assert fine.cutpoints["all"]["distance"] == pytest.approx(0.2)
    assert coarse.cutpoints["all"]["distance"] == pytest.approx(0.1)
    assert coarse.cutpoints["all"]["value"] == pytest.approx(299 / 300)


def test_a_metric_to_minimise_meets_a_target_with_at_most_that():
    lookups = [[Lookup(1, distance, 1)] for distance in (0.1, 0.2, 0.3, 0.4)]
    results = calibrate(
        [2, 2, 2, 2],
        lookups,
        calibration_metric="fpr",
        thresholds_targets={"half": 0.5, "never": 0.1},
    )
    assert set(results.cutpoints) == {"optimal", "half"}
    assert results.cutpoints["half"]["value"] == 0.5
    assert results.cutpoints["half"]["distance"] == pytest.approx(0.2)
    assert results.cutpoints["optimal"]["distance"] == pytest.approx(0.1)


def test_the_calibration_metric_may_be_among_the_extra_ones():
    results = calibrate(
        calibration_metric="precision", extra_metrics=["precision", "recall"]
    )
    assert list(results.thresholds) == ["distance", "precision", "recall", "value"]


def test_a_query_without_neighbours_is_a_true_negative_at_any_threshold():
    results = calibrate([7, 7], [[Lookup(1, 0.1, 7)], []], calibration_metric="precision")
    assert results.thresholds["distance"].tolist() == [np.float32(0.1), INF]
    assert results.thresholds["precision"].tolist() == [1.0, 1.0]


def test_targets_may_be_none():
    assert set(calibrate(thresholds_targets=None).cutpoints) == {"optimal"}


@pytest.mark.parametrize("targets, lookups", [([], []), ([1, 2], [[], []])])
def test_empty_lookups(targets, lookups):
    with pytest.raises(
        ValueError, match=r"^lookups must not be empty. Is there no data in the index\?$"
    ):
        calibrate(targets, lookups)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"targets": TARGETS[:3]}, "`target_labels`.* 4 of them"),
        ({"thresholds_targets": {"optimal": 0.5}}, "must not name a target 'optimal'"),
        ({"thresholds_targets": {"a": float("nan")}}, "must hold numbers.*a=nan"),
        ({"calibration_metric": "f2"}, "Unknown classification metric"),
        ({"calibration_metric": Recall("value")}, "must not be named 'value'"),
        ({"matcher": "nearest"}, "Unknown classification matcher"),
    ],
)
def test_wrong_calibration(changes, message):
    with pytest.raises(ValueError, match=message):
        calibrate(**changes)


def test_evaluators_by_name():
    assert type(evaluators.get("memory")) is MemoryEvaluator
    assert evaluators.get(EVALUATOR) is EVALUATOR
    config = evaluators.serialize(EVALUATOR)
    assert type(evaluators.deserialize(config)) is MemoryEvaluator
    with pytest.raises(TypeError):
        Evaluator()
