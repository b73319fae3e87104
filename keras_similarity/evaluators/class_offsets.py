"""How far the threshold of each class should be from that of all, shrunk towards it."""

from __future__ import annotations

import numpy as np

from keras_similarity.types import NO_LABEL, Floats, Ints


def class_offsets(
    query_labels: Ints, answer_labels: Ints, answer_costs: Floats
) -> dict[int, float]:
    """Label -> what its threshold is above that of all classes.

    A threshold belongs halfway between a class' right answers and the wrong answers that
    name it. So a class' offset is half of what its right answers lie farther than those
    of all classes, and half of what its wrong ones do:
    `offset_c = (d_c(right) + d_c(wrong)) / 2`.

    Each deviation `d_c` is the empirical-Bayes estimate of `shrunken_deviations`: a class
    of which little is known keeps the threshold of all.

    Args:
        query_labels: Labels `[Q]` of queries.
        answer_labels: Labels `[Q]` that a matcher made of their neighbours;
            `types.NO_LABEL` where it made none.
        answer_costs: Their distances `[Q]`, smaller is closer; those that are not finite
            do not count.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.evaluators.class_offsets import class_offsets
        >>> labels = np.repeat([3, 8], 50)
        >>> costs = np.tile([0.09, 0.11], 50) + np.where(labels == 8, 0.2, 0.0)
        >>> offsets = class_offsets(labels, labels, costs)
        >>> {label: round(offset, 3) for label, offset in offsets.items()}
        {3: -0.05, 8: 0.05}
    """
    is_known = (answer_labels != NO_LABEL) & np.isfinite(answer_costs)
    labels, classes = np.unique(answer_labels[is_known], return_inverse=True)
    costs = answer_costs[is_known].astype("float64")
    is_right = (answer_labels == query_labels)[is_known]
    offsets = np.zeros(len(labels))
    for which in (is_right, ~is_right):
        offsets += 0.5 * shrunken_deviations(classes[which], costs[which], len(labels))
    return dict(zip(labels.tolist(), offsets.tolist(), strict=True))


def shrunken_deviations(classes: Ints, values: Floats, num_classes: int) -> Floats:
    """How far each class' mean is from that of all, shrunk by what is known of it.

    A one-way random-effects model: class means are `N(mu, tau2)`, values of a class
    `N(mean_c, sigma2)`. The estimate is `tau2 / (tau2 + sigma2 / n_c) (mean_c - mu)`,
    with `sigma2` the pooled variance within classes, `tau2` the variance between them by
    the method of moments (0 if that is negative), and `mu` the mean of the class means,
    weighted by `1 / (tau2 + sigma2 / n_c)`.

    Args:
        classes: Numbers `[n]` of classes, from 0.
        values: Values `[n]`.
        num_classes: How many classes there are.

    Returns:
        Float64 `[num_classes]`; 0 for a class without values, and for all where no class
        has two or there is only one class.

    Reference:
        [Efron and Morris, 1975](https://doi.org/10.1080/01621459.1975.10479864)
    """
    counts = np.bincount(classes, minlength=num_classes)
    has_values = counts > 0
    num_seen, total = int(has_values.sum()), len(values)
    if num_seen < 2 or total == num_seen:
        return np.zeros(num_classes)
    safe_counts = np.maximum(counts, 1)
    means = np.bincount(classes, values, num_classes) / safe_counts
    within = np.square(values - means[classes]).sum() / (total - num_seen)
    between = _between_variance(means, counts, within)
    variances = between + within / safe_counts
    if between == 0.0:  # Also where all values are equal.
        return np.zeros(num_classes)
    weights = has_values / variances
    center = (weights * means).sum() / weights.sum()
    return np.where(has_values, between / variances * (means - center), 0.0)


def _between_variance(means: Floats, counts: Ints, within: float) -> float:
    """The variance of class means by the method of moments, from 0."""
    total, num_seen = counts.sum(), (counts > 0).sum()
    grand_mean = (counts * means).sum() / total
    squares = (counts * np.square(means - grand_mean)).sum()
    scale = total - np.square(counts).sum() / total
    return max(float((squares - (num_seen - 1) * within) / scale), 0.0)
