"""What all databases share: checks, ids, changes and the shape of answers."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from keras_similarity import distances
from keras_similarity.databases.expressions import Expressions
from keras_similarity.databases.rows import ById
from keras_similarity.distances import Distance
from keras_similarity.search.base import check_positive, check_vectors
from keras_similarity.stores.base import UNCHANGED
from keras_similarity.stores.checks import (
    as_ids,
    check_free,
    check_known,
    counted_ids,
    data_column,
    labels_column,
    new_ids,
    optional_labels,
)
from keras_similarity.stores.columns import (
    Column,
    as_column,
    check_metadata,
    metadata_columns,
    missing,
)
from keras_similarity.stores.filter import Filter, check_filter, names_in
from keras_similarity.stores.frame import data_frame
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import NO_ID, NO_LABEL, Bools, Floats, Ids, Ints

if TYPE_CHECKING:
    import pandas as pd

#: What a row consists of, beside its id.
PARTS = ("vector", "label", "data", "metadata")
# The file of a saved index that says where its rows are.
_REFERENCE = "database.json"


@dataclass(frozen=True)
class Metric:
    """A measure of a database.

    Attributes:
        name: What the database calls it.
        to_distance: From its values to those of our distance.
    """

    name: str
    to_distance: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Schema:
    """What is known of a table of a database.

    Attributes:
        has_strings: Are ids strings? Else they are int64.
        columns: Name of the metadata -> type, one of `stores.columns.DTYPES`.
        identity: Random text that no other table has.
    """

    has_strings: bool
    columns: Mapping[str, str]
    identity: str


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest rows of `Q` queries, `[Q, K]`, nearest first.

    Attributes:
        ids: Int64, or strings in an object array.
        distances: Float32; NaN where nothing was found.
        labels: Int64; `types.NO_LABEL` where there is none.
    """

    ids: Ids
    distances: Floats
    labels: Ints


# One query's ids, values of the metric, and labels.
Hits = tuple[Sequence[Any], Sequence[float], Sequence[int]]


