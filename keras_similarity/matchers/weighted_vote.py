"""The neighbours vote, the nearer the weightier."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_similarity.matchers.base import (
    ClassificationMatch,
    as_match,
    check_lookup_columns,
    register,
)
from keras_similarity.types import NO_LABEL, Bools, Floats, Ints


@register("match_weighted_vote")
class MatchWeightedVote(ClassificationMatch):
    """A query has the label whose neighbours weigh most, at their weighted mean distance.

    The weight of a neighbour at distance `d` is `exp(-d / temperature)`; with no
    temperature `(d_K - d) / (d_K - d_1)`, from 1 for the nearest to 0 for the farthest
    that was found, which needs no scale and takes similarities (as costs), too. Where all
    are equally far each weighs 1.

    Of labels equally weighty the one met first wins. The mean is over the winner's
    neighbours alone. Missing neighbours and ones without a label have no vote: a short
    row is judged by what it has.

    Args:
        temperature: Positive, in the units of the distance; `None`: by rank of distance
            within the row, as above.
        name: Name of the object.

    Raises:
        ValueError: If the temperature is not positive.

    References:
        [Dudani, 1976](https://doi.org/10.1109/TSMC.1976.5408784), without a temperature;
        [Wu et al., 2018](https://arxiv.org/abs/1805.01978), with one.

    Example:
        >>> from keras_similarity.matchers import MatchWeightedVote
        >>> vote = MatchWeightedVote()
        >>> labels, distances = vote.derive_match([[7, 8, 8]], [[0.125, 0.75, 1.0]])
        >>> labels.tolist(), distances.tolist()
        ([[7]], [[0.125]])
    """

    def __init__(
        self,
        temperature: float | None = None,
        name: str = "weighted_vote",
        canonical_name: str = "match_weighted_vote",
    ) -> None:
        super().__init__(name=name, canonical_name=canonical_name)
        if temperature is not None and not 0.0 < temperature < np.inf:
            raise ValueError(
                f"`temperature` must be positive or None. Received: {temperature!r}."
            )
        self.temperature = temperature

    def derive_match(
        self, lookup_labels: Any, lookup_distances: Any
    ) -> tuple[Ints, Floats]:
        labels, distances = check_lookup_columns(lookup_labels, lookup_distances)
        if labels.shape[1] == 0:
            return as_match(np.full(len(labels), NO_LABEL), np.full(len(labels), np.nan))
        is_found = np.isfinite(distances)
        costs = np.where(is_found, distances, 0.0).astype("float64")
        weights = self._weights(costs, is_found)
        weights[labels == NO_LABEL] = 0.0
        winner = heaviest_label(labels, weights)
        weights[labels != winner[:, None]] = 0.0
        total = weights.sum(axis=1)
        mean = np.divide(
            (weights * costs).sum(axis=1),
            total,
            np.full(len(total), np.nan),
            where=total > 0,
        )
        return as_match(np.where(total > 0, winner, NO_LABEL), mean)

    def get_config(self) -> dict[str, Any]:
        """Names, thresholds and the temperature, as plain data."""
        return {**super().get_config(), "temperature": self.temperature}

    def _weights(self, costs: Floats, is_found: Any) -> Floats:
        """Weights `[N, K]`, 0 where there is no neighbour."""
        nearest = np.min(costs, axis=1, where=is_found, initial=np.inf)[:, None]
        nearest = np.where(np.isinf(nearest), 0.0, nearest)  # An empty row.
        if self.temperature is not None:
            # Relative to the nearest, which changes no vote and cannot underflow.
            return is_found * np.exp((nearest - costs) / self.temperature)
        farthest = np.max(costs, axis=1, where=is_found, initial=-np.inf)[:, None]
        spread = np.where(np.isinf(farthest), 0.0, farthest) - nearest
        weights = np.divide(
            nearest + spread - costs, spread, np.ones(costs.shape), where=spread > 0
        )
        return is_found * weights


def heaviest_label(labels: Ints, weights: Floats | Bools) -> Ints:
    """Label `[N]` with the largest sum of weights in each row `[N, K]`, the first met."""
    votes = np.zeros(labels.shape)
    # Column by column: O(N K) memory, where comparing all pairs would take O(N K K).
    for column, weight in zip(labels.T, weights.T, strict=True):
        votes += np.where(labels == column[:, None], weight[:, None], 0.0)
    winner = np.argmax(votes, axis=1)  # The first of the largest.
    return labels[np.arange(len(labels)), winner]
