"""Ids that only int64 tells apart, in `fit`: on JAX numbered anew, or refused."""

import keras
import numpy as np
import pytest

from keras_similarity.backend import framework, ops
from keras_similarity.losses import TripletLoss
from keras_similarity.models import SimilarityModel
from keras_similarity.samplers import MultiShotMemorySampler

# In int32 all of these are 7.
IDS = 7 + 2**32 * np.array([0, 1, 2, 3])
Y = np.repeat(IDS, 4)
SMALL = np.repeat(np.arange(4), 4)
X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
on_jax = pytest.mark.skipif(framework() != "jax", reason="the others have int64")


def make_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
    model.compile("sgd", loss=TripletLoss())
    return model


def train(x=X, y=None, model=None, **options):
    options = {"batch_size": 16, "epochs": 2, "verbose": 0, "shuffle": False, **options}
    return (model or make_model()).fit(x, y, **options).history


class Batches(keras.utils.PyDataset):
    """Two batches, and what Keras called."""

    def __init__(self, y):
        super().__init__()
        self.y = y
        self.calls = []

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X, self.y

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def generator(y):
    for _ in range(4):
        yield X, y


def tensorflow_dataset(y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, y)).batch(16)


def torch_loader(y):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    return torch.utils.data.DataLoader(data, batch_size=16)


MAKERS = [Batches, tensorflow_dataset, torch_loader]


@pytest.mark.parametrize(
    "ids", [IDS, -IDS, pytest.param(IDS.astype("uint64"), marks=on_jax)]
)
def test_arrays_of_large_ids_train_as_small_ones_do(ids):
    y = np.repeat(ids, 4)
    expected = train(y=SMALL, validation_data=(X[::2], SMALL[::2]))
    history = train(y=y, validation_data=(X[::2], y[::2]))
    assert expected["loss"][0] > 0
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)


def test_large_ids_are_evaluated_and_trained_batch_by_batch_too():
    expected = make_model().evaluate(X, SMALL, verbose=0)
    assert make_model().evaluate(X, Y, verbose=0) == pytest.approx(expected)
    assert make_model().test_on_batch(X, Y) == pytest.approx(expected)
    assert make_model().train_on_batch(X, Y) == pytest.approx(expected)


def test_large_ids_of_one_output_leave_the_others_alone():
    inputs = keras.Input((3,))
    heads = {"a": keras.layers.Dense(2)(inputs), "b": keras.layers.Dense(1)(inputs)}
    model = SimilarityModel(inputs, heads)
    losses = {"a": TripletLoss(), "b": lambda y, z: ops.mean(y) + 0.0 * ops.mean(z)}
    model.compile("sgd", loss=losses, distance="cosine")
    history = train(y={"a": Y, "b": SMALL + 0.5}, model=model)
    assert history["b_loss"][0] == pytest.approx(2.0)  # The mean of 0 to 3, and 0.5.


def test_a_sampler_of_large_ids_trains_as_one_of_small_ones():
    histories = [
        train(MultiShotMemorySampler(X, y, steps_per_epoch=4, seed=0), batch_size=None)
        for y in (SMALL, Y)
    ]
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=1e-5)


@on_jax
def test_an_id_keeps_its_number():
    model = make_model()
    train(y=Y, model=model)
    first = model._number_labels(Y[4:])
    assert first.dtype == "int32"
    np.testing.assert_array_equal(first, SMALL[4:])
    train(y=Y[::-1] + 2**40, model=model)
    np.testing.assert_array_equal(model._number_labels(Y[4:]), first)


@on_jax
@pytest.mark.parametrize("make", [*MAKERS, generator])
@pytest.mark.parametrize("use", ["fit", "validation", "evaluate"])
def test_batches_with_large_ids_are_refused(make, use):
    with pytest.raises(Exception, match="`y of a batch` must fit into int32"):
        if use == "fit":
            train(make(Y), batch_size=None)
        elif use == "validation":
            train(y=SMALL, validation_data=make(Y))
        else:
            make_model().evaluate(make(Y), verbose=0)


@pytest.mark.parametrize("make", [*MAKERS, generator])
def test_batches_with_small_ids_pass_whatever_their_dtype(make):
    options = {"steps_per_epoch": 1} if make is generator else {}
    history = train(make(SMALL.astype("int64")), batch_size=None, **options)
    assert 0 < history["loss"][-1] < 10


def test_a_data_set_is_told_of_the_epochs():
    batches = Batches(SMALL)
    train(batches, batch_size=None)
    assert batches.calls[-4:] == ["begin", "end"] * 2


@on_jax
def test_large_ids_have_no_class_weight():
    with pytest.raises(ValueError, match="`class_weight` needs labels that fit"):
        train(y=Y, class_weight={7: 1.0})
