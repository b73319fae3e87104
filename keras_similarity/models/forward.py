"""From inputs to embeddings, at the speed of the backend's own forward pass.

`Model.predict` costs 55 ms a call on TensorFlow, `model(x)` runs uncompiled: neither
will do for the lookup of one picture.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import framework, keras, ops
from keras_similarity.types import Floats

Tensor = Any

# On JAX each new number of rows is a compilation (about 0.3 s): pad to one of these,
# which wastes less than half. Other backends compile nothing, and padding costs.
_BUCKETS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)
# Rows of a batch: as many as these values make, so that large pictures fit as well.
_VALUES_PER_BATCH = 2**22


class Forward:
    """Compiled inference of one output of a model, batch by batch.

    Args:
        model: A Keras model; one that is not built is built by the first batch.
        output: Which output: an index, a key, or `None` for the only or the first one;
            see `select_output`.
    """

    def __init__(self, model: Any, output: int | str | None = None) -> None:
        self._model = model
        select = functools.partial(select_output, chosen=output)
        self._run = _COMPILERS[framework()](model, select)

    def __call__(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> Floats:
        """Outputs `[N, ...]` as a NumPy array.

        Args:
            x: An array, a structure of arrays, or an iterable of batches (a `PyDataset`,
                `tf.data.Dataset`, `DataLoader`, ...), of `x` or of `(x, y, ...)`.
            batch_size: Rows at once; by default as many as fit well, 32 to 256.
            verbose: Show progress?

        Raises:
            ValueError: If there is no row, or not as many in each array.
        """
        batches, rows = _batches(x, batch_size)
        found = []
        # A disabled bar still costs a tenth of a lookup.
        bar: Any = nullcontext()
        if verbose:
            bar = tqdm(total=rows, unit="row", desc="embed")
        with bar:
            for batch in batches:
                found.append(self._embed_batch(batch))
                if verbose:
                    bar.update(len(found[-1]))
        if not found:
            raise ValueError("`x` must hold at least one row. Received: none.")
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _embed_batch(self, batch: Any) -> Floats:
        rows = row_count(batch)
        if not self._model.built:
            self._model(keras.tree.map_structure(lambda array: array[:1], batch))
        if framework() == "jax" and rows <= _BUCKETS[-1]:
            bucket = next(size for size in _BUCKETS if size >= rows)
            if bucket > rows:
                return self._embed_padded(batch, rows, bucket)
        return ops.convert_to_numpy(self._run(batch))

    def _embed_padded(self, batch: Any, rows: int, bucket: int) -> Floats:
        padded = keras.tree.map_structure(lambda array: _padded(array, bucket), batch)
        try:
            outputs = self._run(padded)
        except ValueError:
            # Inputs of a wrong shape: let the error tell the shape that the user knows.
            outputs = self._run(batch)
        return ops.convert_to_numpy(outputs)[:rows]


def select_output(outputs: Any, chosen: Any) -> Any:
    """One of a model's outputs: the chosen one (index or key), or with `None` the first.

    Of a dict that is the first in alphabetical order, in which Keras names them, too:
    backends don't agree on another.
    """
    if isinstance(outputs, dict):
        return outputs[min(outputs) if chosen is None else chosen]
    if isinstance(outputs, (list, tuple)):
        return outputs[chosen or 0]
    return outputs


def _inference_mode(model: Any) -> dict[str, bool]:
    """`training=False`, if the model's `call` takes the argument."""
    parameters = inspect.signature(model.call).parameters
    return {"training": False} if "training" in parameters else {}


def _compile_jax(model: Any, select: Callable) -> Callable:
    import jax

    mode = _inference_mode(model)

    @jax.jit
    def forward(values: Any, x: Any) -> Any:
        mapping = list(zip(model.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return select(model(x, **mode))

    # Asked for at each call, since layers may come and go; once, for it is a walk over
    # all layers.
    return lambda x: forward([variable.value for variable in model.variables], x)


def _compile_tensorflow(model: Any, select: Callable) -> Callable:
    import tensorflow as tf

    mode = _inference_mode(model)
    return tf.function(lambda x: select(model(x, **mode)), reduce_retracing=True)


def _compile_torch(model: Any, select: Callable) -> Callable:
    import torch

    mode = _inference_mode(model)

    def forward(x: Any) -> Any:
        with torch.inference_mode():
            return select(model(x, **mode))

    return forward


_COMPILERS = {
    "jax": _compile_jax,
    "tensorflow": _compile_tensorflow,
    "torch": _compile_torch,
}


def _batches(x: Any, batch_size: int | None) -> tuple[Iterator[Any], int | None]:
    """Batches of `x`, and how many rows they are, where that is known."""
    if isinstance(x, keras.utils.PyDataset):
        return (_inputs_of(x[step]) for step in range(len(x))), None
    if not isinstance(x, (list, tuple, dict)) and not hasattr(x, "shape"):
        return (_inputs_of(batch) for batch in x), None
    rows = row_count(x)
    size = batch_size or _default_batch_size(x, rows)
    batches = (
        keras.tree.map_structure(lambda a, s=start: _on_host(a[s : s + size]), x)
        for start in range(0, rows, size)
    )
    return batches, rows


def _inputs_of(batch: Any) -> Any:
    inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
    return keras.tree.map_structure(_on_host, inputs)


def _on_host(array: Any) -> Any:
    """A NumPy array of a dtype that all backends take, or the backend's own tensor."""
    if ops.is_tensor(array):
        return array
    array = to_numpy(array)
    return array.astype("float32") if array.dtype == np.float64 else array


def row_count(x: Any) -> int:
    """Rows of an array, or of each array of a structure.

    Raises:
        ValueError: If they differ.
    """
    counts = {len(array) for array in keras.tree.flatten(x)}
    if len(counts) != 1:
        raise ValueError(
            f"`x` must have as many rows in each of its arrays. Received: {counts}."
        )
    return counts.pop()


def _default_batch_size(x: Any, rows: int) -> int:
    if not rows:
        return 1
    values = sum(math.prod(array.shape) for array in keras.tree.flatten(x)) // rows
    return int(np.clip(_VALUES_PER_BATCH // max(values, 1), 32, _BUCKETS[-1]))


def _padded(array: Any, rows: int) -> Any:
    padding = [(0, rows - len(array)), *[(0, 0)] * (len(array.shape) - 1)]
    return np.pad(np.asarray(array), padding)
