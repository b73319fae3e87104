"""Which pictures of the unseen classes are indexed, calibrate and judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_similarity.cli.errors import CommandError
from keras_similarity.types import Ints

# From so many unseen classes on, one in five is left out of the index.
_MIN_CLASSES_FOR_STRANGERS = 10


@dataclass(frozen=True)
class Split:
    """Rows of the unseen pictures; no row serves two purposes.

    Attributes:
        index: Of the known classes: what is indexed.
        calibration: Queries that the threshold is chosen with.
        calibration_strangers: The same, of classes that are not in the index: a
            threshold must keep those apart, too.
        evaluation: Queries that judge; of the known classes.
        evaluation_strangers: The same, of classes that neither the index nor the
            calibration holds.
    """

    index: Ints
    calibration: Ints
    calibration_strangers: Ints
    evaluation: Ints
    evaluation_strangers: Ints


def split_unseen(labels: Ints, *, seed: int, max_per_class: int = 200) -> Split:
    """Splits pictures of unseen classes, each class alike.

    Of each known class half is indexed, a quarter calibrates and a quarter judges. Where
    there are 10 classes or more, a fifth of them are strangers, which are only queries:
    half of those classes calibrate, the others judge.

    Args:
        labels: Class ids `[N]` of the unseen pictures.
        seed: The same seed makes the same split.
        max_per_class: At most so many pictures of a class are used.

    Raises:
        CommandError: If no class has 3 pictures or more.
    """
    random = np.random.default_rng(seed)
    # A query needs something to be found, and there are two kinds of queries.
    classes, counts = np.unique(labels, return_counts=True)
    classes = random.permutation(classes[counts >= 3])
    if len(classes) == 0:
        raise CommandError(
            "The unseen classes have too few pictures: at least one class must have 3."
        )
    has_strangers = len(classes) >= _MIN_CLASSES_FOR_STRANGERS
    strangers = len(classes) // 5 if has_strangers else 0

    def rows_of(label: int) -> Ints:
        return random.permutation(np.flatnonzero(labels == label))[:max_per_class]

    index, calibration, evaluation = [], [], []
    for label in classes[strangers:]:
        rows = rows_of(label)
        quarter = max(len(rows) // 4, 1)
        calibration.append(rows[:quarter])
        evaluation.append(rows[quarter : 2 * quarter])
        index.append(rows[2 * quarter :])
    middle = strangers // 2
    return Split(
        index=_joined(index),
        calibration=_joined(calibration),
        calibration_strangers=_joined([rows_of(c) for c in classes[:middle]]),
        evaluation=_joined(evaluation),
        evaluation_strangers=_joined([rows_of(c) for c in classes[middle:strangers]]),
    )


def _joined(rows: list[Ints]) -> Ints:
    return np.sort(np.concatenate([*rows, np.empty(0, "int64")])).astype("int64")
