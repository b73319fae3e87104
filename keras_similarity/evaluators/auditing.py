"""What is wrong with labelled data, by what their embeddings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity import distances
from keras_similarity.distances import Distance
from keras_similarity.evaluators.audit_duplicates import find_duplicates
from keras_similarity.evaluators.audit_votes import Votes, count_votes
from keras_similarity.set_metrics.neighbors import nearest_keys
from keras_similarity.set_metrics.rows import check_rows
from keras_similarity.types import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Audit:
    """What `audit` found, as data frames, the most suspicious rows first.

    Attributes:
        label_errors: `row`, `label`, `suggested` (the label that the neighbours vote
            for), `score` (share of the votes that is not for the row's label, from 0 to
            1). Every row whose class has another row is there.
        duplicates: `row`, `other`, `label`, `other_label`, `distance`: pairs of rows that
            are nearly the same. Where sets are named also `set` and `other_set`, pairs
            across sets first.
        confusable: `label`, `other`, `score` (share of the rows of both classes that
            get more votes for the other one; 0.5: can't be told apart), `rows` (their
            number).
        singletons: `row`, `label`, `suggested`, `distance` (to the nearest row): classes
            with one example, those nearest to another class first.
    """

    label_errors: pd.DataFrame
    duplicates: pd.DataFrame
    confusable: pd.DataFrame
    singletons: pd.DataFrame

    def __repr__(self) -> str:
        frames = ("label_errors", "duplicates", "confusable", "singletons")
        counts = ", ".join(f"{len(getattr(self, name)):,} {name}" for name in frames)
        return f"<Audit: {counts}>"


def audit(
    embeddings: Any,
    labels: Any,
    *,
    sets: Sequence[str] | None = None,
    distance: Distance | str = "cosine",
    k: int = 20,
    duplicate_distance: float | None = None,
    min_confusion: float = 0.1,
) -> Audit:
    """Likely label errors, near-duplicates, classes that can't be told apart, lone rows.

    Each row's `k` nearest other rows vote. A vote weighs `exp(-(c - c_1) / (c_k - c_1))`,
    where `c` is the neighbour's cost and `c_1` and `c_k` are those of the nearest and of
    the farthest of the `k`, divided by the number of rows of its class (without the row
    that asks) plus `k`, so that large classes do not win by their size. Use embeddings
    of a model that did not learn these labels: one that did has learned the errors, too.

    Compares all rows with all, and keeps `k` neighbours of each: 60,000 rows of 64
    features take 300 MB.

    Args:
        embeddings: Floats `[N, D]`, of all sets.
        labels: Integers `[N]`.
        sets: Name `[N]` of each row's set, e.g. "train", "index" and "query"; `None`: all
            are of one.
        distance: A `Distance` or its name.
        k: Number of neighbours that vote, at least 1; N - 1 of a smaller set.
        duplicate_distance: Rows so close are duplicates. By default a hundredth of the
            median distance between a row and its nearest. For a similarity rows are
            compared by cosine, if it is one, else by Euclidean distance. Of a row's
            duplicates the `k` nearest are found, and the `k` nearest in other sets.
        min_confusion: Least score of a pair of classes to be reported.

    Raises:
        ValueError, TypeError: If arguments do not fit.

    Example:
        >>> from keras_similarity.evaluators import audit
        >>> embeddings = [[0.0], [0.1], [0.21], [5.0], [5.1], [5.21], [5.3]]
        >>> found = audit(embeddings, [1, 1, 1, 2, 2, 2, 1], distance="euclidean", k=3)
        >>> found.label_errors.iloc[0].to_dict()
        {'row': 6.0, 'label': 1.0, 'suggested': 2.0, 'score': 1.0}
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}.")
    rows = check_rows(embeddings, labels, distance)
    names = _check_sets(sets, len(rows.labels))
    if duplicate_distance is not None and not duplicate_distance >= 0:
        raise ValueError(
            "`duplicate_distance` must be at least 0. Received: "
            f"duplicate_distance={duplicate_distance}."
        )
    found, costs = nearest_keys(rows, k)
    votes = count_votes(rows.labels, found, costs)
    _, place, sizes = np.unique(rows.labels, return_inverse=True, return_counts=True)
    is_single = sizes[place] == 1
    return Audit(
        _label_errors(rows.labels, votes, is_single),
        find_duplicates(rows, names, found, costs, duplicate_distance),
        _confusable(rows.labels, votes, sizes, place, min_confusion),
        _singletons(rows.labels, votes, is_single, rows.distance, costs),
    )


def _check_sets(sets: Sequence[str] | None, rows: int) -> Any:
    if sets is None:
        return None
    names = np.asarray(sets)
    if names.shape != (rows,):
        raise ValueError(
            f"`sets` must name the set of each row, {rows} of them. Received: "
            f"shape={names.shape}."
        )
    return names


def _label_errors(labels: Ints, votes: Votes, is_single: Any) -> pd.DataFrame:
    import pandas as pd

    scores = 1.0 - votes.own
    # Of rows that no neighbour speaks for, those with one clear other label come first.
    order = np.lexsort((-votes.best_share, -scores))
    order = order[~is_single[order]] if votes.best_share.size else order[:0]
    return pd.DataFrame(
        {
            "row": order,
            "label": labels[order],
            "suggested": votes.best[order],
            "score": scores[order],
        }
    )


def _confusable(
    labels: Ints, votes: Votes, sizes: Ints, place: Ints, min_confusion: float
) -> pd.DataFrame:
    """Counts rows that get more votes for another class, by pairs of classes."""
    import pandas as pd

    names = np.unique(labels)
    is_other = votes.labels != labels[:, None]
    row, column = np.nonzero(is_other & (votes.shares > votes.own[:, None]))
    # Each class once a row, though several neighbours are of it.
    other = np.searchsorted(names, votes.labels[row, column])
    row, other = np.unique(np.stack([row, other]), axis=1)
    pair = np.sort(np.stack([place[row], other]), axis=0)
    pairs, counts = np.unique(pair, axis=1, return_counts=True)
    scores = counts / sizes[pairs].sum(axis=0)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= min_confusion]
    return pd.DataFrame(
        {
            "label": names[pairs[0, order]],
            "other": names[pairs[1, order]],
            "score": scores[order],
            "rows": counts[order],
        }
    )


def _singletons(
    labels: Ints, votes: Votes, is_single: Any, distance: Distance, costs: Floats
) -> pd.DataFrame:
    import pandas as pd

    rows = np.flatnonzero(is_single) if costs.shape[1] else np.zeros(0, "int64")
    rows = rows[np.argsort(costs[rows, 0], kind="stable")] if len(rows) else rows
    nearest = costs[rows, 0] if len(rows) else np.zeros(0)
    return pd.DataFrame(
        {
            "row": rows,
            "label": labels[rows],
            "suggested": votes.best[rows],
            "distance": distances.get(distance).to_cost(nearest),
        }
    )
