"""Columns of metadata: values of one type each, some of them missing."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.arrays import to_numpy
from keras_similarity.growing import grown
from keras_similarity.types import Bools, Ints

Values = npt.NDArray[Any]

# Type of a column -> the dtype of its array. Timestamps are in UTC.
DTYPES: dict[str, str] = {
    "bool": "bool",
    "int64": "int64",
    "float64": "float64",
    "timestamp": "datetime64[us]",
    "string": "object",
    "binary": "object",
}
_KINDS = {"b": "bool", "i": "int64", "u": "int64", "f": "float64", "M": "timestamp"}
# Names that data frames give other columns.
_TAKEN = frozenset(
    ("", "id", "label", "labels", "data", "embeddings", "query", "rank", "distance")
)
# What a value must be to stand in a column; an int does for a float.
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool, np.bool_),
    "int64": (int, np.integer),
    "float64": (int, float, np.integer, np.floating),
    "timestamp": (datetime.datetime, np.datetime64),
    "string": (str,),
    "binary": (bytes,),
}


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one type.

    Attributes:
        type: `"int64"`, `"float64"`, `"bool"`, `"string"`, `"timestamp"` or `"binary"`.
        values: Array `[n]` of the dtype of the type, `DTYPES`.
        is_present: Bool `[n]`: false where there is no value.
    """

    type: str
    values: Values
    is_present: Bools

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Ints) -> Column:
        """The column of these rows."""
        return Column(self.type, self.values[rows], self.is_present[rows])

    def replaced(self, rows: Ints, other: Column) -> Column:
        """A copy with other values in these rows."""
        values, is_present = self.values.copy(), self.is_present.copy()
        values[rows], is_present[rows] = other.values, other.is_present
        return Column(self.type, values, is_present)

    def to_list(self) -> list[Any]:
        """Python values, `None` where there is none."""
        values = self.values.tolist()
        return [
            value if present else None
            for value, present in zip(values, self.is_present.tolist(), strict=True)
        ]

    def comparable(self, value: Any) -> Any:
        """A value as those of the column are; a `TypeError` if it is no such thing."""
        if self.type == "timestamp" and isinstance(value, str):
            value = np.datetime64(value)
        if not is_of_type(value, self.type):
            raise TypeError(
                f"A column of the type {self.type} cannot be compared with a "
                f"{type(value).__name__}. Received: {value!r}."
            )
        return as_utc(value) if self.type == "timestamp" else value


class GrowingColumn:
    """A column to which values are appended; what was taken from it never changes.

    Args:
        column: What it holds at first.
    """

    def __init__(self, column: Column) -> None:
        self.type = column.type
        self._values = grown(column.values)
        self._is_present = grown(column.is_present)

    def __len__(self) -> int:
        return len(self._is_present)

    def first(self, rows: int) -> Column:
        """The first rows."""
        return Column(self.type, self._values.rows[:rows], self._is_present.rows[:rows])

    def extend(self, column: Column) -> None:
        """Appends a column of the same type."""
        self._values.extend(column.values)
        self._is_present.extend(column.is_present)


def missing(type_: str, rows: int) -> Column:
    """A column without any value."""
    dtype = DTYPES[type_]
    values = np.full(rows, None, object) if dtype == "object" else np.zeros(rows, dtype)
    return Column(type_, values, np.zeros(rows, bool))


def as_column(name: str, values: Any, rows: int, type_: str | None = None) -> Column:
    """A column of values that a user gave, of which `None` are missing.

    Args:
        name: Name of the column, for messages.
        values: An array or a list, one value a row.
        rows: How many there must be.
        type_: Type that they must have; `None`: that of the first value.

    Raises:
        ValueError: If there are not as many as rows.
        TypeError: If a value is of no type, or of another one.
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        values = [values] * rows  # One for all.
    if len(values) != rows:
        raise ValueError(
            f"`metadata[{name!r}]` must hold one value a row, {rows} of them. Received: "
            f"{len(values)}."
        )
    array = to_numpy(values) if hasattr(values, "dtype") else None
    if array is not None and array.ndim == 1 and array.dtype.kind in _KINDS:
        return _from_array(name, array, type_)
    return _from_list(name, list(values), type_)


def is_of_type(value: Any, type_: str) -> bool:
    """May the value stand in a column of that type?"""
    is_flag = isinstance(value, bool | np.bool_)  # Which Python counts as an int.
    return isinstance(value, _TYPES[type_]) and (type_ == "bool" or not is_flag)


def as_utc(value: Any) -> np.datetime64:
    """A time as NumPy writes it; one without a zone is taken to be in UTC."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def metadata_columns(
    metadata: Any, rows: int, known: Mapping[str, Column]
) -> dict[str, Column]:
    """Metadata that a user gave, as checked columns.

    Args:
        metadata: As `check_metadata` takes it.
        rows: How many rows.
        known: Columns that are stored, whose types hold.
    """
    columns = {}
    for name, values in check_metadata(metadata, rows).items():
        type_ = known[name].type if name in known else None
        column = as_column(name, values, rows, type_)
        # Of nothing but missing values nobody knows the type.
        if name in known or column.is_present.any():
            columns[name] = column
    return columns


