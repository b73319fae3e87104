"""Losses over two views of the same rows."""

import itertools
import json

import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import ops
from keras_similarity.losses import (
    Barlow,
    ContrastiveLoss,
    MultiNegativesRankLoss,
    NTXentLoss,
    SelfSupervisedLoss,
    SimCLRLoss,
    SimSiamLoss,
    TripletMarginLoss,
    VicReg,
    VICRegLoss,
)
from keras_similarity.pairs import Pairs
from tests.backend import gradients, jit

RANDOM = np.random.default_rng(7)
VIEW, OTHER = RANDOM.normal(size=(2, 6, 4)).astype("float32")
LOSSES = {
    "simclr": SimCLRLoss(temperature=0.3),
    "simsiam": SimSiamLoss(),
    "simsiam, distance": SimSiamLoss("cosine_distance", margin=0.1),
    "simsiam, angle": SimSiamLoss("angular_distance"),
    "barlow": Barlow(),
    "vicreg": VicReg(),
    "vicreg, none": VicReg(reduction="none"),
    "vicreg of pml": VICRegLoss(),
    "vicreg of pml, sum": VICRegLoss(reduction="sum"),
    "ranking": MultiNegativesRankLoss(scale=2.0),
    "ranking, cosine": MultiNegativesRankLoss("cosine"),
    "self-supervised": SelfSupervisedLoss(NTXentLoss(temperature=0.2)),
    "self-supervised, keys": SelfSupervisedLoss(ContrastiveLoss(), symmetric=False),
}
all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def value(loss, *views):
    return ops.convert_to_numpy(loss(*views))


def unit(x):
    x = np.asarray(x, "float64")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def simclr_by_loops(view, other, temperature):
    a, b = unit(view), unit(other)
    found = []
    for i in range(len(a)):
        total = 0.0
        for x, y in ((a, b), (b, a)):
            terms = [x[i] @ y[j] / temperature for j in range(len(a))]
            terms += [x[i] @ x[j] / temperature for j in range(len(a)) if j != i]
            total += np.log(np.exp(terms).sum()) - x[i] @ y[i] / temperature
        found.append(total)
    return np.array(found)


def vicreg_by_loops(view, other, *, divisor, lambda_=25, mu=25, nu=1, epsilon=1e-4):
    found = lambda_ * np.mean((view.astype("float64") - other) ** 2, axis=1)
    rows, width = view.shape
    for x in (view.astype("float64"), other.astype("float64")):
        x = x - x.mean(0)
        deviations = np.sqrt((x**2).sum(0) / divisor + epsilon)
        found = found + mu * np.mean(np.maximum(1 - deviations, 0)) / 2
        for k, m in itertools.permutations(range(width), 2):
            found = found + nu * (x[:, k] @ x[:, m] / (rows - 1)) ** 2 / width
    return found


def barlow_by_loops(view, other, lambda_):
    a, b = (x.astype("float64") for x in (view, other))
    a, b = ((x - x.mean(0)) / x.std(0) for x in (a, b))
    total = 0.0
    for k, m in itertools.product(range(a.shape[1]), repeat=2):
        correlation = a[:, k] @ b[:, m] / len(a)
        total += (1 - correlation) ** 2 if k == m else lambda_ * correlation**2
    return total


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_simclr(temperature):
    loss = SimCLRLoss(temperature, reduction="none")
    expected = simclr_by_loops(VIEW, OTHER, temperature)
    np.testing.assert_allclose(value(loss, VIEW, OTHER), expected, rtol=1e-5)


def test_simsiam():
    cosines = (unit(VIEW) * unit(OTHER)).sum(1)
    for projection, expected in (
        ("negative_cosine_sim", -cosines),
        ("cosine_distance", 1 - cosines),
        ("angular_distance", np.arccos(cosines) / np.pi),
    ):
        loss = SimSiamLoss(projection, margin=0.25, reduction="none")
        found = value(loss, VIEW, OTHER)
        np.testing.assert_allclose(found, 0.5 * expected + 0.25, rtol=1e-5)


