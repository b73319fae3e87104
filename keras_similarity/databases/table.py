"""What a database says: how its table is made, changed, asked and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_similarity.databases.expressions import Expressions
from keras_similarity.distances import Distance
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import Floats, Ids, Ints

#: What a row consists of, beside its id.
PARTS = ("vector", "label", "data", "metadata")


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
class Hits:
    """What a database found for some queries, one query after the other.

    Attributes:
        counts: How many rows each query found, int64 `[Q]`.
        ids: Of all of them, nearest first: int64 `[H]`, or strings, an object array.
        values: What the metric gives, `[H]`.
        labels: Int64 `[H]`; `types.NO_LABEL` where there is none.
    """

    counts: Ints
    ids: Ids
    values: Floats
    labels: Ints


class Table(ABC):
    """The part of a `Database` that a subclass says.

    The methods that begin with `_` get what has been checked. Those that change rows are
    called by one thread at a time; the others may be called meanwhile.
    """

    #: Our distance -> the metric that gives it.
    metrics: ClassVar[Mapping[type[Distance], Metric]]
    #: The most neighbours that one query can get; `None` for any number.
    max_neighbors: ClassVar[int | None] = None

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the rows are, for messages; holds no secret."""

    @abstractmethod
    def schema(self) -> Schema | None:
        """The table as it is now; `None` if there is none yet."""

    @abstractmethod
    def expressions(self, columns: Mapping[str, str]) -> Expressions:
        """Writes filters on such columns in the database's language."""

    # Making it.

    @abstractmethod
    def _create(
        self, has_strings: bool, columns: Mapping[str, str], identity: str
    ) -> None:
        """Makes the table."""

    @abstractmethod
    def _add_columns(self, columns: Mapping[str, str]) -> None:
        """Makes it known that the metadata have further columns."""

    def _learn(self, names: Collection[str]) -> None:  # noqa: B027
        """Finds out which of these metadata there are, where `schema` may not know."""

    def _remember(self, columns: Mapping[str, str]) -> None:  # noqa: B027
        """Takes note of metadata that there were, where `schema` may not know."""

    @abstractmethod
    def _drop(self) -> None:
        """Removes the table, if there is one."""

    # Changing it.

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

    # Asking it.

    @abstractmethod
    def _search(self, queries: Floats, k: int, condition: str | None) -> Hits:
        """The nearest rows of each query, at most `k`."""

    @abstractmethod
    def _fetch(
        self, ids: Ids, parts: Collection[str], latest: bool
    ) -> dict[Any, dict[str, Any]]:
        """Id -> what is asked for of `PARTS`, of those that are there.

        Metadata are a dict of the values that are not missing.

        Args:
            latest: See all that was written before? Else what lookups see will do.
        """

    @abstractmethod
    def _known(self, ids: Ids) -> set[Any]:
        """Which of the ids are there, all that was written before considered?"""

    @abstractmethod
    def _all_ids(self, limit: int | None) -> Ids:
        """Ids of all rows, or of so many."""

    @abstractmethod
    def _largest_id(self) -> int:
        """The largest id that is there, or is known to have been; -1 for none."""

    @abstractmethod
    def _has_id_from(self, first: int) -> bool:
        """Is there a row with this id or a larger one?"""

    @abstractmethod
    def _count(self, condition: str | None) -> int:
        """Number of rows."""

    # Caring for it.

    def build(self, verbose: int = 0) -> None:  # noqa: B027
        """Makes lookups fast, where the database leaves that for later."""

    def compact(self) -> None:  # noqa: B027
        """Frees the space of what was deleted, where that is not done by itself."""

    def close(self) -> None:  # noqa: B027
        """Lets go of the database: others may open an embedded one."""


def squared_to_length(values: Floats) -> Floats:
    """Square roots; rounding may have left a small negative number."""
    return np.sqrt(np.maximum(values, 0.0))
