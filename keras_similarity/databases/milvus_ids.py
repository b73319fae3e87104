"""All ids of a collection, and the largest: Milvus has no command for either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from keras_similarity.databases.milvus_rows import quoted

# Ids that are looked at for the largest.
_SAMPLE = 1000
_END = 2**63


def pages(query: Callable[..., Any], has_strings: bool, size: int) -> Iterator[list[Any]]:
    """Ids in ascending order, so many at a time.

    Args:
        query: `query(condition, fields, **options)` gives rows.
        has_strings: Are they strings?
        size: Of a page.
    """
    # What pymilvus' own iterator asks for, which trips over quotes in strings.
    options = {"iterator": "True", "reduce_stop_for_best": "True", "limit": size}
    condition = 'id >= ""' if has_strings else f"id >= {1 - _END}"
    while rows := query(condition, ["id"], **options):
        ids = [row["id"] for row in rows]
        yield ids
        last = max(ids)
        condition = f"id > {quoted(last) if has_strings else last}"


def largest(ids_from: Callable[[int, int], list[int]], least: int) -> int:
    """The largest id, or `least` less one if that is larger.

    What is there above a number is asked, and the rest halved.

    Args:
        ids_from: `ids_from(first, limit)` gives some ids from `first` on.
        least: Where to begin.
    """
    end = _END
    while least < end:
        # As a rule nothing is there, and one question is enough.
        above = ids_from(least, _SAMPLE)
        if not above:
            return least - 1
        least = max(above) + 1
        middle = least + (end - least) // 2
        beyond = ids_from(middle, 1) if middle < _END else []
        least, end = (beyond[0] + 1, end) if beyond else (least, middle)
    return least - 1
