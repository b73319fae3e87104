"""The rows of a store as a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_similarity.stores.checks import optional_labels
from keras_similarity.stores.columns import Column
from keras_similarity.types import Bools, Floats, Ids, Ints

if TYPE_CHECKING:
    import pandas as pd


_PANDAS_DTYPES = {
    "bool": "boolean",
    "int64": "Int64",
    "float64": "Float64",
    "timestamp": "datetime64[us]",
    "string": "object",
    "binary": "object",
}


class Framed(Protocol):
    """Rows by number, and which of them are there."""

    @property
    def is_live(self) -> Bools: ...

    def ids(self, rows: Ints) -> Ids: ...

    def labels(self, rows: Ints) -> Ints: ...

    def records(self, rows: Ints) -> tuple[Floats, list[Any]]: ...

    def metadata(self, rows: Ints) -> dict[str, Column]: ...


def data_frame(store: Framed, num_records: int) -> pd.DataFrame:
    """The first rows that are not deleted; see `Store.to_data_frame`."""
    import pandas as pd

    if num_records < 0:
        raise ValueError(
            f"`num_records` must be from 0, which means all. Received: {num_records}."
        )
    rows = np.flatnonzero(store.is_live)[: num_records or None]
    embeddings, data = store.records(rows)
    columns = {
        name: pd.Series(column.to_list(), dtype=_PANDAS_DTYPES[column.type])
        for name, column in store.metadata(rows).items()
    }
    frame = pd.DataFrame(
        {
            "embeddings": pd.Series(list(embeddings), dtype=object),
            "data": pd.Series(data, dtype=object),
            "labels": pd.Series(optional_labels(store.labels(rows)), dtype="Int64"),
            **columns,
        }
    )
    # Only now: a series that meets an index is put in the order of its own.
    frame.index = pd.Index(store.ids(rows).tolist(), name="id")
    return frame
