from dataclasses import astuple

import numpy as np
import pytest

from keras_similarity.cli.errors import CommandError
from keras_similarity.cli.split import split_unseen

pytestmark = pytest.mark.keras_free

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(np.repeat(np.arange(100, 120), RANDOM.integers(8, 60, 20)))


def classes(rows):
    return set(LABELS[rows].tolist())


def test_no_row_serves_two_purposes_and_all_are_used():
    rows = np.concatenate(astuple(split_unseen(LABELS, seed=0)))
    assert sorted(rows.tolist()) == list(range(len(LABELS)))


def test_known_classes_are_in_each_part_and_strangers_in_one():
    split = split_unseen(LABELS, seed=0)
    known = classes(split.index)
    assert known == classes(split.calibration) == classes(split.evaluation)
    assert len(known) == 16
    strangers = [
        classes(split.calibration_strangers),
        classes(split.evaluation_strangers),
    ]
    assert [len(part) for part in strangers] == [2, 2]
    assert not known & set.union(*strangers)
    assert not strangers[0] & strangers[1]


def test_half_of_each_class_is_indexed_and_a_quarter_judges():
    split = split_unseen(LABELS, seed=0)
    for label in classes(split.index):
        total = LABELS.tolist().count(label)
        assert LABELS[split.evaluation].tolist().count(label) == total // 4
        assert LABELS[split.index].tolist().count(label) == total - 2 * (total // 4)


def test_the_seed_decides():
    first, again, other = (split_unseen(LABELS, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.index, again.index)
    assert not np.array_equal(first.index, other.index)


def test_few_classes_have_no_strangers_and_large_ones_are_cut():
    split = split_unseen(np.repeat([3, 5], [1000, 9]), seed=0, max_per_class=100)
    assert len(split.index) == 50 + 5
    assert len(split.evaluation) == 25 + 2
    assert len(split.calibration_strangers) == len(split.evaluation_strangers) == 0


def test_too_few_pictures_are_told():
    with pytest.raises(CommandError, match="at least one class must have 3"):
        split_unseen(np.array([1, 1, 2, 2]), seed=0)
