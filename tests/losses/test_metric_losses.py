"""What every metric loss keeps, whatever its formula."""

import json

import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import framework, ops
from keras_similarity.losses import MultiSimilarityLoss, TripletLoss
from keras_similarity.pairs import Pairs
from tests.backend import eager, gradient, jit
from tests.losses import every

LOSSES = {
    "triplet, soft margin": TripletLoss(),
    "triplet, margin": TripletLoss("sql2", "easy", "hard", margin=0.5),
    "triplet, easy": TripletLoss("l1", "hard", "easy", margin=0.5),
    "triplet, inner product": TripletLoss("ip", margin=0.5),
    "multi similarity": MultiSimilarityLoss(),
    "multi similarity, no mining": MultiSimilarityLoss(epsilon=None),
    "multi similarity, snr": MultiSimilarityLoss("snr", alpha=1.0, beta=2.0),
}
LABELS = {
    "two classes": [0, 0, 1, 1, 0],
    "a class of one": [0, 0, 1, 1, 2],
    "no positives": [0, 1, 2, 3, 4],
    "no negatives": [7, 7, 7, 7, 7],
    "ids float32 cannot tell apart": [2**24, 2**24, 2**24 + 1, 2**24 + 1, 2**24],
}
EMBEDDINGS = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@all_losses
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_jitted_and_eager_values_are_equal(loss, labels):
    labels = ops.convert_to_tensor(np.array(labels, "int32"))
    embeddings = ops.convert_to_tensor(EMBEDDINGS)
    expected = ops.convert_to_numpy(eager(loss)(labels, embeddings))
    actual = ops.convert_to_numpy(jit(lambda y, x: loss(y, x))(labels, embeddings))
    assert np.isfinite(expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@all_losses
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize(
    "embeddings",
    [EMBEDDINGS, np.ones((5, 3), "float32"), np.zeros((5, 3), "float32")],
    ids=["apart", "coincident", "zero"],
)
def test_values_and_gradients_are_finite(loss, labels, embeddings):
    labels = np.array(labels)
    assert np.isfinite(ops.convert_to_numpy(loss(labels, embeddings)))
    assert np.isfinite(gradient(lambda x: loss(labels, x), embeddings)).all()


@all_losses
def test_the_gradient_is_the_numerical_one(loss):
    """In float64, which `keras.ops` keeps on TensorFlow; the others in float32."""
    labels = np.array([0, 0, 1, 1, 0])
    wide = framework() == "tensorflow"
    x = EMBEDDINGS.astype("float64" if wide else "float32")
    step, tolerance = (1e-6, 1e-6) if wide else (1e-2, 3e-2)
    numerical = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        up, down = loss(labels, x + shift), loss(labels, x - shift)
        numerical[place] = (float(up) - float(down)) / (2 * step)
    np.testing.assert_allclose(
        gradient(lambda t: loss(labels, t), x), numerical, atol=tolerance
    )


@all_losses
def test_the_order_of_rows_does_not_matter(loss):
    labels, order = np.array([0, 0, 1, 1, 0]), np.array([3, 1, 4, 0, 2])
    np.testing.assert_allclose(
        float(loss(labels, EMBEDDINGS)),
        float(loss(labels[order], EMBEDDINGS[order])),
        rtol=1e-5,
    )


@all_losses
def test_half_precision_embeddings_give_a_float32_loss(loss):
    labels = np.array([0, 0, 1, 1, 0])
    half = ops.cast(ops.convert_to_tensor(EMBEDDINGS), "bfloat16")
    found = loss(labels, half)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    rounded = ops.convert_to_numpy(ops.cast(half, "float32"))
    np.testing.assert_allclose(float(found), float(loss(labels, rounded)), rtol=1e-6)


@all_losses
def test_config_survives_json_with_equal_values(loss):
    config = json.loads(json.dumps(losses.serialize(loss)))
    copy = losses.deserialize(config)
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()
    labels = np.array([0, 0, 1, 1, 0])
    assert float(copy(labels, EMBEDDINGS)) == float(loss(labels, EMBEDDINGS))
    through_keras = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    )
    assert through_keras.get_config() == loss.get_config()


