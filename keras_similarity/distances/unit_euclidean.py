"""For losses and miners whose formula knows Euclidean distances of unit vectors alone."""

from __future__ import annotations

from keras_similarity.distances.base import Distance


def is_unit_euclidean(distance: Distance, power: float | None = 1) -> bool:
    """Is it Euclidean, of embeddings that it scales to length 1, raised to `power`?

    Args:
        distance: Any distance.
        power: The power that it must have; `None` for any.
    """
    is_unit = distance.is_euclidean and distance.normalize_embeddings
    return is_unit and power in (None, distance.power)


def checked_unit_euclidean(
    distance: Distance, owner: str, power: float | None = None
) -> Distance:
    """The distance, if it is the Euclidean one of unit vectors, or a power of that.

    Args:
        distance: Any distance.
        owner: Name of the class that needs it, for the message.
        power: The power that it must have; `None` for any.

    Raises:
        ValueError: If it is another one.
    """
    if not is_unit_euclidean(distance, power):
        allowed = "" if power is None else f" and `power={power}`"
        raise ValueError(
            f"`distance` of `{owner}` must be an LpDistance that normalises, with `p=2`"
            f"{allowed}. Received: distance={distance!r}."
        )
    return distance
