"""What a loss and a miner look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.arrays import to_numpy
from keras_similarity.backend import ops
from keras_similarity.distances import Distance
from keras_similarity.distances.stats import is_concrete
from keras_similarity.pairs.pairs import Pairs, comparable_labels, compare_labels
from keras_similarity.pairs.sample_weights import sample_weights

Tensor = Any

_MATRICES = {
    "positive_mask": "bool",
    "negative_mask": "bool",
    "positive_weights": "float32",
    "negative_weights": "float32",
}


class Batch:
    """Anchors and keys: their embeddings, labels, pairs and costs, each made when asked.

    Args:
        labels: Integers `[N]` or `[N, 1]`; `None` if `pairs` say it all.
        embeddings: Anchors `[N, D]`.
        key_labels: Integers `[M]` of the keys.
        key_embeddings: Keys `[M, D]`. `None`: the anchors are their own keys.
        pairs: Pairs of anchors and keys, in place of those that the labels make.
        distance: What `cost` is measured by.
        remove_diagonal: Is a row never its own positive, where the anchors are the keys?
        pair_mask: Bool `[N, M]`: which anchors and keys are compared at all, whatever
            their labels; `None` for all of them.
        names: What the caller calls labels and embeddings, for messages.

    Raises:
        TypeError: If labels are no integers, or stand where the embeddings belong.
        ValueError: If shapes do not fit.
    """

    def __init__(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        *,
        pairs: Pairs | None = None,
        distance: Distance,
        remove_diagonal: bool = True,
        pair_mask: Tensor | None = None,
        names: tuple[str, str] = ("labels", "embeddings"),
    ) -> None:
        self.distance = distance
        self.remove_diagonal = remove_diagonal
        self.pair_mask = pair_mask
        self._names = names
        self._made: dict[str, Any] = {}
        self._labels, self._key_labels = labels, key_labels
        check_order(labels, embeddings)
        self.embeddings = _as_embeddings(names[1], embeddings)
        self.has_keys = key_embeddings is not None
        self.keys = self.embeddings
        if self.has_keys:
            self.keys = _as_embeddings("key_embeddings", key_embeddings)
        self._check_labels(pairs)
        if pairs is not None:
            pairs = _checked_pairs(pairs, (self.embeddings.shape[0], self.keys.shape[0]))
        self._pairs = pairs

    @property
    def label_tensors(self) -> tuple[Tensor, Tensor]:
        """Integers `[N]` and `[M]`: equal where the labels are."""
        if self._labels is None:
            raise ValueError(
                f"`{self._names[0]}` must be the labels. Received: None, and this works "
                "on labels, not on pairs alone."
            )
        key_labels = self._labels if self._key_labels is None else self._key_labels
        return self._once(
            "labels",
            lambda: comparable_labels(self._labels, key_labels, name=self._names[0]),
        )

    @property
    def labels(self) -> Tensor:
        """Integers `[N]`: labels of the anchors."""
        return self.label_tensors[0]

    @property
    def given_labels(self) -> Any:
        """The labels as the caller gave them, ids beyond int32 included."""
        return self._labels

    @property
    def has_labels(self) -> bool:
        """Are there labels?"""
        return self._labels is not None

    @property
    def pairs(self) -> Pairs:
        """Positives and negatives `[N, M]` of each anchor."""
        return self.label_pairs if self._pairs is None else self._pairs

    @property
    def has_given_pairs(self) -> bool:
        """Were pairs given, in place of those that the labels make?"""
        return self._pairs is not None

    @property
    def sample_weights(self) -> Tensor | None:
        """Floats `[N]`: how often each row is in the chosen pairs, over the most.

        `None` where nobody chose: pairs were neither given nor mined. With keys of their
        own, rows count as anchors only. See `sample_weights()`.
        """
        if self._pairs is None:
            return None
        return sample_weights(self._pairs, anchors_only=self.has_keys)

    @property
    def label_pairs(self) -> Pairs:
        """The pairs that the labels make, whatever pairs were given."""
        return self._once("pairs", self._compare_labels)

    @property
    def distances(self) -> Tensor:
        """Floats `[N, M]`: what the distance measures."""
        keys = self.keys if self.has_keys else None
        return self._once("distances", lambda: self.distance(self.embeddings, keys))

    @property
    def cost(self) -> Tensor:
        """Floats `[N, M]`: distances, turned so that smaller is closer."""
        return self._once("cost", lambda: self.distance.to_cost(self.distances))

    @property
    def key_cost(self) -> Tensor:
        """Floats `[M, M]`: costs of the keys among each other."""
        if not self.has_keys:
            return self.cost
        return self._once("key_cost", lambda: self.distance.cost(self.keys))

    def cost_of(self, distance: Distance | None) -> Tensor:
        """The cost by another distance; by the batch's own if `None` is given."""
        if distance is None or distance is self.distance:
            return self.cost
        return distance.cost(self.embeddings, self.keys if self.has_keys else None)

    def with_pairs(self, pairs: Pairs) -> Batch:
        """The same batch, what is computed of it included, with other pairs."""
        other = object.__new__(Batch)
        other.__dict__.update(self.__dict__, _pairs=pairs)
        return other

    def _compare_labels(self) -> Pairs:
        is_self_paired = self.remove_diagonal and not self.has_keys
        pairs = compare_labels(*self.label_tensors, is_self_paired=is_self_paired)
        if self.pair_mask is None:
            return pairs
        return Pairs(
            pairs.positive_mask & self.pair_mask, pairs.negative_mask & self.pair_mask
        )

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives; made when it is first asked for."""
        # Not `cached_property`, whose lock breaks the graph of `torch.compile`.
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _check_labels(self, pairs: Pairs | None) -> None:
        labels_name, rows_name = self._names
        if self._labels is None:
            if pairs is None and (self._key_labels is not None or not self.has_keys):
                raise ValueError(
                    f"`{labels_name}` must be the labels if no `pairs` are given. "
                    f"Received: {labels_name}=None."
                )
            return
        check_rows(labels_name, self._labels, rows_name, self.embeddings)
        if pairs is not None and self._key_labels is None:
            return
        if (self._key_labels is None) == self.has_keys:
            raise ValueError(
                "`key_labels` and `key_embeddings` belong together: give both, or none. "
                f"Received: `{'key_embeddings' if self.has_keys else 'key_labels'}` only."
            )
        if self.has_keys:
            check_rows("key_labels", self._key_labels, "key_embeddings", self.keys)


def check_rows(name: str, column: Any, rows_name: str, rows: Tensor) -> None:
    """Raises a `ValueError` unless `column`, `[N]` or `[N, 1]`, has an entry each row."""
    shape = _shape(column)
    is_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    count = rows.shape[0]
    if not is_column or (None not in (shape[0], count) and shape[0] != count):
        raise ValueError(
            f"`{name}` must hold one value a row of `{rows_name}`, of which there are "
            f"{count}. Received: {name}.shape={shape}. A metric loss is called as "
            "loss(labels, embeddings)."
        )


def check_order(labels: Any, embeddings: Any) -> None:
    """Raises a `TypeError` if labels and embeddings come the other way round."""
    if is_reversed(labels, embeddings):
        raise TypeError(
            "A metric loss is called as loss(labels, embeddings); PyTorch Metric "
            "Learning's order, loss(embeddings, labels), is the other way round. "
            f"Received: shapes {_shape(labels)} and {_shape(embeddings)}."
        )


def is_reversed(labels: Any, embeddings: Any) -> bool:
    """Do the labels look like embeddings, and the embeddings like labels?

    Embeddings `[N, 1]` of whole numbers are fine beside labels `[N]` or `[N, 1]`.
    """
    column = _shape(embeddings)
    # First: of embeddings nothing more is asked, so that the question is cheap.
    if column[1:] not in ((), (1,)):
        return False
    rows = _shape(labels)
    has_rows = len(rows) == 2 and rows[:1] == column[:1]
    is_wide = has_rows and (len(column) == 1 or rows[1] != 1)
    return is_wide and _is_whole(embeddings)


def _shape(array: Any) -> tuple[int | None, ...]:
    return tuple(np.shape(array) if is_host_data(array) else getattr(array, "shape", ()))


def _is_whole(array: Any) -> bool:
    """Are they integers, or floats that are known to be whole?"""
    if not is_concrete(array):
        return "int" in str(array.dtype)
    values = to_numpy(array)
    return values.dtype.kind in "iu" or (
        values.dtype.kind == "f" and bool((values == np.round(values)).all())
    )


def _as_embeddings(name: str, embeddings: Any) -> Tensor:
    embeddings = ops.convert_to_tensor(embeddings)
    shape = tuple(embeddings.shape)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"`{name}` must be embeddings of the shape [rows, embedding size], at least "
            f"one of them. Received: {name}.shape={shape}. A metric loss is called as "
            "loss(labels, embeddings)."
        )
    return embeddings


def _checked_pairs(pairs: Pairs, shape: tuple[int | None, ...]) -> Pairs:
    matrices = {}
    for name, dtype in _MATRICES.items():
        if getattr(pairs, name) is None:  # Weights may be.
            continue
        matrix = ops.convert_to_tensor(getattr(pairs, name), dtype=dtype)
        if len(matrix.shape) != 2 or _differs(matrix.shape, shape):
            raise ValueError(
                f"`pairs.{name}` must have the shape [anchors, keys], {shape}. Received: "
                f"{tuple(matrix.shape)}."
            )
        matrices[name] = matrix
    return replace(pairs, **matrices)


def _differs(shape: Any, expected: Any) -> bool:
    return any(
        None not in (size, other) and size != other
        for size, other in zip(shape, expected, strict=True)
    )
