"""What an evaluation answers with."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_similarity.evaluators.evaluation_picture import draw_evaluation
from keras_similarity.evaluators.intervals import Units, bounded_intervals
from keras_similarity.evaluators.sampling import Sampling
from keras_similarity.evaluators.set_values import SetValues
from keras_similarity.evaluators.tables import as_html, as_text
from keras_similarity.types import Bools, Floats, Ints

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Interval(NamedTuple):
    """Ends of a confidence interval; both belong to it."""

    low: float
    high: float


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Mapping[str, float]):
    """Metrics by name, with what is known about how sure they are.

    `result["r_precision"]` is a float and `result.interval("r_precision")` its interval,
    which is computed when it is first asked for. `evaluate` makes it.

    Attributes:
        names: Names of the metrics.
        averages: `"micro"` or `"macro"`, by name of each that is a mean over queries.
        values_by_query: Value of each query for each of these, floats `[Q, M]`; NaN where
            a query was left out.
        sampling: How queries belong together, and what is drawn anew for intervals.
        k: How many neighbours counted for metrics without a cut-off of their own.
        distance: Name of the distance.
        relevant: How many keys are relevant to each query `[Q]`, without its own row.
        sets: Metrics of the whole set.
        confidence: Of the intervals.
        resamples: Draws of the bootstrap.
        seed: Of the draws.
    """

    names: tuple[str, ...]
    averages: Mapping[str, str]
    values_by_query: Floats
    sampling: Sampling
    k: int
    distance: str
    relevant: Ints
    sets: SetValues
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def __getitem__(self, name: str) -> float:
        self._check_name(name)
        if name in self.sets.metrics:
            return float(self.sets.values[name])
        return float(self._means[self._column(name)])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def queries(self) -> int:
        """Number of queries, those left out included."""
        return len(self.values_by_query)

    @property
    def lone(self) -> int:
        """Number of queries without anything relevant among the keys."""
        return int(np.count_nonzero(self.relevant == 0))

    @property
    def labels(self) -> Ints | None:
        """Classes of the queries `[Q]`; `None` where they have none."""
        return self.sampling.labels

    def interval(self, name: str) -> Interval:
        """Confidence interval of a metric; NaN where there are fewer than two units.

        See `evaluate` for what it is about, and `intervals.bounded_intervals` for how;
        of a metric of the whole set it is the middle of what 200 draws give.
        """
        self._check_name(name)
        if name in self.sets.metrics:
            low, high = self.sets.interval(
                name, self.sampling, self.confidence, self.seed
            )
        else:
            low, high = self._intervals[self._column(name)]
        return Interval(float(low), float(high))

    def per_query(self, name: str) -> Floats:
        """Values `[Q]` of the queries; NaN where one was left out."""
        return self.values_by_query[:, self._column(name)].copy()

    def per_class(self) -> pd.DataFrame:
        """One row a class: `label`, `queries`, and the mean of each metric that is one.

        Raises:
            ValueError: If queries have no single label.
        """
        import pandas as pd

        if self.labels is None:
            raise ValueError("There are no classes: the queries have no single labels.")
        classes, counts = np.unique(self.labels, return_counts=True)
        by_class = Sampling(self.labels, unit="classes")
        units = by_class.units(self.values_by_query, ["micro"] * len(self.averages))
        known = ~np.isnan(self.values_by_query).all(axis=1)
        means = np.full((len(classes), len(self.averages)), np.nan)
        with np.errstate(invalid="ignore"):
            means[np.isin(classes, self.labels[known])] = units.sums / units.weights
        columns = dict(zip(self.averages, means.T, strict=True))
        return pd.DataFrame({"label": classes, "queries": counts, **columns})

    def per_group(self, column: str | None = None) -> pd.DataFrame:
        """One row a group of queries and metric: its value there, with its interval.

        Only of metrics that are means over queries.

        Args:
            column: Name of a column of `groups`; may be left out where there is one.

        Returns:
            Columns: the group's name, `queries`, `metric`, `value`, `low`, `high`.

        Raises:
            ValueError: If there is no such column.
        """
        import pandas as pd

        known = list(self.sampling.groups)
        if column is None and len(known) == 1:
            column = known[0]
        if column not in known:
            raise ValueError(
                f"`column` must be one of the groups: {', '.join(known) or 'none'}. "
                f"Received: {column!r}."
            )
        values = self.sampling.groups[column]
        rows = []
        for group in np.unique(values):
            chosen = values == group
            means, intervals = self._of(chosen)
            for i, name in enumerate(self.averages):
                about = {column: group, "queries": int(chosen.sum()), "metric": name}
                rows.append({**about, **_numbers(means[i], intervals[i])})
        return pd.DataFrame(rows)

    def to_data_frame(self) -> pd.DataFrame:
        """One row a metric: `metric`, `value`, `low`, `high`, `average`."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def to_dict(self) -> dict[str, Any]:
        """All but the values of single queries, as plain data; a NaN is `None`."""
        metrics = {
            row["metric"]: {
                key: None if value != value else value
                for key, value in row.items()
                if key != "metric"
            }
            for row in self._rows()
        }
        return {**self._settings(), "metrics": metrics}

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """`to_dict` as JSON; also written to a file, if `path` is given."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def plot(self, *, title: str = "Metrics with their intervals") -> Figure:
        """A picture of the metrics with their intervals.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return draw_evaluation(self._rows(), self._summary(), title=title)

    def __str__(self) -> str:
        """The table, and what the numbers are about."""
        return f"{as_text(self._rows())}\n{self._summary()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._rows(), self._summary())

    @functools.cached_property
    def _means(self) -> Floats:
        return self._of_units(None).values

    @functools.cached_property
    def _intervals(self) -> Floats:
        return self._of(None)[1]

    def _of(self, chosen: Bools | None) -> tuple[Floats, Floats]:
        """Values `[M]` and intervals `[M, 2]` of some of the queries, or of all."""
        units = self._of_units(chosen)
        intervals = bounded_intervals(units, self.confidence, self.resamples, self.seed)
        return units.values, intervals

    def _of_units(self, chosen: Bools | None) -> Units:
        averages = list(self.averages.values())
        return self.sampling.units(self.values_by_query, averages, chosen)

    def _check_name(self, name: str) -> None:
        if name not in self.names:
            raise KeyError(
                f"{name!r} was not evaluated. There are: {', '.join(self.names)}."
            )

    def _column(self, name: str) -> int:
        """The column of a metric that is a mean over queries."""
        self._check_name(name)
        if name not in self.averages:
            raise KeyError(f"{name!r} is a metric of the whole set, not of its queries.")
        return list(self.averages).index(name)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "metric": name,
                **_numbers(self[name], self.interval(name)),
                "average": self.averages.get(name, "set"),
            }
            for name in self.names
        ]

    def _settings(self) -> dict[str, Any]:
        return {
            "queries": self.queries,
            "lone_queries": self.lone,
            "k": self.k,
            "distance": self.distance,
            "sampling_unit": self.sampling.unit,
            "confidence": self.confidence,
            "resamples": self.resamples,
            "seed": self.seed,
        }

    def _summary(self) -> str:
        lone = f", {self.lone} of them without anything relevant" if self.lone else ""
        return (
            f"{self.queries} queries{lone}; {self.distance} distance, k={self.k}; "
            f"{100 * self.confidence:g} % intervals over {self.sampling.unit}"
        )


def _numbers(value: Any, interval: Any) -> dict[str, float]:
    return {
        "value": float(value),
        "low": float(interval[0]),
        "high": float(interval[1]),
    }
