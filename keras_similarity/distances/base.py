"""What all distances share: shapes, precision, orientation and config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from keras_similarity.array_ops import (
    NUMPY,
    Array,
    Namespace,
    dtype_name,
    namespace,
)
from keras_similarity.backend import full_precision
from keras_similarity.registry import Registry


class Distance(ABC):
    """How far two embeddings are from each other: one object for losses and indexes.

    Call it with queries `[N, D]` and keys `[M, D]` for the matrix `[N, M]`. NumPy
    arrays (or lists) give a NumPy array; tensors give a tensor, with gradients. The
    result is at least float32, whatever precision comes in.

    A subclass writes its formula once, in `matrix`, over the last two axes; it serves
    the matrix and the row-wise form, tensors and NumPy.

    Args:
        name: Name of the object; the class's short name by default.

    Attributes:
        is_similarity: Does larger mean closer? `cost` is turned so that smaller does.
        is_euclidean: Is the distance `||q - k|| ** power`, of the embeddings as they are
            or normalised?
        normalize_embeddings: Does it scale embeddings to length 1 first?
        p: Which norm it measures, or normalises by.
        power: Exponent that its values were raised to.
        cosine_offset: A number such that `cosine_offset - cost` is the cosine of each
            pair, or `None` where there is no such number.

    Example:
        >>> from keras_similarity.distances import SquaredEuclideanDistance
        >>> distance = SquaredEuclideanDistance()
        >>> distance([[0.0, 0.0], [1.0, 1.0]], [[0.0, 2.0]]).tolist()
        [[4.0], [2.0]]
        >>> distance.paired([[0.0, 0.0]], [[0.0, 2.0]]).tolist()
        [4.0]
    """

    is_similarity: bool = False
    is_euclidean: bool = False
    normalize_embeddings: bool = False
    p: float = 2
    power: float = 1
    cosine_offset: float | None = None
    default_name: ClassVar[str] = "distance"

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.default_name

    @abstractmethod
    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        """Distances `[..., N, M]` of floats `[..., N, D]` and `[..., M, D]`.

        Args:
            query: Array of `ops`, float32 or float64.
            key: The same, and of the same dtype; the very object `query` where the
                queries are compared with themselves.
            ops: `keras.ops`, or NumPy under the same names (`array_ops.NUMPY`).
        """

    def __call__(self, query: Array, key: Array | None = None) -> Array:
        """Distances `[N, M]` of each query to each key.

        Args:
            query: Embeddings `[N, D]`.
            key: Embeddings `[M, D]`; `None` compares the queries with themselves.

        Raises:
            ValueError: If the shapes do not fit.
        """
        query, key, ops = self._prepare(query, key)
        with full_precision(query):
            return self.matrix(query, key, ops)

    def call(self, query_embeddings: Array, key_embeddings: Array) -> Array:
        """The same as calling the object."""
        return self(query_embeddings, key_embeddings)

    def paired(self, query: Array, key: Array) -> Array:
        """Distances `[N]` of each query to the key of its own row.

        Raises:
            ValueError: If the shapes differ.
        """
        query, key, ops = self._prepare(query, key)
        if _rows_differ(query.shape, key.shape):
            raise ValueError(
                "`query` and `key` must have as many rows as each other. Received: "
                f"query.shape={tuple(query.shape)}, key.shape={tuple(key.shape)}."
            )
        with full_precision(query):
            distances = self.matrix(query[:, None, :], key[:, None, :], ops)
        return distances[:, 0, 0]

    def cost(self, query: Array, key: Array | None = None) -> Array:
        """Distances `[N, M]`, turned where needed so that smaller means closer."""
        return self.to_cost(self(query, key))

    def to_cost(self, distances: Array) -> Array:
        """Turns distances into costs, in which smaller means closer, and back."""
        return -distances if self.is_similarity else distances

    @property
    def is_cosine(self) -> bool:
        """Does `cosine_offset - cost` give the cosine of each pair?"""
        return self.cosine_offset is not None

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"

    def _prepare(self, query: Array, key: Array | None) -> tuple[Array, Array, Namespace]:
        if key is None or key is query:
            ops = namespace(query)
            query = _checked(as_floats(query, ops), "query")
            return query, query, ops
        ops = namespace(query, key)
        query = _checked(as_floats(query, ops), "query")
        key = _checked(as_floats(key, ops), "key")
        if dtype_name(query) != dtype_name(key):
            query, key = ops.cast(query, "float64"), ops.cast(key, "float64")
        if None not in (query.shape[1], key.shape[1]) and query.shape[1] != key.shape[1]:
            raise ValueError(
                "`query` and `key` must have the same embedding size. Received: "
                f"query.shape={tuple(query.shape)}, key.shape={tuple(key.shape)}."
            )
        return query, key, ops


registry = Registry("distance", Distance)
register = registry.register


def as_floats(array: Array, ops: Namespace) -> Array:
    """The array in float32, or in float64 if that is what it is."""
    array = np.asarray(array) if ops is NUMPY else _as_tensor(array, ops)
    is_wide = dtype_name(array) in ("float32", "float64")
    return array if is_wide else ops.cast(array, "float32")


def _as_tensor(array: Array, ops: Namespace) -> Array:
    # A symbolic `KerasTensor` of a functional model passes as it is.
    return array if hasattr(array, "_keras_history") else ops.convert_to_tensor(array)


def _checked(array: Array, name: str) -> Array:
    if len(array.shape) != 2:
        raise ValueError(
            f"`{name}` must have the shape [rows, embedding size]. Received: "
            f"{name}.shape={tuple(array.shape)}."
        )
    return array


def _rows_differ(query_shape: Any, key_shape: Any) -> bool:
    return None not in (query_shape[0], key_shape[0]) and query_shape[0] != key_shape[0]
