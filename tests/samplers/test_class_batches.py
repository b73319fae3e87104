import logging
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_similarity.samplers import ClassBatches
from keras_similarity.samplers.random_order import make_keys, random_order

GOLDEN_ROWS = [8, 16, 22, 30, 1, 9]


@st.composite
def settings_of_batches(draw):
    """Sizes of classes, classes of a batch and examples of a class, small ones mostly."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=14))
    classes_per_batch = draw(st.integers(1, len(sizes)))
    examples_per_class = draw(st.integers(1, 6))
    seed = draw(st.integers(-(2**63), 2**63))
    return sizes, classes_per_batch, examples_per_class, seed


def shuffled_labels(sizes):
    # Labels far apart, and rows of a class far apart.
    labels = np.repeat(np.arange(len(sizes)) * 1000 - 500, sizes)
    return np.random.default_rng(0).permutation(labels)


def drawn(batches, number):
    """The first `number` batches, each `[classes, examples]`."""
    shape = (batches.classes_per_batch, batches.examples_per_class)
    steps = batches.steps_per_epoch
    return [batches.rows(i // steps, i % steps).reshape(shape) for i in range(number)]


def in_passes(things, size):
    """Cuts a sequence into whole passes over `size` things."""
    whole = len(things) // size * size
    return np.asarray(things[:whole]).reshape(-1, size)


@given(settings_of_batches())
@settings(deadline=None, max_examples=150)
def test_each_batch_has_as_many_classes_and_examples_as_stated(case):
    sizes, classes_per_batch, examples_per_class, seed = case
    labels = shuffled_labels(sizes)
    batches = ClassBatches(labels, classes_per_batch, examples_per_class, 7, seed)
    for rows in drawn(batches, 20):
        in_batch = labels[rows]
        assert (in_batch == in_batch[:, :1]).all(), "not grouped by class"
        assert len(set(in_batch[:, 0])) == classes_per_batch
        for group in rows:
            size = (labels == labels[group[0]]).sum()
            if size >= examples_per_class:
                assert len(set(group)) == examples_per_class
            else:
                # No more of one than the passes that a batch can touch.
                assert max(Counter(group).values()) <= 2 + examples_per_class // size


@given(settings_of_batches())
@settings(deadline=None, max_examples=150)
def test_no_class_and_no_example_comes_again_before_all_have(case):
    sizes, classes_per_batch, examples_per_class, seed = case
    labels = shuffled_labels(sizes)
    batches = ClassBatches(labels, classes_per_batch, examples_per_class, 7, seed)
    rows = drawn(batches, 40)
    classes = np.concatenate([labels[batch][:, 0] for batch in rows])
    for one_pass in in_passes(classes, len(sizes)):
        assert set(one_pass) == set(labels)
    for label in set(labels):
        own = np.concatenate([batch[labels[batch] == label] for batch in rows])
        members = set(np.flatnonzero(labels == label))
        for one_pass in in_passes(own, len(members)):
            assert set(one_pass) == members


def test_orders_change_from_pass_to_pass_and_seed_to_seed():
    labels = np.arange(12)

    def orders(seed):
        rows = drawn(ClassBatches(labels, 5, 1, 100, seed), 120)
        return [tuple(one_pass) for one_pass in in_passes(np.ravel(rows), 12)]

    assert len(set(orders(0))) == 50
    assert not set(orders(0)) & set(orders(1))
    assert orders(0) == orders(0)


def test_an_epoch_goes_on_where_the_last_ended():
    labels = np.arange(60) % 10
    whole = ClassBatches(labels, 3, 2, steps_per_epoch=12, seed=5)
    short = ClassBatches(labels, 3, 2, steps_per_epoch=4, seed=5)
    for i in range(12):
        np.testing.assert_array_equal(whole.rows(0, i), short.rows(i // 4, i % 4))


def test_all_pairs_of_classes_meet():
    met = Counter()
    for rows in drawn(ClassBatches(np.arange(10), 4, 1, 1000, 3), 1000):
        classes = np.sort(rows[:, 0])
        met.update((a, b) for i, a in enumerate(classes) for b in classes[i + 1 :])
    # 6 of 45 pairs a batch, were they equally frequent.
    assert len(met) == 45
    assert min(met.values()) > 0.8 * 1000 * 6 / 45
    assert max(met.values()) < 1.2 * 1000 * 6 / 45


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 97, 1000])
def test_a_random_order_has_everything_once_and_nowhere_more_often(size):
    keys = make_keys(np.arange(300))[:, None]
    places = np.tile(np.arange(size), (300, 1))
    orders = random_order(places, np.array([size]), keys)
    np.testing.assert_array_equal(np.sort(orders, axis=1), places)
    # Each thing stands at the first place in a `1 / size` of the orders.
    counts = np.bincount(orders[:, 0], minlength=size)
    expected = 300 / size
    assert counts.max() < expected + 5 * np.sqrt(expected) + 1
    if size == 3:
        assert len({tuple(order) for order in orders}) == 6


def test_the_batches_are_the_same_on_every_machine():
    batches = ClassBatches(np.arange(40) % 8, 3, 2, 10, seed=1)
    # Written down when the orders were chosen.
    np.testing.assert_array_equal(batches.rows(3, 4), GOLDEN_ROWS)


def test_small_classes_are_counted_once(caplog):
    with caplog.at_level(logging.WARNING):
        batches = ClassBatches([0, 0, 0, 1, 2, 2], 2, 3)
        drawn(batches, 5)
    assert batches.num_small_classes == 2
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 3 classes have fewer than 3 examples, and repeat some."
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes_per_batch": 4}, "number of classes, 3. Received: classes_per_batch=4"),
        ({"classes_per_batch": 0}, "`classes_per_batch` must be at least 1"),
        ({"examples_per_class": 0}, "`examples_per_class` must be at least 1"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClassBatches([0, 1, 2], **arguments)
