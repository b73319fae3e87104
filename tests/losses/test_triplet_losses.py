"""Losses of triplets and of ranks against loops over rows, in float64."""

import numpy as np
import pytest

from keras_similarity.backend import keras, ops
from keras_similarity.losses import (
    AngularLoss,
    CrossBatchMemory,
    DynamicSoftMarginLoss,
    FastAPLoss,
    HistogramLoss,
    MarginLoss,
    PNPLoss,
    SmoothAPLoss,
    TripletMarginLoss,
    hinge_sums,
)
from keras_similarity.losses import soft_histogram as histograms
from keras_similarity.pairs import Pairs, pairs_from_indices, positives, triplet_counts
from keras_similarity.reducers import AvgNonZeroReducer, MeanReducer, ThresholdReducer
from tests.backend import gradient, gradients, jit, variable_gradients
from tests.losses import triplet_loops as loops

RNG = np.random.default_rng(11)
LABELS = {
    "two classes": np.arange(14) % 2,
    "some alone": np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 4, 5, 5, 4]),
    "all alone": np.arange(14),
    "one class": np.zeros(14, "int64"),
}
X = RNG.normal(size=(14, 5)).astype("float32")
over_labels = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
LOSSES = {
    "triplet margin": TripletMarginLoss(),
    "triplet margin, swap": TripletMarginLoss(margin=0.3, swap=True),
    "triplet margin, smooth": TripletMarginLoss(smooth_loss=True),
    "triplet margin, squared": TripletMarginLoss(distance="sql2", margin=1.0),
    "margin": MarginLoss(),
    "angular": AngularLoss(),
    "fast ap": FastAPLoss(),
    "smooth ap": SmoothAPLoss(temperature=0.1),
    "pnp": PNPLoss(anneal=0.1),
    "histogram": HistogramLoss(n_bins=20),
    "dynamic soft margin": DynamicSoftMarginLoss(),
}
for _loss in LOSSES.values():
    _loss.training = False  # What is remembered would differ from test to test.
all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture(params=["as it is", "one by one", "ranks", "slabs"])
def form(request, monkeypatch):
    """The ways in which triplets are summed, on a batch that is small for all."""
    if request.param in ("one by one", "ranks"):
        monkeypatch.setattr(hinge_sums, "_SMALL", 0)
        monkeypatch.setattr(
            triplet_counts, "_FEW", 100 if request.param == "one by one" else 0
        )
    if request.param == "slabs":
        monkeypatch.setattr(positives, "_SMALL", 0)
        monkeypatch.setattr(positives, "_SLAB", 14 * 14 * 2)
        monkeypatch.setattr(histograms, "_SMALL", 0)


def cost_of(x):
    return np.sqrt(((loops.unit(x)[:, None] - loops.unit(x)[None]) ** 2).sum(2))


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("smooth", [False, True])
@over_labels
def test_triplet_margin(labels, smooth, swap, form):
    cost, triplets = cost_of(X), loops.triplets_of(labels)
    values = loops.triplet_margin(cost, triplets, margin=0.3, swap=swap, smooth=smooth)
    options = {"margin": 0.3, "swap": swap, "smooth_loss": smooth}
    for reducer, kept in [
        (AvgNonZeroReducer(), values > 0),
        (MeanReducer(), values >= 0),
        (ThresholdReducer(low=0.2), values > 0.2),
        (ThresholdReducer(low=-1.0), values >= 0),
        (ThresholdReducer(low=0.1, high=0.5), (values > 0.1) & (values < 0.5)),
    ]:
        loss = TripletMarginLoss(reducer=reducer, **options)
        expected = values[kept].mean() if kept.any() else 0.0
        np.testing.assert_allclose(float(loss(labels, X)), expected, rtol=1e-4, atol=1e-6)


