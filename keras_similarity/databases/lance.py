"""LanceDB: vectors and records in one table, on disk or object storage."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.databases.base import Database
from keras_similarity.databases.lance_expressions import (
    LanceExpressions,
    field_of,
    ids_condition,
    name_of,
)
from keras_similarity.databases.lance_rows import (
    arrow_schema,
    as_arrow,
    labels_of,
    parts_in,
    type_names,
)
from keras_similarity.databases.table import Hits, Metric, Schema, squared_to_length
from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    SquaredEuclideanDistance,
)
from keras_similarity.places import place_of
from keras_similarity.search import register
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import Floats, Ids

_IDENTITY = b"ksim.identity"
_METRIC = b"ksim.metric"
# Queries and ids of one request.
_QUERIES, _IDS = 256, 5000
# So few rows that a filter leaves are searched exactly; of more, so many times as many
# lists are gone through.
_FEW, _MORE_LISTS = 50_000, 4
# Of codes so many times as many neighbours are looked at, by their vectors.
_REFINE = 10
# Each change leaves a small piece behind, and many of them are slow to read.
_OPTIMIZE_EVERY = 100


@register("lance")
class LanceSearch(Database):
    """Finds and keeps rows in a LanceDB table, on disk or on object storage.

    For rows that are more than memory holds: the vectors stay where they are. Searched
    exactly, at the speed of reading them, until `build()` makes an IVF index, if `index`
    asks for one; rows that come later are searched exactly beside it. Each change is one
    version of the table, whole or not at all. Other processes see it at once. Those that
    write to a local folder wait for each other; to object storage only one may write at
    a time.

    Args:
        distance: Cosine, Euclidean (squared or not) or inner product.
        dim: Embedding size, at least 1.
        path: Folder, or a URL that LanceDB knows (`"s3://bucket/folder"`).
        table: Name of the table; one that is there already is taken up.
        index: `None` (exact), `"ivf_flat"` or `"ivf_pq"`, made by `build_index()`.
        num_partitions: Lists of the index; `None` leaves them to LanceDB.
        nprobes: Lists that a lookup goes through.
        storage_options: Of the object storage. Never saved, since they may hold a
            secret: LanceDB takes them from the environment as well.
        name: Name of the object.
        verbose: Of the signature of searches.

    Raises:
        ImportError: If the package `lancedb` is missing.
        ValueError: If an argument is not as above.
    """

    default_name = "lance"
    metrics: ClassVar[Mapping[type[Distance], Metric]] = {
        CosineDistance: Metric("cosine", lambda value: np.clip(value, 0.0, 2.0)),
        EuclideanDistance: Metric("l2", squared_to_length),
        SquaredEuclideanDistance: Metric("l2", lambda value: value),
        InnerProductSimilarity: Metric("dot", lambda value: 1.0 - value),
    }

    def __init__(
        self,
        distance: Distance | str | Mapping[str, Any],
        dim: int,
        path: str | os.PathLike[str] = "ksim-lance",
        table: str = "ksim",
        *,
        index: str | None = None,
        num_partitions: int | None = None,
        nprobes: int = 20,
        storage_options: Mapping[str, str] | None = None,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(distance, dim, name, verbose)
        self._lancedb = import_optional("lancedb", extra="lance", needed_by="LanceSearch")
        self._arrow = import_optional("pyarrow", extra="lance", needed_by="LanceSearch")
        if index not in (None, "ivf_flat", "ivf_pq"):
            raise ValueError(
                f"`index` must be None, 'ivf_flat' or 'ivf_pq'. Received: {index!r}."
            )
        path = os.fspath(path)
        self.path = path if "://" in path else os.path.abspath(path)
        self.table = table
        self.index = index
        self.num_partitions = num_partitions
        self.nprobes = nprobes
        self.storage_options = storage_options
        self._opening = threading.RLock()
        self._opened: Any = None
        self._identity: bytes | None = None
        self._changes = 0
        self._depth = 0  # Of nested calls of `_exclusively`.

    @property
    def location(self) -> str:
        return f"{self.path}, table {self.table!r}"

    def get_config(self) -> dict[str, Any]:
        names = ("path", "table", "index", "num_partitions", "nprobes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def tunable(self) -> dict[str, list[Any]]:
        return {} if self.index is None else {"nprobes": [1, 4, 16, 64, 256]}

    def build(self, verbose: int = 0) -> None:
        """Makes the index, or puts the rows that came since into it."""
        table = self._table()
        if table is None:
            return
        table.optimize()
        if self.index is not None and not table.list_indices() and table.count_rows():
            from lancedb.index import IvfFlat, IvfPq

            kind = IvfFlat if self.index == "ivf_flat" else IvfPq
            config = kind(
                distance_type=self._metric.name, num_partitions=self.num_partitions
            )
            table.create_index("vector", config=config)

    def compact(self) -> None:
        if (table := self._table()) is not None:
            table.optimize()

    # The table.

    def _connection(self) -> Any:
        return self._lancedb.connect(
            self.path,
            # What others have written is seen at once.
            read_consistency_interval=datetime.timedelta(0),
            storage_options=dict(self.storage_options) if self.storage_options else None,
        )

    def _table(self) -> Any:
        """The table; `None` if there is none yet."""
        with self._opening:
            if self._opened is not None and not self._is_current(self._opened):
                self._opened = None
            if self._opened is None:
                if "://" not in self.path and not os.path.isdir(self.path):
                    return None
                try:
                    table = self._connection().open_table(self.table)
                except (ValueError, FileNotFoundError) as error:
                    if "not found" not in str(error).lower():
                        raise
                    return None
                self._check_same(table.schema)
                self._identity = table.schema.metadata[_IDENTITY]
                self._opened = table
            return self._opened

    def _is_current(self, table: Any) -> bool:
        """Is it still there, or has another process reset it?"""
        try:
            return bool((table.schema.metadata or {}).get(_IDENTITY) == self._identity)
        except RuntimeError:
            return False

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._writing)
            if "://" not in self.path and self._depth == 0:
                os.makedirs(self.path, exist_ok=True)
                stack.enter_context(place_of(self.path).lock(shared=False))
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _check_same(self, schema: Any) -> None:
        """Raises a `ValueError` if the table holds vectors of another kind."""
        metadata = schema.metadata or {}
        if _IDENTITY not in metadata:
            raise ValueError(
                "`table` must be new, or made by keras_similarity. Received: "
                f"{self.location}."
            )
        dim, metric = schema.field("vector").type.list_size, metadata[_METRIC].decode()
        if (dim, metric) != (self.dim, self._metric.name):
            raise ValueError(
                f"`table` must hold vectors of size {self.dim} under the metric "
                f"{self._metric.name}. Received: {self.location}, which holds those of "
                f"size {dim} under {metric}."
            )

    def schema(self) -> Schema | None:
        table = self._table()
        if table is None:
            return None
        found, types = table.schema, type_names()
        return Schema(
            has_strings=not self._arrow.types.is_integer(found.field("id").type),
            columns={
                name_of(field.name): types[str(field.type)]
                for field in found
                if field.name.startswith("m_")
            },
            identity=found.metadata[_IDENTITY].decode(),
        )

    def _create(
        self, has_strings: bool, columns: Mapping[str, str], identity: str
    ) -> None:
        schema = arrow_schema(self.dim, has_strings, columns).with_metadata(
            {_IDENTITY: identity, _METRIC: self._metric.name}
        )
        with self._opening:
            self._opened = self._connection().create_table(self.table, schema=schema)
            self._identity = identity.encode()

    def _add_columns(self, columns: Mapping[str, str]) -> None:
        schema = arrow_schema(self.dim, False, columns)
        fields = [schema.field(field_of(name)) for name in columns]
        self._table().add_columns(self._arrow.schema(fields))

    def _drop(self) -> None:
        with self._opening:
            if self._table() is not None:
                self._connection().drop_table(self.table)
                self._opened = None

    # Rows.

    def _encode(self, new: NewRows, columns: Mapping[str, str]) -> Any:
        return as_arrow(new, columns)

    def _write_rows(self, rows: Any, replacing: bool) -> None:
        table = self._table()
        if replacing:
            merge = table.merge_insert("id").when_matched_update_all()
            merge.when_not_matched_insert_all().execute(rows)
        else:
            table.add(rows)
        self._note_change()

    def _delete(self, ids: Ids) -> None:
        # In one condition: one version of the table.
        self._table().delete(ids_condition(ids.tolist()))
        self._note_change()

    def _note_change(self) -> None:
        self._changes += 1
        if self._changes % _OPTIMIZE_EVERY == 0:
            self._table().optimize()

    def _fetch(
        self, ids: Ids, parts: Collection[str], latest: bool
    ) -> dict[Any, dict[str, Any]]:
        schema = self.schema()
        names = list(schema.columns) if schema and "metadata" in parts else []
        plain = [part for part in parts if part != "metadata"]
        found: dict[Any, dict[str, Any]] = {}
        for table in self._rows_of(ids, ["id", *plain, *map(field_of, names)]):
            rows = parts_in(table, parts, names)
            found.update(zip(table["id"].to_pylist(), rows, strict=True))
        return found

    def _rows_of(self, ids: Ids, fields: list[str]) -> Iterator[Any]:
        for start in range(0, len(ids), _IDS):
            condition = ids_condition(ids[start : start + _IDS].tolist())
            yield self._table().search().where(condition).select(fields).to_arrow()

    def _known(self, ids: Ids) -> set[Any]:
        return {
            id_ for rows in self._rows_of(ids, ["id"]) for id_ in rows["id"].to_pylist()
        }

    def _all_ids(self, limit: int | None) -> Ids:
        query = self._table().search().select(["id"])
        ids = (query if limit is None else query.limit(limit)).to_arrow()["id"]
        array = ids.to_numpy()
        return array.astype(object if array.dtype == object else "int64")

    def _largest_id(self) -> int:
        batches = self._table().search().select(["id"]).to_batches()
        return max((int(b["id"].to_numpy().max()) for b in batches if len(b)), default=-1)

    def _has_id_from(self, first: int) -> bool:
        return self._count(f"id >= {first}") > 0

    def _count(self, condition: str | None) -> int:
        return int(self._table().count_rows(condition))

    # Finding.

    def _search(self, queries: Floats, k: int, condition: str | None) -> Hits:
        table = self._table()
        is_exact = self.index is None or not table.list_indices()
        allowed = table.count_rows(condition)
        lists = None if is_exact or (condition and allowed <= _FEW) else self.nprobes
        if lists is not None and condition is not None:
            lists *= _MORE_LISTS
        found = []
        for start in range(0, len(queries), _QUERIES):
            part = queries[start : start + _QUERIES]
            hits = self._ask(table, part, k, condition, lists)
            if lists is not None and hits.counts.min() < min(k, allowed):
                hits = self._ask(table, part, k, condition, None)
            found.append(hits)
        return Hits(
            np.concatenate([hits.counts for hits in found]),
            np.concatenate([hits.ids for hits in found]),
            np.concatenate([hits.values for hits in found]),
            np.concatenate([hits.labels for hits in found]),
        )

    def _ask(
        self,
        table: Any,
        queries: Floats,
        k: int,
        condition: str | None,
        lists: int | None,
    ) -> Hits:
        """What is found in so many lists, or with `None` among all rows."""
        query = table.search(queries, vector_column_name="vector")
        query = query.distance_type(self._metric.name)
        if lists is None:
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(lists)
            if self.index == "ivf_pq":
                query = query.refine_factor(_REFINE)
        if condition is not None:
            query = query.where(condition, prefilter=True)
        found = query.limit(k).select(["id", "label", "_distance"]).to_arrow()
        number = np.zeros(found.num_rows, "int64")
        if "query_index" in found.column_names:
            number = found["query_index"].to_numpy()
        values = found["_distance"].to_numpy()
        order = np.lexsort((values, number))
        ids = found["id"].to_numpy()
        return Hits(
            np.bincount(number, minlength=len(queries)),
            ids.astype(object if ids.dtype == object else "int64")[order],
            values[order],
            labels_of(found)[order],
        )

    def expressions(self, columns: Mapping[str, str]) -> LanceExpressions:
        return LanceExpressions(columns)
