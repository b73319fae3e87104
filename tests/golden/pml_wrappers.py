"""Runs PyTorch Metric Learning's cases of losses around losses, and of two views."""

import numpy as np

from keras_similarity.backend import ops
from tests.backend import gradients
from tests.golden.cases import Case, assert_close
from tests.golden.pml_objects import make_object
from tests.golden.tfsim_training import assert_gradient_close

# The peer computed in float64, ours in float32.
VALUES = 1e-5


def run_two_views(case: Case) -> None:
    """The peer's `ref_emb` is the other view; without it, the view is both."""
    # Imported late: that module merges this one's table.
    from tests.golden.pml_training import compare_unreduced, tolerance_of

    loss = make_object(case.peer_class, case.kwargs)
    names = [name for name in ("embeddings", "ref_emb") if name in case.inputs]
    arrays = [case.inputs[name].astype("float32") for name in names]

    def value(view, other=None):
        return loss(view, view if other is None else other)

    if case.is_peer_quirk:
        assert np.isfinite(float(value(*arrays)))
        return
    if "loss" not in case.expected:
        compare_unreduced(value(*arrays), case)
        return
    found = float(value(*arrays))
    assert_close(found, case.expected["loss"].item(), tolerance_of(case), "loss")
    for name, slope in zip(names, gradients(value, *arrays), strict=True):
        assert_gradient_close(slope, case.expected[f"grad_{name}"], name)


def run_cross_batch_memory(case: Case) -> None:
    loss = make_object(case.peer_class, case.kwargs)
    for step in range(case.fields["steps"]):
        labels = case.inputs[f"labels_{step}"]
        embeddings = case.inputs[f"embeddings_{step}"].astype("float32")
        mask = case.inputs.get(f"enqueue_mask_{step}")

        def value(x, labels=labels, mask=mask):
            return loss(labels, x, enqueue_mask=mask)

        # As in evaluation: the batch is compared as if it were in the memory.
        loss.training = False
        (slope,) = gradients(value, embeddings)
        loss.training = True
        found = float(value(embeddings))
        if case.is_peer_quirk:
            assert np.isfinite(found)
            continue
        assert_close(found, case.expected[f"loss_{step}"].item(), VALUES, f"loss {step}")
        assert_gradient_close(slope, case.expected[f"grad_embeddings_{step}"], "slope")
    memory = ops.convert_to_numpy(loss.embedding_memory)
    assert_close(memory, case.expected["memory_embeddings"], VALUES, "memory")
    labels = ops.convert_to_numpy(loss.label_memory)
    np.testing.assert_array_equal(labels, case.expected["memory_labels"])
    assert loss.queue_idx == case.expected["queue_idx"]
    assert loss.has_been_filled == case.expected["has_been_filled"]


RUNNERS = {
    ("pml", "loss", "CrossBatchMemory"): run_cross_batch_memory,
    ("pml", "loss", "SelfSupervisedLoss"): run_two_views,
    ("pml", "loss", "VICRegLoss"): run_two_views,
}
