"""Calibration against loops over thresholds and queries."""

from collections import Counter

import numpy as np
import pytest

from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.evaluators import MemoryEvaluator
from keras_similarity.matchers import ClassificationMatch
from keras_similarity.types import NO_LABEL, Lookup

pytestmark = pytest.mark.keras_free


class Gain(ClassificationMetric):
    """A metric of a user's own."""

    def __init__(self):
        super().__init__(name="gain", canonical_name="gain", increasing=True)

    def compute(self, tp, fp, tn, fn, count):
        return (np.asarray(tp) - 2.0 * np.asarray(fp)) / count


class MatchSecond(ClassificationMatch):
    """A matcher of a user's own: the second neighbour's label at its distance."""

    def derive_match(self, lookup_labels, lookup_distances):
        return lookup_labels[:, 1:2], lookup_distances[:, 1:2]


def random_lookups(seed, queries=60, k=4, classes=5):
    random = np.random.default_rng(seed)
    # Few values, so that many are equal.
    distances = np.sort(random.integers(0, 30, (queries, k)) / 32, axis=1)
    labels = random.integers(0, classes, (queries, k))
    targets = np.where(random.random(queries) < 0.6, labels[:, 0], classes + 1)
    lookups = [
        [Lookup(rank + 1, d, label) for rank, (d, label) in enumerate(zip(*row))]  # noqa: B905
        for row in zip(distances.tolist(), labels.tolist(), strict=True)
    ]
    return targets, lookups


def answer_by_loops(matcher, lookups):
    if isinstance(matcher, MatchSecond):
        return lookups[1].label, lookups[1].distance
    if matcher == "match_nearest":
        return lookups[0].label, lookups[0].distance
    votes = Counter(lookup.label for lookup in lookups)  # In the order of coming.
    return votes.most_common(1)[0][0], np.mean([lookup.distance for lookup in lookups])


def value_by_loops(metric, tp, fp, tn, fn, is_first):
    if isinstance(metric, Gain):
        return (tp - 2 * fp) / (tp + fp + tn + fn)
    if metric == "precision" and is_first and tp + fp == 0:
        return 1.0
    top, bottom = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "binary_accuracy": (tp, tp + fp + tn + fn),
        "npv": (tn, tn + fn),
    }[metric]
    return top / bottom if bottom else 0.0


def columns_by_loops(targets, lookups, metric, matcher):
    thresholds = sorted({lookup.distance for row in lookups for lookup in row})
    values = []
    for threshold in thresholds:
        tp = fp = tn = fn = 0
        for target, row in zip(targets, lookups, strict=True):
            label, distance = answer_by_loops(matcher, row)
            if distance <= threshold:
                tp, fp = tp + (label == target), fp + (label != target)
            else:
                fn, tn = fn + (label == target), tn + (label != target)
        is_first = threshold == thresholds[0]
        values.append(value_by_loops(metric, tp, fp, tn, fn, is_first))
    return thresholds, values


@pytest.mark.parametrize("matcher", ["match_nearest", "match_majority_vote", "own"])
@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "npv", "own"])
@pytest.mark.parametrize("seed", [0, 1])
def test_calibration_is_the_loop_over_thresholds(matcher, metric, seed):
    matcher = MatchSecond("second") if matcher == "own" else matcher
    metric = Gain() if metric == "own" else metric
    targets, lookups = random_lookups(seed)
    thresholds, values = columns_by_loops(targets, lookups, metric, matcher)
    goal = float(np.median(values))
    results = MemoryEvaluator().calibrate(
        targets, lookups, {"goal": goal}, metric, matcher, ["binary_accuracy"]
    )
    np.testing.assert_allclose(results.thresholds["distance"], thresholds)
    np.testing.assert_allclose(results.thresholds["value"], values, atol=1e-12)
    accuracies = columns_by_loops(targets, lookups, "binary_accuracy", matcher)[1]
    np.testing.assert_allclose(results.thresholds["binary_accuracy"], accuracies)
    best = [i for i, value in enumerate(values) if value >= max(values) - 1e-9]
    assert results.cutpoints["optimal"]["distance"] == thresholds[best[-1]]
    reached = [i for i, value in enumerate(values) if value >= goal - 1e-9]
    first_or_last = reached[-1 if metric == "precision" else 0]
    assert results.cutpoints["goal"]["distance"] == thresholds[first_or_last]
    assert results.false_accepts is None and results.class_offsets == {}


