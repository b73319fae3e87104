"""How sure a mean over queries or classes is.

A metric is a ratio of sums over the units that were sampled, `sum(s) / sum(w)`: for
queries `s` is a query's value and `w` is 1; for classes `s` is the sum of a class's
values and `w` the number of its queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_similarity.evaluators.student import t_quantile
from keras_similarity.types import Bools, Floats

# Beyond so many units the limit of the bootstrap is used in its place.
MOST_UNITS = 20_000
# Draws times units that are held at once.
_HELD = 2**21
# The bootstrap has nothing to go by where more draws than this are all alike.
_ALIKE = 1e-3
# A variance this small beside the values is rounding.
_ROUNDING = 1e-24


@dataclass(frozen=True)
class Units:
    """What was sampled: `U` units, for `M` metrics.

    Attributes:
        sums: Floats `[U, M]`.
        weights: Floats `[U, M]`, from 0.
    """

    sums: Floats
    weights: Floats

    @property
    def values(self) -> Floats:
        """The metrics `[M]`; NaN where no unit counts."""
        with np.errstate(invalid="ignore"):
            return self.sums.sum(axis=0) / self.weights.sum(axis=0)

    @property
    def residuals(self) -> Floats:
        """Sums `[U, M]`, less what they would be if all units were alike."""
        values = np.nan_to_num(self.values)
        return self.sums - values * self.weights

    @property
    def standard_errors(self) -> Floats:
        """Standard errors of the metrics `[M]`; NaN with fewer than two units."""
        count = np.count_nonzero(self.weights, axis=0)
        squares = np.square(self.residuals).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt(squares * count / (count - 1)) / self.weights.sum(axis=0)
        return np.where(count > 1, spread, np.nan)


def bounded_intervals(
    units: Units, confidence: float, resamples: int, seed: int
) -> Floats:
    """Intervals `[M, 2]` of means of numbers from 0 to 1.

    The bootstrap-t: units are drawn with replacement, and the quantiles of the draws'
    distances from the mean, in standard errors, take the place of those of Student's t.
    It sees how skewed the values are, which matters near 0 and 1. Where draws come out
    all alike (nearly all values are 1, say), and beyond 20,000 units, Wilson's interval
    of as many independent hits and misses as the standard error amounts to takes its
    place; it is not empty even if all values are 1.

    Args:
        units: What was sampled.
        confidence: E.g. 0.95.
        resamples: Number of draws.
        seed: Of the draws.

    Returns:
        NaN with fewer than two units.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 12.5;
        Korn and Graubard, Survey Methodology 24 (1998), for as many hits and misses.
    """
    intervals = wilson_intervals(units, confidence)
    low, high, is_usable = _bootstrap_t(units, confidence, resamples, seed)
    drawn = np.stack([low.clip(0, 1), high.clip(0, 1)], axis=1)
    return np.where(is_usable[:, None], drawn, intervals)


def difference_intervals(
    units: Units, confidence: float, resamples: int, seed: int
) -> Floats:
    """Intervals `[M, 2]` of mean differences of numbers from 0 to 1.

    As `bounded_intervals`; in place of Wilson's interval stands that of Bonett and Price,
    which adds one unit that got better by 1 and one that got worse by 1.

    Reference:
        Bonett and Price, Journal of Educational and Behavioral Statistics 37 (2012).
    """
    values, spread, count = adjusted_differences(units)
    quantile = np.array([t_quantile(0.5 + confidence / 2, max(n - 1, 1)) for n in count])
    adjusted = np.stack([values - quantile * spread, values + quantile * spread], axis=1)
    low, high, is_usable = _bootstrap_t(units, confidence, resamples, seed)
    drawn = np.where(is_usable[:, None], np.stack([low, high], axis=1), adjusted)
    return np.where(count[:, None] > 1, drawn.clip(-1, 1), np.nan)


def adjusted_differences(units: Units) -> tuple[Floats, Floats, Any]:
    """Mean differences `[M]`, standard errors and counts, after Bonett and Price.

    One unit of the mean weight that got better by 1, and one that got worse, are added:
    that nothing differed in a small set does not mean that nothing ever will.
    """
    count = np.count_nonzero(units.weights, axis=0)
    extra = units.weights.sum(axis=0) / np.maximum(count, 1)
    more = Units(
        np.concatenate([units.sums, extra[None], -extra[None]]),
        np.concatenate([units.weights, extra[None], extra[None]]),
    )
    return more.values, more.standard_errors, count


def wilson_intervals(units: Units, confidence: float) -> Floats:
    """Wilson's intervals `[M, 2]`, of as many hits and misses as tell as much."""
    values, spread = units.values, units.standard_errors
    count = np.count_nonzero(units.weights, axis=0)
    quantile = np.array([t_quantile(0.5 + confidence / 2, max(n - 1, 1)) for n in count])
    variance = values * (1 - values)
    is_flat = ~(spread**2 > _ROUNDING) | ~(variance > 0)
    effective = np.where(is_flat, count, variance / np.where(is_flat, 1, spread**2))
    share = quantile**2 / np.maximum(effective, 1e-9)
    center = (values + share / 2) / (1 + share)
    within = variance.clip(0) / np.maximum(effective, 1e-9)
    half = quantile * np.sqrt(within + (share / quantile / 2) ** 2) / (1 + share)
    bounds = np.stack([center - half, center + half], axis=1).clip(0, 1)
    return np.where(count[:, None] > 1, bounds, np.nan)


def _bootstrap_t(
    units: Units, confidence: float, resamples: int, seed: int
) -> tuple[Floats, Floats, Bools]:
    """Ends `[M]` of the intervals, and where the draws had something to go by."""
    values, spread = units.values, units.standard_errors
    usable = (spread**2 > _ROUNDING) & (len(units.sums) <= MOST_UNITS)
    if not usable.any():
        return values, values, usable
    ratios = _studentized(units, resamples, seed)  # [R, M], NaN where all are alike
    alike = np.isnan(ratios)
    usable &= alike.mean(axis=0) <= _ALIKE
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.where(alike, 0.0, ratios), [tail, 1 - tail], axis=0)
    return values - high * spread, values - low * spread, usable


def _studentized(units: Units, resamples: int, seed: int) -> Floats:
    """Each draw's distance from the mean, in its own standard errors, `[R, M]`."""
    count = len(units.sums)
    generator = np.random.default_rng(seed)
    s, w = units.residuals, units.weights
    metrics = s.shape[1]
    columns = np.concatenate([s, w, s * s, s * w, w * w], axis=1)
    ratios = []
    step = max(_HELD // count, 1)
    for start in range(0, resamples, step):
        draws = draw_counts(generator, min(step, resamples - start), count) @ columns
        total, weight, ss, sw, ww = (
            draws[:, i * metrics : (i + 1) * metrics] for i in range(5)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / weight
            squares = ss - 2 * mean * sw + mean**2 * ww
            is_alike = ~(squares > 1e-12 * ss.max(axis=0))
            spread = np.sqrt(squares.clip(0) * count / max(count - 1, 1)) / weight
            ratios.append(np.where(is_alike, np.nan, mean / spread))
    return np.concatenate(ratios)


def draw_counts(generator: np.random.Generator, draws: int, count: int) -> Floats:
    """How often each of `count` units comes up in draws of as many, `[draws, count]`."""
    drawn = generator.integers(0, count, (draws, count))
    drawn += count * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=draws * count)
    return counts.reshape(draws, count).astype("float64")
