import json

import numpy as np
import pytest

from keras_similarity import regularizers
from keras_similarity.backend import ops
from keras_similarity.distances import EuclideanDistance
from keras_similarity.losses import ContrastiveLoss
from keras_similarity.reducers import ClassWeightedReducer
from keras_similarity.regularizers import (
    CenterInvariantRegularizer,
    LpRegularizer,
    RegularFaceRegularizer,
    SparseCentersRegularizer,
    ZeroMeanRegularizer,
)
from tests.backend import gradient, jit

ALL = {
    "lp": LpRegularizer(),
    "lp, p=1": LpRegularizer(p=1),
    "lp, p=3, power=2": LpRegularizer(p=3, power=2, reducer="sum"),
    "lp, power=0.5": LpRegularizer(power=0.5),
    "zero mean": ZeroMeanRegularizer(),
    "center invariant": CenterInvariantRegularizer(),
    "regular face": RegularFaceRegularizer(),
    "sparse centers": SparseCentersRegularizer(num_classes=2, centers_per_class=3),
}
X = np.random.default_rng(5).normal(size=(6, 4)).astype("float32")
ROWS = {
    "apart": X,
    "coincident": np.ones((6, 4), "float32"),
    "zero": np.zeros((6, 4), "float32"),
    "one zero row": X * (np.arange(6) > 0)[:, None].astype("float32"),
    "tiny": X * np.float32(1e-20),
    "huge": X * np.float32(1e20),
}
every = pytest.mark.parametrize("regularizer", ALL.values(), ids=ALL)


def by_loops(regularizer, x):
    x = np.asarray(x, "float64")
    if isinstance(regularizer, LpRegularizer):
        norms = (np.abs(x) ** regularizer.p).sum(1) ** (1 / regularizer.p)
        values = norms**regularizer.power
        return values.sum() if regularizer.power == 2 else values.mean()
    if isinstance(regularizer, ZeroMeanRegularizer):
        return np.mean([abs(row.sum()) for row in x])
    if isinstance(regularizer, CenterInvariantRegularizer):
        squares = (x**2).sum(1)
        return np.mean([(s - squares.mean()) ** 2 / 4 for s in squares])
    cosines = x @ x.T / np.outer(*2 * [np.linalg.norm(x, axis=1)])
    if isinstance(regularizer, RegularFaceRegularizer):
        return np.mean([max(np.delete(cosines[i], i)) for i in range(len(x))])
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    return np.mean([np.sqrt(2 - 2 * cosines[i, j]) for i, j in pairs]) / 2


@every
def test_the_value_is_the_formula_row_by_row(regularizer):
    expected = by_loops(regularizer, X)
    np.testing.assert_allclose(float(regularizer(X)), expected, rtol=1e-5)
    x = ops.convert_to_tensor(X)
    np.testing.assert_allclose(float(jit(regularizer.__call__)(x)), expected, rtol=1e-5)


@every
@pytest.mark.parametrize("x", ROWS.values(), ids=ROWS)
def test_values_and_gradients_are_finite(regularizer, x):
    assert np.isfinite(float(regularizer(x)))
    assert np.isfinite(gradient(regularizer, x)).all()


@every
def test_half_precision_is_raised(regularizer):
    x = ops.cast(ops.convert_to_tensor(X), "bfloat16")
    expected = by_loops(regularizer, ops.convert_to_numpy(ops.cast(x, "float32")))
    np.testing.assert_allclose(float(regularizer(x)), expected, rtol=1e-5)


@every
def test_configs_go_through_json_and_back(regularizer):
    config = json.loads(json.dumps(regularizers.serialize(regularizer)))
    again = regularizers.deserialize(config)
    assert regularizers.serialize(again) == config
    assert float(again(X)) == float(regularizer(X))


def test_norms_are_exact_where_squares_are_not():
    for scale in (1e-20, 1e20):
        x = np.array([[3.0, 4.0], [0.0, 0.0]], "float32") * np.float32(scale)
        np.testing.assert_allclose(float(LpRegularizer()(x)), 2.5 * scale, rtol=1e-5)
        slope = gradient(LpRegularizer(), x)
        np.testing.assert_allclose(slope, [[0.3, 0.4], [0, 0]], rtol=1e-5)


def test_a_row_that_is_alone_is_near_nothing():
    x = np.array([[3.0, 4.0]], "float32")
    assert float(RegularFaceRegularizer()(x)) == 0
    np.testing.assert_array_equal(gradient(RegularFaceRegularizer(), x), [[0, 0]])


def test_centers_of_one_direction_are_merged():
    penalty = SparseCentersRegularizer(num_classes=1, centers_per_class=2)
    x = np.array([[0.3, 0.1, 0.7], [0.6, 0.2, 1.4]], "float32")
    assert float(penalty(x)) == 0
    np.testing.assert_array_equal(gradient(penalty, x), np.zeros((2, 3)))


def test_each_row_is_a_class_of_its_own_for_class_weights():
    weights = [1.0, 0.0, 2.0, 0.0, 0.0, 0.5]
    regularizer = LpRegularizer(reducer=ClassWeightedReducer(weights))
    expected = np.mean(weights * np.linalg.norm(X, axis=1))
    np.testing.assert_allclose(float(regularizer(X)), expected, rtol=1e-5)


def test_a_loss_adds_it():
    loss = ContrastiveLoss(embedding_regularizer="lp", embedding_reg_weight=0.5)
    labels = np.array([0, 0, 1, 1, 2, 2])
    expected = float(ContrastiveLoss()(labels, X)) + 0.5 * float(LpRegularizer()(X))
    np.testing.assert_allclose(float(loss(labels, X)), expected, rtol=1e-5)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`p` must be finite and at least 1"):
        LpRegularizer(p=0.5)
    with pytest.raises(ValueError, match="`power` must be greater than 0"):
        LpRegularizer(power=0)
    with pytest.raises(ValueError, match="neither normalise nor have a power"):
        CenterInvariantRegularizer(distance="cosine")
    with pytest.raises(ValueError, match="must be a similarity"):
        RegularFaceRegularizer(distance=EuclideanDistance())
    with pytest.raises(ValueError, match="must be a cosine"):
        SparseCentersRegularizer(2, 2, distance="l2")
    with pytest.raises(ValueError, match="`centers_per_class` must be at least 2"):
        SparseCentersRegularizer(2, 1)
    with pytest.raises(ValueError, match="`num_classes` must be at least 1"):
        SparseCentersRegularizer(0, 2)
    with pytest.raises(ValueError, match=r"= 4 rows. Received: x.shape=\(6, 4\)"):
        SparseCentersRegularizer(2, 2)(X)
    with pytest.raises(ValueError, match=r"\[rows, width\]"):
        LpRegularizer()(X[0])
