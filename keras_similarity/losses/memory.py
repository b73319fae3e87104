"""A memory of the last embeddings and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.arrays import check_labels
from keras_similarity.backend import keeps_state, label_dtype, ops
from keras_similarity.losses.head import LossHead
from keras_similarity.pairs import comparable_labels

Tensor = Any


@dataclass(frozen=True)
class Memory:
    """What a queue holds at one time: `S` slots that are filled round and round.

    Attributes:
        embeddings: Floats `[S, D]`; 0 in empty slots.
        labels: Integers `[S]`; 0 in empty slots.
        position: Integer: the slot that is written next.
        count: Integer: how many slots are filled.
    """

    embeddings: Tensor
    labels: Tensor
    position: Tensor
    count: Tensor

    @property
    def size(self) -> int:
        """Number of slots `S`."""
        return self.labels.shape[0]

    @property
    def ages(self) -> Tensor:
        """Integers `[S]`: how many rows were written after the one of each slot."""
        return (self.position - 1 - self._slots()) % self.size

    @property
    def is_filled(self) -> Tensor:
        """Bools `[S]`: does the slot hold a row?"""
        return self.ages < self.count

    @property
    def places(self) -> Tensor:
        """Integers `[S]`: which of the rows that are written next comes to each slot."""
        return (self._slots() - self.position) % self.size

    def enqueued(self, embeddings: Tensor, labels: Tensor) -> Memory:
        """The memory after `n` rows, at most `S`, and their labels are written."""
        rows = ops.shape(labels)[0]
        slots = (self.position + ops.arange(rows, dtype="int32")) % self.size
        # New tensors: what is assigned to the variables later does not change them.
        return Memory(
            ops.scatter_update(self.embeddings, slots[:, None], embeddings),
            ops.scatter_update(self.labels, slots[:, None], labels),
            (self.position + rows) % self.size,
            ops.minimum(self.count + rows, self.size),
        )

    def if_else(self, condition: Tensor, other: Memory) -> Memory:
        """This memory where `condition`, a bool, holds, and else the other."""
        return Memory(
            *(ops.where(condition, *both) for both in zip(self, other, strict=True))
        )

    def __iter__(self) -> Any:
        return iter((self.embeddings, self.labels, self.position, self.count))

    def _slots(self) -> Tensor:
        return ops.arange(self.size, dtype="int32")


class MemoryQueue:
    """The variables of a memory, in the head of a loss.

    Args:
        head: The loss's head.
        size: Number of slots.
        width: Width of the embeddings.
    """

    def __init__(self, head: LossHead, size: int, width: int) -> None:
        def add(name: str, shape: tuple[int, ...], dtype: str) -> Any:
            return head.add_weight(
                shape=shape, dtype=dtype, initializer="zeros", trainable=False, name=name
            )

        self.width = width
        self._variables = (
            add("memory_embeddings", (size, width), "float32"),
            add("memory_labels", (size,), label_dtype()),
            add("memory_position", (), "int32"),
            add("memory_count", (), "int32"),
        )

    def read(self) -> Memory:
        """The memory as it is now; read it before `write`."""
        embeddings, labels, *place = self._variables
        return Memory(
            ops.convert_to_tensor(embeddings),
            ops.convert_to_tensor(labels),
            # Small, and on torch an assignment would change what was read.
            *(ops.copy(ops.convert_to_tensor(each)) for each in place),
        )

    def write(self, memory: Memory) -> None:
        """Puts another memory in its place.

        Raises:
            ValueError: Under `jax.jit`, where variables cannot change.
        """
        if not keeps_state(memory.embeddings):
            raise ValueError(
                "A loss with a memory changes its variables, which `jax.jit` does not "
                "allow. Hand them in and out, `with keras.StatelessScope(state_mapping="
                "zip(loss.variables, values)) as scope: ...`, or leave the memory as it "
                "is, `loss.training = False`."
            )
        for variable, value in zip(self._variables, memory, strict=True):
            variable.assign(value)

    def reset(self) -> None:
        """Empties it."""
        for variable in self._variables:
            variable.assign(ops.zeros(variable.shape, variable.dtype))


def memory_labels(labels: Any, name: str) -> Tensor:
    """Labels `[N]` as the integers that a memory keeps.

    Raises:
        TypeError: If labels are no integers.
        ValueError: If a label does not fit.
    """
    dtype = label_dtype()
    if not is_host_data(labels):
        return ops.cast(comparable_labels(labels, labels, name=name)[0], dtype)
    labels = check_labels(labels, name=name, allow_floats=False)
    limits = np.iinfo(dtype)
    if labels.size and not limits.min <= labels.min() <= labels.max() <= limits.max:
        raise ValueError(
            f"`{name}` must fit into {dtype}, in which a memory keeps labels on this "
            f"backend. Received: values from {labels.min()} to {labels.max()}. Number "
            "the classes 0, 1, ..., e.g. with `np.unique(labels, return_inverse=True)` "
            "over the whole data set, or set JAX_ENABLE_X64=1."
        )
    return ops.convert_to_tensor(labels.astype(dtype))
