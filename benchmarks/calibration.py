"""What a calibration costs, beside a comparison of every query with every threshold.

    OMP_NUM_THREADS=1 taskset -c 0 python -m benchmarks.calibration

Made-up lookups, ten neighbours each of 11,000 classes, four of five answers right. Every
distance that occurs is a threshold. `loop` counts as TensorFlow Similarity defines the
counts: `sum(match & (distance <= t))` and so on for each threshold `t`; it is timed on a
share of the thresholds, and its time divided by that share. Both are checked to give the
same counts there. `of objects`: the lookups are lists of one object a neighbour, as
TensorFlow Similarity's are. No framework is needed.

The bar: 60,000 lookups in at most 0.5 s on one core, with either matcher.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.report import times_summary, write_report
from keras_similarity.evaluators import MemoryEvaluator, round_distances
from keras_similarity.matchers import make_classification_matcher
from keras_similarity.types import CalibrationResults, Lookup, Lookups

K, CLASSES = 10, 11_000
SIZES = (6_000, 60_000)
REPEATS = 7
BAR_SECONDS = 0.5
# Comparisons of the loop that are timed, and those that are made at once.
TIMED, AT_ONCE = 2 * 10**9, 2**24
OBJECTS = "calibrate, of objects"
MATCHERS = ("match_nearest", "match_majority_vote")
OPTIONS: dict[str, dict[str, Any]] = {
    "calibrate": {},
    OBJECTS: {},
    "calibrate, target_far": {"target_far": 1e-3},
    "calibrate, per_class": {"per_class": True},
}


def made_up(queries: int) -> tuple[Any, Lookups]:
    """Labels of queries, and their lookups."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, (queries, K))
    distances = np.sort(random.random((queries, K), dtype="float32"), axis=1)
    distances = round_distances(distances, 8)  # As calibration does.
    others = random.integers(0, CLASSES, queries)
    targets = np.where(random.random(queries) < 0.8, labels[:, 0], others)
    ids = np.broadcast_to(np.arange(K), labels.shape)
    return targets, Lookups(ids, distances, labels, lambda rows: (rows, list(rows)))


def as_objects(lookups: Lookups) -> list[list[Lookup]]:
    """The same as lists of one object a neighbour, which others' lookups are."""
    columns = zip(lookups.distances.tolist(), lookups.labels.tolist(), strict=True)
    return [
        [Lookup(1 + place, *pair) for place, pair in enumerate(zip(*row, strict=True))]
        for row in columns
    ]


def calibrate(
    targets: Any, lookups: Sequence[Sequence[Lookup]], matcher: str, **options: Any
) -> CalibrationResults:
    """Ours."""
    return MemoryEvaluator().calibrate(
        targets, lookups, {"half": 0.5}, "f1", matcher, ["precision", "recall"], **options
    )


def loop(
    targets: Any, lookups: Lookups, matcher: str, results: CalibrationResults
) -> float:
    """Seconds of counting at every threshold, from those of a share of them."""
    thresholds = np.asarray(results.thresholds["distance"])
    start = time.perf_counter()
    derived, costs = make_classification_matcher(matcher).derive_match(
        lookups.labels, lookups.distances
    )
    is_match = derived[:, 0] == targets
    prepared = time.perf_counter() - start
    share = min(TIMED / (len(targets) * len(thresholds)), 1.0)
    sample = thresholds[:: max(round(1 / share), 1)]
    recalls = []
    start = time.perf_counter()
    for threshold in np.array_split(sample, len(targets) * len(sample) // AT_ONCE + 1):
        is_near = costs <= threshold
        tp = (is_match[:, None] & is_near).sum(axis=0)
        fn = (is_match[:, None] & ~is_near).sum(axis=0)
        _fp = (~is_match[:, None] & is_near).sum(axis=0)
        _tn = (~is_match[:, None] & ~is_near).sum(axis=0)
        recalls.append(tp / np.maximum(tp + fn, 1))
    seconds = time.perf_counter() - start
    columns = results.thresholds["recall"][:: max(round(1 / share), 1)]
    np.testing.assert_allclose(np.concatenate(recalls), columns, atol=1e-9)
    return prepared + seconds * len(thresholds) / len(sample)


def seconds_of(run: Callable[[], Any]) -> dict[str, float]:
    """Of repeated runs, the first of which does not count."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times_summary(times[1:])


def main() -> int:
    """Measures, prints and writes; returns 1 if the bar is missed."""
    rows: list[dict[str, Any]] = []
    for queries in SIZES:
        targets, lookups = made_up(queries)
        objects = as_objects(lookups)
        for matcher in MATCHERS:
            results = calibrate(targets, lookups, matcher)
            looped = loop(targets, lookups, matcher, results)
            for what, options in OPTIONS.items():
                given = objects if what == OBJECTS else lookups
                run = functools.partial(calibrate, targets, given, matcher, **options)
                found = seconds_of(run)
                rows.append(
                    {
                        "lookups": queries,
                        "thresholds": len(results.thresholds["distance"]),
                        "matcher": matcher,
                        "what": what,
                        "median s": found["median"],
                        "minimum s": found["minimum"],
                        "loop s": looped,
                        "x loop": looped / found["median"],
                    }
                )
    write_report(
        "calibration",
        rows,
        k=K,
        classes=CLASSES,
        repeats=REPEATS,
        bar_seconds=BAR_SECONDS,
    )
    slowest = max(
        row["median s"]
        for row in rows
        if row["what"] in ("calibrate", OBJECTS) and row["lookups"] == max(SIZES)
    )
    return int(slowest > BAR_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
