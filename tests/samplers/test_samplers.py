import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_similarity.backend import framework, keras, ops
from keras_similarity.samplers import MultiShotMemorySampler, SingleShotMemorySampler

Y = np.arange(60) % 6
X = np.arange(60, dtype="float32")[:, None] * [1.0, 100.0]
ARGUMENTS = {"classes_per_batch": 3, "steps_per_epoch": 4, "seed": 1}


def assert_same_batches(actual, expected):
    for (x, y), (expected_x, expected_y) in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


def test_a_batch_holds_rows_of_x_with_their_labels():
    sampler = MultiShotMemorySampler(X, Y, examples_per_class_per_batch=4, **ARGUMENTS)
    for x, y in sampler:
        assert x.shape == (12, 2)
        rows = x[:, 0].astype(int)
        np.testing.assert_array_equal(x, X[rows])
        np.testing.assert_array_equal(y, Y[rows])
        np.testing.assert_array_equal(np.unique(y, return_counts=True)[1], [4, 4, 4])


def test_a_loop_is_one_epoch_and_the_next_loop_the_next():
    sampler = MultiShotMemorySampler(X, Y, **ARGUMENTS)
    epochs = [list(sampler), list(sampler)]
    assert len(sampler) == len(epochs[0]) == 4
    for epoch, batches in enumerate(epochs):
        assert_same_batches(batches, [sampler.batch(epoch, step) for step in range(4)])
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
    assert sampler.epoch == 2


def test_the_seed_decides_or_the_state_of_numpy():
    first, again, other = (
        list(MultiShotMemorySampler(X, Y, **{**ARGUMENTS, "seed": seed}))
        for seed in (1, 1, 2)
    )
    assert_same_batches(first, again)
    assert not np.array_equal(first[0][0], other[0][0])
    seeds = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        seeds.append(MultiShotMemorySampler(X, Y).seed)
    assert seeds[0] == seeds[1] != MultiShotMemorySampler(X, Y).seed


