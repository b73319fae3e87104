"""Milvus: from a file to a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.databases import milvus_collection, milvus_ids, milvus_index
from keras_similarity.databases.base import Database
from keras_similarity.databases.milvus_collection import FREE_ID
from keras_similarity.databases.milvus_connection import (
    MilvusConnection,
    MilvusWriteError,
    checked_uri,
)
from keras_similarity.databases.milvus_index import KINDS, check_choice
from keras_similarity.databases.milvus_rows import (
    MilvusExpressions,
    batches,
    decoded,
    encoded,
    hits_of,
    ids_condition,
    parts_of,
    types_in,
)
from keras_similarity.databases.table import Hits, Metric, Schema, squared_to_length
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

logger = logging.getLogger(__name__)

_LEVELS = ("Strong", "Bounded", "Session", "Eventually")
# Hits and queries of one request, ids that one asks for, rows that one brings whole.
_HITS, _QUERIES, _IDS, _ROWS = 200_000, 16_384, 10_000, 500
# milvus-lite takes memory for so many differences: queries x rows x dimensions.
_DIFFERENCES = 2**26


@register("milvus")
class MilvusSearch(Database):
    """Finds and keeps rows in Milvus: a file, a server or a cluster.

    `uri` alone says which; nothing else changes. A file is for one process at a time and
    is searched exactly. Lookups and changes are those of any index, with these limits:
    a query gets at most 16,384 neighbours; data take at most 49,000 bytes a row and
    metadata 65,000; a batch of many rows is written in several requests, of which each is
    whole or not at all.

    Writes that a server does not acknowledge are repeated for `timeout` seconds; after
    that a `MilvusWriteError` says which rows are known to be written. What is written
    depends on all that was written before it, whatever the consistency of lookups; only
    one process at a time may add the same ids, or rows without ids, which count on from
    the largest.

    Args:
        distance: Cosine, Euclidean (squared or not) or inner product.
        dim: Embedding size, at least 1.
        uri: `"http://host:19530"`, or the path of a file for milvus-lite, `"rows.db"`.
        token: `"user:password"` or an API key. Never saved: without it, the environment
            variable `MILVUS_TOKEN` is used.
        collection: Where the rows are. One that is there already is taken up.
        index: `"flat"` (exact), `"hnsw"`, `"ivf_flat"` or `"diskann"` (exact in a file);
            of a collection that is there already, its own is in force.
        index_params: Parameters that it is built with, such as `{"M": 32}`.
        search_params: Parameters of its lookups, such as `{"ef": 128}`.
        consistency_level: `"Strong"`: a lookup sees all that was written before it.
            `"Session"`, `"Bounded"` and `"Eventually"` wait less.
        partition_by_label: Keep rows of one label together? Lookups with a filter on the
            label get faster. An upsert or update is a deletion and an insertion then: if
            the client ends in between, the rows of that request are gone. Of a new
            collection only.
        batch_bytes: Size of a request that writes, below Milvus' limit of 64 MB.
        timeout: Seconds for which passing problems are waited out. A lookup may take ten
            times as long, if the server is at work.
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
        check_choice("index", index, tuple(KINDS))
        check_choice("consistency_level", consistency_level, _LEVELS)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise TypeError(f"`timeout` must be a number. Received: {timeout!r}.")
        if not timeout > 0:
            raise ValueError(f"`timeout` must be above 0. Received: {timeout}.")
        self.uri = checked_uri(uri)
        self.collection = milvus_collection.checked_name(collection)
        self.index = index
        self.index_params = {**KINDS[index].build, **(index_params or {})}
        self.search_params = {**KINDS[index].search, **(search_params or {})}
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
        return {name: [16, 32, 64, 128, 256, 512] for name in KINDS[self.index].search}

    def parameters(self) -> dict[str, Any]:
        return {name: self.search_params[name] for name in self.tunable()}

    def _set(self, **parameters: Any) -> None:
        self.search_params = {**self.search_params, **parameters}

    def build(self, verbose: int = 0) -> None:
        """Hands rows that are in the server's memory over to its index."""
        if self.schema() is not None:
            self._call("flush")

    # The collection.

    def schema(self) -> Schema | None:
        # A question first: Milvus logs an error about what it cannot describe.
        if not self._call("has_collection"):
            return None
        found = milvus_collection.Collection.of(self._call("describe_collection"))
        if found.identity is None:
            raise ValueError(
                "`collection` must be new, or made by keras_similarity. Received: "
                f"{self.location}."
            )
        if self._seen != found.identity:
            self._take_up(found)
            self._seen, self._columns = found.identity, {}
        return Schema(found.has_strings, dict(self._columns), found.identity)

    def _take_up(self, found: milvus_collection.Collection) -> None:
        """Goes by what a collection is; a `ValueError` if its vectors are others."""
        described = milvus_collection.described_index(
            self._connection, self.collection, **self._index_arguments()
        )
        metric = described["metric_type"]
        if (found.dim, metric) != (self.dim, self._metric.name):
            raise ValueError(
                f"`collection` must hold vectors of size {self.dim} under the metric "
                f"{self._metric.name}. Received: {self.location}, which holds those of "
                f"size {found.dim} under {metric}."
            )
        if self._connection.is_embedded:
            self._call("load_collection")  # Each process has to, once.
        self.partition_by_label = found.by_label
        index = milvus_index.name_of(described["index_type"])
        if index not in (None, self.index):
            self.index, self.index_params = index, {}
            self.search_params = {**KINDS[index].search}

    def _index_arguments(self) -> dict[str, Any]:
        index = self.index
        if index == "diskann" and self._connection.is_embedded:
            logger.warning("milvus-lite has no DiskANN: it searches all rows, exactly.")
            index = "flat"
        metric, kind = self._metric.name, KINDS[index]
        return {"kind": kind, "metric": metric, "params": self.index_params}

    def _create(
        self, has_strings: bool, columns: Mapping[str, str], identity: str
    ) -> None:
        milvus_collection.make(
            self._connection,
            self.collection,
            identity,
            dim=self.dim,
            has_strings=has_strings,
            by_label=self.partition_by_label,
            **self._index_arguments(),
        )
        self._remember(columns)

    def _add_columns(self, columns: Mapping[str, str]) -> None:
        self._columns = {**self._columns, **columns}

    def _remember(self, columns: Mapping[str, str]) -> None:
        self.schema()  # Forgets those of another collection.
        self._add_columns(columns)

    def _learn(self, names: Collection[str]) -> None:
        for name in set(names) - set(self._columns):
            expressions = [self.expressions({name: type_}) for type_ in DTYPES]
            condition = " or ".join(each.present(name) for each in expressions)
            rows = self._query(condition, ["metadata"], latest=True, limit=1)
            self._add_columns(types_in(rows))

    def _drop(self) -> None:
        if self._call("has_collection"):
            self._call("drop_collection")

    # Changing rows.

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
        ids = [row["id"] for row in batch]

        def write(attempt: int, left: float) -> None:
            # Later attempts replace: what the first inserted may be there already.
            method = "upsert" if replacing or attempt else "insert"
            if method == "upsert" and self.partition_by_label:
                # Milvus 2.3 puts the rows where their old label was.
                for part in parts_of(ids, _IDS):
                    condition = ids_condition(part)
                    self._connection.once(
                        "delete", self.collection, filter=condition, left=left
                    )
                method = "insert"
            self._connection.once(method, self.collection, data=batch, left=left)

        self._connection.repeat(write)

    def _delete(self, ids: Ids) -> None:
        if ids.dtype != object:
            self._note_largest(int(ids.max()))
        for part in parts_of(ids.tolist(), _IDS):
            self._call("delete", filter=ids_condition(part))

    def _note_largest(self, id_: int) -> None:
        """Or a process that opens the collection would give the largest id again."""
        if id_ + 1 >= self._free_id(self.schema()):
            # Milvus 2.3 forgets it when it is started again.
            self._call("alter_collection_properties", properties={FREE_ID: str(id_ + 1)})

    # Reading rows.

    def _fetch(
        self, ids: Ids, parts: Collection[str], latest: bool
    ) -> dict[Any, dict[str, Any]]:
        found: dict[Any, dict[str, Any]] = {}
        is_large = not {"vector", "data"}.isdisjoint(parts)
        for part in parts_of(ids.tolist(), _ROWS if is_large else _IDS):
            rows = self._query(ids_condition(part), ["id", *parts], latest=latest)
            self._add_columns(types_in(rows))
            found.update((row["id"], decoded(row)) for row in rows)
        return found

    def _known(self, ids: Ids) -> set[Any]:
        known: set[Any] = set()
        for part in parts_of(ids.tolist(), _IDS):
            rows = self._query(ids_condition(part), ["id"], latest=True)
            known.update(row["id"] for row in rows)
        return known

    def _all_ids(self, limit: int | None) -> Ids:
        schema = self.schema()
        has_strings = schema is not None and schema.has_strings
        if has_strings:
            # Milvus 2.3 compares no strings of rows that are in its memory only.
            self._call("flush")
        found: list[Any] = []
        for page in milvus_ids.pages(self._query, has_strings, _IDS):
            found += page
            if limit is not None and len(found) >= limit:
                break
        ids = np.empty(len(found), object if has_strings else "int64")
        ids[:] = found
        return ids[:limit]

    def _largest_id(self) -> int:
        found = milvus_collection.Collection.of(self._call("describe_collection"))
        least = self._count(None) if found.free_id is None else found.free_id
        return milvus_ids.largest(self._ids_from, least)

    def _has_id_from(self, first: int) -> bool:
        return bool(self._ids_from(first, 1))

    def _ids_from(self, first: int, limit: int) -> list[int]:
        rows = self._query(f"id >= {first}", ["id"], latest=True, limit=limit)
        return [row["id"] for row in rows]

    def _count(self, condition: str | None) -> int:
        return int(self._query(condition or "", ["count(*)"])[0]["count(*)"])

    def _query(
        self, condition: str, fields: list[str], *, latest: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["consistency_level"] = "Strong" if latest else self.consistency_level
        return self._call("query", filter=condition, output_fields=fields, **kwargs)

    # Finding rows.

    def _search(self, queries: Floats, k: int, condition: str | None) -> Hits:
        params = self.search_params
        if params and condition is not None:
            params = milvus_index.for_filtered(params, self._count(condition))
        size = self._queries_at_once(len(queries), k)
        found: list[Any] = []
        for start in range(0, len(queries), size):
            part = queries[start : start + size]
            answers = self._ask(part, k, condition, params)
            least = min(map(len, answers))
            if params and least < k and least < self._count(condition):
                most = milvus_index.thorough(params)
                answers = self._ask(part, k, condition, most)
            found += answers
        return hits_of(found)

    def _queries_at_once(self, count: int, k: int) -> int:
        size = max(min(_QUERIES, _HITS // k), 1)
        if count > 1 and self._connection.is_embedded:
            differences = max(self._count(None), 1) * self.dim
            size = min(size, max(_DIFFERENCES // differences, 1))
        return size

    def _ask(
        self, queries: Floats, k: int, condition: str | None, params: Mapping[str, Any]
    ) -> Any:
        params = milvus_index.for_neighbors(params, k)
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
