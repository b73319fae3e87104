"""What losses with one value a pair share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keras_similarity.pairs import Pairs
from keras_similarity.reducers import SubLoss

Tensor = Any


def of_positives(values: Tensor, pairs: Pairs) -> SubLoss:
    """A term with a value `[n, M]` for each positive pair, as often as it counts.

    `values` must be finite where there is no positive, too. Where positives are few among
    many pairs, the term has a list of their values, `[T]`: a formula that looks at each
    value alone, as `changed(term, formula)`, is quicker on that than on all pairs.
    """
    counts = pairs.positive_mask if not pairs.is_weighted else pairs.positive_counts
    return SubLoss(values, counts, kind="positive_pair").with_few_listed()


def of_negatives(values: Tensor, pairs: Pairs) -> SubLoss:
    """A term with a value `[n, M]` for each negative pair, as often as it counts.

    `values` must be finite where there is no negative, too.
    """
    counts = pairs.negative_mask if not pairs.is_weighted else pairs.negative_counts
    return SubLoss(values, counts, kind="negative_pair")


def changed(term: SubLoss, formula: Callable[[Tensor], Tensor]) -> SubLoss:
    """The term with a formula of its values in their place."""
    return replace(term, values=formula(term.values))
