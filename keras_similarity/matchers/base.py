"""What all matchers share: thresholds, checks, and counting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.registry import Registry
from keras_similarity.types import NO_LABEL, Bools, Floats, Ints


class ClassificationMatch(ABC):
    """Derives one label a query from its neighbours and counts how often it is right.

    A subclass says which label and which distance a query's neighbours amount to, in
    `derive_match`. Smaller distances are closer: for a similarity, hand over its cost
    (`distance.to_cost`).

    A query whose neighbours amount to no label (it has none, or they were indexed
    without) matches nothing, at any threshold.

    Args:
        name: Name of the object.
        canonical_name: Name of the rule.

    Attributes:
        distance_thresholds: Float32 `[T]`, ascending; `None` before `compile`.

    Example:
        >>> from keras_similarity.matchers import MatchNearest
        >>> matcher = MatchNearest()
        >>> matcher.compile([0.2, 0.6])
        >>> matcher.compute_count([7, 8, 9], [[7], [8], [5]], [[0.1], [0.5], [0.3]])
        >>> matcher.tp.tolist(), matcher.fp.tolist()
        ([1.0, 2.0], [0.0, 1.0])
        >>> matcher.tn.tolist(), matcher.fn.tolist()
        ([1.0, 0.0], [1.0, 0.0])
    """

    def __init__(self, name: str = "", canonical_name: str = "") -> None:
        self.name = name
        self.canonical_name = canonical_name
        self.distance_thresholds: Floats | None = None
        self._counts: dict[str, Floats] | None = None
        self._count = 0

    def compile(self, distance_thresholds: Any = None) -> None:
        """Sets the thresholds that `compute_count` counts at.

        Args:
            distance_thresholds: Numbers `[T]`, sorted here; `None` means one threshold,
                infinity.

        Raises:
            ValueError: If there are none, or one is NaN.
        """
        if distance_thresholds is None:
            distance_thresholds = [np.inf]
        # float32, as distances are: 0.3 then means the float32 that prints as 0.3.
        thresholds = np.sort(np.ravel(to_numpy(distance_thresholds)).astype("float32"))
        if thresholds.size == 0 or np.isnan(thresholds).any():
            raise ValueError(
                "`distance_thresholds` must hold at least one number and no NaN. "
                f"Received: {distance_thresholds!r}."
            )
        self.distance_thresholds = thresholds
        self._counts = None

    @abstractmethod
    def derive_match(
        self, lookup_labels: Any, lookup_distances: Any
    ) -> tuple[Ints, Floats]:
        """The label that each query's neighbours amount to, and its distance.

        Args:
            lookup_labels: Integers `[N, K]`, nearest first; `types.NO_LABEL` where a row
                is shorter or a neighbour has no label.
            lookup_distances: Floats `[N, K]`; infinity or NaN where a row is shorter.

        Returns:
            Int64 `[N, 1]` and float32 `[N, 1]`: `types.NO_LABEL` and NaN, which is
            within no threshold, where there is no label.

        Raises:
            TypeError: If the labels are no integers.
            ValueError: If the shapes are not two-dimensional or differ.
        """

    def compute_count(
        self, query_labels: Any, lookup_labels: Any, lookup_distances: Any
    ) -> None:
        """Counts matches at every threshold: `tp`, `fp`, `tn`, `fn` and `count`.

        A query is positive at a threshold if its derived distance is at most that, true
        if it is so rightly: the derived label is its own where it is positive, another
        (or none) where it is negative.

        Args:
            query_labels: Integers `[N]`.
            lookup_labels: As in `derive_match`.
            lookup_distances: As in `derive_match`.

        Raises:
            ValueError: If `compile` was not called, or shapes do not fit.
        """
        if self.distance_thresholds is None:
            raise ValueError(
                f"`{type(self).__name__}` has no thresholds yet. Call "
                "`compile(distance_thresholds)` before `compute_count`."
            )
        labels, distances = check_lookup_columns(lookup_labels, lookup_distances)
        query = check_labels(query_labels, name="query_labels", rows=len(labels))
        derived_labels, derived_distances = map(
            np.ravel, self.derive_match(labels, distances)
        )
        has_label = derived_labels != NO_LABEL
        is_match = has_label & (derived_labels == query)
        derived_distances = np.where(has_label, derived_distances, np.nan)
        tp = _count_within(derived_distances[is_match], self.distance_thresholds)
        fp = _count_within(derived_distances[~is_match], self.distance_thresholds)
        fn = is_match.sum() - tp
        tn = (~is_match).sum() - fp
        self._counts = {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
        self._count = len(query)

    @property
    def tp(self) -> Floats:
        """True positives at each threshold, float `[T]`."""
        return self._counted("tp")

    @property
    def fp(self) -> Floats:
        """False positives at each threshold, float `[T]`."""
        return self._counted("fp")

    @property
    def tn(self) -> Floats:
        """True negatives at each threshold, float `[T]`."""
        return self._counted("tn")

    @property
    def fn(self) -> Floats:
        """False negatives at each threshold, float `[T]`."""
        return self._counted("fn")

    @property
    def count(self) -> int:
        """Number of queries."""
        self._counted("tp")
        return self._count

    def get_config(self) -> dict[str, Any]:
        """Names and thresholds, as plain data."""
        thresholds = self.distance_thresholds
        return {
            "name": self.name,
            "canonical_name": self.canonical_name,
            "distance_thresholds": None if thresholds is None else thresholds.tolist(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`, compiled if that one was."""
        arguments = dict(config)
        thresholds = arguments.pop("distance_thresholds", None)
        matcher = cls(**arguments)
        if thresholds is not None:
            matcher.compile(thresholds)
        return matcher

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{self.canonical_name}:{self.name}"

    def _counted(self, which: str) -> Floats:
        if self._counts is None:
            raise AttributeError(
                "Matcher.compute_count() must be called before accessing the counts."
            )
        return self._counts[which]


