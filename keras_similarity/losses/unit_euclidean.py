"""What losses share whose formula knows Euclidean distances of unit vectors alone."""

from __future__ import annotations

from keras_similarity.distances import Distance


def checked_unit_euclidean(
    distance: Distance, owner: str, power: float | None = None
) -> Distance:
    """The distance, if it is the Euclidean one of unit vectors, or a power of that.

    A loss calls it from `_checked_distance`.

    Args:
        distance: A distance.
        owner: Name of the class that needs it, for the message.
        power: The power that it must have; `None` for any.

    Raises:
        ValueError: If it is another one.
    """
    is_unit = distance.is_euclidean and distance.normalize_embeddings
    if not is_unit or power not in (None, distance.power):
        allowed = "" if power is None else f" and `power={power}`"
        raise ValueError(
            f"`distance` of `{owner}` must be an LpDistance that normalises, with `p=2`"
            f"{allowed}. Received: distance={distance!r}."
        )
    return distance
