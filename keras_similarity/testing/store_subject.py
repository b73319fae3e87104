"""What stores are tried with, and how what they give back is compared."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_similarity.stores import Store

Make = Callable[[], Store]
Check = Callable[[Make], Iterator[str]]

#: What each check is called, in the order in which they run.
CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Registers a check, which yields a sentence for each fault that it finds."""

    def add(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return add


POINTS = np.arange(12, dtype="float32").reshape(6, 2)
LABELS = [7, None, 2**62 + 1, -5, 0, 7]
DATA: list[Any] = [
    None,
    "ä",
    {"a": (1, [2.5, True, None]), 3: b"\x00\xff"},
    np.arange(6, dtype="float16").reshape(2, 3),
    [np.array(["u", "vv"]), np.int8(3), np.zeros((0, 4))],
    2**70,
]
NOON = datetime.datetime(2024, 1, 1, 12)
METADATA: dict[str, list[Any]] = {
    "flag": [True, None, False, True, None, False],
    "Price": [2**60 + 1, None, -3, 0, 1, 2],
    "price": [1.5, None, float("nan"), float("inf"), -0.0, 2.0],
    "name of it": ["a", None, "", "ä", "it's", '"'],
    "bytes": [b"a", None, b"", b"\x00", b"\xff", b"b"],
    "when": [NOON, None, NOON, datetime.datetime(1900, 1, 1), NOON, None],
}


def same_rows(one: Store, other: Store) -> Iterator[str]:
    rows = np.flatnonzero(one.is_live)
    there = np.flatnonzero(other.is_live)
    yield from differs("ids", other.ids(there).tolist(), one.ids(rows).tolist())
    if len(there) != len(rows):
        return
    yield from differs("labels", other.labels(there), one.labels(rows))
    found, expected = other.records(there), one.records(rows)
    yield from differs("embeddings", found[0], expected[0])
    yield from differs("data", found[1], expected[1])
    metadata = other.metadata(there)
    for name, column in one.metadata(rows).items():
        same = metadata[name].to_list()
        yield from differs(f"the column {name!r}", same, column.to_list())


def differs(what: str, found: Any, expected: Any) -> Iterator[str]:
    if not _is_same(found, expected):
        yield f"{what}: {_short(found)} came back, not {_short(expected)}"


def _is_same(one: Any, other: Any) -> bool:
    """Are types and values the same, those inside too?"""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return bool(np.array_equal(one, other))
    if isinstance(one, dict):
        return _is_same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        same_length = len(one) == len(other)
        return same_length and all(map(_is_same, one, other))
    return bool(one == other or (one != one and other != other))


def raises(error: type[Exception], call: Callable[[], Any]) -> bool:
    try:
        call()
    except error:
        return True
    return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + " ..."
