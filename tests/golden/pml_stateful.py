"""Runs PyTorch Metric Learning's cases of the loss that remembers a histogram."""

import numpy as np

from keras_similarity.backend import ops
from tests.backend import gradients
from tests.golden.cases import Case, assert_close
from tests.golden.pml_objects import make_object
from tests.golden.tfsim_training import assert_gradient_close

# The peer computed in float64, ours in float32.
VALUES = 1e-5
INPUTS = ("embeddings", "labels", "ref_emb", "ref_labels")


def run_dynamic_soft_margin(case: Case) -> None:
    """Value, gradients and histogram of each step; most cases have one, unnumbered."""
    # Imported late: that module merges this one's table.
    from tests.golden.pml_training import call, compare_unreduced, tolerance_of

    loss = make_object(case.peer_class, case.kwargs)
    steps = case.fields.get("steps")
    for suffix in [f"_{step}" for step in range(steps)] if steps else [""]:
        inputs = {name: case.inputs.get(name + suffix) for name in INPUTS}
        names = [name for name in ("embeddings", "ref_emb") if inputs[name] is not None]
        arrays = [inputs[name].astype("float32") for name in names]
        step = _StepOf(case, inputs)

        def value(embeddings, keys=None, step=step):
            return call(loss, step, embeddings, keys)

        if "loss.losses" in case.expected:
            compare_unreduced(value(*arrays), case)
            return
        loss.training = False  # The histogram stays as it is.
        slopes = gradients(value, *arrays)
        loss.training = True
        found = float(value(*arrays))
        if case.is_peer_quirk:
            assert np.isfinite(found)
            return
        expected = case.expected["loss" + suffix].item()
        assert_close(found, expected, tolerance_of(case), "loss")
        for name, slope in zip(names, slopes, strict=True):
            if f"grad_{name}{suffix}" in case.expected:
                assert_gradient_close(slope, case.expected[f"grad_{name}{suffix}"], name)
        if "hist" + suffix in case.expected:
            histogram = ops.convert_to_numpy(loss.histogram)
            assert_close(histogram, case.expected["hist" + suffix], VALUES, "histogram")


class _StepOf:
    """One step of a case: its inputs without the number."""

    def __init__(self, case: Case, inputs: dict) -> None:
        named = {name: array for name, array in inputs.items() if array is not None}
        self.inputs = {**case.inputs, **named}


RUNNERS = {("pml", "loss", "DynamicSoftMarginLoss"): run_dynamic_soft_margin}
