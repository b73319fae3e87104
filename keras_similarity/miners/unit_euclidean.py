"""For miners whose rule knows one distance: Euclidean, of embeddings of length 1."""

from __future__ import annotations

from keras_similarity.distances import Distance


def is_unit_euclidean(distance: Distance) -> bool:
    """Is it Euclidean, of embeddings that it scales to length 1?"""
    is_unit = distance.normalize_embeddings and distance.p == 2
    return distance.is_euclidean and is_unit and distance.power == 1


def check_unit_euclidean(distance: Distance, name: str) -> Distance:
    """The distance, or a `ValueError` if it is another one.

    Args:
        distance: The distance of a miner.
        name: Class of the miner, for the message.
    """
    if not is_unit_euclidean(distance):
        raise ValueError(
            f"`distance` of {name} must be normalised Euclidean: `LpDistance()`, or "
            f"`None`. Received: distance={distance!r}."
        )
    return distance
