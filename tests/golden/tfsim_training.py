"""Runs TensorFlow Similarity's cases of the half that needs Keras."""

import numpy as np

from keras_similarity import distances, losses
from keras_similarity.backend import ops
from keras_similarity.layers import MetricEmbedding
from tests.backend import gradients
from tests.golden.cases import Case, assert_close, unit_rows
from tests.losses.loops import (
    circle_by_loops,
    cost_matrix,
    multi_similarity_by_loops,
    triplet_by_loops,
)
from tests.losses.tfsim_loops import loss_by_loops

VALUES = 1e-5
TFSIM_LOOPS = ("LiftedStructLoss", "PNLoss", "SoftNearestNeighborLoss")


def assert_gradient_close(actual, expected, what: str) -> None:
    """Compares within 1e-4 of the largest entry, or of 1."""
    bound = 1e-4 * max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound, err_msg=what)


def without_radial_part(slope: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The gradient of a cosine that normalises, from that of one that does not."""
    return slope - (slope * x).sum(axis=1, keepdims=True) * x


def run_distance(case: Case) -> None:
    distance = getattr(distances, case.peer_class)(**case.kwargs)
    query, key = case.inputs["query"], case.inputs["key"]
    actual = distance(ops.convert_to_tensor(query), ops.convert_to_tensor(key))
    is_cosine = case.peer_class == "CosineDistance"
    if case.is_peer_quirk:
        # The peer's cosine is 1 - q.k; ours normalises first.
        assert is_cosine
        expected = 1.0 - unit_rows(query) @ unit_rows(key).T
        assert_close(ops.convert_to_numpy(actual), expected, VALUES)
        return
    assert_close(ops.convert_to_numpy(actual), case.expected["distances"], VALUES)
    if "grad_query" not in case.expected:
        return
    cotangent = ops.convert_to_tensor(case.inputs["cotangent"])
    found = gradients(lambda q, k: ops.sum(distance(q, k) * cotangent), query, key)
    for name, slope, x in zip(("query", "key"), found, (query, key), strict=True):
        expected = case.expected[f"grad_{name}"]
        if is_cosine:
            expected = without_radial_part(expected, x)
        assert_gradient_close(slope, expected, name)


def run_loss(case: Case) -> None:
    loss = losses.get(case.peer_class, **case.kwargs)
    labels, embeddings = case.inputs["y_true"], case.inputs["y_pred"]
    each = ops.convert_to_numpy(loss.call(labels, embeddings))
    if case.is_peer_quirk:
        # A similarity is turned into a cost, and anchors without a positive or a
        # negative have loss 0: the formula by loops says what that gives.
        assert_close(each, by_loops(loss, labels, embeddings), VALUES)
        return
    assert_close(each, case.expected["per_example"].reshape(-1), VALUES)
    weights = case.inputs.get("sample_weight")
    expected = case.expected["loss"]
    actual = ops.convert_to_numpy(loss(labels, embeddings, weights))
    assert_close(actual.reshape(expected.shape), expected, VALUES)
    if "grad_y_pred" in case.expected:
        (slope,) = gradients(lambda x: ops.sum(loss(labels, x, weights)), embeddings)
        expected = case.expected["grad_y_pred"]
        if isinstance(loss.distance, distances.CosineDistance):
            expected = without_radial_part(expected, embeddings)
        assert_gradient_close(slope, expected, "embeddings")


def by_loops(loss, labels, embeddings) -> np.ndarray:
    labels = np.asarray(labels).reshape(-1)
    cost = cost_matrix(embeddings, loss.distance.name)
    if type(loss).__name__ in TFSIM_LOOPS:
        return loss_by_loops(loss, labels, cost)
    if isinstance(loss, losses.TripletLoss):
        return triplet_by_loops(
            labels,
            cost,
            positive=loss.positive_mining_strategy,
            negative=loss.negative_mining_strategy,
            margin=loss.margin,
        )
    if isinstance(loss, losses.CircleLoss):
        return circle_by_loops(labels, cost, gamma=loss.gamma, margin=loss.margin)
    options = ("alpha", "beta", "epsilon", "lmda", "center")
    return multi_similarity_by_loops(
        labels, cost, **{name: getattr(loss, name) for name in options}
    )


def run_cosine_similarity(case: Case) -> None:
    y_true, y_pred = case.inputs["y_true"], case.inputs["y_pred"]

    def similarity(x):
        return losses.cosine_similarity(y_true, x, **case.kwargs)

    actual = ops.convert_to_numpy(similarity(y_pred))
    assert_close(actual, case.expected["value"], VALUES)
    if "grad_y_pred" in case.expected:
        (slope,) = gradients(lambda x: ops.sum(similarity(x)), y_pred)
        assert_gradient_close(slope, case.expected["grad_y_pred"], "y_pred")


def run_metric_embedding(case: Case) -> None:
    layer = MetricEmbedding(**case.kwargs)
    x = case.inputs["x"]
    layer.build(x.shape)
    layer.set_weights(
        [case.inputs[name] for name in ("kernel", "bias") if name in case.inputs]
    )
    assert_close(ops.convert_to_numpy(layer(x)), case.expected["output"], VALUES)
    if "grad_x" in case.expected:
        cotangent = ops.convert_to_tensor(case.inputs["cotangent"])
        (slope,) = gradients(lambda t: ops.sum(layer(t) * cotangent), x)
        assert_gradient_close(slope, case.expected["grad_x"], "x")


RUNNERS = {
    **{
        ("tfsim", "distance", name): run_distance
        for name in (
            "CosineDistance",
            "EuclideanDistance",
            "InnerProductSimilarity",
            "ManhattanDistance",
            "SNRDistance",
            "SquaredEuclideanDistance",
        )
    },
    ("tfsim", "loss", "CircleLoss"): run_loss,
    ("tfsim", "loss", "MultiSimilarityLoss"): run_loss,
    ("tfsim", "loss", "TripletLoss"): run_loss,
    **{("tfsim", "loss", name): run_loss for name in TFSIM_LOOPS},
    ("tfsim", "layer", "MetricEmbedding"): run_metric_embedding,
    (
        "tfsim",
        "keras_cosine_similarity",
        "tf.keras.losses.cosine_similarity",
    ): run_cosine_similarity,
}