class Database(ABC):
    """Finds the nearest of the rows that it keeps: search engine and store in one.

    `Indexer(search=...)` takes one, and needs no `kv_store` then. Rows go by the user's
    ids, integers or strings, which is decided by the first that are added. Filters and
    deletions are the database's work. Where no ids are given they count on from the
    largest; only one process may add so at a time.

    A subclass talks to the database: see the methods that begin with `_`. They get what
    has been checked.

    Args:
        distance: One of those the database knows, its name or its config.
        dim: Embedding size, at least 1.
        name: Name of the object.
        verbose: Of the signature of searches.

    Raises:
        ValueError: If the database does not know the distance.
    """

    default_name: ClassVar[str] = "database"
    #: Our distance -> the metric that gives it.
    metrics: ClassVar[Mapping[type[Distance], Metric]]
    #: The most neighbours that one query can get; `None` for any number.
    max_neighbors: ClassVar[int | None] = None

    def __init__(
        self,
        distance: Distance | str | Mapping[str, Any],
        dim: int,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.distance = distances.get(distance)
        if type(self.distance) not in self.metrics:
            known = ", ".join(known.__name__ for known in self.metrics)
            raise ValueError(
                f"`distance` must be one of {known}. Received: "
                f"{type(self.distance).__name__}. `LinearSearch` takes any distance."
            )
        self.dim = check_positive("dim", dim)
        self.name = name or self.default_name
        self.verbose = verbose
        self._metric = self.metrics[type(self.distance)]
        # The least id that has not been given; `None` as long as nobody asked.
        self._next_id: int | None = None
        self._writing = threading.RLock()

    # What a subclass says.

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the rows are, for messages; holds no secret."""

    @abstractmethod
    def schema(self) -> Schema | None:
        """The table as it is now; `None` if there is none yet."""

    @abstractmethod
    def _create(self, has_strings: bool, columns: Mapping[str, str]) -> None:
        """Makes the table."""

    @abstractmethod
    def _add_columns(self, columns: Mapping[str, str]) -> None:
        """Makes it known that the metadata have further columns."""

    def _learn(self, names: Collection[str]) -> None:  # noqa: B027
        """Finds out which of these metadata there are, where `schema` may not know."""

    @abstractmethod
    def _encode(self, new: NewRows, columns: Mapping[str, str]) -> Any:
        """Rows as the database takes them; an error if it can't.

        Args:
            columns: All metadata that there are, those of `new` included.
        """

    @abstractmethod
    def _write_rows(self, rows: Any, replacing: bool) -> None:
        """Adds what `_encode` made, `replacing` those that have the ids or not."""

    @abstractmethod
    def _delete(self, ids: Ids) -> None:
        """Deletes rows, each of which is there."""

    @abstractmethod
    def _search(self, queries: Floats, k: int, condition: str | None) -> Iterable[Hits]:
        """The nearest rows of each query, at most `k`."""

    @abstractmethod
    def _fetch(self, ids: Ids, parts: Collection[str]) -> dict[Any, dict[str, Any]]:
        """Id -> what is asked for of `PARTS`, of those that are there.

        Metadata are a dict of the values that are not missing.
        """

    @abstractmethod
    def _known(self, ids: Ids) -> set[Any]:
        """Which of the ids are there?"""

    @abstractmethod
    def _all_ids(self, limit: int | None) -> Ids:
        """Ids of all rows, or of so many."""

    @abstractmethod
    def _largest_id(self) -> int:
        """The largest id that is there, or is known to have been; -1 for none."""

    @abstractmethod
    def _count(self, condition: str | None) -> int:
        """Number of rows."""

    @abstractmethod
    def _drop(self) -> None:
        """Removes the table, if there is one."""

    @abstractmethod
    def expressions(self, columns: Mapping[str, str]) -> Expressions:
        """Writes filters on such columns in the database's language."""

    def build(self, verbose: int = 0) -> None:  # noqa: B027
        """Makes lookups fast, where the database leaves that for later."""

    def compact(self) -> None:  # noqa: B027
        """Frees the space of what was deleted, where that is not done by itself."""

    def close(self) -> None:  # noqa: B027
        """Lets go of the database: others may open an embedded one."""

    def tunable(self) -> dict[str, list[Any]]:
        """Parameters that trade time for recall; see `Search.tunable`."""
        return {}

    def set_parameters(self, **parameters: Any) -> None:
        """Sets what `tunable` names, for the lookups from now on."""
        known = self.tunable()
        for name in parameters:
            if name not in known:
                names = ", ".join(known) or "there are none"
                raise ValueError(
                    f"A parameter must be one of: {names}. Received: {name!r}."
                )
        self._set(**parameters)

    def _set(self, **parameters: Any) -> None:
        for name, value in parameters.items():
            setattr(self, name, value)

    # Changing.

    def add(
        self,
        embeddings: Any,
        labels: Any = None,
        data: Any = None,
        ids: Any = None,
        metadata: Any = None,
        *,
        replacing: bool = False,
    ) -> list[Any]:
        """Adds rows and returns their ids; arguments are those of `Indexer.batch_add`.

        Nothing is sent before all has been checked.

        Args:
            replacing: May ids be taken? The rows that have them are replaced, then.
        """
        with self._writing:
            schema = self.schema()
            new = self._prepare(
                schema, embeddings, labels, data, ids, metadata, replacing
            )
            if len(new.ids):
                self._commit(schema, new, replacing)
            return list(new.ids.tolist())

    def delete(self, ids: Any) -> int:
        """Deletes rows, and returns how many.

        Raises:
            IndexError: If there is no such id; nothing is deleted then.
        """
        with self._writing:
            ids = as_ids(ids)
            check_known(ids[~self.is_known(ids)])
            unique = _unique(ids)
            if len(unique):
                self._delete(unique)
            return len(unique)

    def update(
        self,
        ids: Any,
        label: Any = UNCHANGED,
        data: Any = UNCHANGED,
        metadata: Any = None,
    ) -> None:
        """Changes label, data or metadata; arguments are those of `Indexer.update`.

        The rows are read, changed and written again: what another process writes to
        them meanwhile is lost.
        """
        with self._writing:
            ids, schema = as_ids(ids), self.schema()
            check_known(ids[~self.is_known(ids)])
            if schema is None or not len(ids):
                return
            count = len(ids)
            if label is not UNCHANGED and not isinstance(
                label, list | tuple | np.ndarray
            ):
                label = [label] * count
            labels = None if label is UNCHANGED else labels_column(label, count)
            items = None if data is UNCHANGED else data_column(data, count)
            columns = self._checked_metadata(schema, metadata, count)
            before = self._whole_rows(ids)
            changed = NewRows(
                ids,
                before.embeddings,
                before.labels if labels is None else labels,
                before.data if items is None else items,
                {**before.metadata, **columns},
            )
            self._commit(schema, _last_of_each(changed), replacing=True)

    def reset(self) -> None:
        """Removes the table with all rows."""
        with self._writing:
            self._drop()
            self._next_id = None

    # Finding.

    def find(self, queries: Any, k: int, filter: Filter | None = None) -> Found:
        """The `k` nearest rows of each query `[Q, dim]` of which a filter is true.

        Raises:
            ValueError: If a shape is wrong, a value is not finite, the filter asks for
                metadata that nothing has, or more neighbours are asked for than the
                database gives.
        """
        queries, schema = self.check(queries), self.schema()
        has_strings = schema is not None and schema.has_strings
        ids = np.full((len(queries), k), None if has_strings else NO_ID)
        found = np.full(ids.shape, np.nan, "float32")
        labels = np.full(ids.shape, NO_LABEL, "int64")
        condition = self.condition(schema, filter)
        if schema is not None and len(queries):
            number = self._at_most(k, condition)
            hits = self._search(queries, number, condition)
            for row, (hit_ids, values, hit_labels) in enumerate(hits):
                width = len(hit_ids)
                ids[row, :width], labels[row, :width] = hit_ids, hit_labels
                found[row, :width] = self._metric.to_distance(np.array(values, "float32"))
        return Found(ids, found, labels)

    def batch_lookup(self, embeddings: Any, k: int = 5) -> tuple[Ids, Floats]:
        """Ids and distances `[Q, k]`, nearest first; short rows end in NaN."""
        found = self.find(embeddings, check_positive("k", k))
        return found.ids, found.distances

    def condition(self, schema: Schema | None, filter: Filter | None) -> str | None:
        """A filter in the database's language, if it fits the columns."""
        if filter is None:
            return None
        check_filter(filter)
        if schema is not None:
            self._learn(names_in(filter) - {"label"})
        types = {"label": "int64", **self._types_of_metadata()}
        # On columns of no rows: for its errors.
        filter.truth(_empty(types))
        return self.expressions(types).where(filter)

    def size(self, filter: Filter | None = None) -> int:
        """Number of rows, or of those of which a filter is true."""
        schema = self.schema()
        condition = self.condition(schema, filter)
        return 0 if schema is None else self._count(condition)

    def is_built(self) -> bool:
        """Is there something to search?"""
        return self.size() > 0

    # Reading.

    def is_known(self, ids: Ids) -> Bools:
        """Bool `[n]`: which ids are there?"""
        schema = self.schema()
        if schema is None or schema.has_strings != (ids.dtype == object):
            return np.zeros(len(ids), bool)
        known = self._known(ids)
        return np.array([id_ in known for id_ in ids.tolist()], bool)

    def fetch(self, ids: Ids, parts: Collection[str] = PARTS) -> list[dict[str, Any]]:
        """What there is of each id, see `PARTS`.

        Raises:
            IndexError: If one is not there: deleted meanwhile, say.
        """
        rows = self._fetch(_unique(ids), parts) if len(ids) else {}
        check_known(ids[[id_ not in rows for id_ in ids.tolist()]])
        return [rows[id_] for id_ in ids.tolist()]

    def get(self, idx: Any) -> tuple[Floats, int | None, Any]:
        """Embedding `[D]`, label (or `None`) and data of one id."""
        embeddings, labels, data = self.batch_get([idx])
        return embeddings[0], labels[0], data[0]

    def batch_get(self, idxs: Any) -> tuple[list[Floats], list[int | None], list[Any]]:
        """Three lists: embeddings, labels and data of the ids.

        Raises:
            IndexError: If an id is not there.
        """
        ids = as_ids(idxs)
        check_known(ids[~self.is_known(ids)])
        rows = self.fetch(ids, ("vector", "label", "data"))
        labels = optional_labels(np.array([row["label"] for row in rows], "int64"))
        return [row["vector"] for row in rows], labels, [row["data"] for row in rows]

    def to_data_frame(self, num_records: int = 0) -> pd.DataFrame:
        """Some rows (0 means all), as `Store.to_data_frame`."""
        return data_frame(ById(self, self.all_ids(num_records or None)), num_records)

    def all_ids(self, limit: int | None = None) -> Ids:
        """Ids of all rows, or of so many, in no promised order."""
        return np.empty(0, "int64") if self.schema() is None else self._all_ids(limit)

    # Files.

    def write(self, folder: Path) -> None:
        """Puts a reference to the rows into a file of an existing local folder."""
        schema = self.schema()
        reference = {
            "location": self.location,
            "identity": schema and schema.identity,
            "columns": dict(schema.columns) if schema else {},
            "next_id": self._next_id,
        }
        (folder / _REFERENCE).write_text(json.dumps(reference))

    def read(self, folder: Path) -> dict[str, Any]:
        """Takes up what `write` refers to, and returns the reference.

        Raises:
            ValueError: If that table is not there any more.
        """
        reference = json.loads((folder / _REFERENCE).read_text())
        schema = self.schema()
        if reference["identity"] != (schema and schema.identity):
            state = "nothing" if schema is None else "another table of that name"
            raise ValueError(
                f"The rows of the index must be where they were when it was saved, in "
                f"{reference['location']}. Received: {state} there. Restore it, or make "
                "a new index."
            )
        self._next_id = reference["next_id"]
        return dict(reference)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data, without secrets."""
        return {
            "distance": distances.serialize(self.distance),
            "dim": self.dim,
            "name": self.name,
            "verbose": self.verbose,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The database that `get_config` describes."""
        return cls(**config)

    # Checks.

    def check(self, embeddings: Any, name: str = "embeddings") -> Floats:
        """Embeddings as float32 `[N, dim]`, or an error that says why not."""
        return check_vectors(embeddings, name=name, dim=self.dim)

    def _prepare(
        self,
        schema: Schema | None,
        embeddings: Any,
        labels: Any,
        data: Any,
        ids: Any,
        metadata: Any,
        replacing: bool,
    ) -> NewRows:
        """Checks what `add` is given; changes nothing."""
        embeddings = self.check(embeddings)
        count = len(embeddings)
        return NewRows(
            self._new_ids(schema, ids, count, replacing),
            embeddings,
            labels_column(labels, count),
            None if data is None else data_column(data, count),
            self._checked_metadata(schema, metadata, count),
        )

    def _new_ids(
        self, schema: Schema | None, ids: Any, count: int, replacing: bool
    ) -> Ids:
        are_strings = None if schema is None else schema.has_strings
        if ids is None and replacing:
            raise ValueError("`ids` must be given, to replace what has them.")
        if ids is None:
            first = 0 if are_strings or not count else self._free_id()
            return counted_ids(first, count, are_strings)
        ids = new_ids(ids, count, are_strings)
        if not replacing:
            check_free(ids[self.is_known(ids)])
        return ids

    def _free_id(self) -> int:
        if self._next_id is None:
            self._next_id = 0 if self.schema() is None else self._largest_id() + 1
        return max(self._next_id, 0)

    def _types_of_metadata(self) -> Mapping[str, str]:
        schema = self.schema()
        return {} if schema is None else schema.columns

    def _checked_metadata(
        self, schema: Schema | None, metadata: Any, count: int
    ) -> dict[str, Column]:
        metadata = check_metadata(metadata, count)
        if schema is not None and metadata:
            self._learn(metadata)
        known = _empty(self._types_of_metadata()) if metadata else {}
        columns = metadata_columns(metadata, count, known)
        for name, column in columns.items():
            values = column.values[column.is_present]
            if column.type == "float64" and not np.isfinite(values).all():
                raise ValueError(
                    f"`metadata[{name!r}]` must be finite, or None where a value is "
                    "missing. Received: a NaN or an infinity."
                )
        return columns

    # What the methods above share.

    def _commit(self, schema: Schema | None, new: NewRows, replacing: bool) -> None:
        """Writes checked rows; makes the table and its columns before, if need be."""
        types = {name: column.type for name, column in new.metadata.items()}
        known = {} if schema is None else self._types_of_metadata()
        lacking = {name: type_ for name, type_ in types.items() if name not in known}
        rows = self._encode(new, {**known, **lacking})
        if schema is None:
            self._create(new.ids.dtype == object, lacking)
        elif lacking:
            self._add_columns(lacking)
        if new.ids.dtype != object and (self._next_id is not None or schema is None):
            # Also if writing fails: some may have been written.
            self._next_id = max(self._next_id or 0, int(new.ids.max()) + 1)
        self._write_rows(rows, replacing)

    def _whole_rows(self, ids: Ids) -> NewRows:
        rows = self.fetch(ids)
        metadata = {
            name: as_column(
                name, [row["metadata"].get(name) for row in rows], len(ids), t
            )
            for name, t in self._types_of_metadata().items()
        }
        return NewRows(
            ids,
            np.stack([row["vector"] for row in rows]),
            np.array([row["label"] for row in rows], "int64"),
            [row["data"] for row in rows],
            metadata,
        )

    def _at_most(self, k: int, condition: str | None) -> int:
        """How many neighbours to ask for where the index may have fewer than `k`."""
        limit = self.max_neighbors
        if limit is None or k <= limit:
            return k
        if self._count(condition) > limit:
            raise ValueError(
                f"`k` must be at most {limit}: {type(self).__name__} finds no more "
                f"neighbours of a query. Received: k={k}. Narrow the lookup by a filter "
                "or a smaller distance."
            )
        return limit


def _empty(types: Mapping[str, str]) -> dict[str, Column]:
    return {name: missing(type_, 0) for name, type_ in types.items()}


def _unique(ids: Ids) -> Ids:
    """The ids once each, in their order."""
    once = list(dict.fromkeys(ids.tolist()))
    unique = np.empty(len(once), ids.dtype)
    unique[:] = once
    return unique


def _last_of_each(new: NewRows) -> NewRows:
    """The last of the rows of each id: what it is changed to."""
    rows = np.array(list({id_: row for row, id_ in enumerate(new.ids.tolist())}.values()))
    return NewRows(
        new.ids[rows],
        new.embeddings[rows],
        new.labels[rows],
        None if new.data is None else [new.data[row] for row in rows.tolist()],
        {name: column.take(rows) for name, column in new.metadata.items()},
    )


def squared_to_length(values: Floats) -> Floats:
    """Square roots; rounding may have left a small negative number."""
    return np.sqrt(np.maximum(values, 0.0))
