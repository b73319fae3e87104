import json

import keras
import numpy as np
import pytest

from keras_similarity import losses, reducers
from keras_similarity.backend import framework, ops
from keras_similarity.losses import ContrastiveLoss, TripletMarginLoss
from keras_similarity.pairs import Pairs, TripletRule, pairs_by_rule, pairs_from_indices
from keras_similarity.reducers import (
    ClassWeightedReducer,
    DivisorReducer,
    DoNothingReducer,
    MultipleReducers,
    PerAnchorReducer,
    SubLoss,
    SumReducer,
    ThresholdReducer,
)
from tests.backend import gradient, jit

LABELS = np.array([0, 0, 1, 1, 0, 2], "int32")
EMBEDDINGS = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")
WEIGHTS = [0.5, 2.0, 3.0]
TRIPLETS = [(0, 1, 2), (0, 1, 2), (0, 4, 3), (3, 2, 5), (4, 0, 2)]
POSITIVE = np.array(
    [[0, 2, 0.5, 0, 0, 0], [0] * 6, [0] * 6, [0, 0, 1, 0, 0, 0], [0] * 6, [0] * 6]
)
NEGATIVE = np.array(
    [[0, 0, 0, 1, 0.25, 0], [1] * 6, [0] * 6, [2, 0, 0, 0, 0, 1], [0] * 6, [0] * 6]
)
EVERY_REDUCER = {
    "mean": "mean",
    "sum": "sum",
    "avg_non_zero": "avg_non_zero",
    "threshold": ThresholdReducer(0.1, 5.0),
    "class_weighted": ClassWeightedReducer(WEIGHTS),
    "per_anchor": PerAnchorReducer(ThresholdReducer(low=0.2)),
    "multiple": MultipleReducers({"pos_loss": "sum"}, ClassWeightedReducer(WEIGHTS)),
}


def rows_largest(x, num_per_row):
    return ops.amax(x, axis=1) + 0.0 * num_per_row


keras.saving.register_keras_serializable("tests")(rows_largest)


def squared_distances():
    x = EMBEDDINGS.astype("float64")
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def hinge_by_triplets(triplets):
    d = squared_distances()
    return np.array([max(d[a, p] - d[a, n] + 1.0, 0) for a, p, n in triplets])


def triplet_loss(reducer):
    return TripletMarginLoss(margin=1.0, distance="sql2", reducer=reducer)


def all_triplets():
    return [
        (a, p, n)
        for a in range(6)
        for p in range(6)
        for n in range(6)
        if a != p and LABELS[a] == LABELS[p] and LABELS[a] != LABELS[n]
    ]


def listed():
    return pairs_from_indices(np.array(TRIPLETS).T, (6, 6)), TRIPLETS


def ruled():
    """The negatives that are nearer than the positive."""
    cost = ops.convert_to_tensor(squared_distances().astype("float32"))

    def select(columns, cost):
        to_positive = ops.take_along_axis(cost, columns, axis=1)
        return cost[:, None, :] < to_positive[:, :, None]

    d = squared_distances()
    kept = [(a, p, n) for a, p, n in all_triplets() if d[a, n] < d[a, p]]
    labels = losses.metric_loss.Batch(LABELS, EMBEDDINGS, distance=None).pairs
    return pairs_by_rule(labels, TripletRule(select, (cost,))), kept


CHOICES = {"labels": lambda: (None, all_triplets()), "list": listed, "rule": ruled}
all_choices = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)


@all_choices
def test_triplets_are_weighted_by_the_class_of_their_anchor(choice):
    pairs, triplets = choice()
    loss = triplet_loss(ClassWeightedReducer(WEIGHTS))
    expected = np.mean(
        [
            WEIGHTS[LABELS[a]] * value
            for (a, _, _), value in zip(
                triplets, hinge_by_triplets(triplets), strict=True
            )
        ]
    )
    actual = float(loss(LABELS, EMBEDDINGS, pairs=pairs))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@all_choices
def test_per_anchor_takes_the_mean_of_an_anchors_triplets_first(choice):
    pairs, triplets = choice()
    rows = [[] for _ in range(6)]
    for (a, _, _), value in zip(triplets, hinge_by_triplets(triplets), strict=True):
        rows[a].append(value)
    means = [np.mean(row) if row else 0.0 for row in rows]
    loss = triplet_loss(PerAnchorReducer())
    actual = float(loss(LABELS, EMBEDDINGS, pairs=pairs))
    np.testing.assert_allclose(actual, np.mean(means), rtol=1e-5)
    loss = triplet_loss(PerAnchorReducer(ThresholdReducer(low=1.5)))
    actual = float(loss(LABELS, EMBEDDINGS, pairs=pairs))
    expected = np.mean([mean for mean in means if mean > 1.5])
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@all_choices
def test_do_nothing_lists_the_triplets(choice):
    pairs, triplets = choice()
    found = triplet_loss(DoNothingReducer())(LABELS, EMBEDDINGS, pairs=pairs)["loss"]
    assert found["reduction_type"] == "triplet"
    assert "divisor" not in found
    assert "weights" not in found
    np.testing.assert_array_equal(found["indices"], sorted(triplets))
    actual = ops.convert_to_numpy(found["losses"])
    np.testing.assert_allclose(actual, hinge_by_triplets(sorted(triplets)), rtol=1e-4)


