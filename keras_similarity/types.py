"""What lookups and calibrations answer with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
#: Int64, or strings in an object array.
Ids = npt.NDArray[Any]

#: Stands where no neighbour was found: a lookup's row is shorter than `k`.
NO_ID = -1
#: Stands in a column of labels where there is none.
NO_LABEL = int(np.iinfo(np.int64).min)


@dataclass
class Lookup:
    """One neighbour of a query.

    Attributes:
        rank: Place among the query's neighbours; 1 is the nearest.
        distance: Distance to the query, in the units of the index' distance. For a
            similarity larger is closer.
        label: Class of the neighbour, or `None` if it was indexed without.
        embedding: The neighbour's vector `[D]`, as it was indexed.
        data: What was indexed with it, or `None`.
        id: Its id.
        metadata: Name -> value of its metadata, `None` where one is missing.
    """

    rank: int
    distance: float
    label: int | None = None
    embedding: Any = None
    data: Any = None
    id: int | str | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lookup):
            return NotImplemented
        return (
            (self.rank, self.distance, self.label)
            == (other.rank, other.distance, other.label)
            and np.array_equal(self.embedding, other.embedding)
            and np.array_equal(self.data, other.data)
        )


#: Fetches embeddings `[n, D]` and a list of `n` data of the rows `[n]`.
Records = Callable[[Ints], tuple[Floats, list[Any]]]
#: Fetches metadata of the rows `[n]`: name -> a list of `n` values.
MetadataOf = Callable[[Ints], Mapping[str, list[Any]]]


_AS_IDS: Ints = np.empty(0, "int64")


def _no_metadata(rows: Ints) -> dict[str, list[Any]]:
    return {}


@dataclass(frozen=True, eq=False, repr=False)
class Lookups(Sequence[list[Lookup]]):
    """The neighbours of `Q` queries, as columns; reads as a list of lists of `Lookup`.

    `lookups.labels` is an array for the whole batch and costs nothing. `lookups[i]`
    makes the `Lookup` objects of one query, with embeddings and data.

    Attributes:
        ids: Ids `[Q, K]`, nearest first: int64, -1 (`types.NO_ID`) where a row is
            shorter; or strings, an object array, `None` where a row is shorter.
        distances: Float32 `[Q, K]`; NaN where a row is shorter.
        labels: Int64 `[Q, K]`; `types.NO_LABEL` where a row is shorter and where a
            neighbour has none.
        records: Fetches embeddings and data of rows; those of the time of the lookup.
        rows: Int64 `[Q, K]`: their rows in the store, -1 where there is no neighbour;
            the ids, unless they are given.
        metadata_of: Fetches metadata of rows.
    """

    ids: Ids
    distances: Floats
    labels: Ints
    records: Records
    rows: Ints = dataclasses.field(default_factory=lambda: _AS_IDS)
    metadata_of: MetadataOf = _no_metadata

    def __post_init__(self) -> None:
        if self.rows is _AS_IDS:
            object.__setattr__(self, "rows", self.ids)

    @property
    def is_found(self) -> Bools:
        """Bool `[Q, K]`: is there a neighbour? A row's neighbours come first."""
        return self.rows != NO_ID

    @property
    def embeddings(self) -> Floats:
        """Vectors `[Q, K, D]` of the neighbours, 0 where a row is shorter."""
        found, _ = self.records(self.rows[self.is_found])
        embeddings = np.zeros((*self.ids.shape, found.shape[1]), found.dtype)
        embeddings[self.is_found] = found
        return embeddings

    @property
    def data(self) -> list[list[Any]]:
        """What was indexed with each neighbour, row by row."""
        return self._by_query(self.records(self.rows[self.is_found])[1])

    @property
    def metadata(self) -> dict[str, list[list[Any]]]:
        """Name -> value of each neighbour, query by query."""
        columns = self.metadata_of(self.rows[self.is_found])
        return {name: self._by_query(values) for name, values in columns.items()}

    def _by_query(self, flat: list[Any]) -> list[list[Any]]:
        ends = np.cumsum(self.is_found.sum(axis=1)).tolist()
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def to_data_frame(self) -> pd.DataFrame:
        """One row a neighbour: `query`, `rank`, `id`, `distance`, `label`, metadata."""
        import pandas as pd

        query, column = np.nonzero(self.is_found)
        labels = pd.array(self.labels[query, column], dtype="Int64")
        labels[self.labels[query, column] == NO_LABEL] = pd.NA
        return pd.DataFrame(
            {
                "query": query,
                "rank": column + 1,
                "id": self.ids[query, column],
                "distance": self.distances[query, column],
                "label": labels,
                **self.metadata_of(self.rows[query, column]),
            }
        )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> list[Lookup]: ...
    @overload
    def __getitem__(self, index: slice) -> Lookups: ...
    def __getitem__(self, index: int | slice) -> list[Lookup] | Lookups:
        if isinstance(index, slice):
            return Lookups(
                self.ids[index],
                self.distances[index],
                self.labels[index],
                self.records,
                self.rows[index],
                self.metadata_of,
            )
        count = int(self.is_found[index].sum())
        rows = self.rows[index][:count]
        embeddings, data = self.records(rows)
        metadata = self.metadata_of(rows)
        return [
            Lookup(
                rank=rank,
                distance=distance,
                label=None if label == NO_LABEL else label,
                embedding=embedding,
                data=datum,
                id=id_,
                metadata={name: column[rank - 1] for name, column in metadata.items()},
            )
            for rank, (id_, distance, label, embedding, datum) in enumerate(
                zip(
                    self.ids[index][:count].tolist(),
                    self.distances[index][:count].tolist(),
                    self.labels[index][:count].tolist(),
                    embeddings,
                    data,
                    strict=True,
                ),
                start=1,
            )
        ]

    def __iter__(self) -> Iterator[list[Lookup]]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return list(self) == list(other)

    def __repr__(self) -> str:
        queries, k = self.ids.shape
        return f"<Lookups: {queries} queries, {k} neighbours each>"


@dataclass
class CalibrationResults:
    """Thresholds that turn a distance into a decision.

    Attributes:
        cutpoints: By name (`"optimal"` and the targets that can be met), a mapping
            with `name`, `distance` (the threshold), `value` (the calibration metric
            there) and each metric there by its name.
        thresholds: Columns `[T]` over all thresholds tried: `distance`, each metric by
            its name, and `value`, the calibration metric.
    """

    cutpoints: Mapping[str, Mapping[str, Any]]
    thresholds: Mapping[str, Any]
