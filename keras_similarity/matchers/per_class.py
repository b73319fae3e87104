"""Another matcher's answers, with a threshold for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from keras_similarity.matchers.base import (
    ClassificationMatch,
    register,
    registry,
)
from keras_similarity.types import Floats, Ints


@register("match_per_class")
class MatchPerClass(ClassificationMatch):
    """The answers of a matcher, at their distance less the offset of their class.

    To accept an answer up to `threshold + offset` is to accept the distance less the
    offset up to `threshold`: so one threshold serves all classes. Calibration with
    `per_class=True` makes the offsets.

    Args:
        matcher: A matcher or its name: makes the answers.
        offsets: Label -> offset, in the units of the distances (costs, for a
            similarity); 0 for labels that are not in it.
        name: Name of the object.

    Example:
        >>> from keras_similarity.matchers import MatchPerClass
        >>> matcher = MatchPerClass("match_nearest", {7: 0.25})
        >>> matcher.derive_match([[7, 8], [8, 7]], [[0.5, 0.6], [0.5, 0.6]])[1].tolist()
        [[0.25], [0.5]]
    """

    def __init__(
        self,
        matcher: str | ClassificationMatch = "match_nearest",
        offsets: Mapping[int, float] | None = None,
        name: str = "per_class",
        canonical_name: str = "match_per_class",
    ) -> None:
        super().__init__(name=name, canonical_name=canonical_name)
        self.matcher = registry.get(matcher)
        self.offsets = {int(key): float(value) for key, value in (offsets or {}).items()}
        self._labels = np.array(sorted(self.offsets), "int64")
        sorted_offsets = [self.offsets[label] for label in self._labels.tolist()]
        # The last is for labels that have none.
        self._offsets = np.array([*sorted_offsets, 0.0])

    def derive_match(
        self, lookup_labels: Any, lookup_distances: Any
    ) -> tuple[Ints, Floats]:
        labels, distances = self.matcher.derive_match(lookup_labels, lookup_distances)
        places = np.searchsorted(self._labels, labels)
        is_known = places < len(self._labels)
        is_known[is_known] = self._labels[places[is_known]] == labels[is_known]
        offsets = self._offsets[np.where(is_known, places, -1)]
        return labels, (distances - offsets).astype("float32")

    def get_config(self) -> dict[str, Any]:
        """Names, thresholds, the matcher and the offsets, as plain data."""
        return {
            **super().get_config(),
            "matcher": registry.serialize(self.matcher),
            # JSON has no keys but strings.
            "offsets": [list(self.offsets), list(self.offsets.values())],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`, compiled if that one was."""
        labels, values = config["offsets"]
        offsets = dict(zip(labels, values, strict=True))
        return super().from_config({**config, "offsets": offsets})
