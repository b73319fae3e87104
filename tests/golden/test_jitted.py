"""The values of the peers hold under the backend's compiler, too.

One case of each class, option and shape; all of them with `KSIM_LONG=1`.
"""

import os

import numpy as np
import pytest

from keras_similarity import distances, losses
from keras_similarity.backend import ops
from tests.backend import jit
from tests.golden.cases import assert_close, load
from tests.golden.tfsim_training import RUNNERS, VALUES


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
