"""Does one threshold mean the same for all classes?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.set_metrics.base import SetMetric, register
from keras_similarity.set_metrics.binned_pairs import counts_per_row
from keras_similarity.set_metrics.pair_counts import count_pairs
from keras_similarity.set_metrics.roc import accept_rates
from keras_similarity.set_metrics.rows import Rows
from keras_similarity.set_metrics.verification import check_rate
from keras_similarity.types import Floats, Ints

# Thresholds of the range, ends included.
_THRESHOLDS = 51
# Products of weights and rates held at once: 32 MiB.
_VALUES = 2**22


@dataclass(frozen=True)
class AcceptedByRow:
    """What each row accepts at each threshold of a range.

    Attributes:
        rows: The rows.
        order: The rows by label.
        starts: Where in that order each class starts, `[C]`.
        positives: Numbers `[N, T + 1]` of positive keys accepted, and of all; by `order`.
        negatives: The same of negative keys.
    """

    rows: Rows
    order: Ints
    starts: Ints
    positives: Floats
    negatives: Floats


@register("opis")
class OPIS(SetMetric):
    """Operating-point inconsistency score: how much the classes' utility curves differ.

    `OPIS = mean over c, mean over d of (U_c(d) - mean_c U_c(d))^2`, 0 where every
    threshold means the same for every class. `U_c(d) = 2 s r / (s + r)` (0 if both are)
    is the utility of threshold `d` for class `c`: of the pairs that a row of `c` makes
    with a key, `r` is the share of the positive ones within `d` and `s` that of the
    negative ones beyond. `d` runs over 51 thresholds, evenly from the one at which all
    pairs together have a FAR of `far_low` to that of `far_high` (the largest threshold
    with at most that), ends at half weight: the integral of the paper. The range of FAR
    is ours to choose; the paper leaves it to the application.

    Classes without a positive or a negative pair are left out. NaN if none is left. Pairs
    at one distance are accepted together; copies of a row are rows of their own. A draw's
    weights are those of the rows that ask; keys and range stay as they are. Where classes
    were drawn, each counts as often as it was.

    Args:
        far_low: False-accept rate where the range starts.
        far_high: False-accept rate where it ends, above `far_low`.
        name: Name of the object.

    Raises:
        ValueError: If a rate is out of range.

    Reference:
        [Zhang et al., 2024](https://arxiv.org/abs/2307.04047)

    Example:
        >>> from keras_similarity.set_metrics import OPIS
        >>> OPIS().compute([[0.0], [1.0], [5.0], [6.0]], [0, 0, 1, 1], "euclidean")
        0.0
    """

    default_name = "opis"

    def __init__(
        self, far_low: float = 1e-2, far_high: float = 1e-1, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.far_low = check_rate(far_low, "far_low")
        self.far_high = check_rate(far_high, "far_high")
        if not far_low < far_high:
            raise ValueError(
                "`far_low` must be less than `far_high`. Received: "
                f"far_low={far_low}, far_high={far_high}."
            )

    def get_config(self) -> dict[str, Any]:
        config = {"far_low": self.far_low, "far_high": self.far_high}
        return {**super().get_config(), **config}

    def summarize(self, rows: Rows) -> AcceptedByRow | Floats:
        ends = self._range(dataclasses.replace(rows, weights=None))
        if ends is None:
            return np.full(rows.draws, np.nan)
        low, step = ends[0], (ends[1] - ends[0]) / (_THRESHOLDS - 1)
        counts = np.zeros((2, len(rows.labels), _THRESHOLDS + 1))
        for tile in rows.tiles():
            # Ends of the range are costs that occur, and belong to their threshold.
            places = (tile.costs.astype("float64") - low) / (step or 1.0) - 1e-9
            places = np.ceil(places).clip(0, _THRESHOLDS).astype("int64")
            if tile.counted is not None:
                places[~tile.counted] = _THRESHOLDS + 1
            outside = _THRESHOLDS + 1
            for side, chosen in enumerate((tile.positive, ~tile.positive)):
                chosen_places = np.where(chosen, places, outside)
                counts[side, tile.queries] += counts_per_row(chosen_places, outside)
        order = np.argsort(rows.labels, kind="stable")
        starts = np.flatnonzero(
            np.diff(rows.labels[order], prepend=-1 - rows.labels[order[0]])
        )
        positives, negatives = np.cumsum(counts, axis=2)[:, order]
        return AcceptedByRow(rows, order, starts, positives, negatives)

    def value(self, summary: AcceptedByRow | Floats) -> Floats:
        if not isinstance(summary, AcceptedByRow):
            return summary
        rows = summary.rows
        step = max(_VALUES // max(summary.positives.size, 1), 1)
        if rows.draws_classes:
            ones = np.ones((1, len(rows.labels)))
            utilities, is_defined = _utilities(summary, ones)
            weights = rows.weights_of(summary.order[summary.starts])
            return _spread(utilities, weights * is_defined)
        values = [
            _spread(
                *_utilities(
                    summary, rows.weights_of(summary.order, slice(start, start + step))
                )
            )
            for start in range(0, rows.draws, step)
        ]
        return np.concatenate(values)

    def _range(self, rows: Rows) -> tuple[float, float] | None:
        """Costs between which thresholds lie; `None` without both kinds of pairs."""
        (counts,) = count_pairs(rows).counts()
        if not (counts.positives.any() and counts.negatives.any()):
            return None
        rates = accept_rates(counts)[0][0]
        is_used = (counts.positives[0] + counts.negatives[0]) > 0
        rates, thresholds = rates[is_used], counts.thresholds[is_used]
        ends = [
            thresholds[max(int((rates <= rate * (1 + 1e-12)).sum()) - 1, 0)]
            for rate in (self.far_low, self.far_high)
        ]
        return float(ends[0]), float(ends[1])


def _utilities(summary: AcceptedByRow, weights: Floats) -> tuple[Floats, Floats]:
    """Utilities `[r, C, T]` of each class, and whether it has any, `[r, C]`."""
    rates, are_defined = [], []
    for accepted in (summary.positives, summary.negatives):
        sums = np.add.reduceat(weights[:, :, None] * accepted, summary.starts, axis=1)
        total = sums[:, :, -1:]
        rates.append(sums[:, :, :-1] / np.where(total > 0, total, 1.0))
        are_defined.append(total[:, :, 0] > 0)
    found, kept_out = rates[0], 1.0 - rates[1]
    sums = found + kept_out
    utilities = 2.0 * found * kept_out / np.where(sums > 0, sums, 1.0)
    return utilities, (are_defined[0] & are_defined[1]).astype("float64")


def _spread(utilities: Floats, weights: Floats) -> Floats:
    """Weighted variance over classes, averaged over the thresholds, `[r]`."""
    totals = weights.sum(axis=1)
    shares = (weights / np.where(totals > 0, totals, np.nan)[:, None])[:, :, None]
    means = (shares * utilities).sum(axis=1, keepdims=True)
    variances = (shares * (utilities - means) ** 2).sum(axis=1)  # [r, T]
    ends_halved = (variances[:, :-1] + variances[:, 1:]) / 2
    return ends_halved.mean(axis=1)
