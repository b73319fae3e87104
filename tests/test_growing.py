"""Tests of the array that grows."""

import numpy as np
import pytest

from keras_similarity.growing import GrowingArray

pytestmark = pytest.mark.keras_free


def test_rows_are_what_was_appended():
    array = GrowingArray("float32", 2)
    batches = [np.full((n, 2), n) for n in (1, 5, 1, 30, 2)]
    for batch in batches:
        array.extend(batch)
    np.testing.assert_array_equal(array.rows, np.concatenate(batches))
    assert len(array) == 39


def test_a_view_never_changes():
    array = GrowingArray("int64")
    array.extend([1, 2])
    before = array.rows
    for number in range(3, 40):
        array.extend([number])
    assert before.tolist() == [1, 2]
    array.truncate(1)
    array.extend([9])
    assert before.tolist() == [1, 2]
    assert array.rows.tolist() == [1, 9]
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 5


def test_appending_one_by_one_copies_seldom():
    array = GrowingArray("int64")
    buffers = set()
    for number in range(10_000):
        array.extend([number])
        buffers.add(array.rows.__array_interface__["data"][0])
    assert len(buffers) < 40