def check_metadata(metadata: Any, rows: int) -> dict[str, Any]:
    """Metadata as a dict of column name to values.

    Args:
        metadata: A mapping of names to columns, a list of one mapping a row, a data
            frame, or `None`.
        rows: How many rows.

    Raises:
        TypeError: If it is none of these, or a name is no string.
        ValueError: If a name is taken, or the rows do not fit.
    """
    if metadata is None:
        return {}
    if hasattr(metadata, "to_dict") and hasattr(metadata, "columns"):
        metadata = {name: metadata[name].tolist() for name in metadata.columns}
    if not isinstance(metadata, Mapping):
        metadata = _from_rows(metadata, rows)
    for name in metadata:
        if not isinstance(name, str):
            raise TypeError(f"`metadata` must have names. Received: {name!r}.")
        if name in _TAKEN:
            raise ValueError(
                f"`metadata` must not have a column {name!r}: that name is taken."
            )
    return dict(metadata)


def _from_rows(metadata: Any, rows: int) -> dict[str, list[Any]]:
    is_list = isinstance(metadata, Sequence) and not isinstance(metadata, str | bytes)
    if not is_list or not all(isinstance(row, Mapping) for row in metadata):
        raise TypeError(
            "`metadata` must be a mapping of names to columns, or a list of one mapping "
            f"a row. Received: a {type(metadata).__name__}."
        )
    if len(metadata) != rows:
        raise ValueError(
            f"`metadata` must hold one mapping a row, {rows} of them. Received: "
            f"{len(metadata)}."
        )
    names = dict.fromkeys(name for row in metadata for name in row)
    return {name: [row.get(name) for row in metadata] for name in names}


def _from_array(name: str, array: Values, type_: str | None) -> Column:
    found = _KINDS[array.dtype.kind]
    if type_ not in (None, found, "float64" if found == "int64" else found):
        raise _wrong_type(name, found, str(type_))
    type_ = type_ or found
    values = array.astype(DTYPES[type_])
    is_nothing = np.isnat(values) if type_ == "timestamp" else np.zeros(len(values), bool)
    return Column(type_, values, ~is_nothing)


def _from_list(name: str, values: list[Any], type_: str | None) -> Column:
    is_present = np.array([value is not None for value in values], bool)
    given = [value for value in values if value is not None]
    type_ = type_ or _type_of(name, given)
    for value in given:
        if not is_of_type(value, type_):
            raise _wrong_type(name, repr(value), type_)
    column = missing(type_, len(values))
    if type_ == "timestamp":
        given = [as_utc(value) for value in given]
    # One by one for objects: NumPy would look into them.
    if DTYPES[type_] == "object":
        for row, value in zip(np.flatnonzero(is_present), given, strict=True):
            column.values[row] = value
    else:
        column.values[is_present] = given
    return Column(type_, column.values, is_present)


def _type_of(name: str, values: list[Any]) -> str:
    """The narrowest type that all values are of."""
    for type_ in DTYPES:
        if values and all(is_of_type(value, type_) for value in values):
            return type_
    if not values:
        return "string"
    raise TypeError(
        f"`metadata[{name!r}]` must be values of one type: {', '.join(DTYPES)}. "
        f"Received: {', '.join(sorted({type(value).__name__ for value in values}))}."
    )


def _wrong_type(name: str, received: str, type_: str) -> TypeError:
    return TypeError(
        f"`metadata[{name!r}]` must be of the type {type_}, as the values before. "
        f"Received: {received}."
    )
