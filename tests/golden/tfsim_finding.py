"""Runs TensorFlow Similarity's cases of the half that needs no Keras."""

import numpy as np

from keras_similarity import (
    classification_metrics,
    distances,
    evaluators,
    matchers,
    retrieval_metrics,
)
from keras_similarity.types import NO_ID, NO_LABEL, Lookups
from tests.golden.cases import Case, assert_close, unit_rows

TOLERANCE = 1e-5


def run_distance(case: Case) -> None:
    distance = getattr(distances, case.peer_class)(**case.kwargs)
    actual = distance(case.inputs["query"], case.inputs["key"])
    expected = case.expected["distances"]
    if case.is_peer_quirk:
        # The peer's cosine is 1 - q.k; ours normalises first.
        assert case.peer_class == "CosineDistance"
        query, key = unit_rows(case.inputs["query"]), unit_rows(case.inputs["key"])
        assert np.abs(actual - expected).max() > 0.1
        expected = 1.0 - query @ key.T
    assert_close(actual, expected, TOLERANCE)


def run_matcher(case: Case) -> None:
    matcher = getattr(matchers, case.peer_class)(**case.kwargs)
    columns = case.inputs["lookup_labels"], case.inputs["lookup_distances"]
    matcher.compile(case.inputs.get("distance_thresholds"))
    matcher.compute_count(case.inputs["query_labels"], *columns)
    labels, distances = matcher.derive_match(*columns)
    actual = {
        "derived_labels": labels,
        "derived_distances": distances,
        "distance_thresholds": matcher.distance_thresholds,
        **{name: getattr(matcher, name) for name in ("tp", "fp", "tn", "fn", "count")},
    }
    assert set(case.expected) <= set(actual)
    for name, expected in case.expected.items():
        assert_close(actual[name], expected, TOLERANCE, name)


def run_classification_metric(case: Case) -> None:
    metric = getattr(classification_metrics, case.peer_class)(**case.kwargs)
    assert metric.name == str(case.expected["name"])
    assert_close(metric.compute(**case.inputs), case.expected["value"], TOLERANCE)


def run_retrieval_metric(case: Case) -> None:
    metric = getattr(retrieval_metrics, case.peer_class)(**case.kwargs)
    inputs = dict(case.inputs)
    assert metric.name == str(case.expected["name"])
    if case.is_peer_quirk and np.isfinite(metric.distance_threshold):
        # The peer's threshold is in the name only; ours makes a neighbour beyond it no
        # match, which is what the peer answers to a mask without it.
        arguments = {**case.kwargs, "distance_threshold": np.inf}
        unlimited = type(metric)(**arguments)
        assert_close(unlimited.compute(**inputs), case.expected["value"], TOLERANCE)
        is_near = inputs["lookup_distances"] <= np.float32(metric.distance_threshold)
        near = {**inputs, "match_mask": inputs["match_mask"] & is_near}
        assert metric.compute(**inputs) == unlimited.compute(**near)
        return
    assert_close(metric.compute(**inputs), case.expected["value"], TOLERANCE)


def run_evaluate_retrieval(case: Case) -> None:
    metrics = [
        getattr(retrieval_metrics, spec["class"])(**spec["kwargs"])
        for spec in case.kwargs["retrieval_metrics"]
    ]
    actual = _index(case).evaluate_retrieval(
        unit_rows(case.inputs["query_embeddings"]),
        case.inputs["query_labels"],
        metrics,
        verbose=0,
    )
    assert set(actual) == set(case.expected)
    for name, expected in case.expected.items():
        assert_close(actual[name], expected, TOLERANCE, name)


def run_calibrate(case: Case) -> None:
    """Calibrates the lookups that the peer found."""
    arguments = {
        name: case.kwargs[name]
        for name in ("thresholds_targets", "matcher", "extra_metrics")
    }
    results = evaluators.MemoryEvaluator().calibrate(
        case.inputs["query_labels"],
        _stored_lookups(case),
        calibration_metric=case.kwargs["calibration_metric"],
        verbose=0,
        **arguments,
    )
    _compare_calibration(case, results)


