import numpy as np
import pytest

from keras_similarity.callbacks.vital_signs import company, effective_rank, geometry

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 5))
Y = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4])


def mean_square_of_pairs(x):
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    return np.mean([((x[i] - x[j]) ** 2).sum() for i, j in pairs])


def geometry_by_loops(x, y):
    given = x
    x = [row / np.linalg.norm(row) for row in x]
    rows = range(len(x))
    square = {(i, j): ((x[i] - x[j]) ** 2).sum() for i in rows for j in rows if i != j}
    nearest = {i: min((square[i, j], j) for j in rows if j != i)[1] for i in rows}
    has_positive = [i for i in rows if (y == y[i]).sum() > 1]
    return {
        "mean_distance": np.mean(list(square.values())),
        "spread": mean_square_of_pairs(given) / np.mean([v @ v for v in given]),
        "uniformity": np.log(np.mean([np.exp(-2 * d) for d in square.values()])),
        "alignment": np.mean([d for (i, j), d in square.items() if y[i] == y[j]]),
        "nearest_right": np.mean([y[nearest[i]] == y[i] for i in has_positive]),
    }


def test_geometry_is_its_formulas():
    signs = geometry(3 * X, Y)
    for name, expected in geometry_by_loops(3 * X, Y).items():
        assert signs[name] == pytest.approx(expected), name
    without = geometry(X, None)
    assert set(without) == {"effective_rank", "mean_distance", "uniformity", "spread"}


def test_effective_rank_counts_directions():
    axes = np.concatenate([np.eye(4), -np.eye(4)])
    assert effective_rank(axes) == pytest.approx(4.0)
    assert effective_rank(axes[:, :1]) == pytest.approx(1.0)
    assert effective_rank(np.ones((5, 3))) == 0.0
    # Two directions, one three times as wide: the entropy of 1/4 and 3/4.
    uneven = axes[:, :2] * [1.0, 3.0]
    expected = np.exp(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert effective_rank(uneven) == pytest.approx(expected)


def test_zero_rows_and_single_classes_give_numbers():
    signs = geometry(np.zeros((4, 3)), np.arange(4))
    assert signs == {
        "effective_rank": 0.0,
        "mean_distance": 2.0,
        "uniformity": -4.0,
        "spread": 0.0,
    }


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (Y, {"positives_per_row": 22 / 12, "has_positive": 11 / 12, "has_negative": 1.0}),
        ([7] * 3, {"positives_per_row": 2.0, "has_positive": 1.0, "has_negative": 0.0}),
        (
            [2**53, 2**53 + 1],
            {"positives_per_row": 0.0, "has_positive": 0.0, "has_negative": 1.0},
        ),
    ],
)
def test_company_is_counted(labels, expected):
    assert company(np.array(labels)) == pytest.approx(expected)
