"""What losses share whose formula knows cosines alone."""

from __future__ import annotations

from typing import Any

from keras_similarity.distances import Distance
from keras_similarity.pairs import Batch

Tensor = Any


def checked_cosine(distance: Distance, owner: str) -> Distance:
    """The distance, if its cost and the cosine differ by a constant.

    A loss calls it from `_checked_distance`.

    Args:
        distance: A distance.
        owner: Name of the class that needs it, for the message.

    Raises:
        ValueError: If cosines cannot be told from it.
    """
    if not distance.is_cosine:
        raise ValueError(
            f"`distance` of `{owner}` must measure cosines: CosineSimilarity, "
            "CosineDistance, or DotProductSimilarity that normalises (`p=2`, "
            f"`power=1`). Received: distance={distance!r}."
        )
    return distance


def cosine_matrix(batch: Batch) -> Tensor:
    """Cosines `[n, M]` of a batch whose distance `checked_cosine` has passed."""
    if _is_cosine_itself(batch.distance):
        return batch.distances
    return cosine_of(batch.cost, batch.distance)


def cosines_between(query: Tensor, key: Tensor, distance: Distance) -> Tensor:
    """Cosines `[n, M]` of rows, by a distance that `checked_cosine` passed."""
    if _is_cosine_itself(distance):
        return distance(query, key)
    return cosine_of(distance.cost(query, key), distance)


def cosine_of(cost: Tensor, distance: Distance) -> Tensor:
    """Cosines of a cost of any shape, by a distance that `checked_cosine` passed."""
    return distance.cosine_offset - cost


def _is_cosine_itself(distance: Distance) -> bool:
    return distance.is_similarity and distance.cosine_offset == 0