class Recorder(keras.layers.Layer):
    """Passes its input on and keeps what came."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.seen = []

    def call(self, x, training=False):
        if training:
            self.seen.append(ops.convert_to_numpy(x))
        return self.dense(x)


def trained_batches(sampler, epochs, fits=1, **arguments):
    """What `fit` trains a model on, batch by batch."""
    recorder = Recorder()
    model = keras.Sequential([recorder])
    model.compile("sgd", loss=lambda y, z: 0.0 * ops.sum(z), run_eagerly=True)
    model.build((None, 2))
    recorder.seen.clear()
    for _ in range(fits):
        model.fit(sampler, epochs=epochs, verbose=0, **arguments)
    return recorder.seen


def in_order(epochs, **arguments):
    """The examples of the batches, as a loop over the sampler has them."""
    plain = MultiShotMemorySampler(X, Y, **arguments)
    return [x for _ in range(epochs) for x, _ in plain]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 4, 12])
def test_fit_trains_on_the_epochs_from_the_first(steps, shuffle):
    arguments = {**ARGUMENTS, "steps_per_epoch": steps}
    sampler = MultiShotMemorySampler(X, Y, **arguments)
    trained = trained_batches(sampler, epochs=3, shuffle=shuffle)
    np.testing.assert_array_equal(trained[-3 * steps :], in_order(3, **arguments))
    assert sampler.epoch == 3


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_second_fit_goes_on(steps):
    arguments = {**ARGUMENTS, "steps_per_epoch": steps}
    sampler = MultiShotMemorySampler(X, Y, **arguments)
    trained = trained_batches(sampler, epochs=2, fits=2)
    np.testing.assert_array_equal(trained[-4 * steps :], in_order(4, **arguments))


def test_no_class_comes_again_in_a_fit_before_all_have():
    sampler = MultiShotMemorySampler(X, Y, **{**ARGUMENTS, "steps_per_epoch": 10})
    trained = trained_batches(sampler, epochs=2)[-20:]
    classes = [Y[x[:, 0].astype(int)] for x in trained]
    for first, second in zip(classes[::2], classes[1::2], strict=True):
        assert set(first) | set(second) == set(Y)  # 3 of the 6 classes each.


def test_fewer_steps_than_the_epoch_has_go_on_with_the_rest():
    arguments = {**ARGUMENTS, "steps_per_epoch": 6}
    sampler = MultiShotMemorySampler(X, Y, **arguments)
    trained = trained_batches(sampler, epochs=6, steps_per_epoch=2)[-12:]
    np.testing.assert_array_equal(trained, in_order(2, **arguments))


def test_keras_threads_train_on_every_batch_once():
    arguments = {**ARGUMENTS, "steps_per_epoch": 30}
    sampler = MultiShotMemorySampler(X, Y, **arguments)
    sampler.workers = 2
    trained = trained_batches(sampler, epochs=2)[-60:]
    # Some lie in Keras' queue when the last epoch ends.
    drawn = [sampler.batch(*divmod(place, 30))[0].tobytes() for place in range(90)]
    places = [drawn.index(x.astype("float64").tobytes()) for x in trained]
    assert len(set(places)) == 60
    assert np.abs(np.array(places) - np.arange(60)).max() < 5


def test_processes_are_refused():
    sampler = MultiShotMemorySampler(X, Y, **ARGUMENTS)
    sampler.use_multiprocessing = True
    with pytest.raises(ValueError, match="`use_multiprocessing` must be False"):
        sampler.on_epoch_begin()


def test_threads_get_every_batch_once():
    sampler = MultiShotMemorySampler(X, Y, **{**ARGUMENTS, "steps_per_epoch": 200})
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(sampler.__getitem__, range(200)))
    expected = [sampler.batch(0, step) for step in range(200)]
    assert {x.tobytes() for x, _ in batches} == {x.tobytes() for x, _ in expected}


def test_what_is_looked_at_beforehand_is_trained_on_too():
    sampler = MultiShotMemorySampler(X, Y, **ARGUMENTS)
    np.testing.assert_array_equal(sampler[3][0], sampler.batch(0, 0)[0])
    trained = trained_batches(sampler, epochs=1)
    np.testing.assert_array_equal(trained[-4:], in_order(1, **ARGUMENTS))


def test_it_travels_to_other_processes():
    sampler = MultiShotMemorySampler(X, Y, **ARGUMENTS)
    list(sampler)
    assert_same_batches(list(pickle.loads(pickle.dumps(sampler))), list(sampler))


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [([1, 2**31 - 1], "int32"), ([1, 2**31], "int64"), ([-(2**31) - 1, 1], "int64")],
)
def test_labels_are_as_narrow_as_their_values_allow(labels, dtype):
    y = np.repeat(labels, 5)
    sampler = MultiShotMemorySampler(np.zeros(10), y)
    _, batch = sampler[0]
    is_numbered = dtype == "int64" and framework() == "jax"
    assert batch.dtype == ("int32" if is_numbered else dtype)
    assert set(batch.tolist()) == ({0, 1} if is_numbered else set(labels))
    assert set(sampler.get_slice()[1].tolist()) == set(labels)


@pytest.mark.skipif(framework() != "jax", reason="JAX alone has no int64")
def test_labels_of_an_augmenter_that_would_collide_are_refused():
    def far_apart(x, y, num, is_warmup):
        return as_list(x, y, num, is_warmup), y.astype("int64") * 2**32

    sampler = SingleShotMemorySampler(X, far_apart, 8)
    with pytest.raises(ValueError, match="`y of a batch` must fit into int32"):
        sampler[0]


def test_classes_and_examples_can_be_limited():
    sampler = MultiShotMemorySampler(
        X,
        Y,
        class_list=[1, 4],
        total_examples_per_class=3,
        **{**ARGUMENTS, "classes_per_batch": 2},
    )
    assert sampler.num_examples == 6
    rows = np.concatenate([x[:, 0] for _ in range(9) for x, _ in sampler]).astype(int)
    assert set(Y[rows]) == {1, 4}
    assert len(set(rows)) == 6


@pytest.mark.parametrize("workers", [1, 3])
def test_examples_can_be_loaded_when_they_are_read(workers):
    threads = set()

    def load(path):
        threads.add(threading.get_ident())
        time.sleep(0.01)
        return np.full((2, 3), float(path[:-4]))

    paths = [f"{value}.png" for value in range(60)]
    sampler = MultiShotMemorySampler(paths, Y, load, workers=workers, **ARGUMENTS)
    x, y = sampler[2]
    assert x.shape == (6, 2, 3)
    np.testing.assert_array_equal(Y[x[:, 0, 0].astype(int)], y)
    assert len(threads) == workers
    assert sampler.example_shape == (2, 3)


@pytest.mark.parametrize(("warmup", "expected"), [(-1, [0, 0, 0]), (2, [1, 1, 0])])
def test_the_augmenter_is_told_of_the_warm_up(warmup, expected):
    told = []

    def augment(x, y, num_augmentations_per_example, is_warmup):
        assert num_augmentations_per_example == 1
        told.append(is_warmup)
        return ops.convert_to_tensor(x) + 0.5, y

    sampler = MultiShotMemorySampler(
        X, Y, augmenter=augment, warmup=warmup, **{**ARGUMENTS, "steps_per_epoch": 1}
    )
    for _ in range(3):
        ((x, _),) = sampler
    assert told == expected
    assert isinstance(x, np.ndarray)
    assert (x[:, 0] % 1 == 0.5).all()


def test_get_slice_goes_to_the_end():
    sampler = MultiShotMemorySampler(X, Y, **ARGUMENTS)
    x, y = sampler.get_slice()
    assert sorted(x[:, 0]) == sorted(X[:, 0])
    np.testing.assert_array_equal(y, Y[x[:, 0].astype(int)])
    np.testing.assert_array_equal(sampler.get_slice(50)[0], x[50:])
    np.testing.assert_array_equal(sampler.get_slice(10, 5)[0], x[10:15])
    assert (sampler.num_examples, sampler.example_shape) == (60, (2,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y[1:]}, "`y` must hold one label a row, 60"),
        ({"classes_per_batch": 7}, "`classes_per_batch` must not exceed"),
        ({"examples_per_class_per_batch": 0}, "`examples_per_class_per_batch` must be"),
        ({"total_examples_per_class": 0}, "`total_examples_per_class` must be"),
        ({"class_list": [1, 17]}, r"`class_list` must have an example.* \[17\]"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be"),
        ({"workers": 0}, "`workers` must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiShotMemorySampler(**{"x": X, "y": Y, **arguments})


def test_a_step_outside_the_epoch_is_refused():
    sampler = MultiShotMemorySampler(X, Y, **ARGUMENTS)
    for step in (4, -1):
        with pytest.raises(IndexError, match=f"from 0 to 3.*Received: {step}"):
            sampler[step]


def as_list(x, y, num, is_warmup):
    return [x + 0.1 * (view + 1) for view in range(num)]


def as_array(x, y, num, is_warmup):
    return np.concatenate(as_list(x, y, num, is_warmup))


def as_pair(x, y, num, is_warmup):
    return as_array(x, y, num, is_warmup), np.tile(y, num)


def as_pair_with_list(x, y, num, is_warmup):
    return as_list(x, y, num, is_warmup), y


@pytest.mark.parametrize("augment", [as_list, as_array, as_pair, as_pair_with_list])
@pytest.mark.parametrize("views", [1, 2, 3])
def test_views_of_an_example_have_its_position_as_label(augment, views):
    sampler = SingleShotMemorySampler(X, augment, 20, views, steps_per_epoch=3, seed=0)
    seen = []
    for x, y in sampler:
        assert x.shape == (20 * views, 2)
        np.testing.assert_array_equal(np.floor(x[:, 0]).astype(int), y)
        assert set(np.unique(y, return_counts=True)[1]) == {views}
        added = 0.1 * np.repeat(np.arange(1, views + 1), 20)
        np.testing.assert_allclose(x[:, 0] % 1, added, atol=1e-5)
        seen.extend(set(y))
    assert sorted(seen) == list(range(60)), "every example once"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"augmenter": None}, TypeError, "`augmenter` must be a function"),
        ({"examples_per_batch": 61}, ValueError, "number of examples, 60"),
        ({"num_augmentations_per_example": 0}, ValueError, "must be at least 1"),
    ],
)
def test_wrong_arguments_of_single_shot_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        SingleShotMemorySampler(
            **{"x": X, "augmenter": as_list, "examples_per_batch": 8, **arguments}
        )


def test_a_wrong_number_of_views_is_refused():
    sampler = SingleShotMemorySampler(X, lambda x, y, num, is_warmup: [x], 8)
    with pytest.raises(ValueError, match="must return 2 views of each of 8 examples"):
        sampler[0]


def test_single_shot_has_slices_too():
    sampler = SingleShotMemorySampler(X, as_list, 8)
    np.testing.assert_array_equal(sampler.get_slice()[0], X)
    np.testing.assert_array_equal(sampler.get_slice(7, 2)[1], [7, 8])
    assert (sampler.num_examples, sampler.example_shape) == (60, (2,))