registry = Registry("classification matcher", ClassificationMatch)
register = registry.register


def check_lookup_columns(
    lookup_labels: Any, lookup_distances: Any
) -> tuple[Ints, Floats]:
    """Labels as int64 `[N, K]` and distances as float32 `[N, K]`, infinity for NaN."""
    labels, distances = to_numpy(lookup_labels), to_numpy(lookup_distances)
    for name, array in (("lookup_labels", labels), ("lookup_distances", distances)):
        if array.ndim != 2:
            raise ValueError(
                f"`{name}` must have the shape [queries, neighbours]. Received: "
                f"{name}.shape={array.shape}."
            )
    if labels.shape != distances.shape:
        raise ValueError(
            "`lookup_labels` and `lookup_distances` must have the same shape. Received: "
            f"lookup_labels.shape={labels.shape}, "
            f"lookup_distances.shape={distances.shape}."
        )
    if labels.size and labels.dtype.kind not in "iub":
        raise TypeError(
            f"`lookup_labels` must be integers. Received: dtype={labels.dtype}."
        )
    distances = distances.astype("float32")
    return labels.astype("int64"), np.where(np.isnan(distances), np.inf, distances)


def as_match(labels: Ints, distances: Floats) -> tuple[Ints, Floats]:
    """Columns `[N, 1]` of labels `[N]` and distances `[N]`, NaN where a label is none."""
    has_label: Bools = labels != NO_LABEL
    distances = np.where(has_label, distances, np.nan).astype("float32")
    return labels[:, None], distances[:, None]


def _count_within(distances: Floats, thresholds: Floats) -> Floats:
    """How many of `distances` `[n]` are at most each of the `thresholds` `[T]`."""
    # One sort serves all thresholds. A NaN sorts behind infinity, within none of them.
    within = np.searchsorted(np.sort(distances), thresholds, side="right")
    return within.astype("float64")