def test_do_nothing_gives_weights_where_pairs_count_by_fractions():
    weights = [ops.convert_to_tensor(x.astype("float32")) for x in (POSITIVE, NEGATIVE)]
    pairs = Pairs(POSITIVE > 0, NEGATIVE > 0, *weights)
    for make in (triplet_loss, lambda r: ContrastiveLoss(distance="sql2", reducer=r)):
        found = make(DoNothingReducer())(None, EMBEDDINGS, pairs=pairs)
        total = sum(
            np.sum(ops.convert_to_numpy(term["losses"]) * term.get("weights", 1.0))
            for term in found.values()
        )
        expected = float(make(SumReducer())(None, EMBEDDINGS, pairs=pairs))
        np.testing.assert_allclose(total, expected, rtol=1e-5)
    np.testing.assert_array_equal(found["pos_loss"]["weights"], [2, 0.5, 1])
    np.testing.assert_array_equal(found["pos_loss"]["indices"], [[0, 1], [0, 2], [3, 2]])


def test_do_nothing_repeats_what_counts_twice_and_weights_rows():
    pairs, _ = listed()
    loss = ContrastiveLoss(neg_margin=30.0, distance="sql2", reducer="do_nothing")
    found = loss(LABELS, EMBEDDINGS, np.arange(6.0), pairs=pairs)["neg_loss"]
    expected = [[0, 2], [0, 2], [0, 3], [3, 5], [4, 2]]
    np.testing.assert_array_equal(found["indices"], expected)
    d = squared_distances()
    expected = [a * (30.0 - d[a, n]) for a, n in expected]
    np.testing.assert_allclose(ops.convert_to_numpy(found["losses"]), expected, rtol=1e-5)


