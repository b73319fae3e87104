"""Which rows are positives and which negatives of which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.array_ops import is_host_data
from keras_similarity.arrays import check_labels
from keras_similarity.backend import keras, ops
from keras_similarity.pairs.masked import off_diagonal
from keras_similarity.pairs.triplets import (
    TripletRule,
    Triplets,
    both_rules,
    project_list,
    project_rule,
)

Tensor = Any

_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Pairs:
    """Positives and negatives of `n` anchors among `M` keys.

    The triplets of an anchor are the product of its two masks, never a list, unless
    `triplets` says which of them count.

    Attributes:
        positive_mask: Bool `[n, M]`: is the key of the anchor's class, and another row?
        negative_mask: Bool `[n, M]`: is the key of another class?
        positive_weights: Floats `[n, M]`: how often, or how much, a positive counts; 0
            where the mask is false. `None` counts each once.
        negative_weights: The same of the negatives.
        triplets: Which triplets count, where it is not the product: a list
            (`Triplets`), or a rule (`TripletRule`) that says which negatives count with
            a positive. Pair losses see its projection, in the masks and weights.
        positive_order: Integers `[n, M]`: place of each positive in the list that the
            pairs came from, for losses that take the first ones. `None`: in the order of
            rows.
    """

    positive_mask: Tensor
    negative_mask: Tensor
    positive_weights: Tensor | None = None
    negative_weights: Tensor | None = None
    triplets: Triplets | TripletRule | None = None
    positive_order: Tensor | None = None

    @property
    def positive_counts(self) -> Tensor:
        """Float32 `[n, M]`: how often each positive counts."""
        return _counts(self.positive_mask, self.positive_weights)

    @property
    def negative_counts(self) -> Tensor:
        """Float32 `[n, M]`: how often each negative counts."""
        return _counts(self.negative_mask, self.negative_weights)

    @property
    def is_weighted(self) -> bool:
        """Do pairs count by weights, not once each?"""
        return self.positive_weights is not None or self.negative_weights is not None

    @property
    def is_chosen(self) -> bool:
        """Has somebody chosen among the pairs that labels make, or weighted them?"""
        return self.triplets is not None or self.is_weighted


def pairs_from_triplets(triplets: Triplets, shape: tuple[Any, Any]) -> Pairs:
    """Pairs `[n, M]` of a list of triplets; one in `c` of them counts `c` times."""
    positive, negative = project_list(triplets, shape)
    return Pairs(positive > 0, negative > 0, positive, negative, triplets)


def pairs_by_rule(pairs: Pairs, rule: TripletRule) -> Pairs:
    """The pairs that are in a triplet that `rule` keeps, counted as often as they are.

    A rule that `pairs` have already holds, too. Weights do not pass a rule.

    Raises:
        ValueError: If `pairs` are a list of triplets.
    """
    if isinstance(pairs.triplets, Triplets):
        raise ValueError(
            "`pairs` must not be a list of triplets where triplets are chosen by a rule. "
            "Received: pairs.triplets of the class Triplets. Give pairs."
        )
    if pairs.triplets is not None:
        rule = both_rules(pairs.triplets, rule)
    positive, negative = project_rule(rule, pairs.positive_mask, pairs.negative_mask)
    return Pairs(positive > 0, negative > 0, positive, negative, rule)


def pairs_from_labels(
    labels: Any, key_labels: Any = None, *, name: str = "labels"
) -> Pairs:
    """Pairs of rows with equal labels, and of rows with different ones.

    Labels are compared as integers, exactly, also int64 ids given as NumPy arrays on
    JAX, which has int32 only.

    Args:
        labels: Integers `[N]` or `[N, 1]`: arrays, lists or tensors.
        key_labels: Integers `[M]` of the keys. `None` compares the rows with each other:
            then a row is never its own pair.
        name: What the caller calls `labels`, for messages.

    Raises:
        TypeError: If labels are no integers.
        ValueError: If their shape is wrong.

    Example:
        >>> import keras_similarity as ksim
        >>> from keras_similarity.backend import ops
        >>> pairs = ksim.pairs.pairs_from_labels([0, 0, 1])
        >>> ops.convert_to_numpy(pairs.positive_mask).tolist()
        [[False, True, False], [True, False, False], [False, False, False]]
    """
    is_self_paired = key_labels is None
    labels, key_labels = comparable_labels(
        labels, labels if is_self_paired else key_labels, name=name
    )
    return compare_labels(labels, key_labels, is_self_paired=is_self_paired)


def compare_labels(labels: Tensor, key_labels: Tensor, *, is_self_paired: bool) -> Pairs:
    """Pairs of label tensors `[n]` and `[M]`; a row that is its own key is no pair."""
    is_same_class = labels[:, None] == key_labels
    negative_mask = ~is_same_class
    if not is_self_paired:
        return Pairs(is_same_class, negative_mask)
    return Pairs(off_diagonal(is_same_class), negative_mask)


def comparable_labels(
    labels: Any, key_labels: Any, *, name: str = "labels"
) -> tuple[Tensor, Tensor]:
    """Labels as integer tensors `[N]` and `[M]` that are equal where the ids are.

    Ids beyond int32 that are the host's are numbered anew, so that no backend can
    confuse them.

    Raises:
        TypeError: If labels are no integers, floats with integer values included.
        ValueError: If their shape is wrong.
    """
    if not is_host_data(labels, key_labels):
        tensor = _as_label_tensor(labels, name)
        if key_labels is labels:
            return tensor, tensor
        return tensor, _as_label_tensor(key_labels, "key_labels")
    labels = check_labels(labels, name=name, allow_floats=False)
    key_labels = check_labels(key_labels, name="key_labels", allow_floats=False)
    both = np.concatenate([labels, key_labels])
    if both.size and not (_INT32.min <= both.min() and both.max() <= _INT32.max):
        # Equal stays equal: only the ids change; to negative ones, for nobody to take
        # them for the classes' own numbers.
        both = np.unique(both, return_inverse=True)[1] - both.size
    both = both.astype("int32")
    return (
        ops.convert_to_tensor(both[: len(labels)]),
        ops.convert_to_tensor(both[len(labels) :]),
    )


def _as_label_tensor(labels: Any, name: str) -> Tensor:
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) == 2 and labels.shape[1] == 1:
        labels = ops.squeeze(labels, axis=1)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if len(labels.shape) != 1:
        raise ValueError(
            f"`{name}` must have the shape [rows]. Received: "
            f"{name}.shape={tuple(labels.shape)}, dtype={dtype}."
        )
    if "int" not in dtype and dtype != "bool":
        raise TypeError(
            f"`{name}` must be integers; as {dtype}, ids above 2**24 would collide. "
            "Received: "
            f"{name}.shape={tuple(labels.shape)}, dtype={dtype}. Cast them to int32."
        )
    return labels


def _counts(mask: Tensor, weights: Tensor | None) -> Tensor:
    return ops.cast(mask, "float32") if weights is None else weights
