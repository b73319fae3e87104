"""What a user gives for ids, labels and data, as checked columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.types import NO_LABEL, Ids, Ints


def as_ids(ids: Any) -> Ids:
    """Ids as an array: int64 `[n]`, or strings `[n]` in an object array.

    Raises:
        TypeError: If they are neither.
        ValueError: If an integer does not fit into int64.
    """
    array = (
        np.asarray([ids]) if isinstance(ids, int | str | np.integer) else to_numpy(ids)
    )
    array = array.reshape(-1)
    if array.dtype.kind in "iu" or not array.size:
        return _as_int64(array)
    if all(isinstance(id_, str) for id_ in array.tolist()):
        return array.astype(object)
    # So NumPy keeps integers of which one is above int64.
    if all(is_integer(id_) for id_ in array.tolist()):
        return _as_int64(array)
    raise TypeError(
        f"`ids` must be integers, or strings. Received: dtype={array.dtype}, such as "
        f"{array[0]!r}."
    )


def is_integer(value: Any) -> bool:
    """Is it an integer, and no bool, which Python counts as one?"""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _as_int64(ids: Ids) -> Ids:
    limits = np.iinfo(np.int64)
    if ids.size and not limits.min <= int(ids.min()) <= int(ids.max()) <= limits.max:
        raise ValueError(
            f"`ids` must fit into int64. Received: values from {ids.min()} to "
            f"{ids.max()}."
        )
    return ids.astype("int64")


def new_ids(ids: Any, count: int, are_strings: bool | None) -> Ids:
    """Ids of `count` rows, each used once, of the kind of those before.

    Args:
        ids: As a user gives them.
        count: How many there must be.
        are_strings: Are those that are stored? `None` if there are none.

    Raises:
        TypeError: If they are of another kind.
        ValueError: If they are more or fewer, or one is used twice.
    """
    ids = as_ids(ids)
    if len(ids) != count:
        raise ValueError(
            f"`ids` must hold one id a row, {count} of them. Received: {len(ids)}."
        )
    if count and are_strings not in (None, ids.dtype == object):
        name = "strings" if are_strings else "integers"
        raise TypeError(f"`ids` must be {name}, as those before. Received: {ids[0]!r}.")
    if len(set(ids.tolist())) < count:
        raise ValueError("`ids` must be used once each. Received: one twice.")
    return ids


def counted_ids(first: int, count: int, are_strings: bool | None) -> Ids:
    """The next `count` ids, if those before are integers."""
    if are_strings:
        raise ValueError("`ids` must be given: those indexed are strings.")
    if first + count - 1 > np.iinfo(np.int64).max:
        raise ValueError(
            f"`ids` must be given: after {first - 1} there are none left in int64."
        )
    return np.arange(first, first + count)


def check_replacing(ids: Any) -> None:
    """Raises a `ValueError` unless it is said which rows are replaced."""
    if ids is None:
        raise ValueError(
            "`ids` must say which rows are replaced. Received: ids=None. To add rows "
            "with new ids, use `add`."
        )


def check_free(taken: Ids) -> None:
    """Raises a `ValueError` if there are ids of new rows that are taken."""
    if len(taken):
        raise ValueError(
            "`ids` must be new. Received: "
            f"{', '.join(map(repr, taken[:5].tolist()))} again. To replace what is "
            "there, use `upsert`."
        )


def check_known(unknown: Ids) -> None:
    """Raises an `IndexError` if there are ids that no row has."""
    if len(unknown):
        raise IndexError(
            "`ids` must be of what is there. Received: "
            f"{', '.join(map(repr, unknown[:5].tolist()))}, which is not."
        )


def labels_column(labels: Any, rows: int) -> Ints:
    """Labels as int64 `[rows]`, with `types.NO_LABEL` for `None`.

    Raises:
        ValueError: If there are not as many as rows, or one is `types.NO_LABEL` itself.
        TypeError: If they are no integers.
    """
    if labels is None:
        return np.full(rows, NO_LABEL, "int64")
    array = to_numpy(labels)
    if array.dtype != object:
        column = check_labels(array, rows=rows)
        is_missing = np.zeros(len(column), bool)
    else:
        array = array.reshape(-1)
        is_missing = np.array([label is None for label in array])
        column = check_labels(np.where(is_missing, 0, array).tolist(), rows=rows)
    if (column == NO_LABEL).any():
        raise ValueError(f"`labels` must not be {NO_LABEL}, which stands for no label.")
    return np.where(is_missing, NO_LABEL, column)


def optional_labels(labels: Ints) -> list[int | None]:
    """Labels as Python values, `None` where there is none."""
    column: list[int | None] = labels.tolist()
    for row in np.flatnonzero(labels == NO_LABEL):
        column[row] = None
    return column


def data_column(data: Any, rows: int) -> list[Any]:
    """Data as a list with one item a row.

    Raises:
        ValueError: If there are not as many as rows.
        TypeError: If it is no list or array.
    """
    is_array = hasattr(data, "shape") and hasattr(data, "dtype")
    try:
        # A copy: what the caller does to the array later is nothing to the store.
        items = list(np.array(to_numpy(data)) if is_array else data)
    except TypeError as error:
        raise TypeError(
            "`data` must be an array or a list with one item a row. Received: a "
            f"{type(data).__name__}."
        ) from error
    if len(items) != rows:
        raise ValueError(
            f"`data` must hold one item a row, {rows} of them. Received: {len(items)}."
        )
    return items