def test_keys_of_their_own_and_pairs(form):
    labels, keys = np.arange(14) % 3, RNG.normal(size=(9, 5)).astype("float32")
    key_labels = np.arange(9) % 4
    unit = loops.unit
    cost = np.sqrt(((unit(X)[:, None] - unit(keys)[None]) ** 2).sum(2))
    triplets = loops.triplets_of(labels, key_labels)
    values = loops.triplet_margin(cost, triplets, margin=0.05)
    loss = TripletMarginLoss()
    found = loss(labels, X, key_labels=key_labels, key_embeddings=keys)
    np.testing.assert_allclose(float(found), values[values > 0].mean(), rtol=1e-5)
    few = triplets[::7] + triplets[:3]
    values = loops.triplet_margin(cost, few, margin=0.05)
    pairs = pairs_from_indices(np.array(few).T, (14, 9))
    found = loss(None, X, key_embeddings=keys, pairs=pairs)
    np.testing.assert_allclose(float(found), values[values > 0].mean(), rtol=1e-5)


def test_weights_count_as_often_as_they_say(form):
    masks = np.arange(14)[:, None] % 2 == np.arange(14) % 2
    weights = [RNG.integers(1, 4, size=(14, 14)) * m for m in (masks, ~masks)]
    cost, total, number = cost_of(X), 0.0, 0.0
    for a in range(14):
        for p in np.nonzero(weights[0][a])[0]:
            for n in np.nonzero(weights[1][a])[0]:
                value = max(cost[a, p] - cost[a, n] + 0.05, 0)
                weight = weights[0][a, p] * weights[1][a, n] * (value > 0)
                total, number = total + weight * value, number + weight
    tensors = [ops.convert_to_tensor(x.astype("float32")) for x in weights]
    pairs = Pairs(masks, ~masks, *tensors)
    found = TripletMarginLoss()(None, X, pairs=pairs)
    np.testing.assert_allclose(float(found), total / number, rtol=1e-5)


@over_labels
def test_the_others(labels, form):
    penalties = {
        "O": lambda r: r,
        "Ds": lambda r: np.log(1 + r),
        "Dq": lambda r: 1 - (1 + r) ** -3.0,
        "Iu": lambda r: (1 + r) * np.log(1 + r),
        "Ib": lambda r: (2 * r - np.log(1 + 2 * r)) / 4,
    }
    cases = [
        (
            MarginLoss(margin=0.3, beta=1.1),
            loops.margin_loss(cost_of(X), labels, margin=0.3, beta=1.1),
        ),
        (AngularLoss(alpha=35), loops.angular(X, labels, alpha=35)),
        (FastAPLoss(num_bins=7), loops.fast_ap(X, labels, num_bins=7)),
        (
            SmoothAPLoss(temperature=0.2),
            loops.smooth_ap(X, labels, temperature=0.2),
        ),
        (HistogramLoss(n_bins=20), loops.histogram(X, labels, bins=20)),
        (HistogramLoss(delta=0.25), loops.histogram(X, labels, bins=8)),
    ]
    for variant, penalty in penalties.items():
        loss = PNPLoss(variant=variant, anneal=0.2, alpha=3)
        cases.append((loss, loops.pnp(X, labels, penalty, anneal=0.2)))
    for loss, expected in cases:
        actual = float(loss(labels, X))
        np.testing.assert_allclose(
            actual, expected, rtol=1e-4, atol=1e-6, err_msg=f"{loss.name}"
        )


@over_labels
def test_the_histogram_of_gaps_is_remembered(labels, form):
    loss = DynamicSoftMarginLoss(min_val=-1.2, num_bins=6, momentum=0.2)
    options = {"min_val": -1.2, "bins": 6, "momentum": 0.2}
    memory = np.zeros(6)
    for step in range(3):
        x = X * np.float32([1, 2, 3, 4, 5]) ** np.float32(step)
        cost = cost_of(x)
        gaps = np.array(
            [cost[a, p] - cost[a, n] for a, p, n in loops.triplets_of(labels)]
        )
        expected, memory = loops.dynamic_soft_margin(gaps, memory, **options)
        loss.training = False
        looked_at = float(loss(labels, x))
        loss.training = True
        actual = float(loss(labels, x))
        np.testing.assert_allclose([actual, looked_at], expected, rtol=1e-4, atol=1e-6)
        histogram = ops.convert_to_numpy(loss.histogram)
        np.testing.assert_allclose(histogram, memory, atol=1e-5)


