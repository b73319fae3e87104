"""Runs PyTorch Metric Learning's cases of the half that needs Keras."""

import numpy as np

from keras_similarity import losses
from keras_similarity.backend import ops
from tests.backend import gradients, variable_gradients
from tests.golden import pml_miners, pml_stateful, pml_wrappers
from tests.golden.cases import Case, assert_close
from tests.golden.pml_objects import index_pairs, make_object
from tests.golden.tfsim_training import assert_gradient_close

DISTANCES = ("CosineSimilarity", "DotProductSimilarity", "LpDistance", "SNRDistance")
# The peer computed in float64, ours in float32.
VALUES = 1e-5


def run_distance(case: Case) -> None:
    """The gradients; the values are compared without Keras."""
    if "grad_query" not in case.expected:
        return
    distance = make_object(case.peer_class, case.kwargs)
    arrays = {
        name: case.inputs[name].astype("float32")
        for name in ("query", "ref")
        if name in case.inputs
    }
    cotangent = ops.convert_to_tensor(case.inputs["cotangent"].astype("float32"))
    found = gradients(lambda *x: ops.sum(distance(*x) * cotangent), *arrays.values())
    for name, slope in zip(arrays, found, strict=True):
        assert_gradient_close(slope, case.expected[f"grad_{name}"], name)


def run_loss(case: Case) -> None:
    """Value and gradients, of embeddings, of keys and of the loss's own weights."""
    loss = make_object(case.peer_class, case.kwargs)
    weights = set_weights(loss, case)
    if "call" in case.fields:
        run_get_outliers(loss, case)
        return
    names = [name for name in ("embeddings", "ref_emb") if name in case.inputs]
    arrays = [case.inputs[name].astype("float32") for name in names]

    def value(embeddings, keys=None):
        return call(loss, case, embeddings, keys)

    if is_departure(case):
        assert np.isfinite(float(value(*arrays)))
        return
    if "loss" not in case.expected:
        compare_unreduced(value(*arrays), case)
        return
    tolerance = tolerance_of(case)
    assert_close(float(value(*arrays)), case.expected["loss"].item(), tolerance, "loss")
    found = gradients(value, *arrays)
    for name, slope in zip(names, found, strict=True):
        if f"grad_{name}" in case.expected:
            assert_gradient_close(slope, case.expected[f"grad_{name}"], name)
    found = variable_gradients(lambda: value(*arrays), [*weights.values()])
    for name, slope in zip(weights, found, strict=True):
        assert_gradient_close(slope, case.expected[f"grad_{name}"], name)
    if "logits" in case.expected:
        logits = ops.convert_to_numpy(loss.get_logits(arrays[0]))
        assert_close(logits, case.expected["logits"], tolerance, "logits")


def is_departure(case: Case) -> bool:
    """Is this what the peer does and we do not?"""
    if case.is_peer_quirk:
        return True
    if case.peer_class != "SmoothAPLoss":
        return False
    # It cuts C classes of m rows into m groups of C rows, which need not be tagged.
    _, counts = np.unique(case.inputs["labels"], return_counts=True)
    return len(counts) != counts[0]


def set_weights(loss, case):
    """The case's weights in the loss's variables, which are returned by name."""
    names = {"W", "beta", "fc", "proxies", "weight"} & set(case.inputs)
    variables = {name: getattr(loss, name) for name in sorted(names)}
    for name, variable in variables.items():
        variable.assign(case.inputs[name])
    return variables


def run_get_outliers(loss, case):
    """The rows that are far from their class's center, in ascending order."""
    outliers, centers = loss.get_outliers(
        case.inputs["labels"],
        case.inputs["embeddings"].astype("float32"),
        threshold=case.fields["call"]["threshold"],
    )
    assert outliers.tolist() == sorted(case.expected["outliers"].tolist())
    present = case.expected["present_classes"]
    assert_close(centers[:, present], case.expected["dominant_centers"], VALUES)
    assert not np.delete(centers, present, axis=1).any()


def call(loss, case, embeddings, keys):
    """Our call with the inputs of a case."""
    # `ManifoldLoss` takes meta-classes in place of labels.
    labels = case.inputs.get("labels", case.inputs.get("meta_classes"))
    key_labels = case.inputs.get("ref_labels")
    if keys is not None and key_labels is None:
        key_labels = labels
    return loss(
        labels,
        embeddings,
        key_labels=key_labels,
        key_embeddings=keys,
        pairs=index_pairs(case),
    )


def tolerance_of(case: Case) -> float:
    """What float32 allows: more where the peer's own float32 is farther off."""
    deviation = (case.fields.get("float32_dev") or {}).get("loss") or 0.0
    return max(VALUES, 2.0 * deviation)


def compare_unreduced(found: dict, case: Case) -> None:
    """Each term as a column of values and, but for a reduced one, of indices."""
    names = {key.partition(".")[0] for key in case.expected}
    assert set(found) >= names
    for name in names:
        for part in ("losses", "indices", "divisor"):
            expected = case.expected.get(f"{name}.{part}")
            if expected is None:
                continue
            if found[name][part] is None:  # A reduced term is nobody's.
                continue
            actual = ops.convert_to_numpy(found[name][part])
            if part == "losses":
                # The peer has columns `[n, 1]` here and there.
                expected = expected.reshape(np.shape(actual))
            if case.peer_class == "NPairsLoss":
                # The peer lists it by class, ours by row.
                expected = expected[np.argsort(case.expected[f"{name}.indices"])]
            assert_close(actual, expected, VALUES, f"{name}.{part}")


RUNNERS = {
    **pml_miners.RUNNERS,
    **{("pml", "distance", name): run_distance for name in DISTANCES},
    **{("pml", "loss", name): run_loss for name in losses.__all__},
    **pml_stateful.RUNNERS,
    **pml_wrappers.RUNNERS,
}