def test_what_do_nothing_gives_carries_gradients():
    def total(reducer):
        def value(x):
            found = triplet_loss(reducer)(LABELS, x)
            return ops.sum(found["loss"]["losses"]) if reducer == "do_nothing" else found

        return value

    np.testing.assert_allclose(
        gradient(total("do_nothing"), EMBEDDINGS),
        gradient(total("sum"), EMBEDDINGS),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.skipif(framework() == "torch", reason="Dynamo reports it in its own words")
def test_do_nothing_is_refused_under_jit():
    loss = ContrastiveLoss(reducer="do_nothing")
    labels, x = ops.convert_to_tensor(LABELS), ops.convert_to_tensor(EMBEDDINGS)
    with pytest.raises(TypeError, match="cannot be listed under jit"):
        jit(lambda y, x: loss(y, x)["pos_loss"]["losses"])(labels, x)


def test_an_aggregation_of_your_own_sees_the_values_and_how_many_there_are():
    seen = []

    def largest(x, num_per_row):
        seen.append((x, num_per_row))
        return ops.amax(x, axis=1)

    loss = ContrastiveLoss(distance="sql2", reducer=PerAnchorReducer("sum", largest))
    loss = loss(LABELS[:5], EMBEDDINGS[:5])
    d = squared_distances()[:5, :5]
    same = (LABELS[:5, None] == LABELS[:5]) & ~np.eye(5, dtype=bool)
    other = LABELS[:5, None] != LABELS[:5]
    expected = (d * same).max(1).sum() + (np.maximum(1 - d, 0) * other).max(1).sum()
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    for (values, counts), mask in zip(seen, (same, other), strict=True):
        assert (ops.convert_to_numpy(values)[~mask] == 0).all()
        np.testing.assert_array_equal(ops.convert_to_numpy(counts), mask.sum(1))


def test_per_anchor_hands_the_classes_on():
    reducer = PerAnchorReducer(ClassWeightedReducer(WEIGHTS))
    loss = ContrastiveLoss(neg_margin=0.0, distance="sql2", reducer=reducer)
    same = (LABELS[:, None] == LABELS) & ~np.eye(6, dtype=bool)
    means = (squared_distances() * same).sum(1) / np.maximum(same.sum(1), 1)
    expected = np.mean(means * np.array(WEIGHTS)[LABELS])
    np.testing.assert_allclose(float(loss(LABELS, EMBEDDINGS)), expected, rtol=1e-5)


def test_an_aggregation_of_triplets_is_refused():
    loss = triplet_loss(PerAnchorReducer(aggregation_func=rows_largest))
    with pytest.raises(ValueError, match=r"`aggregation_func` must .* Received: <"):
        loss(LABELS, EMBEDDINGS)


@pytest.mark.parametrize("reducer", EVERY_REDUCER.values(), ids=EVERY_REDUCER)
def test_jitted_and_eager_values_are_equal(reducer):
    loss = ContrastiveLoss(neg_margin=9.0, distance="sql2", reducer=reducer)
    labels, x = ops.convert_to_tensor(LABELS), ops.convert_to_tensor(EMBEDDINGS)
    actual = float(jit(lambda y, x: loss(y, x))(labels, x))
    np.testing.assert_allclose(actual, float(loss(labels, x)), rtol=1e-5)


@pytest.mark.parametrize("reducer", EVERY_REDUCER.values(), ids=EVERY_REDUCER)
@pytest.mark.parametrize(
    "labels", [[0, 1, 2], [1, 1, 1]], ids=["no positive", "one class"]
)
@pytest.mark.parametrize("make", [triplet_loss, lambda r: ContrastiveLoss(reducer=r)])
def test_nothing_to_reduce_is_0_with_a_finite_gradient(reducer, labels, make):
    loss, labels = make(reducer), np.array(labels)
    x = np.ones((3, 2), "float32")
    assert np.isfinite(float(loss(labels, x)))
    assert np.isfinite(gradient(lambda x: loss(labels, x), x)).all()


@pytest.mark.parametrize(
    "reducer",
    [
        *(r for r in EVERY_REDUCER.values() if not isinstance(r, str)),
        MultipleReducers({"a": PerAnchorReducer(ClassWeightedReducer(WEIGHTS))}),
        PerAnchorReducer("sum", rows_largest),
        DivisorReducer(),
        DoNothingReducer(),
    ],
    ids=lambda reducer: type(reducer).__name__,
)
def test_configs_go_through_json_and_back(reducer):
    config = json.loads(json.dumps(reducers.serialize(reducer)))
    again = reducers.deserialize(config)
    assert type(again) is type(reducer)
    assert reducers.serialize(again) == config
    loss = ContrastiveLoss(reducer=reducer)
    config = json.loads(json.dumps(losses.serialize(loss)))
    assert (
        losses.deserialize(config).get_config()["reducer"] == config["config"]["reducer"]
    )


def test_a_function_is_itself_again():
    reducer = PerAnchorReducer("sum", rows_largest)
    again = reducers.deserialize(reducers.serialize(reducer))
    assert again.aggregation_func is rows_largest


def test_who_needs_labels_says_so():
    assert not MultipleReducers({"a": "sum"}).needs_labels
    assert MultipleReducers({"a": ClassWeightedReducer(WEIGHTS)}).needs_labels
    assert (
        PerAnchorReducer(MultipleReducers({}, EVERY_REDUCER["per_anchor"])).needs_labels
        is False
    )
    assert PerAnchorReducer(ClassWeightedReducer(WEIGHTS)).needs_labels


@pytest.mark.parametrize("labels", [[0, 0, 3], [-1, 0, 0]])
def test_a_label_without_a_weight_is_refused(labels):
    loss = ContrastiveLoss(reducer=ClassWeightedReducer(WEIGHTS))
    with pytest.raises(ValueError, match="`weights` must have a value for each class"):
        loss(np.array(labels), EMBEDDINGS[:3])


def test_class_weights_without_labels_are_refused():
    loss = ContrastiveLoss(reducer=ClassWeightedReducer(WEIGHTS))
    pairs, _ = listed()
    with pytest.raises(ValueError, match="`y_true` must be the labels"):
        loss(None, EMBEDDINGS, pairs=pairs)
    with pytest.raises(ValueError, match="needs the labels of the rows"):
        ClassWeightedReducer(WEIGHTS)({"loss": SubLoss(ops.ones(3))})


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="Received: none"):
        ClassWeightedReducer([])
    with pytest.raises(ValueError, match=r"weights.shape=\(2, 2\)"):
        ClassWeightedReducer(np.ones((2, 2)))
    with pytest.raises(TypeError, match="`aggregation_func` must be a function"):
        PerAnchorReducer(aggregation_func="mean")
    with pytest.raises(
        ValueError, match=r"`DivisorReducer` .* Received: .*'positive_pair'"
    ):
        ContrastiveLoss(reducer="divisor")(LABELS, EMBEDDINGS)
    with pytest.raises(ValueError, match="Unknown reducer"):
        MultipleReducers({"pos_loss": "nothing"})
