"""Is one model better than another, on the same queries?"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.evaluators.evaluation import Evaluation, Interval
from keras_similarity.evaluators.evaluation_picture import draw_evaluation
from keras_similarity.evaluators.intervals import (
    MOST_UNITS,
    Units,
    difference_intervals,
)
from keras_similarity.evaluators.sampling import Sampling
from keras_similarity.evaluators.set_values import percentiles
from keras_similarity.evaluators.student import t_quantile
from keras_similarity.evaluators.tables import as_html, as_text
from keras_similarity.types import Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Random sign changes of the test, and of so many units at once.
_FLIPS = 9999
_HELD = 2**21


def compare(
    a: Evaluation, b: Evaluation, *, sampling_unit: str | None = None, power: float = 0.8
) -> Comparison:
    """Compares two evaluations of the same queries, unit by unit.

    Both models face the same queries, so that what makes a query hard is not counted
    against either: differences are far surer than the two intervals suggest. What is
    drawn anew is what was drawn in `a`; queries that either left out do not count.

    Args:
        a: What `evaluate` returned for one model.
        b: The same for the other; positive differences mean that `b` is better.
        sampling_unit: As `evaluate`; that of `a` by default.
        power: Chance with which a difference is to be noticed, for `resolution`.

    Returns:
        Differences `b - a` of the metrics that both have; see `Comparison`.

    Raises:
        ValueError: If the queries are not the same, or no metric is in both.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.evaluators import compare, evaluate
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(40) % 10
        >>> noise = rng.normal(size=(40, 8))
        >>> centers = rng.normal(size=(10, 8))[labels]
        >>> rough = evaluate(centers + 1.5 * noise, labels, ["r_precision"])
        >>> fine = evaluate(centers + 0.5 * noise, labels, ["r_precision"])
        >>> comparison = compare(rough, fine)
        >>> comparison.is_better("r_precision")
        True
    """
    for name, one in (("a", a), ("b", b)):
        if not isinstance(one, Evaluation):
            raise TypeError(
                f"`{name}` must be what `evaluate` returned. Received: {one!r}."
            )
    names = tuple(name for name in a.names if name in b.names)
    if not names:
        raise ValueError(
            "`a` and `b` must have a metric in common. Received: "
            f"{', '.join(a.names)}; {', '.join(b.names)}."
        )
    if not _same_queries(a, b):
        raise ValueError(
            "`a` and `b` must be about the same queries, in the same order. Received: "
            f"{a.queries} and {b.queries} queries, or other labels."
        )
    if not 0 < power < 1:
        raise ValueError(f"`power` must be between 0 and 1. Received: {power}.")
    for name in names:
        pair = a.averages.get(name, "set"), b.averages.get(name, "set")
        if pair[0] != pair[1]:
            raise ValueError(f"`a` and `b` must average {name} alike. Received: {pair}.")
    return Comparison(a, b, names, sampling_unit or a.sampling.unit, power)


def _same_queries(a: Evaluation, b: Evaluation) -> bool:
    if a.labels is None or b.labels is None:
        return a.labels is b.labels and a.queries == b.queries
    return np.array_equal(a.labels, b.labels)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Differences `b - a` of two evaluations, by metric.

    Attributes:
        a: One evaluation.
        b: The other.
        names: The metrics.
        sampling_unit: What was drawn anew.
        power: Chance with which a difference of `resolution` would be noticed.
    """

    a: Evaluation
    b: Evaluation
    names: tuple[str, ...]
    sampling_unit: str
    power: float

    def difference(self, name: str) -> float:
        """`b - a`, over the queries that both have."""
        if name in self.a.sets.metrics:
            return self.b[name] - self.a[name]
        return float(self._units.values[self._column(name)])

    def interval(self, name: str) -> Interval:
        """Confidence interval of the difference; the confidence is that of `a`."""
        low, high = (
            percentiles(self._draws(name), self.a.confidence)
            if name in self.a.sets.metrics
            else self._intervals[self._column(name)]
        )
        return Interval(float(low), float(high))

    def p_value(self, name: str) -> float:
        """How often so large a difference comes by chance, if neither is better.

        A paired randomisation test: if neither model is better, each unit's difference
        could as well have the other sign. Beyond 20,000 units, a paired z test. For a
        metric of the whole set, how often draws change the difference's sign, doubled.
        """
        if name in self.a.sets.metrics:
            draws = self._draws(name)
            against = min((draws <= 0).mean(), (draws >= 0).mean())
            return float(min(2 * (against * len(draws) + 1) / (len(draws) + 1), 1.0))
        return float(self._p_values[self._column(name)])

    def is_better(self, name: str) -> bool:
        """Is `b` better than `a`, beyond what chance explains?"""
        return self.interval(name).low > 0

    def resolution(self, name: str) -> float:
        """The smallest true difference that this set would show.

        A difference of that size comes out as one, at the confidence of the intervals,
        with the chance `power`: `(t + z) * standard error`, of which half the interval
        is `t`.
        """
        low, high = self.interval(name)
        units = self._sampling.unit_of_queries(self.a.queries)
        freedom = max(int(units.max()), 1)
        quantile = t_quantile(0.5 + self.a.confidence / 2, freedom)
        spread = (high - low) / 2 / quantile
        return (quantile + NormalDist().inv_cdf(self.power)) * spread

    def to_data_frame(self) -> pd.DataFrame:
        """One row a metric: `metric`, `a`, `b`, `value` (the difference), `low`, `high`,
        `p_value`, `resolution`."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    def plot(self, *, title: str = "Differences with their intervals") -> Figure:
        """A picture of the differences with their intervals.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return draw_evaluation(self._rows(), self._summary(), title=title, center=0.0)

    def __str__(self) -> str:
        """The table, and what this set cannot tell."""
        lines = [
            f"{name}: this set cannot resolve a difference below "
            f"{self.resolution(name):.2g}."
            for name in self.names
        ]
        return "\n".join([as_text(self._rows()), self._summary(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._rows(), self._summary())

    @functools.cached_property
    def _units(self) -> Units:
        a, b = (
            np.stack([one.per_query(name) for name in self._of_queries], axis=1)
            for one in (self.a, self.b)
        )
        averages = [self.a.averages[name] for name in self._of_queries]
        return self._sampling.units(b - a, averages)

    @property
    def _sampling(self) -> Sampling:
        return replace(self.a.sampling, unit=self.sampling_unit)

    @property
    def _of_queries(self) -> list[str]:
        """The metrics that are means over queries."""
        return [name for name in self.names if name in self.a.averages]

    def _draws(self, name: str) -> Floats:
        """Differences `[R]` of a metric of the whole set, in draws of the same rows."""
        a, b = (
            one.sets.draws(self._sampling, self.a.seed)[name] for one in (self.a, self.b)
        )
        return b - a

    @functools.cached_property
    def _intervals(self) -> Floats:
        a = self.a
        return difference_intervals(self._units, a.confidence, a.resamples, a.seed)

    @functools.cached_property
    def _p_values(self) -> Floats:
        return paired_p_values(self._units, self.a.seed)

    def _column(self, name: str) -> int:
        if name not in self.names:
            raise KeyError(
                f"{name!r} was not compared. There are: {', '.join(self.names)}."
            )
        return self._of_queries.index(name)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "metric": name,
                "a": self.a[name],
                "b": self.b[name],
                "value": self.difference(name),
                **self.interval(name)._asdict(),
                "p_value": self.p_value(name),
                "resolution": self.resolution(name),
            }
            for name in self.names
        ]

    def _summary(self) -> str:
        return (
            f"b - a over {self.a.queries} queries; {100 * self.a.confidence:g} % "
            f"intervals and tests over {self.sampling_unit}; resolution: shown with "
            f"{100 * self.power:g} % chance"
        )


def paired_p_values(units: Units, seed: int) -> Floats:
    """Two-sided p-values `[M]` of differences: sums of units, signs changed at random."""
    sums = units.sums
    if len(sums) > MOST_UNITS:
        spread = np.sqrt(np.square(sums).sum(axis=0))
        ratio = np.abs(sums.sum(axis=0)) / np.where(spread > 0, spread, 1.0)
        return np.array([2 * NormalDist().cdf(-value) for value in ratio])
    generator = np.random.default_rng(seed)
    # A little less, so that rounding does not make equal sums smaller.
    observed = np.abs(sums.sum(axis=0)) * (1 - 1e-12)
    reached = np.zeros(sums.shape[1])
    step = max(_HELD // max(len(sums), 1), 1)
    for start in range(0, _FLIPS, step):
        count = min(step, _FLIPS - start)
        signs = 2.0 * generator.integers(0, 2, (count, len(sums)), dtype="int8") - 1.0
        reached += (np.abs(signs @ sums) >= observed).sum(axis=0)
    return (reached + 1) / (_FLIPS + 1)
