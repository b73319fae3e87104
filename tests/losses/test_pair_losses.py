"""Losses of pairs and of sums over them, against loops over rows in float64."""

import numpy as np
import pytest

from keras_similarity import losses
from keras_similarity.backend import ops
from keras_similarity.distances import (
    CosineDistance,
    CosineSimilarity,
    DotProductSimilarity,
    LpDistance,
)
from keras_similarity.losses.cosine_only import cosine_matrix
from keras_similarity.pairs import Batch, Pairs, pairs_from_indices
from tests.backend import gradient, jit
from tests.losses import pair_loops as loops

RNG = np.random.default_rng(5)
ROWS, KEYS = RNG.normal(size=(10, 4)), RNG.normal(size=(7, 4))
KEY_LABELS = np.array([0, 1, 1, 2, 3, 0, 7])
LABELS = {
    "three classes": np.arange(10) % 3,
    "some alone": np.array([0, 0, 0, 1, 1, 2, 3, 4, 4, 5]),
    "all alone": np.arange(10),
    "one class": np.full(10, 3),
}
HOW = ["batch", "keys", "pairs"]
over_labels = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
over_ways = pytest.mark.parametrize("how", HOW)


class Given:
    """What a loss is called with in one way, and what the loops are given for it."""

    def __init__(self, labels, how):
        self.labels, self.has_keys = labels, how == "keys"
        self.keys = KEYS if self.has_keys else ROWS
        key_labels = KEY_LABELS if self.has_keys else labels
        is_same = labels[:, None] == key_labels[None, :]
        self.positive = (
            is_same if self.has_keys else is_same & ~np.eye(len(labels), dtype=bool)
        ).astype("float64")
        self.negative = (~is_same).astype("float64")
        self.arguments = {}
        if self.has_keys:
            self.arguments = {
                "key_labels": KEY_LABELS,
                "key_embeddings": KEYS.astype("float32"),
            }
        if how == "pairs":
            # Each third pair is left out, and each second one counts twice.
            times = np.arange(self.positive.size).reshape(self.positive.shape) % 3
            self.positive, self.negative = self.positive * times, self.negative * times
            columns = [*np.nonzero(self.positive), *np.nonzero(self.negative)]
            twice = [*np.nonzero(self.positive == 2), *np.nonzero(self.negative == 2)]
            columns = [np.concatenate(both) for both in zip(columns, twice, strict=True)]
            pairs = pairs_from_indices(columns, self.positive.shape)
            self.arguments = {"pairs": pairs}

    def value(self, loss):
        found = loss(self.labels, ROWS.astype("float32"), **self.arguments)
        return ops.convert_to_numpy(found)

    @property
    def cosine(self):
        return loops.cosines(ROWS, self.keys)

    @property
    def squared(self):
        """Squared distances of unit vectors."""
        return np.maximum(2 - 2 * self.cosine, 0)

    @property
    def pairs(self):
        return self.positive, self.negative


def assert_equal(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=1e-5)