def test_the_angle_is_exact_where_the_arc_cosine_is_not():
    loss = SimSiamLoss("angular_distance", margin=0.0, reduction="none")
    one = np.array([[1.0, 0.0]] * 4, "float32")
    angles = np.array([0.0, 1e-4, np.pi / 2, np.pi])
    turned = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
    np.testing.assert_allclose(
        value(loss, one, turned), 0.5 * angles / np.pi, rtol=1e-3, atol=1e-9
    )
    zero = np.zeros((1, 2), "float32")
    np.testing.assert_allclose(value(loss, zero, one[:1]), [0.25])
    np.testing.assert_allclose(value(loss, zero, zero), [0.25])


@pytest.mark.parametrize("lambda_", [5e-3, 0.7])
def test_barlow(lambda_):
    found = value(Barlow(lambda_, margin=0.5), VIEW, OTHER)
    expected = barlow_by_loops(VIEW, OTHER, lambda_) + 0.5
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_vicreg(spread):
    view, other = spread * VIEW, spread * OTHER
    options = {"lambda_": 2.0, "mu": 3.0, "nu": 5.0}
    expected = vicreg_by_loops(view, other, divisor=6, epsilon=1e-2, **options)
    found = value(VicReg(std_const=1e-2, reduction="none", **options), view, other)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    mean = value(VicReg(std_const=1e-2, **options), view, other)
    np.testing.assert_allclose(mean, expected.mean(), rtol=1e-5)


def test_the_vicreg_of_pml_differs_by_the_divisor_of_the_variance():
    view, other = 0.3 * VIEW, 0.3 * OTHER
    expected = vicreg_by_loops(view, other, divisor=5)
    np.testing.assert_allclose(value(VICRegLoss(), view, other), expected.mean(), 1e-5)
    found = value(VICRegLoss(reduction="none"), view, other)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    other_form = vicreg_by_loops(view, other, divisor=6)
    assert abs(expected.mean() - other_form.mean()) > 1e-2


@pytest.mark.parametrize("distance", ["inner_product", "cosine", "sql2"])
def test_ranking(distance):
    query, key = VIEW.astype("float64"), OTHER.astype("float64")
    cost = {
        "inner_product": -query @ key.T,
        "cosine": 1 - unit(query) @ unit(key).T,
        "sql2": ((query[:, None] - key[None]) ** 2).sum(-1),
    }[distance]
    expected = np.log1p(np.exp(-1.5 * cost).sum(1)) + 1.5 * np.diag(cost)
    loss = MultiNegativesRankLoss(distance, scale=1.5, reduction="none")
    np.testing.assert_allclose(value(loss, VIEW, OTHER), expected, rtol=1e-5)
    total = MultiNegativesRankLoss(distance, scale=1.5, reduction="sum")
    np.testing.assert_allclose(value(total, VIEW, OTHER), expected.sum(), rtol=1e-5)


def test_self_supervised_is_the_loss_with_a_class_each_row():
    inner, rows = NTXentLoss(temperature=0.2), np.arange(6)
    both = inner(np.concatenate([rows, rows]), np.concatenate([VIEW, OTHER]))
    loss = SelfSupervisedLoss(inner)
    np.testing.assert_allclose(value(loss, VIEW, OTHER), float(both), rtol=1e-6)
    keys = inner(rows, VIEW, key_labels=rows, key_embeddings=OTHER)
    loss = SelfSupervisedLoss(inner, symmetric=False)
    np.testing.assert_allclose(value(loss, VIEW, OTHER), float(keys), rtol=1e-6)
    half = 0.5 * float(SimCLRLoss(0.2)(VIEW, OTHER))
    np.testing.assert_allclose(float(both), half, rtol=1e-5)


@all_losses
def test_jitted_and_eager_values_are_equal(loss):
    views = [ops.convert_to_tensor(x) for x in (VIEW, OTHER)]
    actual = jit(lambda a, b: loss(a, b))(*views)
    expected = value(loss, *views)
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, rtol=1e-5)