# A rate of false accepts.


def lines(count, wrong, label=1):
    """Lookups at 1 / count, 2 / count ...; the first `wrong` are of another class."""
    lookups = [[Lookup(1, (i + 1) / count, label)] for i in range(count)]
    targets = [label + (i < wrong) for i in range(count)]
    return targets, lookups


def calibrate(targets, lookups, **options):
    return MemoryEvaluator().calibrate(
        targets, lookups, {}, "f1", "match_nearest", ["fpr", "recall"], **options
    )


def test_wrong_answers_are_the_trials():
    targets, lookups = lines(1000, wrong=400)
    results = calibrate(targets, lookups, target_far=0.05)
    promise = results.false_accepts
    assert (promise.kind, promise.trials, promise.unit) == ("wrong", 400, "query")
    cutpoint = results.cutpoints["target_far"]
    assert cutpoint["fpr"] == promise.rate == promise.accepted / 400 < 0.05
    assert cutpoint["name"] == "target_far" and cutpoint["recall"] == 0
    # As far as possible: up to the first trial that must not be accepted.
    assert cutpoint["distance"] == pytest.approx((promise.accepted + 1) / 1000)
    assert cutpoint["distance"] < (promise.accepted + 1) / 1000 + 1e-9
    without = calibrate(targets, lookups)
    assert without.cutpoints == {"optimal": results.cutpoints["optimal"]}
    np.testing.assert_array_equal(
        without.thresholds["value"], results.thresholds["value"]
    )


def test_answers_without_a_label_are_never_accepted_trials():
    targets, lookups = lines(300, wrong=100)
    none = [[Lookup(1, 0.0)] for _ in range(200)]
    promise = calibrate([*targets, *[1] * 200], [*lookups, *none], target_far=0.05)
    assert promise.false_accepts.trials == 300
    alone = calibrate(targets, lookups, target_far=0.05).false_accepts
    assert promise.false_accepts.accepted > alone.accepted


def test_no_answer_is_a_trial_whatever_its_distance_and_its_query():
    class NoAnswer(ClassificationMatch):
        def derive_match(self, lookup_labels, lookup_distances):
            return np.full((len(lookup_labels), 1), NO_LABEL), lookup_distances[:, :1]

    lookups = [[Lookup(1, 0.01 * i, 5)] for i in range(100)]
    results = MemoryEvaluator().calibrate(
        [NO_LABEL, *[1] * 99], lookups, {}, "fpr", NoAnswer("none"), target_far=0.05
    )
    promise = results.false_accepts
    assert (promise.trials, promise.accepted) == (100, 0)
    assert results.cutpoints["target_far"]["distance"] == np.finfo("float32").max
    assert results.cutpoints["target_far"]["fpr"] == 0.0


def test_impostors_are_trials_of_every_query():
    targets, lookups = lines(300, wrong=0)
    impostors = [[Lookup(1, 10 + i, 5)] for i in range(300)]
    results = calibrate(targets, lookups, target_far=0.05, impostors=impostors)
    promise = results.false_accepts
    assert (promise.kind, promise.trials) == ("every", 300)
    assert results.cutpoints["target_far"]["distance"] == pytest.approx(
        10 + promise.accepted
    )
    assert results.cutpoints["target_far"]["recall"] == 1.0


def test_too_few_wrong_answers_accept_nothing():
    targets, lookups = lines(1000, wrong=20)
    results = calibrate(targets, lookups, target_far=0.05)
    assert results.cutpoints["target_far"]["distance"] == -np.inf
    assert results.cutpoints["target_far"]["fpr"] == 0.0
    assert results.false_accepts.more_trials == 59 - 20  # 0.95 ** 59 <= 0.05


