"""The store in memory."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.growing import GrowingArray
from keras_similarity.stores.base import Store, register
from keras_similarity.stores.encoding import decode, encode
from keras_similarity.types import Floats, Ints


@register("memory")
class MemoryStore(Store):
    """Keeps everything in memory; saved without pickle.

    Embeddings and labels are arrays that grow, data a list. Data is saved as one array
    if all items are arrays of one shape and dtype; else items may be `None`, numbers,
    text, bytes, NumPy arrays, and lists, tuples and dicts of these.

    Args:
        name: Name of the object.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.

    Example:
        >>> from keras_similarity.stores import MemoryStore
        >>> store = MemoryStore()
        >>> store.batch_add([[0.0, 1.0], [1.0, 0.0]], labels=[7, None], data=["a", "b"])
        [0, 1]
        >>> embedding, label, data = store.get(0)
        >>> embedding.tolist(), label, data
        ([0.0, 1.0], 7, 'a')
    """

    default_name = "memory"

    def __init__(self, name: str | None = None, verbose: int = 0) -> None:
        super().__init__(name, verbose)
        self.reset()

    @property
    def dim(self) -> int | None:
        return self._embeddings.rows.shape[1] if self.size() else None

    def _add(self, embeddings: Floats, labels: Ints, data: list[Any] | None) -> None:
        if not self.size():
            self._embeddings = GrowingArray("float32", embeddings.shape[1])
        # Labels, by which the size goes, come last: a reader finds whole rows.
        self._embeddings.extend(embeddings)
        self._data.extend(data or [None] * len(embeddings))
        self._labels.extend(labels)

    def labels(self, ids: Ints) -> Ints:
        labels = self._labels.rows
        return labels[_checked(ids, len(labels))]

    def records(self, ids: Ints) -> tuple[Floats, list[Any]]:
        return _records(ids, embeddings=self._embeddings.rows, data=self._data)

    def reader(self) -> functools.partial[tuple[Floats, list[Any]]]:
        return functools.partial(
            _records, embeddings=self._embeddings.rows, data=self._data
        )

    def size(self) -> int:
        return len(self._labels)

    def reset(self) -> None:
        # New objects, not emptied ones: readers of the old keep them.
        self._embeddings = GrowingArray("float32", 0)
        self._labels = GrowingArray("int64")
        self._data: list[Any] = []

    def _write(self, folder: Path, compression: bool) -> None:
        text, arrays = encode(self._data)
        columns: dict[str, Any] = {
            "embeddings": self._embeddings.rows,
            "labels": self._labels.rows,
            **arrays,
        }
        write_arrays = np.savez_compressed if compression else np.savez
        write_arrays(folder / "store.npz", **columns)
        (folder / "data.json").write_text(json.dumps(text))

    def _read(self, folder: Path) -> None:
        with np.load(folder / "store.npz", allow_pickle=False) as file:
            arrays = dict(file)
        embeddings, labels = arrays.pop("embeddings"), arrays.pop("labels")
        data = decode(json.loads((folder / "data.json").read_text()), arrays)
        if not len(embeddings) == len(labels) == len(data):
            raise ValueError(
                "The columns of a saved store must be of one length. Received: "
                f"{len(embeddings)} embeddings, {len(labels)} labels, {len(data)} data."
            )
        self.reset()
        if len(labels):
            self._add(embeddings, labels, data)


def _records(ids: Ints, *, embeddings: Floats, data: list[Any]) -> Any:
    ids = _checked(ids, len(embeddings))
    return embeddings[ids], [data[row] for row in ids.tolist()]


def _checked(ids: Ints, size: int) -> Ints:
    # NumPy would count a negative id from the end.
    if len(ids) and (ids.min() < 0 or ids.max() >= size):
        wrong = ids[(ids < 0) | (ids >= size)][0]
        raise IndexError(f"Ids must be from 0 to {size - 1}. Received: {wrong}.")
    return ids
