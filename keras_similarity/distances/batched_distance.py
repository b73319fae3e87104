"""A distance matrix in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from keras_similarity.array_ops import Array
from keras_similarity.distances.base import Distance, registry


class BatchedDistance:
    """Computes a distance matrix in blocks of query rows, for one that is too large.

    Attributes and methods that it does not have itself are those of `distance`.

    Args:
        distance: A `Distance` or its name.
        iter_fn: Called with each block: `iter_fn(distances, start, end)`, where
            `distances` `[end - start, M]` are those of the queries from `start` to `end`.
        batch_size: Query rows in a block; the last one may have fewer.

    Raises:
        ValueError: If `batch_size` is less than 1.

    Example:
        >>> from keras_similarity.distances import BatchedDistance
        >>> batched = BatchedDistance("l1", batch_size=2)
        >>> for distances, start, end in batched.blocks([[0.0], [1.0], [2.0]], [[4.0]]):
        ...     print(start, end, distances.tolist())
        0 2 [[4.0], [3.0]]
        2 3 [[2.0]]
    """

    def __init__(
        self,
        distance: Distance | str,
        iter_fn: Callable[[Array, int, int], Any] | None = None,
        batch_size: int = 32,
    ) -> None:
        if batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}."
            )
        self.distance = registry.get(distance)
        self.iter_fn = iter_fn
        self.batch_size = batch_size

    def __call__(self, query: Array, key: Array | None = None) -> None:
        """Hands each block of the matrix of `query` and `key` to `iter_fn`.

        Args:
            query: Embeddings `[N, D]`.
            key: Embeddings `[M, D]`; `None` compares the queries with themselves.

        Raises:
            ValueError: If there is no `iter_fn`.
        """
        if self.iter_fn is None:
            raise ValueError(
                "`iter_fn` must be set to be called with the blocks. Received: None. "
                "Give it to `BatchedDistance`, or iterate over `blocks(query, key)`."
            )
        for block in self.blocks(query, key):
            self.iter_fn(*block)

    def blocks(
        self, query: Array, key: Array | None = None
    ) -> Iterator[tuple[Array, int, int]]:
        """Yields `(distances, start, end)`, as `iter_fn` would be given them."""
        key = query if key is None else key
        num_queries = len(query)
        for start in range(0, num_queries, self.batch_size):
            end = min(start + self.batch_size, num_queries)
            yield self.distance(query[start:end], key), start, end

    def __getattr__(self, name: str) -> Any:
        # Asked only for what was not found. Copying asks before `__init__` has run.
        if name == "distance":
            raise AttributeError(name)
        return getattr(self.distance, name)
