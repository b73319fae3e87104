"""Batches like those that are trained on, for whoever watches the training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import keras, ops
from keras_similarity.samplers import Sampler
from keras_similarity.types import Ints

#: `(epoch, step)` to a batch, `(x, y)` or more.
Probe = Callable[[int, int], Any]

_HELD = 3


def make_probe(x: Any, y: Any, batch_size: int | None) -> Probe:
    """Batches of what `fit(x, y, batch_size)` trains on.

    Of a `Sampler` it is the batch of that epoch and step; of another `PyDataset` the
    batch of that step; of arrays, random rows, as many as a batch has; of what is
    iterated over (`tf.data.Dataset`, `DataLoader`), its first three batches in turn.

    Raises:
        ValueError: If `x` can be iterated over only once, or there is no batch.
    """
    if isinstance(x, Sampler):
        return lambda epoch, step: x.batch(epoch, step % len(x))
    if isinstance(x, keras.utils.PyDataset):
        return lambda epoch, step: x[step % (x.num_batches or step + 1)]
    if y is not None:
        return _rows_of_arrays(x, y, batch_size or 32)
    if isinstance(x, Iterator) or not isinstance(x, Iterable) or hasattr(x, "shape"):
        raise ValueError(
            "`x` must be arrays (with `y`), a `PyDataset` or a data set that can be "
            f"iterated over again. Received: {type(x).__name__}. Give "
            "`TrainingDoctor(x, y)` some examples to look at."
        )
    held = list(islice(iter(x), _HELD))
    if not held:
        raise ValueError("`x` must hold at least one batch. Received: none.")
    return lambda epoch, step: held[step % len(held)]


def labels_of(batch: Any) -> Ints | None:
    """The labels of a batch, if it has some: integers `[N]`."""
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        return None
    return as_labels(next(iter(keras.tree.flatten(batch[1])), None))


def as_labels(y: Any) -> Ints | None:
    """Integers `[N]`; `None` for what are no labels, such as another view."""
    if y is None:
        return None
    labels = to_numpy(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    is_ids = labels.ndim == 1 and labels.dtype.kind in "iub"
    return labels.astype("int64") if is_ids else None


def _rows_of_arrays(x: Any, y: Any, batch_size: int) -> Probe:
    if isinstance(x, (list, tuple)) and not all(hasattr(each, "shape") for each in x):
        x = to_numpy(x)
    number = len(keras.tree.flatten(y)[0])
    if not number:
        raise ValueError("`x` must hold at least one row. Received: none.")
    size = min(batch_size, number)
    x, y = keras.tree.map_structure(_on_host, (x, y))

    def probe(epoch: int, step: int) -> Any:
        random = np.random.default_rng([epoch, step])
        rows = random.choice(number, size, replace=False, shuffle=False)
        return keras.tree.map_structure(lambda each: _take(each, rows), (x, y))

    return probe


def _on_host(array: Any) -> Any:
    return array if ops.is_tensor(array) else to_numpy(array)


def _take(array: Any, rows: Ints) -> Any:
    return ops.take(array, rows, axis=0) if ops.is_tensor(array) else array[rows]
