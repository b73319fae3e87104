import numpy as np
import pytest

from keras_similarity.evaluators.class_offsets import class_offsets, shrunken_deviations
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free


def deviations_by_loops(classes, values, num_classes):
    groups = [
        [v for v, c in zip(values, classes, strict=True) if c == k]
        for k in range(num_classes)
    ]
    seen = [group for group in groups if group]
    total, count = len(values), len(seen)
    means = [sum(group) / len(group) for group in seen]
    within = sum(
        (value - mean) ** 2
        for group, mean in zip(seen, means, strict=True)
        for value in group
    ) / (total - count)
    overall = sum(values) / total
    squares = sum(
        len(group) * (mean - overall) ** 2
        for group, mean in zip(seen, means, strict=True)
    )
    scale = total - sum(len(group) ** 2 for group in seen) / total
    between = max((squares - (count - 1) * within) / scale, 0.0)
    weights = [1 / (between + within / len(group)) for group in seen]
    center = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    return [
        between / (between + within / len(group)) * (sum(group) / len(group) - center)
        if group
        else 0.0
        for group in groups
    ]


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_deviations_are_those_of_a_loop(spread, seed):
    random = np.random.default_rng(seed)
    classes = random.integers(0, 12, 80)
    classes = np.where(classes == 5, 6, classes)  # A class without values.
    values = random.normal(size=80) + spread * random.normal(size=12)[classes]
    expected = deviations_by_loops(classes.tolist(), values.tolist(), 12)
    actual = shrunken_deviations(classes, values, 12)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)
    assert actual[5] == 0


def test_the_less_is_known_the_nearer_to_all():
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(40), [50] * 20 + [2] * 20)
    values = 1.0 * (classes % 2) + random.normal(size=len(classes))
    shrunken = np.abs(shrunken_deviations(classes, values, 40))
    assert shrunken[:20].mean() > 0.4  # Half of the difference is 0.5.
    assert shrunken[20:].mean() < 0.25


@pytest.mark.parametrize(
    "classes, values",
    [([], []), ([0, 1, 2], [1.0, 2.0, 3.0]), ([1, 1, 1], [1.0, 2.0, 3.0])],
)
def test_nothing_is_known_of_classes(classes, values):
    found = shrunken_deviations(np.array(classes, int), np.array(values), 3)
    assert found.tolist() == [0, 0, 0]


def test_equal_values_are_no_trouble():
    classes, values = np.array([0, 0, 1, 1]), np.array([2.0, 2.0, 2.0, 2.0])
    assert shrunken_deviations(classes, values, 2).tolist() == [0, 0]
    # No variance within: the means themselves.
    values = np.array([2.0, 2.0, 4.0, 4.0])
    assert shrunken_deviations(classes, values, 2).tolist() == [-1, 1]


def test_offsets_are_half_of_what_right_and_wrong_answers_deviate():
    random = np.random.default_rng(0)
    answers = random.integers(3, 6, 90)
    labels = np.where(random.random(90) < 0.5, answers, 9)
    costs = (
        random.random(90) + answers * (labels == answers) - answers * (labels == 9) / 2
    )
    right = labels == answers
    expected = (
        np.array(
            deviations_by_loops((answers - 3)[right].tolist(), costs[right].tolist(), 3)
        )
        + deviations_by_loops((answers - 3)[~right].tolist(), costs[~right].tolist(), 3)
    ) / 2
    offsets = class_offsets(labels, answers, costs)
    assert list(offsets) == [3, 4, 5]
    np.testing.assert_allclose(list(offsets.values()), expected)


def test_answers_that_say_nothing_do_not_count():
    labels = np.array([1, 1, 2, 2, 2, 7])
    answers = np.array([1, 1, 2, 2, NO_LABEL, 2])
    costs = np.array([0.1, 0.2, 0.5, 0.6, 99.0, np.inf])
    offsets = class_offsets(labels, answers, costs)
    assert offsets == class_offsets(labels[:4], answers[:4], costs[:4])
    assert offsets[1] == pytest.approx(-offsets[2]) and offsets[2] > 0.09
