"""Filters and names of columns as LanceDB takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_similarity.databases.expressions import Expressions
from keras_similarity.stores.columns import DTYPES

_SQL = {"==": "=", "!=": "<>"}


class LanceExpressions(Expressions):
    """Conditions in the SQL of LanceDB."""

    def present(self, name: str) -> str:
        return f"{_column_of(name)} is not null"

    def absent(self, name: str) -> str:
        return f"{_column_of(name)} is null"

    def never(self) -> str:
        return "false"

    def compared(self, name: str, symbol: str, literal: str) -> str:
        return f"{_column_of(name)} {_SQL.get(symbol, symbol)} {literal}"

    def one_of(self, name: str, literals: Sequence[str], *, negated: bool) -> str:
        word = "not in" if negated else "in"
        return f"{_column_of(name)} {word} ({', '.join(literals)})"

    def literal(self, type_: str, value: Any) -> str:
        if type_ == "string":
            return _quoted(value)
        if type_ == "binary":
            return f"X'{value.hex()}'"
        if type_ == "timestamp":
            text = np.datetime_as_string(value.astype(DTYPES["timestamp"]))
            return f"timestamp '{text.replace('T', ' ')}'"
        return str(value).lower() if type_ == "bool" else repr(value)


def ids_condition(ids: Sequence[Any]) -> str:
    listed = [_quoted(id_) if isinstance(id_, str) else str(id_) for id_ in ids]
    return f"id in ({', '.join(listed)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column_of(name: str) -> str:
    return "label" if name == "label" else f"`{field_of(name)}`"


def field_of(name: str) -> str:
    """The field of a column of metadata: LanceDB takes few signs in names."""
    safe = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
    return f"m_{''.join(safe)}"


def name_of(field: str) -> str:
    return re.sub(r"_([0-9a-f]+)_", lambda sign: chr(int(sign[1], 16)), field[2:])
