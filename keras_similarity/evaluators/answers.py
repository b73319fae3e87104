"""What a matcher makes of lookups, and which of its answers are false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_similarity.arrays import check_labels
from keras_similarity.evaluators.class_offsets import class_offsets
from keras_similarity.evaluators.false_accepts import Trials
from keras_similarity.evaluators.lookup_columns import (
    unpack_lookup_distances,
    unpack_lookup_labels,
)
from keras_similarity.matchers import ClassificationMatch
from keras_similarity.types import NO_LABEL, Floats, Ints, Lookup


@dataclass(frozen=True)
class Answers:
    """The lookups of labelled queries, as columns, and who makes answers of them.

    Attributes:
        query_labels: Int64 `[Q]`.
        lookup_labels: Int64 `[Q, K]`.
        lookup_distances: Float32 `[Q, K]`, rounded, smaller is closer.
        matcher: Makes the answers.
        distance_rounding: Decimals that distances are rounded to; `None`: not.
    """

    query_labels: Ints
    lookup_labels: Ints
    lookup_distances: Floats
    matcher: ClassificationMatch
    distance_rounding: int | None

    @classmethod
    def of(
        cls,
        query_labels: Any,
        lookups: Sequence[Sequence[Lookup]],
        matcher: ClassificationMatch,
        distance_rounding: int | None,
    ) -> Self:
        """Columns of lookups.

        Raises:
            ValueError: If there are not as many as labels, or a distance is NaN.
        """
        return cls(
            check_labels(query_labels, name="target_labels", rows=len(lookups)),
            unpack_lookup_labels(lookups),
            unpack_lookup_distances(lookups, distance_rounding=distance_rounding),
            matcher,
            distance_rounding,
        )

    def class_offsets(self) -> dict[int, float]:
        """Offsets of the classes that occur; see `evaluators.class_offsets`."""
        return class_offsets(self.query_labels, *self._derived())

    def trials(self, impostors: Sequence[Sequence[Lookup]] | None) -> Trials:
        """The answers that must not be accepted.

        Args:
            impostors: Lookups of the queries without their own classes; `None`: the
                wrong answers to the lookups that are here.

        Raises:
            ValueError: If there are not as many, or one holds its query's own class.
        """
        if impostors is None:
            labels, costs = self._derived()
            is_wrong = (labels != self.query_labels) | (labels == NO_LABEL)
            return Trials(costs[is_wrong], self.query_labels[is_wrong], "wrong")
        of_impostors = Answers.of(
            self.query_labels, impostors, self.matcher, self.distance_rounding
        )
        is_own = of_impostors.lookup_labels == self.query_labels[:, None]
        if is_own.any():
            raise ValueError(
                "`impostors` must hold no neighbour of its query's class. Received: "
                f"one, first of query {int(np.argmax(is_own.any(axis=1)))}."
            )
        return Trials(of_impostors._derived()[1], self.query_labels, "every")

    def _derived(self) -> tuple[Ints, Floats]:
        """Label and distance `[Q]` of each answer; NaN where there is no label."""
        labels, costs = self.matcher.derive_match(
            self.lookup_labels, self.lookup_distances
        )
        return labels.ravel(), np.where(labels == NO_LABEL, np.nan, costs).ravel()
