"""Columns as lists of plain values, for what takes values one by one, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_similarity.stores.columns import DTYPES, Column, missing
from keras_similarity.types import NO_LABEL, Ids, Ints

# Databases take NaN for a missing value.
_NAN = "nan"


def plain_from_column(column: Column) -> list[Any]:
    """Ints, floats (or `"nan"`), text and bytes; `None` where there is no value.

    A time is the number of microseconds since 1970, a bool 0 or 1.
    """
    values = column.values
    if column.type in ("timestamp", "bool"):
        values = values.astype("int64")
    plain = values.tolist()
    if column.type == "float64":
        for row in np.flatnonzero(np.isnan(values)):
            plain[row] = _NAN
    for row in np.flatnonzero(~column.is_present):
        plain[row] = None
    return plain


def plain_to_column(type_: str, plain: Sequence[Any]) -> Column:
    """The column that `plain_from_column` was given."""
    column = missing(type_, len(plain))
    is_present = np.array([value is not None for value in plain], bool)
    given = [value for value in plain if value is not None]
    if DTYPES[type_] == "object":
        for row, value in zip(np.flatnonzero(is_present), given, strict=True):
            column.values[row] = value
    elif type_ == "timestamp":
        column.values[is_present] = np.array(given, "int64").astype(DTYPES[type_])
    else:
        column.values[is_present] = np.array(given, DTYPES[type_])
    return Column(type_, column.values, is_present)


def labels_from_list(plain: Sequence[int | None]) -> Ints:
    """The labels that `optional_labels` was given."""
    return np.array([NO_LABEL if label is None else label for label in plain], "int64")


def ids_from_list(plain: Sequence[Any]) -> Ids:
    """Ids as a store has them: int64, or strings in an object array."""
    return np.array(plain, object if plain and isinstance(plain[0], str) else "int64")
