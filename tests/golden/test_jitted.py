"""The values of the peers hold under the backend's compiler, too.

One case of each class, option and shape; all of them with `KSIM_LONG=1`.
"""

import os

import numpy as np
import pytest

from keras_similarity import distances, losses
from keras_similarity.backend import ops
from tests.backend import jit
from tests.golden import pml_training
from tests.golden.cases import assert_close, load
from tests.golden.pml_objects import index_pairs, make_object
from tests.golden.tfsim_training import RUNNERS, VALUES


def chosen_of_pml():
    """One case of each class, with and without keys and pairs of their own."""
    seen = set()
    for case in load("pml"):
        runner = pml_training.RUNNERS.get(case.key)
        if runner is not pml_training.run_loss or pml_training.is_departure(case):
            continue
        if "loss" not in case.expected or "call" in case.fields:
            continue
        names = {"ref_emb", "triplets", "pos_pairs"} & set(case.inputs)
        what = (case.peer_class, *sorted(names))
        if what not in seen or os.environ.get("KSIM_LONG"):
            yield pytest.param(case, id=case.id)
        seen.add(what)


def chosen(kind, shaped_by):
    seen = set()
    for case in load("tfsim"):
        if case.key not in RUNNERS or case.kind != kind or case.is_peer_quirk:
            continue
        what = (case.peer_class, repr(case.kwargs), case.inputs[shaped_by].shape)
        if what not in seen or os.environ.get("KSIM_LONG"):
            yield pytest.param(case, id=case.id)
        seen.add(what)


@pytest.mark.parametrize("case", [*chosen("distance", "query")])
def test_distance(case):
    distance = distances.get(case.peer_class, **case.kwargs)
    query, key = (ops.convert_to_tensor(case.inputs[name]) for name in ("query", "key"))
    actual = jit(lambda q, k: distance(q, k))(query, key)
    assert_close(ops.convert_to_numpy(actual), case.expected["distances"], VALUES)


@pytest.mark.parametrize("case", [*chosen("loss", "y_pred")])
def test_loss(case):
    loss = losses.get(case.peer_class, **case.kwargs)
    inputs = dict(case.inputs)
    inputs["y_true"] = inputs["y_true"].astype("int32")
    tensors = [ops.convert_to_tensor(x) for x in inputs.values()]
    names = tuple(inputs)

    def value(*arrays):
        given = dict(zip(names, arrays, strict=True))
        return loss(given["y_true"], given["y_pred"], given.get("sample_weight"))

    actual = ops.convert_to_numpy(jit(value)(*tensors))
    expected = case.expected["loss"]
    assert_close(np.reshape(actual, expected.shape), expected, VALUES)


@pytest.mark.parametrize("case", [*chosen_of_pml()])
def test_loss_of_pml(case):
    loss = make_object(case.peer_class, case.kwargs)
    pml_training.set_weights(loss, case)
    tensors = {name: as_tensor(array) for name, array in case.inputs.items()}
    pairs = index_pairs(case)

    def value(given):
        keys = given.get("ref_emb")
        key_labels = given.get("ref_labels", None if keys is None else given["labels"])
        return loss(
            given.get("labels", given.get("meta_classes")),
            given["embeddings"],
            key_labels=key_labels,
            key_embeddings=keys,
            pairs=pairs,
        )

    compiled = jit(value, full_graph=not loss.breaks_torch_graph)
    actual = float(ops.convert_to_numpy(compiled(tensors)))
    tolerance = pml_training.tolerance_of(case)
    assert_close(actual, case.expected["loss"].item(), tolerance)


def as_tensor(array):
    is_float = array.dtype.kind == "f"
    return ops.convert_to_tensor(array.astype("float32" if is_float else "int32"))
