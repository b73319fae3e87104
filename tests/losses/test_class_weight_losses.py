"""Losses with weights of classes, against loops over rows and classes in float64."""

import json

import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import framework, ops
from keras_similarity.distances import CosineSimilarity, LpDistance
from keras_similarity.losses.arc_face import arc_face
from keras_similarity.losses.large_margin_softmax import multiplied_angle
from keras_similarity.miners import MultiSimilarityMiner
from keras_similarity.pairs import Batch, pairs_from_indices
from tests.backend import gradient, jit, variable_gradients

RNG = np.random.default_rng(1)
LABELS = np.array([0, 3, 1, 1, 3, 3, 0])
X = RNG.normal(size=(7, 5)).astype("float32")
CLASSES = 4


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cosines(weights):
    """Of rows and the columns of `weights`, in float64."""
    return unit(X.astype("float64")) @ unit(weights.T.astype("float64")).T


def cross_entropies(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    return -np.log([row[label] for row, label in zip(shares, LABELS, strict=True)])


def with_own(found, change):
    """The matrix, with `change(angle)` for each row's own class."""
    found = found.copy()
    for row, label in enumerate(LABELS):
        found[row, label] = change(np.arccos(found[row, label]))
    return found


def arc_face_losses(weights, margin, scale):
    m = np.radians(margin)
    return cross_entropies(
        scale
        * with_own(
            cosines(weights),
            lambda t: np.cos(t + m) if t + m <= np.pi else np.cos(t) - m * np.sin(m),
        )
    )


def sub_center_arc_face(weights, margin, scale, k):
    nearest = cosines(weights).reshape(len(X), CLASSES, k).argmax(axis=2)
    found = []
    for row in range(len(X)):
        columns = np.arange(CLASSES) * k + nearest[row]
        found.append(arc_face_losses(weights[:, columns], margin, scale)[row])
    return np.array(found)


def psi(angle, m):
    k = min(int(angle * m / np.pi), m - 1)
    return (-1) ** k * np.cos(m * angle) - 2 * k


def large_margin(weights, m, scale, has_lengths):
    lengths = np.linalg.norm(X.astype("float64"), axis=1)[:, None]
    if has_lengths:
        lengths = lengths * np.linalg.norm(weights, axis=0)
    changed = with_own(cosines(weights), lambda angle: psi(angle, m))
    return cross_entropies(scale * lengths * changed)


def soft_triple(weights, k, la, gamma, margin):
    found = cosines(weights).reshape(len(X), CLASSES, k)
    shares = np.exp(found / gamma) / np.exp(found / gamma).sum(axis=2, keepdims=True)
    own = np.eye(CLASSES)[LABELS]
    return cross_entropies(la * ((shares * found).sum(axis=2) - margin * own))


def distances(weights, power=1):
    rows, weights = unit(X.astype("float64")), unit(weights.T.astype("float64"))
    return np.linalg.norm(rows[:, None] - weights[None], axis=2) ** power


def p2s_grad(weights):
    return ((cosines(weights) - np.eye(CLASSES)[LABELS]) ** 2).mean(axis=1)


ROWS = {
    "arc face": (
        lambda **k: losses.ArcFaceLoss(CLASSES, 5, margin=70, scale=3, **k),
        lambda w: arc_face_losses(w, 70, 3),
    ),
    "sub-center arc face": (
        lambda **k: losses.SubCenterArcFaceLoss(CLASSES, 5, 20, 3, sub_centers=2, **k),
        lambda w: sub_center_arc_face(w, 20, 3, 2),
    ),
    "cos face": (
        lambda **k: losses.CosFaceLoss(CLASSES, 5, margin=0.2, scale=5, **k),
        lambda w: cross_entropies(5 * with_own(cosines(w), lambda t: np.cos(t) - 0.2)),
    ),
    "large margin": (
        lambda **k: losses.LargeMarginSoftmaxLoss(CLASSES, 5, margin=3, scale=0.5, **k),
        lambda w: large_margin(w, 3, 0.5, has_lengths=True),
    ),
    "sphere face": (
        lambda **k: losses.SphereFaceLoss(CLASSES, 5, margin=4.7, **k),
        lambda w: large_margin(w, 4, 1, has_lengths=False),
    ),
    "normalized softmax": (
        lambda **k: losses.NormalizedSoftmaxLoss(CLASSES, 5, 0.5, **k),
        lambda w: cross_entropies(cosines(w) / 0.5),
    ),
    "normalized softmax, distance": (
        lambda **k: losses.NormalizedSoftmaxLoss(
            CLASSES, 5, 0.5, distance=LpDistance(), **k
        ),
        lambda w: cross_entropies(-distances(w) / 0.5),
    ),
    "proxy nca": (
        lambda **k: losses.ProxyNCALoss(CLASSES, 5, softmax_scale=3, **k),
        lambda w: cross_entropies(-3 * distances(w, power=2)),
    ),
    "soft triple": (
        lambda **k: losses.SoftTripleLoss(CLASSES, 5, 3, 4, gamma=0.2, margin=0.1, **k),
        lambda w: soft_triple(w, 3, 4, 0.2, 0.1),
    ),
    "p2s grad": (lambda **k: losses.P2SGradLoss(5, CLASSES, **k), p2s_grad),
}
OTHERS = {
    "proxy anchor": (lambda **k: losses.ProxyAnchorLoss(CLASSES, 5, alpha=4, **k), None),
    "manifold": (lambda **k: losses.ManifoldLoss(5, CLASSES, margin=0.1, **k), None),
}
row_losses = pytest.mark.parametrize("make, expected", ROWS.values(), ids=ROWS)
all_losses = pytest.mark.parametrize(
    "make", [make for make, _ in {**ROWS, **OTHERS}.values()], ids=[*ROWS, *OTHERS]
)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def columns(loss):
    weights = loss.class_weights.numpy()
    return weights.T if loss.has_row_layout else weights


@row_losses
def test_values_are_those_of_the_formula(make, expected):
    loss = make(reduction="none")
    found = ops.convert_to_numpy(loss(LABELS, X))
    wanted = expected(columns(loss))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    weights = np.arange(7.0)
    mean = make(weight_init_func=lambda *_, **__: loss.class_weights)
    weighted = float(ops.convert_to_numpy(mean(LABELS, X, weights)))
    np.testing.assert_allclose(weighted, (weights * wanted).mean(), rtol=1e-5)


def proxy_anchor(cosine, weights, margin=0.1, alpha=4):
    """By its definition, with the peer's weights of rows in the exponents."""
    pull, push, present = 0.0, 0.0, 0
    for label in range(CLASSES):
        own = [i for i in range(len(X)) if LABELS[i] == label]
        others = [i for i in range(len(X)) if LABELS[i] != label]
        draws = [alpha * (margin - cosine[i, label]) + weights[i] - 1 for i in own]
        pushes = [alpha * (cosine[i, label] + margin) + weights[i] - 1 for i in others]
        present += bool(own)
        pull += np.log1p(np.exp(draws).sum())
        push += np.log1p(np.exp(pushes).sum())
    return pull / present + push / CLASSES


def test_proxy_anchor_is_a_mean_over_proxies():
    loss = losses.ProxyAnchorLoss(CLASSES, 5, alpha=4)
    cosine = cosines(columns(loss))
    found = float(ops.convert_to_numpy(loss(LABELS, X)))
    np.testing.assert_allclose(found, proxy_anchor(cosine, np.ones(7)), rtol=1e-5)
    pairs = pairs_from_indices(([0, 0, 1], [6, 6, 4], [1, 0], [2, 1]), (7, 7))
    weights = np.array([3, 3, 1, 0, 1, 0, 2]) / 3
    weighted = float(ops.convert_to_numpy(loss(LABELS, X, pairs=pairs)))
    np.testing.assert_allclose(weighted, proxy_anchor(cosine, weights), rtol=1e-5)
    with pytest.raises(ValueError, match=r"`sample_weight` must not be .*\(7,\)"):
        loss(LABELS, X, np.ones(7))


def manifold(x, proxies, labels, lambda_c, alpha, margin):
    points = unit(np.concatenate([x, proxies]).astype("float64"))
    n, k = len(x), len(proxies)
    affinities = np.exp(np.maximum(points @ points.T, 0) / 0.5)
    np.fill_diagonal(affinities, 0)
    scale = np.diag(affinities.sum(axis=1) ** -0.5)
    walks = np.linalg.inv(np.eye(n + k) - alpha * scale @ affinities @ scale)
    walks = (1 - alpha) * walks

    def part(found):
        rows = []
        for i, label in enumerate(labels):
            v = [found[i, j] - found[i, label] + margin for j in range(k) if j != label]
            rows.append(np.log1p(sum(np.exp(a) for a in v if a >= 0)))
        return np.mean(rows)

    context = unit(walks[:n]) @ unit(walks[n:]).T
    if lambda_c == np.inf:
        return part(context)
    return part(walks[:n, n:]) + lambda_c * part(context)


@pytest.mark.parametrize("lambda_c", [0.0, 0.7, np.inf])
def test_manifold_is_its_formula(lambda_c):
    loss = losses.ManifoldLoss(5, CLASSES, lambda_c, alpha=0.6, margin=0.1)
    wanted = manifold(X, loss.proxies.numpy(), LABELS, lambda_c, 0.6, 0.1)
    found = float(ops.convert_to_numpy(loss(LABELS, X)))
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_manifold_draws_each_proxy_once_and_then_any():
    loss = losses.ManifoldLoss(5, CLASSES, seed=3)
    draws = [np.sort(ops.convert_to_numpy(loss._draw(7))) for _ in range(20)]
    assert all(set(draw) == set(range(CLASSES)) for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 1
    assert np.isfinite(float(ops.convert_to_numpy(loss(None, X))))
    again = losses.ManifoldLoss(5, CLASSES, seed=3, meta_classes="random")
    assert ops.convert_to_numpy(again(np.full(7, 99), X)).shape == ()


@all_losses
def test_compiled_it_is_the_same(make):
    loss = make()
    labels, x = ops.convert_to_tensor(LABELS.astype("int32")), ops.convert_to_tensor(X)
    found = ops.convert_to_numpy(jit(lambda y, x: loss(y, x))(labels, x))
    expected = ops.convert_to_numpy(loss(labels, x))
    np.testing.assert_allclose(found, expected, rtol=2e-5)


DEGENERATE = {
    "aligned with its class": lambda rows: rows[LABELS],
    "opposite to its class": lambda rows: -2.0 * rows[LABELS],
    "zero": lambda rows: np.zeros((7, 5)),
    "tiny": lambda rows: 1e-20 * X,
    "huge": lambda rows: 1e20 * X,
}


@all_losses
@pytest.mark.parametrize("place", DEGENERATE.values(), ids=DEGENERATE)
def test_values_and_gradients_are_finite(make, place):
    loss = make()
    rows = ops.convert_to_numpy(loss.class_rows)[:CLASSES]
    x = place(rows).astype("float32")
    assert np.isfinite(ops.convert_to_numpy(loss(LABELS, x)))
    assert np.isfinite(gradient(lambda x: loss(LABELS, x), x)).all()
    slopes = variable_gradients(lambda: loss(LABELS, x), loss.trainable_variables)
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_slopes_are_finite_at_the_ends_of_the_range_of_cosines():
    ends = np.array([1.0, -1.0, 1.0000001], "float32")
    for margin in (0.5, 3.0):
        slopes = gradient(lambda c, m=margin: ops.sum(arc_face(c, margin=m)), ends)
        assert np.isfinite(slopes).all()
    slopes = gradient(lambda c: ops.sum(multiplied_angle(c, margin=4)), ends)
    np.testing.assert_allclose(slopes, 16.0, rtol=1e-4)  # m ** 2, as the angle falls.


@all_losses
def test_zero_weights_have_finite_gradients(make):
    loss = make(weight_init_func="zeros")
    assert np.isfinite(gradient(lambda x: loss(LABELS, x), X)).all()
    slopes = variable_gradients(lambda: loss(LABELS, X), loss.trainable_variables)
    assert np.isfinite(slopes[0]).all()


@all_losses
def test_one_row_in_half_precision_gives_a_float32_loss(make):
    found = make()(LABELS[:1], ops.cast(ops.convert_to_tensor(X[:1]), "bfloat16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert np.isfinite(ops.convert_to_numpy(found))


@all_losses
def test_config_makes_a_loss_with_weights_of_its_own(make):
    loss = make(weight_init_func="ones", weight_reg_weight=0.5)
    config = json.loads(json.dumps(losses.serialize(loss)))
    copy = losses.deserialize(config)
    assert copy.get_config() == loss.get_config()
    assert copy.class_weights is not loss.class_weights
    assert float(copy(LABELS, X)) == float(loss(LABELS, X))


def test_pairs_are_made_only_for_a_miner(monkeypatch):
    monkeypatch.setattr(Batch, "label_pairs", property(lambda self: 1 / 0))
    for make, _ in {**ROWS, **OTHERS}.values():
        make()(LABELS, X)
    mined = losses.ArcFaceLoss(CLASSES, 5, miner=MultiSimilarityMiner())
    with pytest.raises(ZeroDivisionError):
        mined(LABELS, X)


def test_a_miner_weights_the_rows_by_how_often_it_chose_them():
    pairs = pairs_from_indices(([0, 1], [6, 4], [1], [2]), (7, 7))
    weights = np.array([1, 2, 1, 0, 1, 0, 1]) / 2
    loss = losses.CosFaceLoss(CLASSES, 5)
    found = float(loss(LABELS, X, pairs=pairs))
    np.testing.assert_allclose(found, float(loss(LABELS, X, weights)), rtol=1e-6)


def test_outliers_are_far_from_the_center_of_their_class():
    loss = losses.SubCenterArcFaceLoss(2, 3, sub_centers=2, weight_init_func="zeros")
    loss.W.assign([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]])
    x = np.array([[1, 0.1, 0], [1, 0, 0.1], [0, 1, 0], [1, 1.2, 0]], "float32")
    outliers, centers = loss.get_outliers([0, 0, 0, 0], x, threshold=60)
    assert outliers.tolist() == [2]
    assert centers.tolist() == [[1, 0], [0, 0], [0, 0]]
    found = loss.get_outliers([0] * 4, x, threshold=45, return_dominant_centers=False)
    assert found.tolist() == [2, 3]


def test_p2s_grad_leaves_unit_vectors_after_a_step_of_keras():
    loss = losses.P2SGradLoss(5, CLASSES)
    np.testing.assert_allclose(np.linalg.norm(loss.weight.numpy(), axis=0), 1, rtol=1e-5)
    before = loss.weight.numpy().copy()
    slopes = variable_gradients(lambda: loss(LABELS, X), [loss.weight])
    keras.optimizers.SGD(10.0).apply(
        [ops.convert_to_tensor(slope) for slope in slopes], [loss.weight]
    )
    stepped = before - 10.0 * slopes[0]
    after = stepped / np.linalg.norm(stepped, axis=0)
    np.testing.assert_allclose(loss.weight.numpy(), after, rtol=1e-5, atol=1e-6)


def jax_loop(loss):
    import jax

    variables = loss.trainable_variables

    @jax.jit
    def step(weights, x):
        def value(weights, x):
            with keras.StatelessScope(list(zip(variables, weights, strict=True))):
                return loss(LABELS, x)

        found, slopes = jax.value_and_grad(value, argnums=(0, 1))(weights, x)
        weights = [w - 0.1 * slope for w, slope in zip(weights, slopes[0], strict=True)]
        return found, weights, x - 0.1 * slopes[1]

    weights, x, found = [variable.value for variable in variables], X, []
    for _ in range(4):
        value, weights, x = step(weights, x)
        found.append(float(value))
    return found


def torch_loop(loss):
    import torch

    x = torch.nn.Parameter(torch.tensor(X))
    weights = [variable.value for variable in loss.trainable_variables]
    optimizer = torch.optim.SGD([x, *weights], lr=0.1)
    found = []
    for _ in range(4):
        optimizer.zero_grad()
        value = loss(LABELS, x)
        value.backward()
        optimizer.step()
        found.append(value.item())
    return found


def tensorflow_loop(loss):
    import tensorflow as tf

    x = keras.Variable(X)
    optimizer = keras.optimizers.SGD(0.1)
    variables = [x, *loss.trainable_variables]
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(LABELS, x.value)
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
        return value

    return [float(step()) for _ in range(4)]


LOOPS = {"jax": jax_loop, "torch": torch_loop, "tensorflow": tensorflow_loop}


@pytest.mark.parametrize("name", ["cos face", "proxy anchor"])
def test_a_loop_of_ones_own_trains_the_weights(name):
    loss = {**ROWS, **OTHERS}[name][0]()
    found = LOOPS[framework()](loss)
    assert found[0] > found[1] > found[2] > found[3]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: losses.ArcFaceLoss(0, 5), "`num_classes` must be .* 1 or more.*=0"),
        (lambda: losses.ArcFaceLoss(4, 1.5), "`embedding_size` must be an integer"),
        (lambda: losses.ArcFaceLoss(None, 5), "`num_classes` must be .*=None"),
        (lambda: losses.ArcFaceLoss(4, "5"), "`embedding_size` must be .*='5'"),
        (lambda: losses.ArcFaceLoss(4, np.inf), "`embedding_size` must be .*=inf"),
        (lambda: losses.ArcFaceLoss(4, 5, margin=200), "`margin` must be .*=200"),
        (lambda: losses.ArcFaceLoss(4, 5, distance="l2"), "`distance` of `ArcFaceLoss`"),
        (lambda: losses.SphereFaceLoss(4, 5, margin=0.5), "`margin` must be .*=0.5"),
        (lambda: losses.NormalizedSoftmaxLoss(4, 5, 0), "`temperature` must be"),
        (lambda: losses.SoftTripleLoss(4, 5, 0), "`centers_per_class` must be"),
        (lambda: losses.SoftTripleLoss(4, 5, gamma=0), "`gamma` must be positive"),
        (lambda: losses.SoftTripleLoss(4, 5, distance="l2"), "must be a similarity"),
        (lambda: losses.SubCenterArcFaceLoss(4, 5, sub_centers=0), "`sub_centers`"),
        (lambda: losses.ManifoldLoss(5, lambdaC=-1), "`lambdaC` must not be negative"),
        (lambda: losses.ManifoldLoss(5, alpha=1.0), "`alpha` must be from 0"),
        (lambda: losses.ManifoldLoss(5, meta_classes="?"), "`meta_classes` must be"),
        (
            lambda: losses.ManifoldLoss(5, miner=MultiSimilarityMiner()),
            "`miner` must be None.* Received: miner=",
        ),
        (
            lambda: losses.ManifoldLoss(5, distance=LpDistance()),
            "must be a similarity",
        ),
        (lambda: losses.CosFaceLoss(3, 5)(LABELS, X), "`y_true` .* 0 to 2.* to 3"),
        (
            lambda: losses.CosFaceLoss(4, 5)(LABELS.astype("int64") + 2**40, X),
            "`y_true` must be from 0 to 3",
        ),
        (lambda: losses.CosFaceLoss(4, 5)(LABELS - 1, X), "`y_true` .* -1 to 2"),
        (lambda: losses.CosFaceLoss(4, 6)(LABELS, X), "`y_pred` must be .* size, 6"),
        (
            lambda: losses.CosFaceLoss(4, 5)(
                LABELS, X, key_labels=LABELS, key_embeddings=X
            ),
            r"`key_embeddings` and `key_labels` must not.* Received: .*\(7, 5\)",
        ),
        (
            lambda: losses.CosFaceLoss(4, 5)(
                None, X, pairs=pairs_from_indices(([0], [1], [0], [2]), (7, 7))
            ),
            "`y_true` must be the classes",
        ),
        (
            lambda: losses.ManifoldLoss(5, 4)(
                LABELS, X, pairs=pairs_from_indices(([0], [1], [0], [2]), (7, 7))
            ),
            r"`pairs` must not be given.* Received: .*\(7, 7\)",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "PNPLoss": (),
        "ArcFaceLoss": (4, 5),
        "CosFaceLoss": (4, 5),
        "LargeMarginSoftmaxLoss": (4, 5),
        "SphereFaceLoss": (4, 5),
        "SubCenterArcFaceLoss": (4, 5),
    }.items(),
)
@pytest.mark.parametrize("distance", ["l2", "inner_product"])
def test_only_cosines_will_do(name, arguments, distance):
    with pytest.raises(ValueError, match=f"`distance` of `{name}` must measure cosines"):
        getattr(losses, name)(*arguments, distance=distance)


def test_a_cosine_of_any_kind_will_do():
    loss = losses.ArcFaceLoss(CLASSES, 5, distance="cosine")
    other = losses.ArcFaceLoss(CLASSES, 5, distance=CosineSimilarity())
    other.W.assign(loss.W)
    np.testing.assert_allclose(float(loss(LABELS, X)), float(other(LABELS, X)), rtol=1e-5)
