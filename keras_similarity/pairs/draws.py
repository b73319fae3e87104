"""Random choices among pairs, with replacement."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import keras, ops, search_rows, stateless_draws
from keras_similarity.pairs.pairs import Pairs, pairs_from_triplets
from keras_similarity.pairs.triplets import Triplets

Tensor = Any


def draw_uniform(
    shape: tuple[Any, ...], generator: keras.random.SeedGenerator, like: Tensor
) -> Tensor:
    """Floats from 0 to below 1; the generator's state advances.

    Args:
        shape: Shape of the result.
        generator: Where they come from.
        like: What the numbers are used with. Where JAX traces it and nobody has handed
            in the generator's state, the numbers are the same at each run.
    """
    with stateless_draws(like, generator.state.value):
        return keras.random.uniform(shape, dtype="float32", seed=generator)


def draw_columns(weights: Tensor, uniform: Tensor) -> Tensor:
    """Columns `[n, k]`, each drawn with a chance in proportion to its weight.

    Args:
        weights: Floats `[n, M]`, at least 0.
        uniform: Floats `[n, k]` from 0 to below 1, which decide.

    Returns:
        Integers `[n, k]`; anything from 0 to M - 1 where all weights of a row are 0.
    """
    cumulative = ops.cumsum(ops.cast(weights, "float32"), axis=1)
    # Below the total, also rounded: no column after the last weight is drawn.
    target = uniform * cumulative[:, -1:]
    last = (weights.shape[1] or ops.shape(weights)[1]) - 1
    return ops.minimum(search_rows(cumulative, target), last)


def triplets_of_columns(
    positives: Tensor, negatives: Tensor, weights: Tensor
) -> Triplets:
    """The list of triplets that columns `[n, k]` of the keys of each anchor mean."""
    size, k = ops.shape(positives)
    anchors = ops.arange(size, dtype="int32")[:, None] + ops.zeros((1, k), "int32")
    flat = [ops.reshape(x, (-1,)) for x in (anchors, positives, negatives, weights)]
    return Triplets(*flat)


def random_triplets(
    pairs: Pairs, per_anchor: int, generator: keras.random.SeedGenerator
) -> Pairs:
    """Random triplets: `per_anchor` of each anchor that has a positive and a negative.

    Positive and negative are drawn uniformly (by their weights, where pairs have them),
    with replacement.

    Args:
        pairs: Pairs `[n, M]` to draw from.
        per_anchor: How many triplets an anchor has.
        generator: Where the draws come from.
    """
    positive, negative = pairs.positive_counts, pairs.negative_counts
    rows, keys = ops.shape(positive)
    uniform = draw_uniform((2, rows, per_anchor), generator, positive)
    has_both = (ops.sum(positive, axis=1) > 0) & (ops.sum(negative, axis=1) > 0)
    triplets = triplets_of_columns(
        draw_columns(positive, uniform[0]),
        draw_columns(negative, uniform[1]),
        ops.broadcast_to(ops.cast(has_both, "float32")[:, None], (rows, per_anchor)),
    )
    return pairs_from_triplets(triplets, (rows, keys))
