"""A collection of Milvus: how it is made, and whether it is one of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from keras_similarity.databases.milvus_connection import MilvusConnection
from keras_similarity.databases.milvus_index import IndexKind
from keras_similarity.databases.milvus_rows import MAX_TEXT

#: Property of a collection: the largest id that was ever there, and one.
FREE_ID = "ksim.free_id"
_IDENTITY = "ksim.identity"
_INDEX = "vector"  # Named like its field.


@dataclass(frozen=True)
class Collection:
    """What a collection says of itself.

    Attributes:
        identity: Random text that no other one has; `None` if it is not ours.
        has_strings: Are ids strings?
        dim: Embedding size.
        by_label: Are rows partitioned by label?
        free_id: The largest id that is known to have been there, and one; or `None`.
    """

    identity: str | None
    has_strings: bool
    dim: int
    by_label: bool
    free_id: int | None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """What Milvus says of it."""
        fields = {field["name"]: field for field in described["fields"]}
        properties = described.get("properties") or {}
        is_ours = _IDENTITY in properties and {"id", "vector", "label"} <= fields.keys()
        free_id = properties.get(FREE_ID)
        return cls(
            identity=properties[_IDENTITY] if is_ours else None,
            has_strings=is_ours and fields["id"]["type"].name == "VARCHAR",
            dim=int(fields["vector"]["params"]["dim"]) if is_ours else 0,
            by_label=is_ours and bool(fields["label"].get("is_partition_key")),
            free_id=None if free_id is None else int(free_id),
        )


def checked_name(name: str) -> str:
    """The name, if a collection can have it."""
    if not isinstance(name, str) or not re.fullmatch(
        "[A-Za-z_][A-Za-z0-9_]{0,254}", name
    ):
        raise ValueError(
            "`collection` must be a name of letters, digits and underscores that does "
            f"not begin with a digit. Received: {name!r}."
        )
    return name


def make(
    connection: MilvusConnection,
    name: str,
    identity: str,
    *,
    dim: int,
    has_strings: bool,
    by_label: bool,
    **index: Any,
) -> None:
    """Makes a collection, with its index, and loads it.

    Args:
        connection: Of the server or the file.
        name: Of the collection.
        identity: Random text.
        dim: Embedding size.
        has_strings: Will ids be strings?
        by_label: Keep rows of one label together?
        **index: As `make_index`.
    """
    from pymilvus import DataType

    key = {"partition_key_field": "label"} if by_label else {}
    fields = connection.client.create_schema(auto_id=False, **key)
    if has_strings:
        fields.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_TEXT)
    else:
        fields.add_field("id", DataType.INT64, is_primary=True)
    fields.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    fields.add_field("label", DataType.INT64)
    fields.add_field("data", DataType.VARCHAR, max_length=MAX_TEXT)
    fields.add_field("metadata", DataType.JSON)
    connection.call(
        "create_collection",
        name,
        schema=fields,
        index_params=_index_params(connection, **index),
        consistency_level="Strong",  # Of what pymilvus asks page by page.
        properties={_IDENTITY: identity},
    )


def described_index(connection: MilvusConnection, name: str, **index: Any) -> Any:
    """What Milvus says of the index of a collection; makes it, if there is none.

    Its maker may have ended before that.

    Args:
        connection: Of the server or the file.
        name: Of the collection.
        **index: As `make_index`.
    """
    if not connection.call("list_indexes", name):
        params = _index_params(connection, **index)
        connection.call("create_index", name, index_params=params)
        connection.call("load_collection", name)
    return connection.call("describe_index", name, index_name=_INDEX)


def _index_params(
    connection: MilvusConnection, *, kind: IndexKind, metric: str, params: Any
) -> Any:
    index = connection.client.prepare_index_params()
    index.add_index(
        "vector",
        index_name=_INDEX,
        index_type=kind.type,
        metric_type=metric,
        params=dict(params),
    )
    return index
