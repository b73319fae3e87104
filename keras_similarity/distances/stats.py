"""Whether objects keep statistics of what passed through them."""

from __future__ import annotations

from keras_similarity.array_ops import Array, is_host_data
from keras_similarity.backend import is_traced

#: Do objects made with `collect_stats=None` keep statistics? Set it at any time:
#: `keras_similarity.distances.stats.COLLECT_STATS = True`.
COLLECT_STATS = False


def is_collecting(collect_stats: bool | None) -> bool:
    """What an object's `collect_stats` says, or `COLLECT_STATS` where that is `None`."""
    return COLLECT_STATS if collect_stats is None else collect_stats


def is_concrete(array: Array) -> bool:
    """Does the array have values now? Not while a function is traced or compiled."""
    if hasattr(array, "_keras_history"):
        return False
    return is_host_data(array) or not is_traced(array)