def test_sizes_that_differ_leave_rows_without_a_partner_out():
    keys = RNG.normal(size=(9, 5)).astype("float32")
    unit = loops.unit
    cost = np.sqrt(((unit(X)[:, None] - unit(keys)[None]) ** 2).sum(2))
    gaps = [
        cost[i, i] - min(np.delete(cost[i], i).min(), np.delete(cost[:, i], i).min())
        for i in range(9)
    ]
    expected, _ = loops.dynamic_soft_margin(
        np.array(gaps), np.zeros(10), min_val=-2.0, bins=10, momentum=0.01
    )
    actual = float(DynamicSoftMarginLoss()(None, X, key_embeddings=keys))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_beta_is_learned_and_restored():
    labels = np.arange(14) % 3
    loss = MarginLoss(learn_beta=True, num_classes=3, nu=0.1, learning_rate_multiplier=2)
    assert loss.trainable_variables == [loss.beta]
    assert loss.head.learning_rate_multiplier == 2
    (slope,) = variable_gradients(lambda: loss(labels, X), [loss.beta])
    assert slope.shape == (3,)
    for place in range(3):
        values = []
        for step in (1e-2, -1e-2):
            loss.beta.assign(np.float32(1.2) + np.eye(3, dtype="float32")[place] * step)
            values.append(float(loss(labels, X)))
        # Terms appear and vanish within a step, and the divisor with them.
        assert abs((values[0] - values[1]) / 2e-2 - slope[place]) < 0.2
    copy = MarginLoss.from_config(loss.get_config())
    assert copy.get_config() == loss.get_config()


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [-1, 0, 1, 2], [0, 1, 2, 2**40]])
def test_labels_without_a_beta_are_refused(labels):
    loss = MarginLoss(learn_beta=True, num_classes=3)
    with pytest.raises(ValueError, match=r"`y_true` must be from 0 to 2.* Received"):
        loss(np.array(labels), X[:4])
    with pytest.raises(ValueError, match="`y` must be from 0 to 2"):
        CrossBatchMemory(loss, 3).check_classes(labels, "y")
    for free in (MarginLoss(learn_beta=True), MarginLoss(num_classes=3)):
        assert np.isfinite(float(free(np.array(labels), X[:4])))


@pytest.mark.parametrize("make", [TripletMarginLoss, MarginLoss])
def test_random_triplets_are_drawn_anew(make):
    labels = np.arange(14) % 3
    loss = make(triplets_per_anchor=2, seed=1, reducer="mean")
    values = {round(float(loss(labels, X)), 6) for _ in range(5)}
    assert len(values) > 1
    everything = float(make(reducer="mean")(labels, X))
    drawn = np.mean([float(loss(labels, X)) for _ in range(60)])
    np.testing.assert_allclose(drawn, everything, rtol=0.25)


@all_losses
def test_jitted_and_eager_are_equal(loss):
    labels = LABELS["some alone"]
    labels, x = ops.convert_to_tensor(labels.astype("int32")), ops.convert_to_tensor(X)
    compiled = jit(lambda y, x: loss(y, x), full_graph=False)
    expected = float(loss(labels, x))
    np.testing.assert_allclose(float(compiled(labels, x)), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        gradients(lambda x: compiled(labels, x), X)[0],
        gradients(lambda x: loss(labels, x), X)[0],
        rtol=1e-3,
        atol=1e-6,
    )


