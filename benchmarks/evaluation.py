"""Evaluation of a large set: time and memory, beside PyTorch Metric Learning.

    python -m benchmarks.evaluation
    python -m benchmarks.evaluation --sizes million --queries 100000

Each line is measured in a process of its own; peak memory is all of the process, with
Python and what it imports. `small` is 60,000 rows against themselves, `million` as many
keys against queries. Asks at most a quarter of PyTorch Metric Learning's time and 1 GB on
the first, 2 GB on the second, and the same values.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import write_report

METRICS = (
    "precision_at_1",
    "r_precision",
    "mean_average_precision_at_r",
    "mean_reciprocal_rank",
    "mean_average_precision",
)
OURS, PEER = "keras_similarity", "pytorch-metric-learning"
DIM = 64
# Rows, classes, and gigabytes that may be used.
SIZES = {"small": (60_000, 11_000, 1.0), "million": (1_000_000, 100_000, 2.0)}
# Share of the peer's time, and difference of the values.
BAR = 0.25
CLOSE = 1e-4


def rows_of(size: str, queries: int) -> tuple[Any, Any, Any, Any]:
    """Queries and keys with their labels; keys are `None` for a set against itself."""
    rows, classes, _ = SIZES[size]
    random = np.random.default_rng(0)
    centers = random.standard_normal((classes, DIM), dtype="float32")

    def drawn(count: int) -> tuple[Any, Any]:
        labels = random.integers(0, classes, count)
        x = random.standard_normal((count, DIM), dtype="float32")
        x += centers[labels]
        return x, labels

    if size == "small":
        return *drawn(rows), None, None
    return *drawn(queries), *drawn(rows)


def judge_of(library: str) -> Callable[..., dict[str, float]]:
    """What computes the metrics by one library, which it imports."""
    if library == OURS:
        from keras_similarity.evaluators import evaluate

        def ours(x: Any, labels: Any, keys: Any, key_labels: Any) -> dict[str, float]:
            against = {"key_embeddings": keys, "key_labels": key_labels}
            return dict(evaluate(x, labels, METRICS, distance="euclidean", **against))

        return ours
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    return AccuracyCalculator(
        include=METRICS, k="max_bin_count", device=torch.device("cpu")
    ).get_accuracy


def measure(library: str, size: str, queries: int) -> dict[str, Any]:
    """One line of the table."""
    judge = judge_of(library)
    arguments = rows_of(size, queries)
    start, worked = time.perf_counter(), time.process_time()
    values = judge(*arguments)
    took = {"s": time.perf_counter() - start, "CPU s": time.process_time() - worked}
    # Of the process, in KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"size": size, "library": library, **took, "peak GB": peak, **values}


def lines_of(sizes: list[str], queries: int, repeats: int) -> list[dict[str, Any]]:
    """The table, each line the fastest of processes of its own, which take turns."""
    fastest: dict[tuple[str, str], dict[str, Any]] = {}
    for size in sizes:
        libraries = (PEER, OURS) if size == "small" else (OURS,)
        for _ in range(repeats if size == "small" else 1):
            for library in libraries:
                line = line_of(library, size, queries)
                known = fastest.setdefault((size, library), line)
                if line["s"] < known["s"]:
                    fastest[size, library] = line
    return list(fastest.values())


def line_of(library: str, size: str, queries: int) -> dict[str, Any]:
    """A line, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.evaluation", "--one", library]
    command += ["--sizes", size, "--queries", str(queries)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{library} on {size}: {ran.stderr.strip()}")
    line = json.loads(ran.stdout.splitlines()[-1])
    print(line, flush=True)
    return line


def shortfalls(lines: list[dict[str, Any]]) -> list[str]:
    """What is slower or larger than it may be, or differs from the peer's values."""
    by = {(line["size"], line["library"]): line for line in lines}
    short = [
        f"{size} takes {line['peak GB']:.2f} GB"
        for (size, library), line in by.items()
        if library == OURS and line["peak GB"] > SIZES[size][2]
    ]
    ours, peer = by.get(("small", OURS)), by.get(("small", PEER))
    if ours is None or peer is None:
        return short
    if ours["s"] > BAR * peer["s"]:
        short.append(f"small takes {ours['s'] / peer['s']:.2f} of the peer's time")
    short += [
        f"{name} is {ours[name]}, the peer's {peer[name]}"
        for name in METRICS
        if abs(ours[name] - peer[name]) > CLOSE
    ]
    return short


def main() -> int:
    """Measures, prints and writes; returns 1 if it falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=["small"])
    parser.add_argument("--queries", type=int, default=100_000, help="of a million keys")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--one", choices=(OURS, PEER), help="measure here, print JSON")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one, chosen.sizes[0], chosen.queries)))
        return 0
    lines = lines_of(chosen.sizes, chosen.queries, chosen.repeats)
    short = shortfalls(lines)
    name = "evaluation" if "small" in chosen.sizes else f"evaluation-{chosen.sizes[0]}"
    settings: dict[str, Any] = {"dim": DIM, "bar": BAR, "short_of_the_bar": short}
    if "million" in chosen.sizes:
        settings["queries"] = chosen.queries
    write_report(name, lines, **settings)
    print("\n".join(short))
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
