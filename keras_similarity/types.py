"""What lookups and calibrations answer with."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from keras_similarity.backend import import_optional

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

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


# Neighbours that are printed.
_SHOWN = 10

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
        offset: How many nearer neighbours of each query were left out: the first that
            is there has the rank `offset + 1`.
    """

    ids: Ids
    distances: Floats
    labels: Ints
    records: Records
    rows: Ints = dataclasses.field(default_factory=lambda: _AS_IDS)
    metadata_of: MetadataOf = _no_metadata
    offset: int = 0

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
                "rank": column + 1 + self.offset,
                "id": self.ids[query, column],
                "distance": self.distances[query, column],
                "label": labels,
                **self.metadata_of(self.rows[query, column]),
            }
        )

    def to_arrow(self) -> pa.Table:
        """An Arrow table with the columns of `to_data_frame`; missing labels are null.

        Raises:
            ImportError: If pyarrow is not installed.
        """
        pyarrow = import_optional("pyarrow", extra="arrow", needed_by="Lookups.to_arrow")
        query, column = np.nonzero(self.is_found)
        labels = self.labels[query, column]
        metadata = self.metadata_of(self.rows[query, column])
        return pyarrow.table(
            {
                "query": query,
                "rank": column + 1 + self.offset,
                "id": pyarrow.array(self.ids[query, column]),
                "distance": self.distances[query, column],
                "label": pyarrow.array(labels, mask=labels == NO_LABEL),
                **{name: pyarrow.array(values) for name, values in metadata.items()},
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
                self.offset,
            )
        count = int(self.is_found[index].sum())
        rows = self.rows[index][:count]
        embeddings, data = self.records(rows)
        metadata = self.metadata_of(rows)
        return [
            Lookup(
                rank=place + 1 + self.offset,
                distance=distance,
                label=None if label == NO_LABEL else label,
                embedding=embedding,
                data=datum,
                id=id_,
                metadata={name: column[place] for name, column in metadata.items()},
            )
            for place, (id_, distance, label, embedding, datum) in enumerate(
                zip(
                    self.ids[index][:count].tolist(),
                    self.distances[index][:count].tolist(),
                    self.labels[index][:count].tolist(),
                    embeddings,
                    data,
                    strict=True,
                )
            )
        ]

    def __iter__(self) -> Iterator[list[Lookup]]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return list(self) == list(other)

    def __repr__(self) -> str:
        """The first neighbours, one a line."""
        names, cells = self._first_cells()
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (names, *cells)
        ]
        return "\n".join([f"<Lookups: {self._shape_text()}>", *(lines if cells else ())])

    def _repr_html_(self) -> str:
        """The first neighbours as a table, which notebooks show."""
        names, cells = self._first_cells()
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
            for row in cells
        )
        return (
            f"<table><caption>{self._shape_text()}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _shape_text(self) -> str:
        queries, k = self.ids.shape
        found = int(self.is_found.sum())
        more = f", the first {_SHOWN} shown" if found > _SHOWN else ""
        return f"{queries} queries, {k} neighbours each, {found} found{more}"

    def _first_cells(self) -> tuple[list[str], list[list[str]]]:
        """Names and text of the first neighbours' columns, without records."""
        query, column = (axis[:_SHOWN] for axis in np.nonzero(self.is_found))
        cells = [
            [
                str(number),
                str(place + 1 + self.offset),
                str(self.ids[number, place]),
                f"{self.distances[number, place]:.6g}",
                "" if (label := self.labels[number, place]) == NO_LABEL else str(label),
            ]
            for number, place in zip(query.tolist(), column.tolist(), strict=True)
        ]
        return ["query", "rank", "id", "distance", "label"], cells


#: What `match` answers where no neighbour is near enough: the class is unknown.
UNKNOWN_LABEL = -1


@dataclass(frozen=True)
class FalseAccepts:
    """What a threshold promises about false accepts; prints as a sentence.

    `evaluators.false_accepts` says what is counted and why the promise holds.

    Attributes:
        target: The false-accept rate that is not to be exceeded.
        confidence: How often, of many calibrations, it is not.
        kind: What a trial is: `"wrong"`, a query that the matcher answers wrongly, or
            `"every"`, each query with its own class left out.
        unit: What is counted as independent: `"query"` or `"class"`.
        trials: How many units there are.
        accepted: How many trials of the calibration are within the threshold.
        rate: Their share; the mean over classes where those are the unit.
        bound: What the rate is at most, with that confidence. It is above the target
            where the trials are too few for any threshold: then nothing is accepted.
        more_trials: How many more trials it takes to give a threshold; 0 if there is one.
        tight_trials: About how many more until the calibration may accept within 10 % of
            the target: what the confidence costs then.
    """

    target: float
    confidence: float
    kind: str
    unit: str
    trials: int
    accepted: int
    rate: float
    bound: float
    more_trials: int
    tight_trials: int

    @property
    def is_met(self) -> bool:
        """Is there a threshold? If not, nothing is accepted."""
        return self.more_trials == 0

    def __str__(self) -> str:
        of = "wrong answers" if self.kind == "wrong" else "queries without their class"
        units = f"{self.trials:,} {of}"
        if self.unit == "class":
            units = f"{of} of {self.trials:,} classes"
        sure = f"with {self.confidence:.4g} confidence"
        if not self.is_met:
            return (
                f"False accepts: NO threshold keeps them at {self.target:.4g} {sure}; "
                f"nothing is accepted. {units} vouch for {self.bound:.4g} at best: "
                f"{self.more_trials:,} more are needed."
            )
        tight = f" {self.tight_trials:,} more would let through nearly all of that."
        return (
            f"False accepts: at most {self.bound:.4g} {sure} (target {self.target:.4g}). "
            f"Accepted: {self.accepted:,} of {units}."
            + (tight if self.tight_trials else "")
        )


@dataclass
class CalibrationResults:
    """Thresholds that turn a distance into a decision.

    Attributes:
        cutpoints: By name (`"optimal"`, the targets that can be met, and `"target_far"`
            if a false-accept rate was asked for), a mapping with `name`, `distance` (the
            threshold), `value` (the calibration metric there) and each metric there by
            its name.
        thresholds: Columns `[T]` over all thresholds tried: `distance`, each metric by
            its name, and `value`, the calibration metric.
        false_accepts: What the cutpoint `"target_far"` promises.
        class_offsets: Label -> what its threshold is above every cutpoint, but for
            `"target_far"`; 0 for other labels. Empty: all classes have one threshold.
    """

    cutpoints: Mapping[str, Mapping[str, Any]]
    thresholds: Mapping[str, Any]
    false_accepts: FalseAccepts | None = None
    class_offsets: Mapping[int, float] = dataclasses.field(default_factory=dict)