@all_losses
@pytest.mark.parametrize("labels", ["some alone", "all alone", "one class"])
@pytest.mark.parametrize(
    "x",
    [
        np.ones((14, 3), "float32"),
        np.zeros((14, 3), "float32"),
        X * np.float32(1e-20),
        X * np.float32(1e20),
        np.repeat(X[:7], 2, axis=0),
    ],
    ids=["coincident", "zero", "tiny", "huge", "twins"],
)
def test_values_and_gradients_are_finite(loss, labels, x):
    labels = LABELS[labels]
    assert np.isfinite(float(loss(labels, x)))
    assert np.isfinite(gradient(lambda x: loss(labels, x), x)).all()


@all_losses
def test_one_row(loss):
    assert np.isfinite(float(loss(np.array([3]), X[:1])))
    assert np.isfinite(gradient(lambda x: loss(np.array([3]), x), X[:1])).all()


@all_losses
def test_half_precision_is_raised_first(loss):
    labels = np.arange(14) % 3
    for dtype in ("float16", "bfloat16"):
        half = ops.cast(ops.convert_to_tensor(X), dtype)
        found = loss(labels, half)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        rounded = ops.convert_to_numpy(ops.cast(half, "float32"))
        np.testing.assert_allclose(float(found), float(loss(labels, rounded)), rtol=1e-5)


def test_large_costs_lose_nothing(monkeypatch):
    """Sums of positives and of negatives would cancel: 1e6 and differences of 1."""
    monkeypatch.setattr(hinge_sums, "_SMALL", 0)
    labels = np.arange(14) % 2
    x = 1000.0 + np.arange(14, dtype="float32")[:, None] / 4
    loss = TripletMarginLoss(margin=0.5, distance="l1")
    cost = np.abs(x - x.T).astype("float64")
    values = loops.triplet_margin(cost, loops.triplets_of(labels), margin=0.5)
    np.testing.assert_allclose(
        float(loss(labels, x)), values[values > 0].mean(), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AngularLoss(distance="cosine"), "must be an LpDistance"),
        (lambda: AngularLoss(distance="sql2"), "must be an LpDistance"),
        (lambda: AngularLoss(alpha=90), "`alpha` must be an angle"),
        (lambda: FastAPLoss(distance="l2"), "must be an LpDistance"),
        (lambda: FastAPLoss(num_bins=0), "`num_bins` must be at least 1"),
        (lambda: SmoothAPLoss(distance="l2"), "must measure cosines"),
        (lambda: SmoothAPLoss(temperature=0), "`temperature` must be positive"),
        (lambda: PNPLoss(variant="X"), "`variant` must be one of Ds, Dq"),
        (lambda: PNPLoss(anneal=0), "`b` and `anneal` must be positive"),
        (lambda: PNPLoss(miner="multi_similarity"), "`miner` must be None"),
        (lambda: HistogramLoss(n_bins=10, delta=0.1), "`delta` must be 2 / n_bins"),
        (lambda: HistogramLoss(n_bins=0), "`n_bins` must be positive"),
        (lambda: HistogramLoss(distance="l2"), "must measure cosines"),
        (lambda: DynamicSoftMarginLoss(distance="l1"), "must be an LpDistance"),
        (lambda: DynamicSoftMarginLoss(num_bins=1), "`num_bins` at least 2"),
        (
            lambda: MarginLoss(learn_beta=True, num_classes=0),
            "`num_classes` must be .*=0",
        ),
        (lambda: MarginLoss(triplets_per_anchor=0), "`triplets_per_anchor` must be"),
        (lambda: TripletMarginLoss(triplets_per_anchor="one"), "`triplets_per_anchor`"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [FastAPLoss, SmoothAPLoss, PNPLoss, HistogramLoss])
def test_keys_are_refused(make):
    labels = np.arange(14)
    with pytest.raises(ValueError, match="takes no keys"):
        make()(labels, X, key_labels=labels, key_embeddings=X)