def run_index_calibrate(case: Case) -> None:
    """Calibrates the peer's lookups, then finds our own, and matches with the result."""
    run_calibrate(case)
    index = _index(case)
    common = {"k": case.kwargs["k"], "matcher": case.kwargs["matcher"], "verbose": 0}
    results = index.calibrate(
        unit_rows(case.inputs["query_embeddings"]),
        case.inputs["query_labels"],
        case.kwargs["thresholds_targets"],
        calibration_metric=case.kwargs["calibration_metric"],
        extra_metrics=case.kwargs["extra_metrics"],
        **common,
    )
    _compare_calibration(case, results)

    test = unit_rows(case.inputs["test_embeddings"])
    matches = index.match(test, **common)
    for name in _cutpoints_to_compare(case):
        assert_close(matches[name], case.expected[f"match.{name}"], 0, name)
        prefix = f"evaluate.{name}."
        expected = {
            key.removeprefix(prefix): values
            for key, values in case.expected.items()
            if key.startswith(prefix)
        }
        actual = index.evaluate_classification(
            test,
            case.inputs["test_labels"],
            [results.cutpoints[name]["distance"]],
            metrics=list(expected),
            **common,
        )
        for metric, values in expected.items():
            assert_close(actual[metric], values, TOLERANCE, prefix + metric)


def _compare_calibration(case, results):
    for key, expected in case.expected.items():
        if key.startswith("thresholds."):
            column = key.removeprefix("thresholds.")
            assert_close(results.thresholds[column], expected, TOLERANCE, key)
    assert set(results.cutpoints) == set(case.expected["cutpoint_names"].tolist())
    for name in _cutpoints_to_compare(case):
        assert results.cutpoints[name]["name"] == name
        for key, expected in case.expected.items():
            if key.startswith(f"cutpoints.{name}."):
                field = key.rpartition(".")[2]
                actual = results.cutpoints[name][field]
                assert_close(actual, expected, TOLERANCE, key)
    if _has_minimised_targets(case):
        # The peer takes the first value that is at least the target; ours is at most.
        for name, target in case.kwargs["thresholds_targets"].items():
            values = case.expected["thresholds.value"]
            last = np.flatnonzero(values <= np.float32(target))[-1]
            expected = case.expected["thresholds.distance"][last]
            assert_close(results.cutpoints[name]["distance"], expected, TOLERANCE, name)
            assert results.cutpoints[name]["value"] <= target


def _cutpoints_to_compare(case):
    if _has_minimised_targets(case):
        return ["optimal"]
    return case.expected["cutpoint_names"].tolist()


def _has_minimised_targets(case):
    metric = classification_metrics.get(case.kwargs["calibration_metric"])
    return case.is_peer_quirk and not metric.maximize


def _stored_lookups(case):
    labels = case.inputs["lookup_labels"].astype("int64")
    columns = np.arange(labels.shape[1])
    lengths = case.inputs.get("lookup_lengths", np.full(len(labels), labels.shape[1]))
    is_found = columns < lengths[:, None]
    distances = case.inputs["lookup_distances"]
    return Lookups(
        ids=np.where(is_found, columns, NO_ID),
        distances=np.where(is_found, distances, np.float32("nan")),
        labels=np.where(is_found, labels, NO_LABEL),
        records=lambda ids: (np.zeros((len(ids), 1)), [None] * len(ids)),
    )


def _index(case):
    from keras_similarity.indexer import Indexer

    # The peer's linear search normalises for every distance, ours for none.
    embeddings = unit_rows(case.inputs["index_embeddings"])
    index = Indexer(
        embedding_size=embeddings.shape[1],
        distance=case.kwargs["distance"],
        search=case.kwargs["search"],
    )
    index.batch_add(embeddings, case.inputs["index_labels"], verbose=0)
    return index


_DISTANCES = (
    "CosineDistance",
    "EuclideanDistance",
    "InnerProductSimilarity",
    "ManhattanDistance",
    "SNRDistance",
    "SquaredEuclideanDistance",
)
_MATCHERS = ("MatchMajorityVote", "MatchNearest")
_CLASSIFICATION_METRICS = (
    "BinaryAccuracy",
    "F1Score",
    "FalsePositiveRate",
    "NegativePredictiveValue",
    "Precision",
    "Recall",
)
_RETRIEVAL_METRICS = ("BNDCG", "MapAtK", "PrecisionAtK", "RecallAtK")

RUNNERS = {
    **{("tfsim", "distance", name): run_distance for name in _DISTANCES},
    **{("tfsim", "matcher", name): run_matcher for name in _MATCHERS},
    **{
        ("tfsim", "classification_metric", name): run_classification_metric
        for name in _CLASSIFICATION_METRICS
    },
    **{
        ("tfsim", "retrieval_metric", name): run_retrieval_metric
        for name in _RETRIEVAL_METRICS
    },
    ("tfsim", "retrieval_metric", "Indexer.evaluate_retrieval"): run_evaluate_retrieval,
    ("tfsim", "calibration", "MemoryEvaluator.calibrate"): run_calibrate,
    ("tfsim", "calibration", "Indexer.calibrate"): run_index_calibrate,
}