@all_losses
def test_keys_of_their_own_are_the_batch_when_they_are_the_batch(loss):
    """But for the diagonal, which labels alone leave positive."""
    labels = np.array([0, 0, 1, 1, 0])
    with_keys = loss(labels, EMBEDDINGS, key_labels=labels, key_embeddings=EMBEDDINGS)
    config = {**loss.get_config(), "remove_diagonal": False}
    kept = type(loss).from_config(config)(labels, EMBEDDINGS)
    np.testing.assert_allclose(float(with_keys), float(kept), rtol=1e-6)


@all_losses
def test_pairs_take_the_place_of_labels(loss):
    labels = np.array([0, 0, 1, 1, 0])
    is_same = labels[:, None] == labels[None, :]
    pairs = Pairs(is_same & ~np.eye(5, dtype=bool), ~is_same)
    np.testing.assert_allclose(
        float(loss(None, EMBEDDINGS, pairs=pairs)), float(loss(labels, EMBEDDINGS))
    )


def test_reductions_and_sample_weights_are_keras_own():
    labels, weights = np.array([0, 0, 1, 1, 0]), np.array([0.0, 1.0, 2.0, 5.0, 1.0])
    each = ops.convert_to_numpy(TripletLoss(reduction="none")(labels, EMBEDDINGS))
    assert each.shape == (5,)
    assert len(set(each.tolist())) == 5
    for reduction, expected in [
        ("sum_over_batch_size", (weights * each).sum() / 5),
        ("sum", (weights * each).sum()),
        ("mean_with_sample_weight", (weights * each).sum() / weights.sum()),
        ("none", weights * each),
    ]:
        loss = TripletLoss(reduction=reduction)
        actual = ops.convert_to_numpy(loss(labels, EMBEDDINGS, weights))
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
        column = ops.convert_to_numpy(loss(labels, EMBEDDINGS, weights[:, None]))
        np.testing.assert_allclose(column, expected, rtol=1e-6)


def test_a_similarity_is_turned_into_a_cost():
    """The nearest negative of the first row is the one with the largest product."""
    embeddings = np.array([[1, 0], [2, 0], [3, 0], [-1, 0]], "float32")
    labels = np.array([0, 0, 1, 1])
    loss = TripletLoss("ip", "hard", "hard", margin=0.0, reduction="none")
    each = ops.convert_to_numpy(loss(labels, embeddings))
    np.testing.assert_allclose(each[:2], [3 - 2, 6 - 2])


def test_semi_hard_takes_the_nearest_negative_beyond_the_positives():
    x = np.array([[0.0], [1.0], [0.5], [1.5], [9.0]], "float32")
    labels = np.array([0, 0, 1, 1, 1])
    losses_by = {
        strategy: float(
            TripletLoss("l1", "hard", strategy, margin=20.0, reduction="none")(labels, x)[
                0
            ]
        )
        for strategy in ("hard", "semi-hard", "easy")
    }
    expected = {"hard": 1 - 0.5 + 20, "semi-hard": 1 - 1.5 + 20, "easy": 1 - 9 + 20}
    assert losses_by == pytest.approx(expected)


