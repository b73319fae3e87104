"""Conditions on what was indexed: which rows a lookup may find."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.stores.columns import Column
from keras_similarity.types import Bools

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Filter(ABC):
    """A condition on the label and the metadata of a row.

    Made of `field`, and joined with `&` (and), `|` (or) and `~` (not). As in SQL, a
    comparison with a value that is missing is neither true nor false, and so is its
    opposite: only rows of which the whole condition is true are found.

    Example:
        >>> from keras_similarity.indexer import Indexer, field
        >>> index = Indexer(embedding_size=2, distance="euclidean")
        >>> prices = {"price": [5.0, 20.0, None]}
        >>> index.batch_add([[0, 0], [1, 0], [2, 0]], labels=[7, 7, 8], metadata=prices)
        [0, 1, 2]
        >>> condition = (field("label") == 7) & (field("price") < 10)
        >>> index.batch_lookup([[1.0, 0.0]], k=3, filter=condition).ids.tolist()
        [[0, -1, -1]]
    """

    @abstractmethod
    def truth(self, columns: Mapping[str, Column]) -> tuple[Bools, Bools]:
        """Where the condition is true, and where it is false, both `[rows]`.

        Args:
            columns: `"label"` and the metadata, by name.

        Raises:
            ValueError: If there is no column of a name.
            TypeError: If a value is not of its column's type.
        """

    def __and__(self, other: Filter) -> Filter:
        return Both(self, _checked(other))

    def __or__(self, other: Filter) -> Filter:
        return ~(~self & ~_checked(other))

    def __invert__(self) -> Filter:
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            "A filter has no truth value: join filters with `&`, `|` and `~`, each in "
            "parentheses, not with `and`, `or` and `not`."
        )


class field:
    """A column in a condition: `"label"`, or a name of the metadata.

    Compare it (`==`, `!=`, `<`, `<=`, `>`, `>=`) with a value of the column's type, or
    ask `is_in(values)` or `is_null()`. See `Filter`.

    Args:
        name: Name of the column.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: Any) -> Filter:  # type: ignore[override]
        return _compared(self.name, "==", value)

    def __ne__(self, value: Any) -> Filter:  # type: ignore[override]
        return _compared(self.name, "!=", value)

    def __lt__(self, value: Any) -> Filter:
        return _compared(self.name, "<", value)

    def __le__(self, value: Any) -> Filter:
        return _compared(self.name, "<=", value)

    def __gt__(self, value: Any) -> Filter:
        return _compared(self.name, ">", value)

    def __ge__(self, value: Any) -> Filter:
        return _compared(self.name, ">=", value)

    __hash__ = None  # type: ignore[assignment]

    def is_in(self, values: Iterable[Any]) -> Filter:
        """Is the value one of these? Not where it is missing."""
        return IsIn(self.name, tuple(values))

    def is_null(self) -> Filter:
        """Is the value missing? Always true or false."""
        return IsNull(self.name)


def _compared(name: str, symbol: str, value: Any) -> Filter:
    if value is None:
        raise TypeError(
            f"`{name}` cannot be compared with None, which is a missing value. Use "
            f'`field("{name}").is_null()`.'
        )
    return Comparison(name, symbol, value)


@dataclass(frozen=True)
class Comparison(Filter):
    """A column compared with a value."""

    name: str
    symbol: str
    value: Any

    def truth(self, columns: Mapping[str, Column]) -> tuple[Bools, Bools]:
        column = _column(columns, self.name)
        value = column.comparable(self.value)
        is_true = np.zeros(len(column), bool)
        present = column.is_present
        # Missing strings are None, which nothing is less than.
        compared = OPERATORS[self.symbol](column.values[present], value)
        is_true[present] = compared
        return is_true, present & ~is_true


@dataclass(frozen=True)
class IsIn(Filter):
    """Is the value one of these?"""

    name: str
    values: tuple[Any, ...]

    def truth(self, columns: Mapping[str, Column]) -> tuple[Bools, Bools]:
        column = _column(columns, self.name)
        values = [column.comparable(value) for value in self.values]
        is_true = np.zeros(len(column), bool)
        present = column.is_present
        if column.values.dtype == object:
            wanted = set(values)
            found = [value in wanted for value in column.values[present]]
            is_true[present] = found
        else:
            is_true[present] = np.isin(column.values[present], values)
        return is_true, present & ~is_true


@dataclass(frozen=True)
class IsNull(Filter):
    """Is the value missing?"""

    name: str

    def truth(self, columns: Mapping[str, Column]) -> tuple[Bools, Bools]:
        present = _column(columns, self.name).is_present
        return ~present, present


@dataclass(frozen=True)
class Both(Filter):
    """Two conditions, of which both must hold."""

    first: Filter
    second: Filter

    def truth(self, columns: Mapping[str, Column]) -> tuple[Bools, Bools]:
        (one, not_one), (other, not_other) = (
            condition.truth(columns) for condition in (self.first, self.second)
        )
        return one & other, not_one | not_other


@dataclass(frozen=True)
class Not(Filter):
    """The opposite of a condition."""

    condition: Filter

    def truth(self, columns: Mapping[str, Column]) -> tuple[Bools, Bools]:
        is_true, is_false = self.condition.truth(columns)
        return is_false, is_true


def _column(columns: Mapping[str, Column], name: str) -> Column:
    if name not in columns:
        raise ValueError(
            f"`filter` must ask for a column that is there: {', '.join(columns)}. "
            f"Received: {name!r}."
        )
    return columns[name]


def names_in(filter: Filter) -> set[str]:
    """The columns that a filter made of `field` asks for."""
    match filter:
        case Both(first, second):
            return names_in(first) | names_in(second)
        case Not(condition):
            return names_in(condition)
        case Comparison() | IsIn() | IsNull():
            return {filter.name}
    return set()


def check_filter(filter: Any) -> Filter:
    """The argument, if it is a filter; else a `TypeError`."""
    if not isinstance(filter, Filter):
        raise TypeError(
            '`filter` must be a condition such as `field("label") == 3`. Received: a '
            f"{type(filter).__name__}."
        )
    return filter


def _checked(other: Any) -> Filter:
    if not isinstance(other, Filter):
        raise TypeError(
            "A filter can be joined with a filter only. Received: a "
            f"{type(other).__name__}. Put comparisons in parentheses: `&` and `|` bind "
            "closer than they do."
        )
    return other
