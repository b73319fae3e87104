"""What all databases share: how they are asked, and how an index is saved with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from keras_similarity import distances
from keras_similarity.databases.changing import Changing, no_rows
from keras_similarity.databases.reference import read_reference, write_reference
from keras_similarity.databases.rows import ById
from keras_similarity.databases.table import Schema
from keras_similarity.distances import CosineDistance, Distance
from keras_similarity.search.base import check_positive, check_vectors
from keras_similarity.stores.checks import as_ids, check_known, optional_labels
from keras_similarity.stores.filter import Filter, check_filter, names_in
from keras_similarity.stores.frame import data_frame
from keras_similarity.types import NO_ID, NO_LABEL, Floats, Ids, Ints

if TYPE_CHECKING:
    import pandas as pd

# The squares of shorter vectors are lost in float32, and with them their direction.
_SHORTEST = 1e-18


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


class Database(Changing):
    """Finds the nearest of the rows that it keeps: search engine and store in one.

    `Indexer(search=...)` takes one, and needs no `kv_store` then. Rows go by the user's
    ids, integers or strings, which is decided by the first that are added. Filters and
    deletions are the database's work. Where no ids are given they count on from the
    largest that is there.

    A subclass talks to the database: `Table` lists what it has to say.

    Args:
        distance: One of those the database knows, its name or its config.
        dim: Embedding size, at least 1.
        name: Name of the object.
        verbose: Of the signature of searches.

    Raises:
        ValueError: If the database does not know the distance.
    """

    default_name: ClassVar[str] = "database"

    def __init__(
        self,
        distance: Distance | str | Mapping[str, Any],
        dim: int,
        name: str | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
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

    # Parameters of lookups.

    def tunable(self) -> dict[str, list[Any]]:
        """Parameters that trade time for recall; see `Search.tunable`."""
        return {}

    def parameters(self) -> dict[str, Any]:
        """What `tunable` names, as it is set now."""
        return {name: getattr(self, name) for name in self.tunable()}

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
            hits = self._search(queries, self._at_most(k, condition), condition)
            is_found = np.arange(k) < hits.counts[:, None]
            ids[is_found], labels[is_found] = hits.ids, hits.labels
            found[is_found] = self._metric.to_distance(hits.values.astype("float32"))
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
        names = names_in(filter) - {"label"}
        if schema is not None and not names <= set(schema.columns):
            self._learn(names)
            schema = self.schema()
        types = {"label": "int64", **self._types_of_metadata(schema)}
        # On columns of no rows: for its errors.
        filter.truth(no_rows(types))
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
        rows = self.fetch(ids, ("vector", "label", "data"), latest=True)
        labels = optional_labels(np.array([row["label"] for row in rows], "int64"))
        return [row["vector"] for row in rows], labels, [row["data"] for row in rows]

    def to_data_frame(self, num_records: int = 0) -> pd.DataFrame:
        """Some rows (0 means all), as `Store.to_data_frame`."""
        return data_frame(ById(self, self.all_ids(num_records or None)), num_records)

    def all_ids(self, limit: int | None = None) -> Ids:
        """Ids of all rows, or of so many, in no promised order."""
        return np.empty(0, "int64") if self.schema() is None else self._all_ids(limit)

    # Files.

    def write(self, folder: Path, compression: bool = True, copy: bool = False) -> None:
        """Puts a reference to the rows into files of an existing local folder.

        Args:
            copy: Put the rows there, too?
        """
        write_reference(self, folder, compression=compression, copy=copy)

    def read(self, folder: Path) -> None:
        """Takes up the rows that `write` refers to, or restores their copy.

        Raises:
            ValueError: If other rows are there, or none, and there is no copy.
        """
        with self._exclusively():
            read_reference(self, folder)

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
        array = check_vectors(embeddings, name=name, dim=self.dim)
        if type(self.distance) is CosineDistance:
            is_short = np.abs(array).max(axis=1, initial=0.0) < _SHORTEST
            if is_short.any():
                raise ValueError(
                    f"`{name}` must not be 0 under the cosine distance: a database "
                    "never finds such a row. Received: one in row "
                    f"{int(np.argmax(is_short))}."
                )
        return array

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
