"""Runs PyTorch Metric Learning's cases of reducers and regularizers."""

import numpy as np

from keras_similarity import reducers, regularizers
from keras_similarity.backend import ops
from keras_similarity.reducers import SubLoss
from tests.backend import gradients
from tests.golden.cases import Case, assert_close
from tests.golden.pml_objects import as_float32, make_object
from tests.golden.tfsim_training import assert_gradient_close

VALUES = 1e-5
KINDS = {
    "element": "element",
    "pos_pair": "positive_pair",
    "neg_pair": "negative_pair",
    "triplet": "triplet",
    "already_reduced": "reduced",
}


def run_reducer(case: Case) -> None:
    """Value, and gradient of each term's values."""
    reducer = make_object(case.peer_class, case.kwargs)
    call = case.fields["call"]
    # "losses" of the one term of a case, or "pos_loss.losses" of each.
    names = [name for name in case.inputs if name.endswith("losses")]
    arrays = [case.inputs[name].astype("float32") for name in names]

    def value(*tensors):
        terms = {}
        for name, values in zip(names, tensors, strict=True):
            prefix, _, _ = name.rpartition(".")
            kind = call.get("reduction_type") or call["reduction_types"][prefix]
            indices = case.inputs.get(f"{prefix}.indices" if prefix else "indices")
            terms[prefix or "loss"] = sub_loss(case, values, indices, KINDS[kind])
        return reducer(terms)

    assert_close(float(value(*arrays)), case.expected["loss"].item(), VALUES, "loss")
    found = gradients(value, *arrays)
    for name, slope in zip(names, found, strict=True):
        expected = case.expected[f"grad_{name.removesuffix('.losses')}"]
        assert_gradient_close(slope, expected, name)


def sub_loss(case: Case, values, indices, kind: str) -> SubLoss:
    """A term with these values at these rows, pairs or triplets."""
    values = ops.convert_to_tensor(values)
    if kind == "reduced":
        return SubLoss(values, kind=kind)
    labels = case.inputs["labels"]
    rows = len(labels)
    if kind == "element":
        places, shape = np.reshape(indices, (-1, 1)), (rows,)
    else:
        # The columns are what goes with an anchor, one or two rows.
        column = indices[:, 1] if kind != "triplet" else indices[:, 1:] @ [rows, 1]
        places, shape = np.stack([indices[:, 0], column], axis=1), (rows, rows**2)
    places = ops.convert_to_tensor(places.astype("int32"))
    return SubLoss(
        ops.scatter(places, values, shape),
        ops.scatter(places, ops.ones_like(values), shape),
        kind=kind,
        divisor=case.fields["call"].get("divisor"),
        labels=ops.convert_to_tensor(labels.astype("int32")),
    )


def run_regularizer(case: Case) -> None:
    regularizer = make_object(case.peer_class, case.kwargs)
    x = case.inputs["x"].astype("float32")
    found = float(regularizer(as_float32(x)))
    assert_close(found, case.expected["loss"].item(), VALUES, "loss")
    (slope,) = gradients(regularizer, x)
    assert_gradient_close(slope, case.expected["grad_x"], "x")


RUNNERS = {
    **{("pml", "reducer", name): run_reducer for name in reducers.__all__},
    **{("pml", "regularizer", name): run_regularizer for name in regularizers.__all__},
}
