"""Rows and filters as Milvus takes them."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.databases.expressions import Expressions
from keras_similarity.databases.table import Hits
from keras_similarity.stores.columns import Column
from keras_similarity.stores.encoding import all_to_bytes, from_bytes
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import NO_LABEL

#: Bytes that a text, and the metadata of a row, may have.
MAX_TEXT = 65535
# Characters of the ids in one condition.
_LONGEST = 2**20
_INT64_MIN = int(np.iinfo(np.int64).min)
# What a string in an expression cannot hold as it is.
_ESCAPED = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)
_EPOCH = datetime.datetime(1970, 1, 1)


def quoted(text: str) -> str:
    """A text in an expression."""
    return f'"{text.translate(_ESCAPED)}"'


def ids_condition(ids: Sequence[Any]) -> str:
    """The condition that is true of these ids."""
    listed = [quoted(id_) if isinstance(id_, str) else str(id_) for id_ in ids]
    return f"id in [{', '.join(listed)}]"


def parts_of(ids: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Ids in lists of so many, or fewer where they are long."""
    part: list[Any] = []
    length = 0
    for id_ in ids:
        long = len(id_) if isinstance(id_, str) else 0
        if part and (len(part) >= most or length + long > _LONGEST):
            yield part
            part, length = [], 0
        part.append(id_)
        length += long
    if part:
        yield part


class MilvusExpressions(Expressions):
    """Labels are a field, where `NO_LABEL` is none; metadata are in one of JSON.

    Args:
        types: Name of a column -> its type.
        has_json_in: Does `in` take a value in JSON? Not in milvus-lite, and elsewhere a
            chain of `or` takes seconds.
    """

    def __init__(self, types: Mapping[str, str], has_json_in: bool) -> None:
        super().__init__(types)
        self._has_json_in = has_json_in

    def present(self, name: str) -> str:
        if name == "label":  # The literal of `NO_LABEL` itself cannot be read.
            return f"label >= {NO_LABEL + 1}"
        return f"(exists {self._place(name)})"

    def absent(self, name: str) -> str:
        if name == "label":
            return f"label < {NO_LABEL + 1}"
        return f"(not {self.present(name)})"

    def never(self) -> str:
        return "id in []"

    def compared(self, name: str, symbol: str, literal: str) -> str:
        return f"{self._place(name)} {symbol} {literal}"

    def one_of(self, name: str, literals: Sequence[str], *, negated: bool) -> str:
        if self._has_json_in or name == "label":
            condition = f"{self._place(name)} in [{', '.join(literals)}]"
        else:
            condition = " or ".join(self.compared(name, "==", text) for text in literals)
        return f"not ({condition})" if negated else f"({condition})"

    def literal(self, type_: str, value: Any) -> str:
        value = as_json(type_, value)
        if isinstance(value, str):
            return quoted(value)
        return "true" if value is True else "false" if value is False else repr(value)

    def _place(self, name: str) -> str:
        if name == "label":
            return "label"
        return f"metadata[{quoted(key_of(name, self.types[name]))}]"


def key_of(name: str, type_: str) -> str:
    """The key of a value in the metadata of a row.

    It says the type: there is no other place for that which every server keeps.
    """
    return f"{name}:{type_}"


def types_in(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Name -> type of the metadata of rows that were fetched."""
    keys = {key for row in rows for key in row.get("metadata", ())}
    return {name: type_ for name, _, type_ in (key.rpartition(":") for key in keys)}


def as_json(type_: str, value: Any) -> Any:
    """A value of a column as JSON has it, in the same order."""
    if type_ == "timestamp":
        return int(value.astype("datetime64[us]").astype("int64"))
    if type_ == "binary":
        return value.hex()
    return {"bool": bool, "int64": int, "float64": float, "string": str}[type_](value)


def from_json(type_: str, value: Any) -> Any:
    """The Python value of what `as_json` made."""
    if type_ == "timestamp":
        return _EPOCH + datetime.timedelta(microseconds=value)
    if type_ == "binary":
        return bytes.fromhex(value)
    return float(value) if type_ == "float64" else value


def encoded(new: NewRows) -> list[dict[str, Any]]:
    """Rows as dicts of fields.

    Raises:
        ValueError: If an id, data or metadata are larger than a field may be.
    """
    data = _data_texts(new)
    metadata = _json_values(new.metadata, len(new.ids))
    rows = [
        {"id": id_, "vector": vector, "label": label, "data": text, "metadata": values}
        for id_, vector, label, text, values in zip(
            new.ids.tolist(),
            new.embeddings,
            new.labels.tolist(),
            data,
            metadata,
            strict=True,
        )
    ]
    for row in rows:
        _check_size("ids", row["id"] if isinstance(row["id"], str) else "")
        _check_size("metadata", json.dumps(row["metadata"]))
    return rows


def decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row was fetched, as `Database.fetch` gives it."""
    parts: dict[str, Any] = {}
    if "vector" in row:
        parts["vector"] = np.asarray(row["vector"], "float32")
    if "label" in row:
        parts["label"] = row["label"]
    if "data" in row:
        parts["data"] = from_bytes(base64.b64decode(row["data"]) or None)
    if "metadata" in row:
        parts["metadata"] = {}
        for key, value in row["metadata"].items():
            name, _, type_ = key.rpartition(":")
            parts["metadata"][name] = from_json(type_, value)
    return parts


def hits_of(found: Sequence[Sequence[Mapping[str, Any]]]) -> Hits:
    """What Milvus found for each query."""
    flat = [hit for hits in found for hit in hits]
    has_strings = bool(flat) and isinstance(flat[0]["id"], str)
    return Hits(
        np.array([len(hits) for hits in found]),
        np.array([hit["id"] for hit in flat], object if has_strings else "int64"),
        np.array([hit["distance"] for hit in flat], "float32"),
        np.array([hit["entity"]["label"] for hit in flat], "int64"),
    )


def batches(rows: Sequence[dict[str, Any]], most: int) -> Iterable[list[dict[str, Any]]]:
    """Rows in lists of so many bytes, as good as."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        length = row["vector"].nbytes + len(row["data"]) + 64
        length += len(json.dumps(row["metadata"]))
        if batch and size + length > most:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def _data_texts(new: NewRows) -> list[str]:
    contents = [None] * len(new.ids) if new.data is None else all_to_bytes(new.data)
    texts = [base64.b64encode(content or b"").decode("ascii") for content in contents]
    for text in texts:
        _check_size("data", text)
    return texts


def _check_size(argument: str, text: str) -> None:
    size = len(text.encode())
    if size > MAX_TEXT:
        raise ValueError(
            f"`{argument}` must take at most {MAX_TEXT} bytes a row in Milvus. Received: "
            f"{size}. Keep what is large elsewhere, and its place here."
        )


def _json_values(columns: Mapping[str, Column], count: int) -> list[dict[str, Any]]:
    """The metadata of each row, without those that are missing."""
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, column in columns.items():
        for row in np.flatnonzero(column.is_present).tolist():
            value = as_json(column.type, column.values[row])
            if type(value) is int and value == _INT64_MIN:
                raise ValueError(
                    f"`metadata[{name!r}]` must be above {_INT64_MIN} in Milvus, which "
                    "cannot be asked for it."
                )
            rows[row][key_of(name, column.type)] = value
    return rows