@over_labels
@over_ways
class TestLoops:
    def test_circle_of_the_paper(self, labels, how):
        given = Given(labels, how)
        expected = loops.circle_paper(given.cosine, *given.pairs, gamma=9.0, m=0.3)
        options = {"gamma": 9.0, "margin": 0.3, "formula": "paper"}
        for distance in ("cosine", "cosine_similarity"):
            loss = losses.CircleLoss(distance, **options)
            assert_equal(given.value(loss), loops.mean_above_0(expected))
        each = losses.CircleLoss(reduction="none", **options)
        assert_equal(given.value(each), expected)

    def test_generalized_lifted_structure(self, labels, how):
        given = Given(labels, how)
        loss = losses.GeneralizedLiftedStructureLoss(
            neg_margin=1.5, pos_margin=0.2, distance=LpDistance(power=2)
        )
        expected = loops.generalized_lifted(given.squared, *given.pairs, 0.2, 1.5)
        assert_equal(given.value(loss), expected.mean())
        loss = losses.GeneralizedLiftedStructureLoss(
            neg_margin=0.1, pos_margin=0.8, distance="cosine_similarity"
        )
        expected = loops.generalized_lifted(-given.cosine, *given.pairs, -0.8, -0.1)
        assert_equal(given.value(loss), expected.mean())

    def test_intra_pair_variance(self, labels, how):
        given = Given(labels, how)
        for distance, values, is_similarity in (
            (CosineSimilarity(), given.cosine, True),
            (LpDistance(power=2), given.squared, False),
        ):
            loss = losses.IntraPairVarianceLoss(0.2, 0.1, distance=distance)
            expected = loops.intra_pair_variance(
                values, *given.pairs, 0.2, 0.1, is_similarity
            )
            assert_equal(given.value(loss), expected)

    def test_lifted_structure(self, labels, how):
        given = Given(labels, how)
        loss = losses.LiftedStructureLoss(1.5, 0.2, distance=LpDistance(power=2))
        expected = loops.lifted_structure(
            given.squared, *given.pairs, 0.2, 1.5, given.has_keys
        )
        assert_equal(given.value(loss), expected)

    def test_nt_xent(self, labels, how):
        given = Given(labels, how)
        expected = loops.nt_xent(-given.cosine, *given.pairs, 0.3)
        assert_equal(given.value(losses.NTXentLoss(0.3)), expected)

    def test_tuplet_margin(self, labels, how):
        given = Given(labels, how)
        loss = losses.TupletMarginLoss(margin=20.0, scale=6.0)
        expected = loops.tuplet_margin(given.cosine, *given.pairs, 20.0, 6.0)
        assert_equal(given.value(loss), expected)

    def test_sup_con(self, labels, how):
        given = Given(labels, how)
        expected = loops.sup_con(-given.cosine, *given.pairs, 0.3)
        loss = losses.SupConLoss(0.3)
        assert_equal(given.value(loss), loops.mean_above_0(expected))
        loss = losses.SupConLoss(0.3, reducer="mean")
        assert_equal(given.value(loss), expected.mean())

    def test_threshold_consistent_margin(self, labels, how):
        given = Given(labels, how)
        options = (0.5, 2.0, 0.6, -0.1)
        loss = losses.ThresholdConsistentMarginLoss(*options)
        expected = loops.threshold_consistent(given.cosine, *given.pairs, *options)
        assert_equal(given.value(loss), expected)

    def test_ranked_list(self, labels, how):
        given = Given(labels, how)
        for options in ((0.6, 2, 0.3, None, 0), (0.3, 1, 0.7, 1.1, 3)):
            loss = losses.RankedListLoss(*options)
            margin, tn, imbalance, alpha, tp = options
            expected = loops.ranked_list(
                np.sqrt(given.squared),
                *given.pairs,
                margin,
                tn,
                imbalance,
                1 + margin / 2 if alpha is None else alpha,
                tp,
            )
            assert_equal(given.value(loss), expected.mean())

    def test_n_pairs(self, labels, how):
        given = Given(labels, how)
        if how == "pairs":
            # In the order of rows, as a list that is in order has it.
            pairs = given.arguments["pairs"]
            given.arguments["pairs"] = Pairs(pairs.positive_mask, pairs.negative_mask)
        expected = loops.n_pairs(-given.cosine, labels, given.positive)
        assert_equal(given.value(losses.NPairsLoss()), expected)


@over_labels
def test_nca(labels):
    for how in ("batch", "keys"):
        given = Given(labels, how)
        expected = loops.nca(given.squared, *given.pairs, 3.0, np.ones(10))
        assert_equal(given.value(losses.NCALoss(3.0)), expected)


def test_nca_weights_rows_by_how_often_they_were_chosen():
    labels = LABELS["three classes"]
    pairs = pairs_from_indices(([0, 0, 1], [3, 3, 4], [1, 2, 5]), (10, 10))
    weights = np.array([1, 1, 0.5, 1, 0.5, 0.5, 0, 0, 0, 0])
    given = Given(labels, "batch")
    expected = loops.nca(given.squared, *given.pairs, 1.0, weights)
    found = losses.NCALoss()(labels, ROWS.astype("float32"), pairs=pairs)
    assert_equal(float(found), expected)


@over_labels
def test_instance(labels):
    given = Given(labels, "batch")
    expected = loops.instance(given.cosine, labels, 5.0)
    for distance in ("cosine", "cosine_similarity"):
        loss = losses.InstanceLoss(gamma=5.0, distance=distance)
        assert_equal(given.value(loss), expected)


def test_n_pairs_takes_the_first_pair_of_a_list_as_it_is_written():
    labels = np.array([0, 0, 0, 1, 1])
    lists = ([2, 0, 4, 3], [1, 1, 3, 4], [0], [3])
    pairs = pairs_from_indices(lists, (5, 5))
    cosine = loops.cosines(ROWS[:5], ROWS[:5])
    chosen = [(2, 1), (4, 3)]
    expected = np.mean(
        [
            loops.log_sum_exp([cosine[a, other] for _, other in chosen]) - cosine[a, p]
            for a, p in chosen
        ]
    )
    found = losses.NPairsLoss()(labels, ROWS[:5].astype("float32"), pairs=pairs)
    assert_equal(float(found), expected)