def test_mining_drops_the_anchors_without_a_hard_pair():
    x, labels = np.eye(4, dtype="float32"), np.array([0, 0, 1, 2])
    options = {"beta": 1.0, "reduction": "none"}
    mined = ops.convert_to_numpy(MultiSimilarityLoss(**options)(labels, x))
    assert (mined > 0).tolist() == [True, True, False, False]
    unmined = MultiSimilarityLoss(epsilon=None, **options)(labels, x)
    assert (ops.convert_to_numpy(unmined) > 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TripletLoss(positive_mining_strategy="semi-hard"), "positive_mining"),
        (lambda: TripletLoss(negative_mining_strategy="soft"), "negative_mining"),
        (lambda: TripletLoss("cosin"), "Did you mean 'cosine'"),
        (lambda: MultiSimilarityLoss(alpha=0), "`alpha` and `beta` must be positive"),
        (lambda: TripletLoss(reduction="avg"), "avg"),
        (
            lambda: TripletLoss()([0, 1], EMBEDDINGS),
            "`y_true` must hold one value a row of `y_pred`",
        ),
        (lambda: TripletLoss()([0, 1], np.ones((2, 3, 4))), "embeddings of the shape"),
        (
            lambda: TripletLoss()(None, EMBEDDINGS),
            "`y_true` must be the labels.* Received: y_true=None",
        ),
        (
            lambda: TripletLoss()([0] * 5, EMBEDDINGS, key_labels=[1]),
            "belong together.* Received: `key_labels` only",
        ),
        (lambda: TripletLoss()(3, EMBEDDINGS), "`y_true` must hold one value a row"),
        (lambda: TripletLoss()([], np.ones((0, 4))), "at least one of them"),
        (lambda: TripletLoss()([0] * 5, EMBEDDINGS, [1.0, 2.0]), "`sample_weight`"),
        (
            lambda: TripletLoss()(None, EMBEDDINGS, pairs=Pairs(np.eye(3), np.eye(3))),
            r"`pairs.positive_mask` must have the shape .*\(5, 5\)",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


ROWS = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
CLASSES = np.array([0, 0, 1, 1, 0])
LABELS_AS = {
    "array": CLASSES,
    "list": CLASSES.tolist(),
    "column": CLASSES[:, None],
    "floats": CLASSES.astype("float32"),
    "column of floats": CLASSES[:, None].astype("float32"),
}


@pytest.mark.parametrize("labels", LABELS_AS.values(), ids=LABELS_AS)
@pytest.mark.parametrize("name", every.names())
def test_the_argument_order_of_pytorch_metric_learning_is_refused(name, labels):
    loss = every.make(name)
    message = r"loss\(embeddings, labels\), is the other way round"
    if every.takes_two_views(loss):
        message = "without labels.* Received: labels in the place"
    tensors = ops.convert_to_tensor(ROWS), ops.convert_to_tensor(labels)
    for embeddings, ids in ((ROWS, labels), (ROWS.tolist(), labels), tensors):
        with pytest.raises(TypeError, match=message):
            loss(embeddings, ids)


def test_the_other_order_is_refused_where_labels_are_not_looked_at():
    loss = losses.ManifoldLoss(6, 4, meta_classes="random")
    with pytest.raises(TypeError, match="other way round"):
        loss(ROWS, CLASSES[:, None])


def test_embeddings_of_one_whole_number_are_embeddings():
    for labels in (CLASSES, CLASSES[:, None]):
        assert np.isfinite(float(TripletLoss("l1")(labels, CLASSES[::-1, None])))
    column = CLASSES[:, None].astype("float32")
    assert float(losses.VicReg(reduction="sum")(column, column)) > 0


@pytest.mark.skipif(framework() != "torch", reason="autocast is torch's")
@pytest.mark.parametrize("name", every.names())
def test_autocast_does_not_lower_the_precision(name):
    import torch

    loss = every.make(name)
    loss.training = False  # Called twice, it must be in one state.
    x = torch.tensor(ROWS)
    first = x.flip(0) if every.takes_two_views(loss) else CLASSES
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(first, x)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach(), loss(first, x).detach(), rtol=1e-6)


@pytest.mark.skipif(framework() != "torch", reason="autocast is torch's")
def test_autocast_does_not_lower_the_precision_of_single_values():
    import torch

    loss, x = losses.AngularLoss(), torch.tensor(ROWS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss.call(CLASSES, x)
    np.testing.assert_allclose(found, loss.call(CLASSES, x), rtol=1e-6)
