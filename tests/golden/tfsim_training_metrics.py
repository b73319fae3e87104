"""Runs TensorFlow Similarity's cases of metrics in training."""

import numpy as np

from keras_similarity import training_metrics
from keras_similarity.backend import ops
from tests.golden.cases import Case, assert_close
from tests.training_metrics.loops import metric_by_loops

VALUES = 1e-5
SHORTCUTS = [f"{name}_{side}" for side in ("pos", "neg") for name in ("max", "avg")]
SHORTCUTS += [f"{name}_{side}" for side in ("pos", "neg") for name in ("min", "sum")]


def run_metric(case: Case) -> None:
    metric = getattr(training_metrics, case.peer_class)(**case.kwargs)
    labels, embeddings = case.inputs["labels"], case.inputs["embeddings"]
    metric.update_state(labels, embeddings)
    actual = ops.convert_to_numpy(metric.result())
    assert metric.name == case.expected["name"]
    if "singletons" in case.id:
        # There an anchor without a partner counts by what the masking leaves of it.
        assert case.is_peer_quirk
        expected = np.float64(metric_by_loops(metric, [(labels, embeddings)]))
        assert_close(actual, expected, VALUES)
        return
    assert_close(actual, case.expected["result"], VALUES)


def run_gap(case: Case) -> None:
    metric = getattr(training_metrics, case.peer_class)(**case.kwargs)
    metric.update_state(case.inputs["labels"], case.inputs["embeddings"])
    assert metric.name == case.expected["name"]
    # There the sign is lost.
    assert case.is_peer_quirk
    actual = ops.convert_to_numpy(metric.result())
    assert_close(np.abs(actual), case.expected["result"], VALUES)


def run_batch_class_ratio(case: Case) -> None:
    batches = [(None, labels) for labels in case.inputs["label_batches"]]
    actual = training_metrics.batch_class_ratio(batches, **case.kwargs)
    expected = case.expected["result"]
    if case.is_peer_quirk:
        # There a sum over some of the batches is divided by one too many.
        expected = (
            expected * (case.kwargs["num_batches"] + 1) / case.kwargs["num_batches"]
        )
    assert_close(actual, expected, VALUES)


def _key(name: str) -> tuple[str, str, str]:
    return "tfsim", "training_metric", name


RUNNERS = {
    **{_key(name): run_metric for name in [*SHORTCUTS, "DistanceMetric"]},
    _key("DistanceGapMetric"): run_gap,
    _key("dist_gap"): run_gap,
    _key("batch_class_ratio"): run_batch_class_ratio,
}
