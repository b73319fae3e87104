import numpy as np
import pytest

from keras_similarity.samplers import select_examples

Y = np.random.default_rng(0).permutation(np.repeat([3, 5, 9], [20, 8, 2])).astype("int16")
X = np.arange(30.0).reshape(30, 1)


@pytest.mark.parametrize("class_list", [None, [5], [9, 3]])
@pytest.mark.parametrize("number", [None, 1, 5, 100])
def test_at_most_so_many_of_each_class_without_repetition(class_list, number):
    x, y = select_examples(X, Y, class_list, number, seed=0)
    rows = x[:, 0].astype(int)
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(y, Y[rows])
    for label in (3, 5, 9):
        is_wanted = class_list is None or label in class_list
        available = np.count_nonzero(label == Y) * is_wanted
        assert (y == label).sum() == min(available, number or available)
    assert (x.dtype, y.dtype) == (X.dtype, Y.dtype)


def test_the_order_is_random_and_the_seed_decides():
    selections = [select_examples(X, Y, None, 3, seed=s)[0].ravel() for s in (0, 0, 1)]
    np.testing.assert_array_equal(selections[0], selections[1])
    assert set(selections[0]) != set(selections[2])
    all_rows = select_examples(X, Y, seed=0)[0].ravel()
    assert (np.diff(all_rows) < 0).any()


def test_which_examples_are_taken_is_random():
    taken = [set(select_examples(X, Y, [3], 1, seed=s)[0].ravel()) for s in range(60)]
    assert len(set.union(*taken)) > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_list": [3, 4]}, r"without: \[4\]"),
        ({"num_examples_per_class": 0}, "`num_examples_per_class` must be at least 1"),
        ({"y": Y[:-1]}, "`y` must hold one label a row, 30"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        select_examples(**{"x": X, "y": Y, **arguments})
