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
    """
    array = (
        np.asarray([ids]) if isinstance(ids, int | str | np.integer) else to_numpy(ids)
    )
    array = array.reshape(-1)
    if array.dtype.kind in "iu" or not array.size:
        return array.astype("int64")
    if all(isinstance(id_, str) for id_ in array.tolist()):
        return array.astype(object)
    raise TypeError(
        f"`ids` must be integers, or strings. Received: dtype={array.dtype}, such as "
        f"{array[0]!r}."
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
