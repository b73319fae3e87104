"""TensorFlow Similarity's losses against loops over rows, and their edges."""

import itertools
import json

import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import ops
from keras_similarity.losses import LiftedStructLoss, PNLoss, SoftNearestNeighborLoss
from keras_similarity.pairs import Pairs
from tests.backend import gradient, jit
from tests.losses.loops import cost_matrix
from tests.losses.tfsim_loops import loss_by_loops

RANDOM = np.random.default_rng(11)
EMBEDDINGS = RANDOM.normal(size=(10, 5)).astype("float32")
LABELS = {
    "three classes": np.arange(10) % 3,
    "some alone": np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 4]),
    "all alone": np.arange(10),
    "one class": np.full(10, 9),
}
DISTANCES = ["cosine", "inner_product", "squared_euclidean", "euclidean", "snr"]
LOSSES = {
    "pn": PNLoss(),
    "pn, margin": PNLoss("sql2", "easy", "hard", margin=0.5),
    "pn, inner product": PNLoss("ip", "hard", "easy", margin=0.5),
    "lifted": LiftedStructLoss(),
    "lifted, easy": LiftedStructLoss("l2", "easy", margin=0.2),
    "soft nearest neighbour": SoftNearestNeighborLoss(),
    "soft nearest neighbour, cosine": SoftNearestNeighborLoss("cosine", 0.1),
}
all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_values_are_those_of_loops(distance, labels):
    cost = cost_matrix(EMBEDDINGS, distance)
    options = {"distance": distance, "reduction": "none"}
    negatives = ("hard", "semi-hard", "easy")
    found = [
        *(
            PNLoss(positive_mining_strategy=p, negative_mining_strategy=n, margin=m)
            for p, n, m in itertools.product(("hard", "easy"), negatives, (None, 0.7))
        ),
        LiftedStructLoss(margin=0.3),
        LiftedStructLoss(positive_mining_strategy="easy"),
        SoftNearestNeighborLoss(temperature=0.5),
    ]
    for loss in found:
        loss = type(loss).from_config({**loss.get_config(), **options, "reducer": None})
        actual = ops.convert_to_numpy(loss(labels, EMBEDDINGS))
        expected = loss_by_loops(loss, labels, cost)
        np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=1e-5)


@all_losses
def test_keys_of_their_own_are_other_rows(loss):
    """A batch against itself, as keys, with the row's own copy left out."""
    labels = LABELS["three classes"]
    is_other = ~np.eye(10, dtype=bool)
    is_same = labels[:, None] == labels[None, :]
    pairs = Pairs(is_same & is_other, ~is_same)
    found = loss(
        labels, EMBEDDINGS, key_labels=labels, key_embeddings=EMBEDDINGS, pairs=pairs
    )
    expected = float(loss(labels, EMBEDDINGS))
    np.testing.assert_allclose(float(found), expected, rtol=1e-4)


@all_losses
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_jitted_and_eager_values_are_equal(loss, labels):
    labels = ops.convert_to_tensor(labels.astype("int32"))
    embeddings = ops.convert_to_tensor(EMBEDDINGS)
    actual = jit(lambda y, x: loss(y, x))(labels, embeddings)
    expected = float(loss(labels, embeddings))
    np.testing.assert_allclose(float(actual), expected, rtol=1e-5, atol=1e-6)


@all_losses
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize(
    "embeddings",
    {
        "apart": EMBEDDINGS,
        "coincident": np.ones((10, 3)),
        "zero": np.zeros((10, 3)),
        "tiny": 1e-20 * EMBEDDINGS,
        "far": 1e4 * EMBEDDINGS,
    }.items(),
    ids=lambda item: item[0],
)
def test_values_and_gradients_are_finite(loss, labels, embeddings):
    embeddings = embeddings[1].astype("float32")
    assert np.isfinite(float(loss(labels, embeddings)))
    assert np.isfinite(gradient(lambda x: loss(labels, x), embeddings)).all()


@all_losses
def test_one_row_has_loss_0(loss):
    assert float(loss([3], EMBEDDINGS[:1])) == 0
    assert (gradient(lambda x: loss([3], x), EMBEDDINGS[:1]) == 0).all()


def test_far_neighbours_keep_their_share():
    """All exponentials of these distances are 0 in float32."""
    x = np.array([[0.0], [20.0], [21.0]], "float32")
    loss = SoftNearestNeighborLoss(reduction="none")
    each = ops.convert_to_numpy(loss([0, 0, 1], x))
    np.testing.assert_allclose(each[0], np.log1p(np.exp(-41.0)), atol=1e-6)
    np.testing.assert_allclose(each[1], -np.log(1e-9), rtol=1e-5)


def test_the_negative_must_be_far_from_the_positive_too():
    x, labels = np.array([[0.0], [1.0], [1.5]], "float32"), [0, 0, 1]
    options = {"distance": "l1", "margin": 1.0, "reduction": "none"}
    pn = ops.convert_to_numpy(PNLoss(**options)(labels, x))
    triplet = ops.convert_to_numpy(losses.TripletLoss(**options)(labels, x))
    np.testing.assert_allclose(triplet[0], 1 - 1.5 + 1)
    np.testing.assert_allclose(pn[0], 1 - 0.5 + 1)


@all_losses
def test_config_survives_json_with_equal_values(loss):
    labels = LABELS["some alone"]
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()
    assert float(copy(labels, EMBEDDINGS)) == float(loss(labels, EMBEDDINGS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PNLoss(positive_mining_strategy="far"), "positive_mining_strategy"),
        (lambda: PNLoss(negative_mining_strategy="soft"), "negative_mining_strategy"),
        (
            lambda: LiftedStructLoss(positive_mining_strategy="semi-hard"),
            "positive_mining_strategy",
        ),
        (lambda: SoftNearestNeighborLoss(temperature=0), "`temperature` must be"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("loss", [PNLoss(), losses.ContrastiveLoss()])
def test_the_order_of_pytorch_metric_learning_is_named(loss):
    labels = LABELS["three classes"]
    for given in (labels, ops.convert_to_tensor(labels.astype("int32")), [0] * 10):
        with pytest.raises(TypeError, match="other way round"):
            loss(EMBEDDINGS, given)
        with pytest.raises(TypeError, match="other way round"):
            loss(ops.convert_to_tensor(EMBEDDINGS), given)
