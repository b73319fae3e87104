"""Milvus: from a file to a cluster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.databases.base import (
    Database,
    Hits,
    Metric,
    Schema,
    squared_to_length,
)
from keras_similarity.databases.milvus_connection import (
    MilvusConnection,
    MilvusWriteError,
)
from keras_similarity.databases.milvus_rows import (
    MAX_TEXT,
    MilvusExpressions,
    batches,
    decoded,
    encoded,
    ids_condition,
    types_in,
)
from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    SquaredEuclideanDistance,
)
from keras_similarity.search import register
from keras_similarity.search.base import check_positive
from keras_similarity.stores.columns import DTYPES
from keras_similarity.types import Floats, Ids

# Name -> Milvus' own, its parameters, and those of a lookup.
_INDEXES: dict[str, tuple[str, dict[str, int], dict[str, int]]] = {
    "flat": ("FLAT", {}, {}),
    "hnsw": ("HNSW", {"M": 16, "efConstruction": 200}, {"ef": 64}),
    "ivf_flat": ("IVF_FLAT", {"nlist": 1024}, {"nprobe": 16}),
    "diskann": ("DISKANN", {}, {"search_list": 100}),
}
_LEVELS = ("Strong", "Bounded", "Session", "Eventually")
# Parameters of a lookup that must be `k` at least.
_AT_LEAST_K = ("ef", "search_list")
# Properties of a collection that are ours.
_IDENTITY, _FREE_ID = "ksim.identity", "ksim.free_id"
# Hits that one request brings, ids that one asks for, and rows that one brings whole.
_HITS, _IDS, _ROWS = 200_000, 10_000, 500
# So few rows that a filter leaves are searched as well as can be.
_FEW = 50_000


@register("milvus")
class MilvusSearch(Database):
    """Finds and keeps rows in Milvus: a file, a server or a cluster.

    `uri` alone says which; nothing else changes. A file is for one process at a time and
    is searched exactly. Lookups and changes are those of any index, with these limits:
    a query gets at most 16,384 neighbours; data take at most 49,000 bytes a row and
    metadata 65,000; a batch of many rows is written in several requests, of which each is
    whole or not at all.

    Writes that a server does not acknowledge are repeated for `timeout` seconds; after
    that a `MilvusWriteError` says which rows are known to be written. Where no ids are
    given, they count on from the largest: only one process may add so at a time.

    Args:
        distance: Cosine, Euclidean (squared or not) or inner product.
        dim: Embedding size, at least 1.
        uri: `"http://host:19530"`, or the path of a file for milvus-lite.
        token: `"user:password"` or an API key. Never saved: without it, the environment
            variable `MILVUS_TOKEN` is used.
        collection: Where the rows are. One that is there already is taken up.
        index: `"flat"` (exact), `"hnsw"`, `"ivf_flat"` or `"diskann"`; of a collection
            that is there already, its own is in force.
        index_params: Parameters that it is built with, such as `{"M": 32}`.
        search_params: Parameters of its lookups, such as `{"ef": 128}`.
        consistency_level: `"Strong"`: a lookup sees all that was written before it.
            `"Session"`, `"Bounded"` and `"Eventually"` wait less.
        partition_by_label: Keep rows of one label together? Lookups with a filter on the
            label get faster, upserts and updates are a deletion and an insertion. Of a
            new collection only.
        batch_bytes: Size of a request that writes, below Milvus' limit of 64 MB.
        timeout: Seconds for which passing problems are waited out.
        name: Name of the object.
        verbose: Of the signature of searches.

    Raises:
        ImportError: If the package `pymilvus` is missing.
        ValueError: If an argument is not as above.
    """

    default_name = "milvus"
    max_neighbors = 16384
    metrics: ClassVar[Mapping[type[Distance], Metric]] = {
        CosineDistance: Metric("COSINE", lambda value: np.clip(1.0 - value, 0.0, 2.0)),
        EuclideanDistance: Metric("L2", squared_to_length),
        SquaredEuclideanDistance: Metric("L2", lambda value: value),
        InnerProductSimilarity: Metric("IP", lambda value: value),
    }

    def __init__(
        self,
        distance: Distance | str | Mapping[str, Any],
        dim: int,
        uri: str | os.PathLike[str] = "ksim-milvus.db",
        token: str | None = None,
        collection: str = "ksim",
        *,
        index: str = "flat",
        index_params: Mapping[str, Any] | None = None,
        search_params: Mapping[str, Any] | None = None,
        consistency_level: str = "Strong",
        partition_by_label: bool = False,
        batch_bytes: int = 16 * 2**20,
        timeout: float = 60.0,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(distance, dim, name, verbose)
        import_optional("pymilvus", extra="milvus", needed_by="MilvusSearch")
        _check_choice("index", index, tuple(_INDEXES))
        _check_choice("consistency_level", consistency_level, _LEVELS)
        self.uri = _checked_uri(uri)
        self.collection = collection
        self.index = index
        self.index_params = {**_INDEXES[index][1], **(index_params or {})}
        self.search_params = {**_INDEXES[index][2], **(search_params or {})}
        self.consistency_level = consistency_level
        self.partition_by_label = partition_by_label
        self.batch_bytes = check_positive("batch_bytes", batch_bytes)
        self.timeout = timeout
        token = token or os.environ.get("MILVUS_TOKEN")
        self._connection = MilvusConnection(self.uri, token, timeout, collection)
        # The collection that was seen last, and what is known of its metadata.
        self._seen: str | None = None
        self._columns: dict[str, str] = {}

    @property
    def location(self) -> str:
        return f"{self.uri}, collection {self.collection!r}"

    def get_config(self) -> dict[str, Any]:
        names = ["uri", "collection", "index", "index_params", "search_params"]
        names += ["consistency_level", "partition_by_label", "batch_bytes", "timeout"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def close(self) -> None:
        self._connection.close()

    def tunable(self) -> dict[str, list[Any]]:
        return {name: [16, 32, 64, 128, 256, 512] for name in _INDEXES[self.index][2]}

    def _set(self, **parameters: Any) -> None:
        self.search_params = {**self.search_params, **parameters}

    def build(self, verbose: int = 0) -> None:
        """Hands rows that are in the server's memory over to its index."""
        if self.schema() is not None:
            self._call("flush")

    # The collection.

    def schema(self) -> Schema | None:
        if not self._call("has_collection"):
            return None
        described = self._call("describe_collection")
        properties = described.get("properties", {})
        if _IDENTITY not in properties:
            raise ValueError(
                "`collection` must be new, or made by keras_similarity. Received: "
                f"{self.location}."
            )
        if self._seen != properties[_IDENTITY]:
            self._check_same(described)
            self._seen, self._columns = properties[_IDENTITY], {}
        (key,) = [f for f in described["fields"] if f["name"] == "id"]
        return Schema(
            has_strings=key["type"].name == "VARCHAR",
            columns=dict(self._columns),
            identity=properties[_IDENTITY],
        )

    def _check_same(self, described: Mapping[str, Any]) -> None:
        """Raises a `ValueError` if there are vectors of another kind."""
        self.partition_by_label = any(
            field.get("is_partition_key") for field in described["fields"]
        )
        (field,) = [f for f in described["fields"] if f["name"] == "vector"]
        dim = int(field["params"]["dim"])
        metric = self._call("describe_index", index_name="vector")["metric_type"]
        if (dim, metric) != (self.dim, self._metric.name):
            raise ValueError(
                f"`collection` must hold vectors of size {self.dim} under the metric "
                f"{self._metric.name}. Received: {self.location}, which holds those of "
                f"size {dim} under {metric}."
            )

    def _create(self, has_strings: bool, columns: Mapping[str, str]) -> None:
        from pymilvus import DataType

        client = self._connection.client
        by_label = {"partition_key_field": "label"} if self.partition_by_label else {}
        fields = client.create_schema(auto_id=False, **by_label)
        if has_strings:
            text = DataType.VARCHAR
            fields.add_field("id", text, is_primary=True, max_length=MAX_TEXT)
        else:
            fields.add_field("id", DataType.INT64, is_primary=True)
        fields.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        fields.add_field("label", DataType.INT64)
        fields.add_field("data", DataType.VARCHAR, max_length=MAX_TEXT)
        fields.add_field("metadata", DataType.JSON)
        index = client.prepare_index_params()
        index.add_index(
            "vector",
            index_name="vector",
            index_type=_INDEXES[self.index][0],
            metric_type=self._metric.name,
            params=dict(self.index_params),
        )
        identity = uuid.uuid4().hex
        self._call(
            "create_collection",
            schema=fields,
            index_params=index,
            properties={_IDENTITY: identity},
        )
        self._seen, self._columns = identity, dict(columns)

    def _add_columns(self, columns: Mapping[str, str]) -> None:
        self._columns = {**self._columns, **columns}

    def _learn(self, names: Collection[str]) -> None:
        for name in set(names) - set(self._columns):
            expressions = [self.expressions({name: type_}) for type_ in DTYPES]
            condition = " or ".join(each.present(name) for each in expressions)
            self._add_columns(types_in(self._query(condition, ["metadata"], limit=1)))

    def read(self, folder: Path) -> dict[str, Any]:
        reference = super().read(folder)
        self._add_columns(reference["columns"])
        return reference

    def _drop(self) -> None:
        if self._call("has_collection"):
            self._call("drop_collection")

    # Rows.

    def _encode(self, new: Any, columns: Mapping[str, str]) -> list[dict[str, Any]]:
        return encoded(new)

    def _write_rows(self, rows: Any, replacing: bool) -> None:
        written: list[Any] = []
        for batch in batches(rows, self.batch_bytes):
            ids = [row["id"] for row in batch]
            try:
                self._write_batch(batch, replacing)
            except Exception as error:
                raise MilvusWriteError(written, ids, len(rows)) from error
            written += ids

    def _write_batch(self, batch: list[dict[str, Any]], replacing: bool) -> None:
        ids = ids_condition([row["id"] for row in batch])

        def write(attempt: int) -> None:
            # Later attempts replace: what the first inserted may be there already.
            method = "upsert" if replacing or attempt else "insert"
            if method == "upsert" and self.partition_by_label:
                # Milvus 2.3 does not find upserted rows again by their label.
                self._connection.once("delete", self.collection, filter=ids)
                method = "insert"
            self._connection.once(method, self.collection, data=batch)

        self._connection.repeat(write)

    def _delete(self, ids: Ids) -> None:
        if ids.dtype != object:
            # Or a process that opens the collection would give the largest id again.
            # (Milvus 2.3 forgets the note when it is started again.)
            free = max(int(ids.max()) + 1, self._free_id())
            properties = {_FREE_ID: str(free)}
            self._call("alter_collection_properties", properties=properties)
        for part in _parts(ids, _IDS):
            self._call("delete", filter=ids_condition(part))

    def _fetch(self, ids: Ids, parts: Collection[str]) -> dict[Any, dict[str, Any]]:
        found = {}
        for part in _parts(ids, _ROWS if {"vector", "data"} & set(parts) else _IDS):
            rows = self._query(ids_condition(part), ["id", *parts])
            self._add_columns(types_in(rows))
            for row in rows:
                found[row["id"]] = decoded(row)
        return found

    def _known(self, ids: Ids) -> set[Any]:
        known: set[Any] = set()
        for part in _parts(ids, _IDS):
            known.update(row["id"] for row in self._query(ids_condition(part), ["id"]))
        return known

    def _all_ids(self, limit: int | None) -> Ids:
        schema = self.schema()
        found: list[Any] = []
        iterator = self._connection.client.query_iterator(
            self.collection,
            batch_size=_IDS,
            limit=-1 if limit is None else limit,
            output_fields=["id"],
            consistency_level=self.consistency_level,
        )
        while batch := iterator.next():
            found += [row["id"] for row in batch]
        iterator.close()
        ids = np.empty(len(found), object if schema and schema.has_strings else "int64")
        ids[:] = found
        return ids

    def _largest_id(self) -> int:
        """Milvus has no largest: what is there above a number is asked, and halved."""
        properties = self._call("describe_collection").get("properties", {})
        least, end = int(properties.get(_FREE_ID, self._count(None))), 2**63
        while least < end:
            # As a rule nothing is there, and one question is enough.
            above = self._query(f"id >= {least}", ["id"], limit=1000)
            if not above:
                return least - 1
            least = max(row["id"] for row in above) + 1
            middle = least + (end - least) // 2
            beyond = middle < 2**63 and self._query(f"id >= {middle}", ["id"], limit=1)
            least, end = (beyond[0]["id"] + 1, end) if beyond else (least, middle)
        return least - 1

    def _count(self, condition: str | None) -> int:
        return int(self._query(condition or "", ["count(*)"])[0]["count(*)"])

    def _query(self, condition: str, fields: list[str], **kwargs: Any) -> Any:
        return self._call(
            "query",
            filter=condition,
            output_fields=fields,
            consistency_level=self.consistency_level,
            **kwargs,
        )

    def _search(self, queries: Floats, k: int, condition: str | None) -> Iterable[Hits]:
        size = max(_HITS // k, 1)
        params = self._parameters(condition)
        for start in range(0, len(queries), size):
            part = queries[start : start + size]
            answers = self._ask(part, k, condition, params)
            least = min(map(len, answers))
            if params and least < k and least < self._count(condition):
                answers = self._ask(part, k, condition, self._thorough())
            for hits in answers:
                yield (
                    [hit["id"] for hit in hits],
                    [hit["distance"] for hit in hits],
                    [hit["entity"]["label"] for hit in hits],
                )

    def _parameters(self, condition: str | None) -> Mapping[str, Any]:
        """Those of a lookup; the rows that a filter leaves are farther apart."""
        if not self.search_params or condition is None:
            return self.search_params
        most = self._thorough()
        if self._count(condition) <= _FEW:
            return most
        return {name: min(4 * v, most[name]) for name, v in self.search_params.items()}

    def _thorough(self) -> dict[str, Any]:
        """The parameters that find the most."""
        most = {"nprobe": 16384, "ef": 4096, "search_list": 1000}
        return {name: max(v, most[name]) for name, v in self.search_params.items()}

    def _ask(
        self, queries: Floats, k: int, condition: str | None, params: Mapping[str, Any]
    ) -> Any:
        at_least = {name: k for name in _AT_LEAST_K if name in params}
        params = {name: max(v, at_least.get(name, v)) for name, v in params.items()}
        return self._call(
            "search",
            data=list(queries),
            anns_field="vector",
            limit=k,
            filter=condition or "",
            output_fields=["label"],
            search_params={"metric_type": self._metric.name, "params": params},
            consistency_level=self.consistency_level,
        )

    def expressions(self, columns: Mapping[str, str]) -> MilvusExpressions:
        return MilvusExpressions(columns, has_json_in=not self._connection.is_embedded)

    def _call(self, method: str, **kwargs: Any) -> Any:
        return self._connection.call(method, self.collection, **kwargs)


def _parts(ids: Ids, size: int) -> Iterator[list[Any]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size].tolist()


def _check_choice(argument: str, value: Any, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(known)}. Received: {value!r}."
        )


def _checked_uri(uri: str | os.PathLike[str]) -> str:
    """The address; of a file, its whole path."""
    uri = os.fspath(uri)
    if "://" not in uri:
        return os.path.abspath(uri)
    if urlsplit(uri).password:
        raise ValueError(
            "`uri` must hold no password, since it is saved with the index. Give `token`."
        )
    return uri
