"""Uniform histogram miner."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras, ops
from keras_similarity.distances import Distance
from keras_similarity.miners.base import Miner, register
from keras_similarity.pairs import Batch, Pairs, draw_columns, draw_uniform

Tensor = Any


def bins_of(distances: Tensor, mask: Tensor, *, num_bins: int) -> Tensor:
    """Bins of equal width, from the smallest to the largest distance of a mask.

    Args:
        distances: Floats `[n, M]`.
        mask: Bool `[n, M]`: the pairs.
        num_bins: How many bins there are.

    Returns:
        Int32 `[n, M]` from 0 to `num_bins - 1`; any of them where there is no pair.
    """
    low = ops.amin(ops.where(mask, distances, float("inf")))
    width = ops.amax(ops.where(mask, distances, -float("inf"))) - low
    # Without a pair the width is -inf.
    place = ops.divide_no_nan(distances - low, ops.relu(width)) * num_bins
    place = ops.where(mask, place, 0.0)
    return ops.cast(ops.clip(ops.floor(place), 0, num_bins - 1), "int32")


def uniform_over_bins(
    bins: Tensor, mask: Tensor, uniform: Tensor, *, num_bins: int
) -> Tensor:
    """How often each pair is drawn, if each bin that has one gives as many.

    Args:
        bins: Int32 `[n, M]`: bin of each pair.
        mask: Bool `[n, M]`: the pairs.
        uniform: Floats `[2, num_bins, k]` from 0 to below 1: `k` draws from each bin,
            with replacement.
        num_bins: How many bins there are.

    Returns:
        Float32 `[n, M]`.
    """
    rows, keys = ops.shape(mask)
    in_row = ops.segment_sum(
        ops.cast(ops.reshape(mask, (-1,)), "float32"),
        ops.reshape(ops.arange(rows, dtype="int32")[:, None] * num_bins + bins, (-1,)),
        num_segments=rows * num_bins,
    )
    in_row = ops.transpose(ops.reshape(in_row, (rows, num_bins)))  # [num_bins, n]
    # First which row, by how many it has in the bin, then which of these.
    row = ops.reshape(draw_columns(in_row, uniform[0]), (-1,))
    per_bin = uniform.shape[2]
    a_bin = ops.arange(num_bins * per_bin, dtype="int32") // per_bin
    in_bin = (ops.take(bins, row, axis=0) == a_bin[:, None]) & ops.take(mask, row, axis=0)
    in_bin = ops.cast(in_bin, "float32")  # [num_bins * k, M]
    column = draw_columns(in_bin, ops.reshape(uniform[1], (-1, 1)))[:, 0]
    counts = ops.segment_sum(
        ops.amax(in_bin, axis=1), row * keys + column, num_segments=rows * keys
    )
    return ops.reshape(counts, (rows, keys))


@register("uniform_histogram")
class UniformHistogramMiner(Miner):
    """Draws pairs so that all distances are equally frequent in the batch.

    Positives and negatives separately: the range of their distances in the whole batch is
    cut into bins of equal width, and each bin that has a pair gives the same number,
    drawn with replacement. A pair that is drawn twice counts twice.

    Args:
        num_bins: How many bins there are.
        pos_per_bin: How many positives are drawn from a bin.
        neg_per_bin: How many negatives.
        distance: A `Distance` or its name; `None` shares the loss's, and is normalised
            Euclidean where the miner is called by itself.
        seed: Seed of the draws; `None` for a random one.

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.backend import ops
        >>> from keras_similarity.miners import UniformHistogramMiner
        >>> embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
        >>> miner = UniformHistogramMiner(num_bins=4, pos_per_bin=3, seed=0)
        >>> pairs = miner(np.array([0, 0, 1]), embeddings)
        >>> int(ops.sum(pairs.positive_counts)), int(ops.sum(pairs.negative_counts))
        (3, 20)
    """

    def __init__(
        self,
        num_bins: int = 100,
        pos_per_bin: int = 10,
        neg_per_bin: int = 10,
        distance: Distance | str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(distance)
        sizes = {
            "num_bins": num_bins,
            "pos_per_bin": pos_per_bin,
            "neg_per_bin": neg_per_bin,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={size}.")
        self.num_bins = num_bins
        self.pos_per_bin = pos_per_bin
        self.neg_per_bin = neg_per_bin
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    @property
    def seed_generator(self) -> keras.random.SeedGenerator:
        return self._generator

    def mine_batch(self, batch: Batch) -> Pairs:
        cost = ops.stop_gradient(batch.cost_of(self.distance))
        distances = self.distance_in(batch).to_cost(cost)
        per_bin = self.pos_per_bin + self.neg_per_bin
        uniform = draw_uniform((2, self.num_bins, per_bin), self._generator, cost)
        counts = []
        for mask, draws in (
            (batch.pairs.positive_mask, uniform[:, :, : self.pos_per_bin]),
            (batch.pairs.negative_mask, uniform[:, :, self.pos_per_bin :]),
        ):
            bins = bins_of(distances, mask, num_bins=self.num_bins)
            counts.append(uniform_over_bins(bins, mask, draws, num_bins=self.num_bins))
        return Pairs(counts[0] > 0, counts[1] > 0, *counts)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "pos_per_bin": self.pos_per_bin,
            "neg_per_bin": self.neg_per_bin,
            "seed": self.seed,
        }