@all_losses
@pytest.mark.parametrize(
    "views",
    {
        "coincident": (np.ones((5, 3)), np.ones((5, 3))),
        "equal": (VIEW, VIEW),
        "opposite": (VIEW, -VIEW),
        "zero": (np.zeros((5, 3)), np.zeros((5, 3))),
        "one zero": (np.zeros((6, 4)), VIEW),
        "one row": (VIEW[:1], OTHER[:1]),
        "tiny": (1e-20 * VIEW, 1e-20 * OTHER),
        "huge": (1e20 * VIEW, -1e20 * OTHER),
    }.items(),
    ids=lambda item: item[0],
)
def test_values_and_gradients_are_finite(loss, views):
    views = [view.astype("float32") for view in views[1]]
    assert np.isfinite(value(loss, *views)).all()
    for slope in gradients(lambda a, b: ops.sum(loss(a, b)), *views):
        assert np.isfinite(slope).all()


@all_losses
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_views_give_a_float32_loss(loss, dtype):
    views = [ops.cast(ops.convert_to_tensor(x), dtype) for x in (VIEW, OTHER)]
    found = loss(*views)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    rounded = [ops.convert_to_numpy(ops.cast(x, "float32")) for x in views]
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), value(loss, *rounded), rtol=1e-5
    )


@all_losses
def test_config_survives_json_with_equal_values(loss):
    config = json.loads(json.dumps(losses.serialize(loss)))
    for copy in (
        losses.deserialize(config),
        keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
        ),
    ):
        assert type(copy) is type(loss)
        assert copy.get_config() == loss.get_config()
        np.testing.assert_array_equal(value(copy, VIEW, OTHER), value(loss, VIEW, OTHER))


def test_rows_are_weighted_where_they_have_losses():
    weights = np.array([0.0, 1.0, 2.0, 0.0, 5.0, 1.0])
    each = value(SimCLRLoss(reduction="none"), VIEW, OTHER)
    found = SimCLRLoss()(VIEW, OTHER, weights)
    np.testing.assert_allclose(float(found), np.mean(weights * each), rtol=1e-5)
    for loss in (Barlow(), VICRegLoss()):
        with pytest.raises(ValueError, match=r"`sample_weight` cannot .*\(6,\)"):
            loss(VIEW, OTHER, weights)
    inner = TripletMarginLoss(reduction="none")
    each = value(SelfSupervisedLoss(inner), VIEW, OTHER)
    found = ops.convert_to_numpy(SelfSupervisedLoss(inner)(VIEW, OTHER, weights))
    np.testing.assert_allclose(found, each * np.tile(weights, 2), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SimCLRLoss(temperature=0), ValueError, "`temperature` must be positive"),
        (lambda: SimSiamLoss("cosine"), ValueError, "cosine is not supported"),
        (
            lambda: MultiNegativesRankLoss(scale=-1),
            ValueError,
            "`scale` must be positive",
        ),
        (lambda: SimCLRLoss(distance="cosine"), TypeError, "distance"),
        (lambda: Barlow(reduction="sum", reducer="mean"), ValueError, "say the same"),
        (lambda: VicReg()(None, VIEW), TypeError, "two views .* Received: y_true=None"),
        (
            lambda: VICRegLoss()(VIEW, OTHER, key_embeddings=OTHER),
            TypeError,
            "two views of the same rows.* Received: key_embeddings",
        ),
        (
            lambda: SimCLRLoss()(VIEW, OTHER, pairs=Pairs(VIEW > 0, VIEW > 0)),
            TypeError,
            "without labels, keys or pairs.* Received: pairs",
        ),
        (lambda: SimCLRLoss()(VIEW, OTHER[:3]), ValueError, "views of one shape"),
        (
            lambda: SimCLRLoss()(np.arange(6), OTHER),
            ValueError,
            "`y_true` must be a view",
        ),
        (
            lambda: SelfSupervisedLoss(VicReg()),
            ValueError,
            "must be one that is about pairs.*Received: VicReg",
        ),
    ],
)
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_training_needs_no_labels():
    """The first view is the target, the second the model's output."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", loss=SimCLRLoss())
    target = RANDOM.normal(size=(6, 3)).astype("float32")
    history = model.fit(VIEW, target, epochs=2, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][0] != history["loss"][1]
