import math

import numpy as np
import pytest

from keras_similarity.matchers import MatchWeightedVote
from keras_similarity.types import NO_LABEL

pytestmark = pytest.mark.keras_free

INF, NAN = float("inf"), float("nan")


def vote_by_loops(labels, distances, temperature):
    found = [
        (label, d)
        for label, d in zip(labels, distances, strict=True)
        if d < INF  # Not NaN.
    ]
    if not found:
        return NO_LABEL, NAN
    nearest, farthest = min(d for _, d in found), max(d for _, d in found)
    votes, sums = {}, {}
    for label, d in found:
        if label == NO_LABEL:
            continue
        if temperature is not None:
            weight = math.exp(-(d - nearest) / temperature)
        elif farthest == nearest:
            weight = 1.0
        else:
            weight = (farthest - d) / (farthest - nearest)
        votes[label] = votes.get(label, 0.0) + weight
        sums[label] = sums.get(label, 0.0) + weight * d
    heaviest = max(votes.values(), default=0.0)
    if heaviest == 0.0:
        return NO_LABEL, NAN
    winner = next(label for label, vote in votes.items() if vote == heaviest)
    return winner, sums[winner] / votes[winner]


@pytest.mark.parametrize("temperature", [None, 0.05, 1.0])
def test_votes_are_those_of_a_loop(temperature):
    random = np.random.default_rng(0)
    labels = random.choice([3, 4, 5, NO_LABEL], size=(300, 6), p=[0.3, 0.3, 0.3, 0.1])
    distances = np.sort(random.random((300, 6)) - 0.5, axis=1).astype("float32")
    short = random.integers(0, 7, 300)[:, None] <= np.arange(6)
    distances, labels = np.where(short, INF, distances), np.where(short, NO_LABEL, labels)
    found, derived = MatchWeightedVote(temperature).derive_match(labels, distances)
    expected = [
        vote_by_loops(row, column, temperature)
        for row, column in zip(labels.tolist(), distances.tolist(), strict=True)
    ]
    assert found[:, 0].tolist() == [label for label, _ in expected]
    np.testing.assert_allclose(derived[:, 0], [d for _, d in expected], rtol=1e-5)
    assert len({label for label, _ in expected}) == 4


def test_it_is_neither_the_nearest_nor_the_majority():
    labels = [[1, 2, 2, 3, 3, 3]]
    distances = [[0.1, 0.2, 0.2, 0.9, 0.9, 1.0]]
    assert MatchWeightedVote().derive_match(labels, distances)[0].tolist() == [[2]]


def test_temperature_changes_the_answer_and_cannot_underflow():
    labels, distances = [[1, 2, 2]], [[1.0, 1.5, 1.5]]
    cold, hot = MatchWeightedVote(1e-4), MatchWeightedVote(10.0)
    assert cold.derive_match(labels, distances)[0].tolist() == [[1]]
    assert hot.derive_match(labels, distances)[0].tolist() == [[2]]
    assert hot.derive_match(labels, distances)[1].tolist() == [[1.5]]


def test_costs_of_similarities_may_be_negative():
    labels, distances = [[1, 2, 2]], [[-5.0, -4.5, -1.0]]
    found, derived = MatchWeightedVote().derive_match(labels, distances)
    assert (found.tolist(), derived.tolist()) == ([[1]], [[-5.0]])


def test_equally_far_neighbours_vote_alike():
    found, derived = MatchWeightedVote().derive_match([[1, 2, 2]], [[0.5] * 3])
    assert (found.tolist(), derived.tolist()) == ([[2]], [[0.5]])


@pytest.mark.parametrize("columns", [0, 2])
def test_rows_without_neighbours(columns):
    labels, distances = np.full((2, columns), NO_LABEL), np.full((2, columns), NAN)
    found, derived = MatchWeightedVote().derive_match(labels, distances)
    assert found.tolist() == [[NO_LABEL]] * 2 and np.isnan(derived).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, INF, NAN])
def test_wrong_temperature(temperature):
    with pytest.raises(ValueError, match="`temperature` must be positive or None"):
        MatchWeightedVote(temperature)
