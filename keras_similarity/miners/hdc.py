"""Hard-aware deeply cascaded miner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_similarity.backend import ops, static_value
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Batch, Pairs, keep_pairs, pairs_from_indices

Tensor = Any

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
# Up to so many values sorting is faster than counting them 32 times, where it is not
# compiled.
_SORTED = 2**15
# Float32 makes 0.3 * 10 more than 3, which is no fourth pair.
_ROUNDING = 1e-3


def hardest_share(hardness: Tensor, mask: Tensor, share: float) -> Tensor:
    """The hardest pairs of the whole batch: a share of them, rounded up.

    Of equally hard pairs, of which not all are within the share, those of the first rows
    are.

    Args:
        hardness: Floats `[n, M]`, larger is harder.
        mask: Bool `[n, M]`: the pairs.
        share: From 0 to 1.

    Returns:
        Bool `[n, M]`.
    """
    total = _count(mask)
    known = static_value(total)
    if known is None or int(np.prod(mask.shape)) > _SORTED:
        count = ops.ceil(ops.cast(total, "float32") * share - _ROUNDING)
        values = _in_order(hardness)
        allowed = ops.where(mask, values, _INT32_MIN)
        cut = _nth_largest(allowed, ops.cast(count, "int32"))
    elif known == 0:
        return mask
    else:
        count = math.ceil(known * share - _ROUNDING)
        values = hardness
        allowed = ops.where(mask, values, -float("inf"))
        cut = ops.top_k(ops.reshape(allowed, (-1,)), count)[0][-1]
        is_within = mask & (values >= cut)
        if static_value(_count(is_within)) == count:
            return is_within
    is_within = mask & (values > cut)
    missing = ops.cast(count, "int32") - _count(is_within)
    return is_within | _first(mask & (values == cut), missing)


def _count(mask: Tensor) -> Tensor:
    return ops.sum(ops.cast(mask, "int32"))


def _in_order(values: Tensor) -> Tensor:
    """Int32 that are ordered as floats are."""
    values = ops.cast(values, "float32") + 0.0  # -0.0 becomes 0.0.
    # On TensorFlow `ops.view` needs the size of the last axis.
    bits = ops.view(values[:, :, None], "int32")[:, :, 0]
    return ops.where(bits < 0, ops.bitwise_xor(bits, _INT32_MAX), bits)


def _nth_largest(values: Tensor, count: Tensor) -> Tensor:
    """Int32: the `count`-th largest of integers, counted from 1."""

    # Bit by bit, the largest number that at least `count` are not below.
    def can_be(candidate: Any) -> Tensor:
        return _count(values >= candidate) >= count

    def add_bit(index: Any, state: Any) -> Any:
        cut, bit = state
        cut = cut + ops.cast(can_be(cut + bit), "int32") * bit
        return cut, bit // 2

    cut = ops.where(can_be(0), 0, _INT32_MIN)
    highest = ops.convert_to_tensor(2**30, "int32")
    return ops.fori_loop(0, 31, add_bit, (cut, highest))[0]


def _first(mask: Tensor, count: Tensor) -> Tensor:
    """The first `count` of the entries that `mask` `[n, M]` allows, row by row."""
    per_row = ops.sum(ops.cast(mask, "int32"), axis=1)
    left = count - (ops.cumsum(per_row) - per_row)  # [n]: to take from this row on.
    is_cut = (left > 0) & (left < per_row)
    row = ops.argmax(ops.cast(is_cut, "int32"))
    is_early = ops.cumsum(ops.cast(mask[row], "int32")) <= left[row]  # [M]
    whole = left >= per_row
    return mask & (whole[:, None] | (is_cut[:, None] & is_early[None, :]))


@register("hdc")
class HDCMiner(Miner):
    """Keeps the hardest share of the positives and of the negatives of a whole batch.

    Args:
        filter_percentage: Which share stays, greater than 0 and up to 1; their number
            is rounded up.
        distance: A `Distance` or its name; `None` shares the loss's, and is normalised
            Euclidean where the miner is called by itself.

    Raises:
        ValueError: If `filter_percentage` is out of range.

    Reference:
        [Yuan et al., 2017](https://arxiv.org/abs/1611.05720)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.miners import HDCMiner
        >>> from keras_similarity.pairs import pair_indices
        >>> embeddings = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
        >>> pairs = HDCMiner()(np.array([0, 0, 1, 1]), embeddings)
        >>> [column.tolist() for column in pair_indices(pairs)]
        [[2, 3], [3, 2], [0, 1, 2, 2], [2, 2, 0, 1]]
    """

    def __init__(
        self,
        filter_percentage: float = 0.5,
        distance: Distance | str | None = None,
    ) -> None:
        super().__init__(distance)
        if not 0 < filter_percentage <= 1:
            raise ValueError(
                "`filter_percentage` must be a share greater than 0 and up to 1. "
                f"Received: filter_percentage={filter_percentage}."
            )
        self.filter_percentage = filter_percentage
        self._external: Pairs | Sequence[Any] | None = None

    def mine_batch(self, batch: Batch) -> Pairs:
        external = self._external
        if external is not None:
            if not isinstance(external, Pairs):
                shape = (batch.embeddings.shape[0], batch.keys.shape[0])
                external = pairs_from_indices(external, shape)
            batch = batch.with_pairs(external)
        return super().mine_batch(batch)

    def mine(self, cost: Tensor, pairs: Pairs) -> Pairs:
        positive = hardest_share(cost, pairs.positive_mask, self.filter_percentage)
        negative = hardest_share(-cost, pairs.negative_mask, self.filter_percentage)
        return keep_pairs(pairs, positive, negative)

    def set_idx_externally(
        self, external_indices_tuple: Pairs | Sequence[Any], labels: Any = None
    ) -> None:
        """Chooses among these pairs from now on, until `reset_idx()`.

        For one batch at a time: in `compile()` give one miner's pairs to the next one.

        Args:
            external_indices_tuple: `Pairs`, or columns of indices as
                `pairs_from_indices` takes them.
            labels: Not needed: the indices say which pairs are positive.
        """
        self._external = external_indices_tuple

    def reset_idx(self) -> None:
        """Chooses among the pairs of the batch again."""
        self._external = None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filter_percentage": self.filter_percentage}
