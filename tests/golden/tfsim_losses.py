"""Runs TensorFlow Similarity's cases of its losses over two views, and of its memory."""

import numpy as np

from keras_similarity import distances, losses
from keras_similarity.backend import ops
from tests.backend import gradients
from tests.golden.cases import Case, assert_close
from tests.golden.tfsim_training import (
    VALUES,
    assert_gradient_close,
    without_radial_part,
)

# The peer's default, where ours is the mean, with which a model can be trained.
DEFAULTS = {"VicReg": {"reduction": "none"}}
TWO_VIEWS = ("Barlow", "MultiNegativesRankLoss", "SimCLRLoss", "SimSiamLoss", "VicReg")


def run_two_views(case: Case) -> None:
    kwargs = {**DEFAULTS.get(case.peer_class, {}), **case.kwargs}
    loss = losses.get(case.peer_class, **kwargs)
    views = list(case.inputs.values())
    each = ops.convert_to_numpy(loss.call(*views))
    expected = case.expected["per_example"]
    if case.peer_class == "MultiNegativesRankLoss":
        # Row i, column j: the logarithm of row i less the similarity of row j.
        expected = np.diagonal(expected)
    assert_close(each, expected, VALUES, "per_example")
    if case.is_peer_quirk:  # Only the peer's mean is what is meant.
        return
    actual = ops.convert_to_numpy(loss(*views))
    assert_close(actual, case.expected["loss"], VALUES, "loss")
    found = gradients(lambda *x: ops.sum(loss(*x)), *views)
    for name, slope in zip(case.inputs, found, strict=True):
        if f"grad_{name}" in case.expected:
            assert_gradient_close(slope, case.expected[f"grad_{name}"], name)


def run_xbm(case: Case) -> None:
    inner = case.kwargs["loss"]
    kwargs = {**case.kwargs, "loss": losses.get(inner["class"], **inner["kwargs"])}
    loss = losses.XBM(**kwargs)
    is_cosine = isinstance(loss.distance, distances.CosineDistance)
    for step in range(case.fields["steps"]):
        given = {name: case.inputs[f"{name}_{step}"] for name in ("y_true", "y_pred")}
        expected = {
            name: case.expected[f"{name}_{step}"]
            for name in ("loss", "grad_y_pred", "memory_labels", "memory_embeddings")
        }

        def value(x, labels=given["y_true"]):
            return loss(labels, x)

        loss.training = False
        (slope,) = gradients(value, given["y_pred"])
        loss.training = True
        assert_close(float(value(given["y_pred"])), expected["loss"], VALUES, "loss")
        if is_cosine:
            expected["grad_y_pred"] = without_radial_part(
                expected["grad_y_pred"], given["y_pred"]
            )
        assert_gradient_close(slope, expected["grad_y_pred"], "embeddings")
        assert_close(loss.memory_embeddings, expected["memory_embeddings"], VALUES)
        np.testing.assert_array_equal(loss.memory_labels, expected["memory_labels"])


RUNNERS = {
    **{("tfsim", "loss", name): run_two_views for name in TWO_VIEWS},
    ("tfsim", "loss", "XBM"): run_xbm,
}