def test_n_pairs_of_many_rows_measures_the_used_pairs_only():
    x = np.random.default_rng(0).normal(size=(300, 3)).astype("float32")
    labels = np.arange(300) % 70
    cosine = loops.cosines(x, x)
    is_positive = (labels[:, None] == labels[None]) & ~np.eye(300, dtype=bool)
    expected = loops.n_pairs(-cosine, labels, is_positive.astype("float64"))
    assert_equal(float(losses.NPairsLoss()(labels, x)), expected)
    x_y = (ops.convert_to_tensor(labels.astype("int32")), ops.convert_to_tensor(x))
    compiled = jit(lambda y, x: losses.NPairsLoss()(y, x))(*x_y)
    assert_equal(float(compiled), expected)


@pytest.mark.parametrize("spread", [1.0, 40.0])
def test_sums_over_many_columns_are_those_over_few(spread):
    """Larger matrices take another way."""
    x = (np.random.default_rng(0).normal(size=(150, 3)) * spread).astype("float32")
    labels = np.arange(150) % 40
    is_same = labels[:, None] == labels[None]
    positive = (is_same & ~np.eye(150, dtype=bool)).astype("float64")
    negative = (~is_same).astype("float64")
    products = x.astype("float64") @ x.T.astype("float64")
    distance = DotProductSimilarity(normalize_embeddings=False)
    for loss, expected in (
        (losses.NTXentLoss(0.5), loops.nt_xent(-products, positive, negative, 0.5)),
        (
            losses.NCALoss(0.5),
            loops.nca(-products, positive, negative, 0.5, np.ones(150)),
        ),
    ):
        loss = type(loss)(0.5, distance=distance)
        np.testing.assert_allclose(float(loss(labels, x)), expected, rtol=1e-4)
        assert np.isfinite(gradient(lambda t, loss=loss: loss(labels, t), x)).all()


def test_many_columns_without_a_negative_give_0():
    x = np.random.default_rng(0).normal(size=(130, 3)).astype("float32")
    for loss in (losses.NTXentLoss(), losses.TupletMarginLoss(), losses.SupConLoss()):
        assert float(loss(np.zeros(130, "int32"), x)) == 0
        slope = gradient(lambda t, loss=loss: loss(np.zeros(130, "int32"), t), x)
        np.testing.assert_array_equal(slope, 0)


def test_tuplet_margin_of_coincident_rows_is_finite():
    x, labels = np.ones((4, 3), "float32"), np.array([0, 0, 1, 1])
    expected = np.logaddexp(0, 64 * (1 - np.cos(np.radians(5.73))) + np.log(2))
    assert_equal(float(losses.TupletMarginLoss()(labels, x)), expected)
    slope = gradient(lambda t: losses.TupletMarginLoss()(labels, t), x)
    np.testing.assert_allclose(slope, 0, atol=1e-4)


@pytest.mark.parametrize(
    "distance", [CosineSimilarity(), CosineDistance(), DotProductSimilarity()]
)
def test_cosines_come_of_any_distance_that_measures_them(distance):
    batch = Batch(
        None,
        ROWS.astype("float32"),
        None,
        KEYS.astype("float32"),
        pairs=Pairs(np.ones((10, 7)), np.ones((10, 7))),
        distance=distance,
    )
    found = ops.convert_to_numpy(cosine_matrix(batch))
    np.testing.assert_allclose(found, loops.cosines(ROWS, KEYS), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.CircleLoss("l2", formula="paper"), "must measure cosines"),
        (lambda: losses.CircleLoss(formula="pml"), "`formula` must be one of"),
        (lambda: losses.TupletMarginLoss(distance="ip"), "must measure cosines"),
        (lambda: losses.InstanceLoss(distance="l2"), "must measure cosines"),
        (lambda: losses.InstanceLoss(target="row"), "`target` must be one of"),
        (
            lambda: losses.ThresholdConsistentMarginLoss(
                distance=DotProductSimilarity(normalize_embeddings=False)
            ),
            "DotProductSimilarity that normalises",
        ),
        (
            lambda: losses.SignalToNoiseRatioContrastiveLoss(distance="cosine"),
            "must be an `SNRDistance`",
        ),
        (lambda: losses.SupConLoss(temperature=0), "`temperature` must be positive"),
        (
            lambda: losses.InstanceLoss()(
                [0, 1], ROWS[:2], key_labels=[0], key_embeddings=ROWS[:1]
            ),
            "takes no keys",
        ),
        (
            lambda: losses.NCALoss()(
                None, ROWS, pairs=Pairs(np.ones((10, 10)), np.zeros((10, 10)))
            ),
            "`y_true` must be the labels",
        ),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sharpness_that_leaves_one_pair_is_warned_of():
    with pytest.warns(UserWarning, match="`Tn` above 5"):
        losses.RankedListLoss(margin=0.4, Tn=6)
