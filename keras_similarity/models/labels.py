"""Training on JAX never confuses ids that only int64 tells apart."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import keras
from keras_similarity.models.functional import TwoWayModel
from keras_similarity.samplers import Sampler
from keras_similarity.samplers.label_range import (
    check_label_range,
    fits_int32,
    holds_int64,
)
from keras_similarity.types import Ints


class LabelSafeModel(TwoWayModel):
    """A Keras model that trains on ids of any size, also on JAX.

    Keras hands integer labels to JAX as they come, and JAX wraps int64 around to int32
    (unless `jax_enable_x64` is set), so that ids 2**32 apart become one class. Here,
    arrays of labels that do not fit into int32 are numbered anew, each id the same
    throughout the model's life; such labels in batches of a data set raise an error.
    Labels that fit pass as they are, whatever their dtype, and so do all on other
    backends.
    """

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains the model, as `keras.Model.fit`.

        Raises:
            ValueError: On JAX, if a batch of a data set has labels beyond int32, or such
                labels come with a `class_weight`.
        """
        fit = super().fit
        if holds_int64():
            return fit(x, y, *args, **kwargs)
        call = inspect.signature(fit).bind(x, y, *args, **kwargs).arguments
        validation = call.get("validation_data")
        self._note_labels(y)
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            self._note_labels(validation[1])
            labels = self._number_labels(validation[1])
            call["validation_data"] = (validation[0], labels, *validation[2:])
        elif validation is not None:
            call["validation_data"] = checked_batches(validation)
        if self._label_numbers and call.get("class_weight"):
            raise ValueError(
                "`class_weight` needs labels that fit into int32. Received: larger ones. "
                "Number the classes from 0, or pass `sample_weight`."
            )
        return fit(**{**call, "x": checked_batches(x), "y": self._number_labels(y)})

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics, as `keras.Model.evaluate`; labels as `fit` takes them."""
        return super().evaluate(checked_batches(x), self._lasting(y), *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """One step, as `keras.Model.train_on_batch`; labels as `fit` takes them."""
        return super().train_on_batch(x, self._lasting(y), *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Loss of one batch, as `keras.Model.test_on_batch`; labels as in `fit`."""
        return super().test_on_batch(x, self._lasting(y), *args, **kwargs)

    @property
    def _label_numbers(self) -> dict[int, _Numbers]:
        # By the place of the labels in `y`. Not by `__setattr__`: Keras would wrap it.
        return self.__dict__.setdefault("_numbers_of_labels", {})

    def _lasting(self, y: Any) -> Any:
        self._note_labels(y)
        return self._number_labels(y)

    def _note_labels(self, y: Any) -> None:
        """Remembers which labels have to be numbered."""
        if holds_int64():
            return
        for place, labels in enumerate(keras.tree.flatten(y)):
            if not fits_int32(labels):
                self._label_numbers.setdefault(place, _Numbers())

    def _number_labels(self, y: Any) -> Any:
        if not self._label_numbers:
            return y
        numbered = [
            self._label_numbers[place](labels)
            if place in self._label_numbers and "int" in str(labels.dtype)
            else labels
            for place, labels in enumerate(keras.tree.flatten(y))
        ]
        return keras.tree.pack_sequence_as(y, numbered)


class _Numbers:
    """Gives ids numbers from 0, as they come; an id keeps its number."""

    def __init__(self) -> None:
        self._ids = np.empty(0, "int64")  # A number is the place of its id.

    def __call__(self, labels: Any) -> Ints:
        labels = to_numpy(labels).astype("int64")
        self._ids = np.concatenate([self._ids, np.setdiff1d(labels, self._ids)])
        order = np.argsort(self._ids)
        places = np.searchsorted(self._ids, labels, sorter=order)
        return order[places].astype("int32")


def checked_batches(batches: Any) -> Any:
    """The data set, which now raises an error where JAX would confuse labels.

    Arrays come back as they are, and so do data sets on a backend that has int64. A
    `Sampler` checks its own batches.
    """
    if holds_int64() or isinstance(batches, (Sampler, CheckedDataset)):
        return batches
    if isinstance(batches, keras.utils.PyDataset):
        return CheckedDataset(batches)
    if isinstance(batches, GeneratorType):
        return _checked(batches)
    # What is not imported has made no data set.
    tensorflow, torch = (sys.modules.get(name) for name in ("tensorflow", "torch"))
    if tensorflow is not None and isinstance(batches, tensorflow.data.Dataset):
        return batches.map(_check_in_graph)
    if torch is not None and isinstance(batches, torch.utils.data.DataLoader):
        return _checked_loader(batches)
    return batches


class CheckedDataset(keras.utils.PyDataset):
    """A `PyDataset` whose labels are checked, batch by batch."""

    def __init__(self, batches: keras.utils.PyDataset) -> None:
        super().__init__(
            batches.workers, batches.use_multiprocessing, batches.max_queue_size
        )
        self.batches = batches

    def __getitem__(self, index: int) -> Any:
        return _check_batch(self.batches[index])

    @property
    def num_batches(self) -> int | None:
        return self.batches.num_batches

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def _labels_of(batch: Any) -> list[Any]:
    has_labels = isinstance(batch, (tuple, list)) and len(batch) > 1
    return keras.tree.flatten(batch[1]) if has_labels else []


def _check_batch(batch: Any) -> Any:
    for labels in _labels_of(batch):
        check_label_range(labels, name="y of a batch")
    return batch


def _checked(batches: Any) -> Iterator[Any]:
    for batch in batches:
        yield _check_batch(batch)


def _checked_loader(loader: Any) -> Any:
    # Keras knows a `DataLoader` by its class.
    methods = {"__iter__": lambda self: _checked(loader)}
    checked = copy.copy(loader)
    checked.__class__ = type("CheckedLoader", (type(loader),), methods)
    return checked


def _check_in_graph(*batch: Any) -> Any:
    import tensorflow as tf

    for labels in _labels_of(batch):
        if "int64" in str(labels.dtype):
            is_same = tf.cast(tf.cast(labels, "int32"), labels.dtype) == labels
            tf.debugging.Assert(
                tf.reduce_all(is_same),
                ["`y of a batch` must fit into int32, or JAX would confuse ids:", labels],
            )
    return batch if len(batch) > 1 else batch[0]
