"""A Keras model that embeds: one of its outputs is the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import keras, ops
from keras_similarity.models.forward import Forward, select_output
from keras_similarity.models.functional import Functional
from keras_similarity.models.labels import LabelSafeModel
from keras_similarity.preprocessing import Preprocessing
from keras_similarity.types import Floats


class EmbeddingModel(LabelSafeModel):
    """What a similarity model is without its index: inputs become embeddings, fast.

    Attributes:
        preprocessing: How a picture becomes an input, or `None`; saved with the model.
        class_names: Names of the labels 0, 1, ..., or `None`; saved with the model.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Python may come here twice; and not through `__setattr__`: Keras would wrap
        # and track what is no layer.
        for name, value in self._first_parts().items():
            self.__dict__.setdefault(name, value)

    def _first_parts(self) -> dict[str, Any]:
        return {
            "preprocessing": None,
            "class_names": None,
            "_embedding_output": None,
            "_forward": None,
        }

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "preprocessing" and not isinstance(value, Preprocessing | None):
            raise TypeError(
                "`preprocessing` must be a `Preprocessing` or None. Received: "
                f"{value!r} of type {type(value).__name__}."
            )
        if name in ("preprocessing", "class_names"):
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def embed(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> Floats:
        """Embeddings `[N, D]` of inputs, as a NumPy array.

        Args:
            x: Inputs `[N, ...]`, or batches of them (a `PyDataset`, `DataLoader`, ...).
            batch_size: Rows at once; by default as many as fit well.
            verbose: Show progress?

        Raises:
            ValueError: If arrays differ in their rows, or there are none and the model
                is not built.
        """
        x = self._as_inputs(x)
        size = self.embedding_size
        if size is not None and self._has_no_rows(x):
            return np.zeros((0, size), "float32")
        if self._forward is None:
            self.__dict__["_forward"] = Forward(self, self._embedding_output)
        return self._forward(x, batch_size, verbose)

    @property
    def embedding_size(self) -> int | None:
        """Width of the embedding; `None` for a model with a `call()` of its own."""
        return self._size_of_output(self._embedding_output)

    def _size_of_output(self, output: int | str | None) -> int | None:
        if not isinstance(self, Functional):
            return None
        return select_output(self.output, output).shape[-1]

    def _choose_output(self, output: int | str | None) -> None:
        self.__dict__.update(_embedding_output=output, _forward=None)

    def _has_no_rows(self, x: Any) -> bool:
        arrays = keras.tree.flatten(x)
        return all(hasattr(array, "shape") and len(array) == 0 for array in arrays)

    def _as_inputs(self, x: Any) -> Any:
        """The inputs, where a list of rows has become an array."""
        if isinstance(x, (list, tuple)) and not self._takes_several(x):
            return to_numpy(x)
        return x

    def _takes_several(self, x: Any) -> bool:
        if isinstance(x, dict):
            return True
        if not isinstance(x, (list, tuple)):
            return False
        if isinstance(self, Functional):
            return len(keras.tree.flatten(self.inputs)) > 1
        return all(hasattr(array, "shape") for array in x)

    def _as_batch(self, x: Any) -> Any:
        """One example with a batch axis of 1, whether or not it came with one.

        The rank of the model's inputs tells; where that is not known yet, an example is
        taken to come without.
        """
        several = self._takes_several(x)
        x = keras.tree.map_structure(_as_array, x) if several else _as_array(x)
        arrays = keras.tree.flatten(x)
        ranks = self._input_ranks() or [array.ndim + 1 for array in arrays]
        if [array.ndim + 1 for array in arrays] == ranks:
            return keras.tree.map_structure(lambda array: array[None], x)
        if [array.ndim for array in arrays] == ranks and {len(a) for a in arrays} == {1}:
            return x
        raise ValueError(
            "`x` must be one example, with or without a batch axis of 1. Received: "
            f"shapes {[tuple(array.shape) for array in arrays]}, for inputs of rank "
            f"{ranks}. `lookup` and `index` take many."
        )

    def _input_ranks(self) -> list[int] | None:
        if isinstance(self, Functional):
            return [len(tensor.shape) for tensor in keras.tree.flatten(self.inputs)]
        shape = (self.get_build_config() or {}).get("input_shape")
        return [len(shape)] if isinstance(shape, (list, tuple)) else None


def _as_array(x: Any) -> Any:
    return x if ops.is_tensor(x) else to_numpy(x)
