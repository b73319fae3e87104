"""What was sampled: queries, classes, or groups of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.evaluators.intervals import Units
from keras_similarity.types import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Sampling:
    """How queries belong together.

    Attributes:
        labels: Classes of the queries, int64 `[Q]`; `None` where they have none.
        groups: Name -> column `[Q]` of the queries' metadata.
        unit: `"queries"`, `"classes"` or the name of a group's column.

    Raises:
        ValueError: If `unit` is none of these.
    """

    labels: Ints | None
    groups: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "queries"

    def __post_init__(self) -> None:
        known = ["queries", *(["classes"] if self.labels is not None else ())]
        known += list(self.groups)
        if self.unit not in known:
            raise ValueError(
                f"`sampling_unit` must be one of {', '.join(known)}. Received: "
                f"{self.unit!r}."
            )

    def units(
        self, values: Floats, averages: Sequence[str], chosen: Bools | None = None
    ) -> Units:
        """Sums and weights of what was sampled.

        Args:
            values: Floats `[Q, M]`; NaN where nothing can be said of a query.
            averages: `"micro"` or `"macro"` for each of the `M` metrics.
            chosen: Bool `[Q]`: the queries that count; `None` for all.
        """
        is_known = ~np.isnan(values)
        if chosen is not None:
            is_known &= chosen[:, None]
        weights = is_known.astype("float64")
        is_macro = np.array([average == "macro" for average in averages])
        if is_macro.any():
            weights[:, is_macro] = self._class_weights(weights[:, is_macro])
        sums = np.where(is_known, values, 0.0) * weights
        if self.unit != "queries":
            unit = self.unit_of_queries(len(values))
            sums, weights = _summed(sums, unit), _summed(weights, unit)
        counts = weights.any(axis=1)
        return Units(sums[counts], weights[counts])

    def unit_of_queries(self, queries: int) -> Ints:
        """The unit `[Q]` that each query belongs to, from 0."""
        if self.unit == "queries":
            return np.arange(queries)
        column: Any = self.labels if self.unit == "classes" else self.groups[self.unit]
        return np.unique(column, return_inverse=True)[1].ravel()

    def _class_weights(self, weights: Floats) -> Floats:
        """The same, divided by the number of queries of the class that count."""
        if self.labels is None:
            raise ValueError(
                "`average` can be 'macro' only where each query has one label. Received: "
                "labels of another kind."
            )
        unit = np.unique(self.labels, return_inverse=True)[1].ravel()
        counts = _summed(weights, unit)[unit]
        return weights / np.maximum(counts, 1.0)


def check_groups(groups: Any, queries: int) -> dict[str, Any]:
    """Name -> column `[Q]`, from a column, a mapping or a data frame; `"group"` for one.

    Raises:
        ValueError: If a column has not an entry a query, or its name means another thing.
    """
    if groups is None:
        return {}
    if not hasattr(groups, "keys"):
        groups = {"group": groups}
    elif hasattr(groups, "columns"):
        groups = {str(name): groups[name] for name in groups.columns}
    elif not isinstance(groups, Mapping):  # A single column of a data frame.
        groups = {str(groups.name or "group"): groups}
    columns = {}
    for name, column in groups.items():
        array = to_numpy(column)
        if array.shape != (queries,) or name in ("queries", "classes"):
            raise ValueError(
                f"`groups` must hold columns of one value a query, {queries} of them, "
                "not named 'queries' or 'classes'. Received: "
                f"{name!r} of shape {array.shape}."
            )
        columns[str(name)] = array.astype(str) if array.dtype == object else array
    return columns


def _summed(values: Floats, unit: Ints) -> Floats:
    """Floats `[U, M]`: sums of floats `[Q, M]` over the rows of each unit `[Q]`."""
    count = int(unit.max(initial=-1)) + 1
    columns = [np.bincount(unit, column, count) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0))
