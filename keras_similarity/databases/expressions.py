"""Filters in the languages of databases."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.stores.columns import as_utc
from keras_similarity.stores.filter import (
    OPERATORS,
    Both,
    Comparison,
    Filter,
    IsIn,
    IsNull,
    Not,
)

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_INT64 = np.iinfo(np.int64)


class Expressions(ABC):
    """Writes filters as conditions of a database.

    Databases disagree about missing values: to some, not being less than 5 is true of a
    price that is missing. So no condition is ever negated: where a filter is true and
    where it is false are two conditions, and each comparison asks for a value, too.

    A subclass says what the parts of a condition look like.

    Args:
        types: Name of a column -> its type.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self.types = types

    @abstractmethod
    def present(self, name: str) -> str:
        """Is there a value?"""

    @abstractmethod
    def absent(self, name: str) -> str:
        """Is there none?"""

    @abstractmethod
    def never(self) -> str:
        """True of no row."""

    @abstractmethod
    def compared(self, name: str, symbol: str, literal: str) -> str:
        """`symbol` is one of those of Python."""

    @abstractmethod
    def one_of(self, name: str, literals: Sequence[str], *, negated: bool) -> str:
        """Is the value one of these (one at least), or none of them?"""

    @abstractmethod
    def literal(self, type_: str, value: Any) -> str:
        """A value, as the columns of the type have them; numbers are finite."""

    def where(self, filter: Filter) -> str:
        """The condition that is true where the filter is."""
        return self._where(filter, True)

    def _where(self, filter: Filter, truth: bool) -> str:
        """Where is the filter true, or where is it false?"""
        match filter:
            case Not(condition):
                return self._where(condition, not truth)
            case Both(first, second):
                word = "and" if truth else "or"
                return (
                    f"({self._where(first, truth)} {word} {self._where(second, truth)})"
                )
            case IsNull(name):
                return self.absent(name) if truth else self.present(name)
            case IsIn(name, values):
                return self._is_in(name, values, truth)
            case Comparison(name, symbol, value):
                return self._comparison(name, symbol, value, truth)
        raise TypeError(
            "`filter` must be made of `field`. Received: a "
            f"{type(filter).__name__}, which a database cannot be asked."
        )

    def _comparison(self, name: str, symbol: str, value: Any, truth: bool) -> str:
        type_ = self.types[name]
        if type_ == "bool":  # Databases do not put them in order.
            holds = [v for v in (False, True) if OPERATORS[symbol](v, value) == truth]
            return self._any(name, holds)
        beyond = self._beyond(type_, value)
        if beyond is not None:
            # Any value that a column may hold will do.
            return self._all(name, bool(OPERATORS[symbol](0, beyond)) == truth)
        symbol = symbol if truth else _OPPOSITE[symbol]
        literal = self.literal(type_, self._as_stored(type_, value))
        return f"({self.present(name)} and {self.compared(name, symbol, literal)})"

    def _is_in(self, name: str, values: Sequence[Any], truth: bool) -> str:
        type_ = self.types[name]
        if type_ == "bool":
            return self._any(name, [v for v in (False, True) if (v in values) == truth])
        given = [
            self._as_stored(type_, v) for v in values if not self._is_never(type_, v)
        ]
        literals = [self.literal(type_, value) for value in dict.fromkeys(given)]
        if not literals:
            return self._all(name, not truth)
        condition = self.one_of(name, literals, negated=not truth)
        return f"({self.present(name)} and {condition})"

    def _any(self, name: str, flags: Sequence[bool]) -> str:
        if len(flags) != 1:
            return self._all(name, bool(flags))
        condition = self.compared(name, "==", self.literal("bool", flags[0]))
        return f"({self.present(name)} and {condition})"

    def _all(self, name: str, is_true: bool) -> str:
        return self.present(name) if is_true else self.never()

    def _is_never(self, type_: str, value: Any) -> bool:
        return self._beyond(type_, value) is not None

    @staticmethod
    def _beyond(type_: str, value: Any) -> float | None:
        """A value that no column of the type holds as -inf, inf or NaN; else `None`."""
        if type_ == "float64" and not math.isfinite(float(value)):
            return float(value)
        if type_ == "int64" and not _INT64.min < int(value) <= _INT64.max:
            return math.copysign(math.inf, int(value))
        if type_ == "timestamp" and np.isnat(as_utc(value)):
            return math.nan
        return None

    @staticmethod
    def _as_stored(type_: str, value: Any) -> Any:
        if type_ == "timestamp":
            return as_utc(value)
        return {"int64": int, "float64": float}.get(type_, lambda same: same)(value)
