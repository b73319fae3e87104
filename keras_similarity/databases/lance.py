"""LanceDB: vectors and records in one table, on disk or object storage."""

from __future__ import annotations

import datetime
import os
import re
import threading
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.databases.base import (
    Database,
    Hits,
    Metric,
    Schema,
    squared_to_length,
)
from keras_similarity.databases.expressions import Expressions
from keras_similarity.distances import (
    CosineDistance,
    Distance,
    EuclideanDistance,
    InnerProductSimilarity,
    SquaredEuclideanDistance,
)
from keras_similarity.search import register
from keras_similarity.stores.columns import DTYPES
from keras_similarity.stores.encoding import all_to_bytes, from_bytes
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import NO_LABEL, Floats, Ids

_IDENTITY = b"ksim.identity"
_METRIC = b"ksim.metric"
_SQL = {"==": "=", "!=": "<>"}
# Queries and ids of one request.
_QUERIES, _IDS = 256, 5000
# Each change leaves a small piece behind, and many of them are slow to read.
_OPTIMIZE_EVERY = 100


@register("lance")
class LanceSearch(Database):
    """Finds and keeps rows in a LanceDB table, on disk or on object storage.

    For rows that are more than memory holds: the vectors stay where they are. Searched
    exactly, at the speed of reading them, until `build()` makes an IVF index, if `index`
    asks for one; rows that come later are searched exactly beside it. Each change is one
    version of the table, whole or not at all. Other processes see it at once; only one
    may write at a time.

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
        self._changes = 0

    @property
    def location(self) -> str:
        return f"{self.path}, table {self.table!r}"

    def get_config(self) -> dict[str, Any]:
        names = ("path", "table", "index", "num_partitions", "nprobes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def check(self, embeddings: Any, name: str = "embeddings") -> Floats:
        array = super().check(embeddings, name)
        if type(self.distance) is CosineDistance and not array.any(axis=1).all():
            raise ValueError(
                f"`{name}` must not be 0 under the cosine distance: LanceDB never finds "
                f"such a row. Received: one in row {int(np.argmin(array.any(axis=1)))}."
            )
        return array

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
                self._opened = table
            return self._opened

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
        found = table.schema
        types = {str(arrow): ours for ours, arrow in self._types().items()}
        return Schema(
            has_strings=not self._arrow.types.is_integer(found.field("id").type),
            columns={
                _name_of(field.name): types[str(field.type)]
                for field in found
                if field.name.startswith("m_")
            },
            identity=found.metadata[_IDENTITY].decode(),
        )

    def _create(self, has_strings: bool, columns: Mapping[str, str]) -> None:
        schema = self._arrow_schema(has_strings, columns).with_metadata(
            {_IDENTITY: uuid.uuid4().hex, _METRIC: self._metric.name}
        )
        with self._opening:
            self._opened = self._connection().create_table(self.table, schema=schema)

    def _add_columns(self, columns: Mapping[str, str]) -> None:
        types = self._types()
        fields = [(_field_of(name), types[type_]) for name, type_ in columns.items()]
        self._table().add_columns(self._arrow.schema(fields))

    def _drop(self) -> None:
        with self._opening:
            if self._table() is not None:
                self._connection().drop_table(self.table)
                self._opened = None

    def _types(self) -> dict[str, Any]:
        arrow = self._arrow
        return {
            "bool": arrow.bool_(),
            "int64": arrow.int64(),
            "float64": arrow.float64(),
            "timestamp": arrow.timestamp("us"),
            "string": arrow.string(),
            "binary": arrow.binary(),
        }

    def _arrow_schema(self, has_strings: bool, columns: Mapping[str, str]) -> Any:
        arrow, types = self._arrow, self._types()
        fields = {
            "id": arrow.string() if has_strings else arrow.int64(),
            "vector": arrow.list_(arrow.float32(), self.dim),
            "label": arrow.int64(),
            "data": arrow.binary(),
            **{_field_of(name): types[type_] for name, type_ in columns.items()},
        }
        return arrow.schema(list(fields.items()))

    # Rows.

    def _encode(self, new: NewRows, columns: Mapping[str, str]) -> Any:
        arrow, count = self._arrow, len(new.ids)
        schema = self._arrow_schema(new.ids.dtype == object, columns)
        flat = arrow.array(np.ascontiguousarray(new.embeddings).reshape(-1))
        data = [None] * count if new.data is None else all_to_bytes(new.data)
        arrays = [
            arrow.array(new.ids, schema.field("id").type),
            arrow.FixedSizeListArray.from_arrays(flat, self.dim),
            arrow.array(new.labels, mask=new.labels == NO_LABEL),
            arrow.array(data, schema.field("data").type),
        ]
        for name in columns:
            type_ = schema.field(_field_of(name)).type
            column = new.metadata.get(name)
            if column is None:
                arrays.append(arrow.nulls(count, type_))
            else:
                mask = ~column.is_present
                arrays.append(arrow.array(column.values, type_, mask=mask))
        return arrow.Table.from_arrays(arrays, schema=schema)

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
        self._table().delete(_ids_condition(ids.tolist()))
        self._note_change()

    def _note_change(self) -> None:
        self._changes += 1
        if self._changes % _OPTIMIZE_EVERY == 0:
            self._table().optimize()

    def _fetch(self, ids: Ids, parts: Collection[str]) -> dict[Any, dict[str, Any]]:
        schema = self.schema()
        names = list(schema.columns) if schema and "metadata" in parts else []
        plain = [part for part in parts if part != "metadata"]
        fields = ["id", *plain, *map(_field_of, names)]
        found: dict[Any, dict[str, Any]] = {}
        for table in self._rows_of(ids, fields):
            keys = table["id"].to_pylist()
            for key in keys:
                found[key] = {"metadata": {}} if "metadata" in parts else {}
            for part in plain:
                for key, value in zip(keys, self._values(table, part), strict=True):
                    found[key][part] = value
            for name in names:
                values = table[_field_of(name)].to_pylist()
                for key, value in zip(keys, values, strict=True):
                    if value is not None:
                        found[key]["metadata"][name] = value
        return found

    def _values(self, table: Any, part: str) -> Iterable[Any]:
        if part == "vector":
            vectors = table["vector"].combine_chunks()
            flat = vectors.flatten().to_numpy(zero_copy_only=False)
            return flat.reshape(-1, self.dim)
        if part == "label":
            return table["label"].fill_null(NO_LABEL).to_pylist()
        return [from_bytes(content) for content in table["data"].to_pylist()]

    def _rows_of(self, ids: Ids, fields: list[str]) -> Iterator[Any]:
        for start in range(0, len(ids), _IDS):
            condition = _ids_condition(ids[start : start + _IDS].tolist())
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
        return int(self._all_ids(None).max(initial=-1))

    def _count(self, condition: str | None) -> int:
        return int(self._table().count_rows(condition))

    def _search(self, queries: Floats, k: int, condition: str | None) -> Iterable[Hits]:
        for start in range(0, len(queries), _QUERIES):
            part = queries[start : start + _QUERIES]
            query = self._table().search(part, vector_column_name="vector")
            query = query.distance_type(self._metric.name).nprobes(self.nprobes)
            if condition is not None:
                query = query.where(condition, prefilter=True)
            found = query.limit(k).select(["id", "label", "_distance"]).to_arrow()
            yield from self._by_query(found, len(part))

    def _by_query(self, found: Any, count: int) -> Iterator[Hits]:
        ids = np.array(found["id"].to_pylist(), object)
        labels = found["label"].fill_null(NO_LABEL).to_numpy()
        values = found["_distance"].to_numpy()
        query = np.zeros(len(ids), int)
        if "query_index" in found.column_names:
            query = found["query_index"].to_numpy()
        for number in range(count):
            rows = np.flatnonzero(query == number)
            yield ids[rows].tolist(), values[rows].tolist(), labels[rows].tolist()

    def expressions(self, columns: Mapping[str, str]) -> LanceExpressions:
        return LanceExpressions(columns)


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


def _ids_condition(ids: Sequence[Any]) -> str:
    listed = [_quoted(id_) if isinstance(id_, str) else str(id_) for id_ in ids]
    return f"id in ({', '.join(listed)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column_of(name: str) -> str:
    return "label" if name == "label" else f"`{_field_of(name)}`"


def _field_of(name: str) -> str:
    """The field of a column of metadata: LanceDB takes few signs in names."""
    safe = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
    return f"m_{''.join(safe)}"


def _name_of(field: str) -> str:
    return re.sub(r"_([0-9a-f]+)_", lambda sign: chr(int(sign[1], 16)), field[2:])
