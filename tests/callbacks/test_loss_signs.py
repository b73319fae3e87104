import keras
import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import ops
from keras_similarity.callbacks.loss_signs import LossSigns
from keras_similarity.miners import TripletMarginMiner
from tests.backend import gradient

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(10, 4)).astype("float32")
Y = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 4])


def cosine_distances():
    x = X / np.linalg.norm(X, axis=1, keepdims=True)
    return 1 - x @ x.T


def triplets():
    rows = range(len(Y))
    for a in rows:
        for p in rows:
            for n in rows:
                if a != p and Y[a] == Y[p] and Y[a] != Y[n]:
                    yield a, p, n


def test_of_all_triplets_those_within_the_margin_are_active():
    distances = 1 - cosine_distances()  # The loss's distance is Euclidean of unit rows.
    euclidean = np.sqrt(2 - 2 * distances)
    gaps = [euclidean[a, p] - euclidean[a, n] for a, p, n in triplets()]
    for margin in (0.05, 1.0):
        signs = LossSigns(losses.TripletMarginLoss(margin=margin))(Y, X)
        assert signs["active_share"] == pytest.approx(np.mean(np.array(gaps) > -margin))


def test_of_pairs_those_beyond_their_margins_are_active():
    loss = losses.ContrastiveLoss(pos_margin=0.3, neg_margin=0.8, distance="cosine")
    distances = cosine_distances()
    is_same = Y[:, None] == Y
    is_active = np.where(is_same, distances > 0.3, distances < 0.8)
    off = ~np.eye(len(Y), dtype=bool)
    assert LossSigns(loss)(Y, X)["active_share"] == pytest.approx(is_active[off].mean())


def test_what_a_miner_leaves_out_does_not_count():
    miner = TripletMarginMiner(margin=-10.0)  # None is so hard.
    assert LossSigns(losses.TripletMarginLoss(miner=miner))(Y, X)["active_share"] == 0.0


def test_several_losses_count_together():
    parts = [
        losses.TripletLoss(margin=m, negative_mining_strategy="hard") for m in (-9, 9)
    ]
    loss = losses.MultipleLosses(parts)
    # All eight anchors with a positive are active in one, and none in the other.
    assert LossSigns(loss)(Y, X)["active_share"] == pytest.approx(8 / 20)


def test_of_another_loss_rows_with_a_gradient_are_active():
    def loss(labels, embeddings):
        return ops.sum(ops.square(embeddings[:3]), axis=1)

    signs = LossSigns(loss)(Y, X)
    assert signs["active_share"] == pytest.approx(0.3)
    assert signs["loss"] == pytest.approx((X[:3] ** 2).sum() / 3, rel=1e-5)


def test_value_and_gradient_are_the_losss_and_nothing_changes():
    inner = losses.TripletLoss(margin=1.0)
    loss = losses.XBM(inner, embedding_size=4, memory_size=8)
    loss(Y, X[::-1].copy())  # The memory holds something.
    before = [ops.convert_to_numpy(variable.value).copy() for variable in loss.variables]
    signs = LossSigns(loss)
    found = [signs(Y, X), signs(Y, X)]
    for old, variable in zip(before, loss.variables, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(variable.value))
    assert loss.training
    loss.training = False
    assert found[0]["loss"] == pytest.approx(float(loss(Y, X)), rel=1e-4)
    slope = gradient(lambda x: loss(Y, x), X)
    expected = np.linalg.norm(slope) * np.linalg.norm(X, axis=1).mean()
    assert found[0]["gradient_norm"] == pytest.approx(expected, rel=1e-4)
    assert found[1] == pytest.approx(found[0])


def test_trained_weights_of_a_loss_are_seen():
    loss = losses.NormalizedSoftmaxLoss(5, 4)
    signs = LossSigns(loss)
    before = signs(Y, X)["loss"]
    loss.trainable_variables[0].assign(-loss.trainable_variables[0].value)
    assert signs(Y, X)["loss"] == pytest.approx(float(loss(Y, X)), rel=1e-4)
    assert signs(Y, X)["loss"] != pytest.approx(before)


def test_ids_beyond_int32_are_told_apart():
    ids = Y.astype("int64") * 2**32 + 7
    loss = losses.TripletMarginLoss()
    assert LossSigns(loss)(ids, X) == pytest.approx(LossSigns(loss)(Y, X))


def test_a_loss_that_fails_is_told_once(caplog):
    signs = LossSigns(keras.losses.CategoricalCrossentropy())
    assert signs(Y, X) == signs(Y, X) == {}
    assert caplog.text.count("goes on without it") == 1