def test_classes_are_counted_by_the_label_of_the_query():
    targets, lookups = lines(1000, wrong=0)
    targets = [10 + i // 10 for i in range(1000)]
    promise = calibrate(targets, lookups, target_far=0.2, unit="class").false_accepts
    assert (promise.trials, promise.unit) == (100, "class")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"target_far": 2}, "`target_far`"),
        ({"target_far": 0.1, "confidence": 0}, "`confidence`"),
        ({"target_far": 0.1, "unit": "row"}, "`unit`"),
        ({"target_far": 0.1, "impostors": [[]]}, "`target_labels`.* 1 of them"),
        (
            {"target_far": 0.1, "impostors": [[Lookup(1, 0.5, 5)], [Lookup(1, 0.5, 1)]]},
            "`impostors` must .* first of query 1",
        ),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        calibrate(*lines(2, wrong=0), **options)


def test_a_target_cannot_have_the_name_of_the_rate():
    targets, lookups = lines(10, wrong=5)
    with pytest.raises(ValueError, match="'target_far': that is the cutpoint of a false"):
        MemoryEvaluator().calibrate(
            targets, lookups, {"target_far": 0.5}, "f1", "match_nearest"
        )


# Thresholds of classes.


def uneven(random, queries, classes=20, k=1):
    """Classes whose right and wrong answers lie at distances of their own."""
    places = np.random.default_rng(0).random(classes)  # The same in every draw.
    answers = random.integers(0, classes, queries)
    is_right = random.random(queries) < 0.7
    distances = places[answers] + np.where(is_right, 0.0, 0.3)
    distances += random.normal(scale=0.07, size=queries)
    targets = np.where(is_right, answers, classes)
    lookups = [
        [Lookup(1, float(d), int(a))] for d, a in zip(distances, answers, strict=True)
    ]
    return targets, lookups


def held_out_f1(results, targets, lookups):
    threshold = results.cutpoints["optimal"]["distance"]
    tp = fp = fn = 0
    for target, (lookup,) in zip(targets, lookups, strict=True):
        limit = threshold + results.class_offsets.get(lookup.label, 0.0)
        is_right, is_near = lookup.label == target, lookup.distance <= limit
        tp, fp, fn = (
            tp + (is_right and is_near),
            fp + (not is_right and is_near),
            fn + (is_right and not is_near),
        )
    return 2 * tp / (2 * tp + fp + fn)


@pytest.mark.parametrize("queries, gain", [(2000, 0.1), (100, 0.03)])
def test_thresholds_of_classes_judge_other_queries_better(queries, gain):
    random = np.random.default_rng(1)
    seen, unseen = uneven(random, queries), uneven(random, 3000)
    one, many = calibrate(*seen), calibrate(*seen, per_class=True)
    assert held_out_f1(many, *unseen) > held_out_f1(one, *unseen) + gain
    assert set(many.class_offsets) == {row[0].label for row in seen[1]}


def test_classes_that_are_alike_keep_one_threshold():
    random = np.random.default_rng(2)
    ratios = []
    for _ in range(20):
        answers = random.integers(0, 20, 200)
        costs = random.normal(size=200)
        lookups = [
            [Lookup(1, float(c), int(a))] for c, a in zip(costs, answers, strict=True)
        ]
        offsets = calibrate(answers, lookups, per_class=True).class_offsets
        means = [costs[answers == label].mean() for label in offsets]
        ratios.append(np.std(list(offsets.values())) / np.std(means))
    assert np.mean(ratios) < 0.1  # Without shrinking they would be 0.5.


def test_the_rate_of_false_accepts_knows_no_classes():
    targets, lookups = uneven(np.random.default_rng(3), 1000)
    one = calibrate(targets, lookups, target_far=0.1)
    many = calibrate(targets, lookups, target_far=0.1, per_class=True)
    assert many.class_offsets and not one.class_offsets
    assert many.cutpoints["target_far"] == one.cutpoints["target_far"]
    assert many.cutpoints["optimal"] != one.cutpoints["optimal"]


def test_nobody_labelled_has_no_offset():
    lookups = [[Lookup(1, 0.5)], [Lookup(1, 0.6, NO_LABEL)]]
    assert calibrate([1, 2], lookups, per_class=True).class_offsets == {}
