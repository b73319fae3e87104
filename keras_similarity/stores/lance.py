"""The store in a LanceDB table."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_similarity.places import place_of
from keras_similarity.stores.base import register
from keras_similarity.stores.changes import (
    Change,
    State,
    added_rows,
    changed_meanwhile,
    changed_rows,
)
from keras_similarity.stores.columns import DTYPES, Column, missing
from keras_similarity.stores.encoding import all_to_bytes, from_bytes
from keras_similarity.stores.external import ExternalStore
from keras_similarity.stores.keyed_table import StoredRows
from keras_similarity.types import NO_LABEL, Floats, Ints

# The row that holds the state, beside those of the store.
_STATE = -1
# Each call leaves a fragment behind, and many of them are slow to read.
_OPTIMIZE_EVERY = 100
_CHUNK = 5000


@register("lance")
class LanceStore(ExternalStore):
    """Keeps rows in a LanceDB table, on disk or on object storage.

    For rows that are more than memory or a local disk holds. Ids, labels, metadata and
    which rows are there are in memory too, as in all stores. Each call is one version of
    the table, so what a killed process was writing is there whole or not at all. One
    process writes at a time: on a local disk writers wait for each other; on object
    storage, which has no locks, a `RuntimeError` says when two have met.

    The table has the columns `row`, `id`, `label`, `live`, `changed`, `vector`, `data`
    and `m0`, `m1` ... for the metadata, which the row -1 names. Its small pieces are put
    together now and then, or by `optimize()`.

    Args:
        path: Folder, or a URL that LanceDB knows (`"s3://bucket/folder"`).
        table: Name of the table.
        name: Name of the object.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
        storage_options: Options of the object storage. Never saved, since they may hold
            a secret: LanceDB takes them from the environment as well.

    Raises:
        ImportError: If the package `lancedb` is missing.
        ValueError: If `path` is missing.
    """

    default_name = "lance"

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        table: str = "store",
        name: str | None = None,
        verbose: int = 0,
        *,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, verbose)
        if not path:
            raise ValueError(
                "`path` must say in which folder the table is kept, e.g. "
                '`kv_store=LanceStore("products.lance")` in place of `kv_store="lance"`.'
            )
        self._lancedb, self._arrow = _import_lance()
        self.path = os.fspath(path)
        if "://" not in self.path:
            self.path = os.path.abspath(self.path)
        self.table = table
        self.storage_options = storage_options
        self._connecting = threading.RLock()
        self._opened: Any = None
        self._seen_version: int | None = None
        self._written = 0

    @property
    def location(self) -> str:
        return f"{self.path}/{self.table}"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "path": self.path, "table": self.table}

    def optimize(self) -> None:
        """Puts the table's small pieces together: quicker to read."""
        with self._exclusively():
            if self._lance_table() is not None:
                self._lance_table().optimize()

    def _connection(self) -> Any:
        options = dict(self.storage_options) if self.storage_options else None
        return self._lancedb.connect(self.path, storage_options=options)

    def _lance_table(self) -> Any:
        """The table; `None` if there is none yet."""
        with self._connecting:
            if self._opened is None:
                if "://" not in self.path and not os.path.isdir(self.path):
                    return None
                try:
                    self._opened = self._connection().open_table(self.table)
                except (ValueError, FileNotFoundError) as error:
                    if "not found" not in str(error).lower():
                        raise
            return self._opened

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if "://" not in self.path:
            os.makedirs(self.path, exist_ok=True)
        with place_of(self.path).lock(shared=False):
            yield

    # Reading.

    def _has_news(self) -> bool:
        table = self._lance_table()
        if table is None:
            return False
        table.checkout_latest()
        return bool(table.version != self._seen_version)

    def _read_state(self) -> State | None:
        table = self._lance_table()
        if table is None:
            return None
        table.checkout_latest()
        self._seen_version = table.version
        (state,) = self._where(f"row = {_STATE}", ["data"])["data"].to_pylist()
        return State.from_json(state)

    def _read_rows(self, state: State, after: int) -> StoredRows:
        return self._stored(state, f"row > {after} AND row <= {state.last_key}")

    def _read_changed(self, state: State, since: int) -> StoredRows:
        return self._stored(state, f"row >= 0 AND changed > {since}")

    def _stored(self, state: State, condition: str) -> StoredRows:
        names = [f"m{place}" for place in range(len(state.columns))]
        found = self._where(condition, ["row", "id", "label", "live", *names])
        rows = found.num_rows
        metadata = {}
        for name, (title, type_) in zip(names, state.columns, strict=True):
            metadata[title] = _column(type_, found[name].combine_chunks(), rows)
        ids = found["id"].to_numpy()
        labels = found["label"].fill_null(NO_LABEL).to_numpy()
        return StoredRows(
            found["row"].to_numpy(),
            ids.astype(object if ids.dtype == object else "int64"),
            labels.astype("int64"),
            found["live"].to_numpy().astype(bool),
            metadata,
        )

    def _where(self, condition: str, names: list[str]) -> Any:
        query = self._lance_table().search().where(condition)
        found = query.select(["row", *(set(names) - {"row"})]).to_arrow()
        return found.sort_by("row")

    def _fetch(self, keys: Ints) -> tuple[Ints, Floats, list[Any]]:
        first, last = int(keys[0]), int(keys[-1])
        if last - first < 2 * len(keys):
            conditions = [f"row >= {first} AND row <= {last}"]
        else:
            conditions = [
                f"row IN ({', '.join(map(str, keys[start : start + _CHUNK].tolist()))})"
                for start in range(0, len(keys), _CHUNK)
            ]
        found = self._arrow.concat_tables(
            [self._where(condition, ["vector", "data"]) for condition in conditions]
        )
        wanted = np.isin(found["row"].to_numpy(), keys)
        found = found.filter(self._arrow.array(wanted))
        vectors = found["vector"].combine_chunks()
        embeddings = vectors.flatten().to_numpy(zero_copy_only=False)
        return (
            found["row"].to_numpy(),
            embeddings.astype("float32").reshape(found.num_rows or 1, -1)[: len(found)],
            [from_bytes(content) for content in found["data"].to_pylist()],
        )

    # Changing.

    def _apply(self, change: Change) -> None:
        state = change.state
        before = self._state
        rows = [] if change.new is None else [self._new_rows(change)]
        changed = self._changed_rows(change)
        if changed is not None:
            rows.append(changed)
        if change.is_reset or before is None or (before.dim is None and rows):
            # No row is there, so the columns may be of other types than before.
            schema = rows[0].schema if rows else self._schema(state, 1, False)
            whole = self._arrow.concat_tables([self._state_row(state, schema), *rows])
            self._opened = self._connection().create_table(
                self.table, whole, mode="overwrite"
            )
        else:
            self._merge(change, rows)
        self._written += 1
        if self._written % _OPTIMIZE_EVERY == 0 or len(change.dropped):
            self._lance_table().optimize()

    def _merge(self, change: Change, rows: list[Any]) -> None:
        """Writes rows and state as one version."""
        state, table = change.state, self._lance_table()
        has_strings = not self._arrow.types.is_integer(table.schema.field("id").type)
        schema = self._schema(state, state.dim or 1, has_strings)
        lacking = [field for field in schema if field.name not in table.schema.names]
        if lacking:
            table.add_columns(self._arrow.schema(lacking))
        version = table.version
        whole = self._arrow.concat_tables([self._state_row(state, schema), *rows])
        merge = table.merge_insert("row").when_matched_update_all()
        merge = merge.when_not_matched_insert_all()
        if len(change.dropped):
            merge = merge.when_not_matched_by_source_delete(self._dropped(change))
        merge.execute(whole)
        if table.version != version + 1:
            raise changed_meanwhile()

    def _dropped(self, change: Change) -> str:
        known = self._table
        hidden = known.keys[~known.is_live]
        if np.array_equal(np.sort(change.dropped), hidden):
            return "live = false AND row >= 0"
        return f"row IN ({', '.join(map(str, change.dropped.tolist()))})"

    def _new_rows(self, change: Change) -> Any:
        new = change.added
        data = [None] * len(new.ids) if new.data is None else all_to_bytes(new.data)
        return self._rows(change.state, added_rows(change), new.embeddings, data)

    def _changed_rows(self, change: Change) -> Any:
        """Rows that were there before and are hidden or updated, whole."""
        rows, places = changed_rows(change, self._table)
        if not len(rows):
            return None
        _, embeddings, items = self._fetch(rows.keys)
        for place, item in zip(places.tolist(), change.data or [], strict=False):
            items[place] = item
        number = change.state.last_change
        return self._rows(change.state, rows, embeddings, all_to_bytes(items), number)

    def _rows(
        self,
        state: State,
        rows: StoredRows,
        embeddings: Floats,
        data: list[Any],
        changed: int = 0,
    ) -> Any:
        array, dim = self._arrow.array, embeddings.shape[1]
        schema = self._schema(state, dim, rows.ids.dtype == object)
        flat = array(np.ascontiguousarray(embeddings).reshape(-1))
        columns = [
            array(rows.keys),
            array(rows.ids, schema.field("id").type),
            array(rows.labels, mask=rows.labels == NO_LABEL),
            array(rows.is_live),
            array(np.full(len(rows), changed)),
            self._arrow.FixedSizeListArray.from_arrays(flat, dim),
            array(data, schema.field("data").type),
        ]
        for place, (name, type_) in enumerate(state.columns):
            column = rows.metadata.get(name) or missing(type_, len(rows))
            to = schema.field(f"m{place}").type
            # Not as pandas sees it, to which NaN is a missing value.
            mask = ~column.is_present
            columns.append(array(column.values, to, mask=mask, from_pandas=False))
        return self._arrow.table(columns, schema=schema)

    def _state_row(self, state: State, schema: Any) -> Any:
        values: dict[str, Any]
        # LanceDB takes no table with a vector that is missing.
        vector = [0.0] * schema.field("vector").type.list_size
        values = {"row": _STATE, "live": True, "changed": 0, "vector": vector}
        values["data"] = state.to_json().encode()
        return self._arrow.Table.from_pylist([values], schema=schema)

    def _schema(self, state: State, dim: int, has_strings: bool) -> Any:
        arrow = self._arrow
        types = {
            "bool": arrow.bool_(),
            "int64": arrow.int64(),
            "float64": arrow.float64(),
            "timestamp": arrow.timestamp("us"),
            "string": arrow.string(),
            "binary": arrow.binary(),
        }
        columns = {
            "row": arrow.int64(),
            "id": arrow.string() if has_strings else arrow.int64(),
            "label": arrow.int64(),
            "live": arrow.bool_(),
            "changed": arrow.int64(),
            "vector": arrow.list_(arrow.float32(), dim),
            "data": arrow.binary(),
        }
        for place, (_, type_) in enumerate(state.columns):
            columns[f"m{place}"] = types[type_]
        return arrow.schema(list(columns.items()))


def _column(type_: str, values: Any, rows: int) -> Column:
    is_present = values.is_valid().to_numpy(zero_copy_only=False).astype(bool)
    column = missing(type_, rows)
    given = values.drop_null()
    if DTYPES[type_] == "object":
        items = given.to_pylist()
        for row, value in zip(np.flatnonzero(is_present), items, strict=True):
            column.values[row] = value
    else:
        column.values[is_present] = given.to_numpy(zero_copy_only=False)
    return Column(type_, column.values, is_present)


def _import_lance() -> tuple[Any, Any]:
    try:
        import lancedb
        import pyarrow
    except ImportError as error:
        raise ImportError(
            "`LanceStore` needs the package `lancedb`. Install it with "
            '`pip install "keras-similarity[lance]"`.'
        ) from error
    return lancedb, pyarrow
