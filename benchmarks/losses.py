"""What each loss costs, beside PyTorch Metric Learning (PML) and the bare distances.

    KERAS_BACKEND=torch python -m benchmarks.losses           (or jax, tensorflow)
    KERAS_BACKEND=jax python -m benchmarks.losses --only TripletMarginLoss --batches 1024

Value and gradient of each loss with its defaults, D = 128, 4 and 2 rows of each class,
in turns with PML's (on torch, eagerly, where it fits) and with the floor: a cosine
matrix with its gradient. Times are medians in milliseconds, of 15 and more, of fewer
where 15 take long; `x PML` is how many times as fast as PML, `x floor` how many times
the floor's time, `peak MiB` by how much the process grows. Compiling with torch takes
longer than all the rest: it is done for one size.

The bar: no loss slower than PML on torch eager (0.9, for the noise); the geometric mean
of `x PML` from 128 rows on 3 on torch eager and 8 on JAX; at 1024 rows on JAX at most 3
times the floor for losses of pairs, 6 for sums over all triplets with few positives of a
row and 20 with many (128 of each class); 4096 rows in at most 2 GB. Losses that couple
three rows (`THREE_ROWS`) take time in proportion to the number of positives.
"""

from __future__ import annotations

import argparse
import functools
import gc
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.report import write_report
from benchmarks.steps import (
    make_step,
    modes,
    peak_mib,
    threads,
    times_in_turns,
    torch_step,
)
from keras_similarity import losses
from keras_similarity.backend import framework, ops
from keras_similarity.distances import CosineSimilarity

DIM = 128
BATCHES = (32, 128, 512, 1024, 4096)
REPEATS = {32: 200, 128: 100}  # Short steps are noisy.
SECONDS = 2.0  # For each step of a line.
COMPILED = (1024, 4)  # Rows, and rows of each class.
MANY = 128  # Rows of each class, at 1024 rows, on JAX.
EAGER_BAR, MEAN_BARS = 0.9, {"torch": 3.0, "jax": 8.0}
MEMORY_MIB = 2048

# With one weight vector a class: `num_classes` and `embedding_size` are given to both.
WITH_CLASSES = (
    "ArcFaceLoss",
    "CosFaceLoss",
    "LargeMarginSoftmaxLoss",
    "NormalizedSoftmaxLoss",
    "P2SGradLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "SoftTripleLoss",
    "SphereFaceLoss",
    "SubCenterArcFaceLoss",
)
# A value of their own for each triplet, or for each place in a ranking.
TRIPLETS = ("DynamicSoftMarginLoss", "MarginLoss", "TripletMarginLoss")
THREE_ROWS = ("AngularLoss", "PNPLoss", "SmoothAPLoss")
SUMS = TRIPLETS + THREE_ROWS
FLOOR_BARS = {"pairs": 3.0, "few triplets": 6.0, "many triplets": 20.0}
# The largest batch that PML is given: beyond it takes minutes or all memory.
PEER_LIMITS = {
    **dict.fromkeys(("NTXentLoss", "LiftedStructureLoss", "TupletMarginLoss"), 512),
    **dict.fromkeys(("TripletMarginLoss", "MarginLoss", "DynamicSoftMarginLoss"), 512),
    **dict.fromkeys(("HistogramLoss", "AngularLoss"), 512),
    **dict.fromkeys(("PNPLoss", "SmoothAPLoss"), 512),
    "ManifoldLoss": 1024,
    "SignalToNoiseRatioContrastiveLoss": 1024,
    "ThresholdConsistentMarginLoss": 1024,
}
PEER_LIMIT = 4096
# Our arguments where the peer's defaults are other ones.
OURS: dict[str, dict[str, Any]] = {
    "CircleLoss": {"formula": "paper"},
    "MultiSimilarityLoss": {"beta": 50.0, "epsilon": None},
    "ManifoldLoss": {"l": DIM, "K": 8},
    "RankedListLoss": {"margin": 0.4, "Tn": 1},
}
PEERS: dict[str, dict[str, Any]] = {
    "ManifoldLoss": {"l": DIM, "K": 8},
    "RankedListLoss": {"margin": 0.4, "Tn": 1},
}
NAMES = (
    "AngularLoss",
    "CircleLoss",
    "ContrastiveLoss",
    "DynamicSoftMarginLoss",
    "FastAPLoss",
    "GeneralizedLiftedStructureLoss",
    "HistogramLoss",
    "InstanceLoss",
    "IntraPairVarianceLoss",
    "LiftedStructureLoss",
    "ManifoldLoss",
    "MarginLoss",
    "MultiSimilarityLoss",
    "NCALoss",
    "NPairsLoss",
    "NTXentLoss",
    "PNPLoss",
    "RankedListLoss",
    "SignalToNoiseRatioContrastiveLoss",
    "SmoothAPLoss",
    "SupConLoss",
    "ThresholdConsistentMarginLoss",
    "TripletMarginLoss",
    "TupletMarginLoss",
    "VICRegLoss",
    *WITH_CLASSES,
)


def options(name: str, extra: dict[str, Any], classes: int) -> dict[str, Any]:
    """Arguments of a loss of so many classes."""
    if name in WITH_CLASSES:
        width = "descriptors_dim" if name == "P2SGradLoss" else "embedding_size"
        return {"num_classes": classes, width: DIM, **extra}
    return extra


def our_function(name: str, labels: Any) -> Callable[[Any], Any]:
    """Our loss as a function of the embeddings."""
    kwargs = options(name, OURS.get(name, {}), int(labels.max()) + 1)
    loss = losses.get(name, **kwargs)
    if framework() == "jax":
        loss.training = False  # A step without a scope changes no state there.
    if framework() != "torch":  # As they come there; PML's need int64.
        labels = labels.astype("int32")
    labels = ops.convert_to_tensor(labels)
    if name == "VICRegLoss":
        views = ops.convert_to_tensor(second_view(len(labels)))
        return lambda x: loss(x, views)
    if name == "ManifoldLoss":
        return lambda x: loss(None, x)
    return lambda x: loss(labels, x)


def peer_function(name: str, labels: Any) -> Callable[[Any], Any]:
    """PML's loss as a function of the embeddings."""
    import torch
    from pytorch_metric_learning import losses as peers

    kwargs = options(name, PEERS.get(name, {}), int(labels.max()) + 1)
    make = functools.partial(getattr(peers, name), **kwargs)
    loss = make()
    labels = torch.as_tensor(labels)
    if name == "VICRegLoss":
        views = torch.as_tensor(second_view(len(labels)))
        return lambda x: loss(x, ref_emb=views)
    if name == "ManifoldLoss":
        return loss
    if name == "DynamicSoftMarginLoss":  # A second step with the same object fails.
        return lambda x: make()(x, labels)
    return lambda x: loss(x, labels)


def second_view(rows: int) -> Any:
    """Other embeddings of the same rows."""
    return np.random.default_rng(2).normal(size=(rows, DIM)).astype("float32")


def floor_function(rows: int) -> Callable[[Any], Any]:
    """A cosine matrix, weighted and summed: what any of the losses must do."""
    distance = CosineSimilarity()
    weights = np.random.default_rng(0).normal(size=(rows, rows)).astype("float32")
    weights = ops.convert_to_tensor(weights)
    return lambda x: ops.sum(distance(x) * weights)


def measure(name: str, rows: int, per_class: int, repeats: int) -> dict[str, Any]:
    """One line of the table."""
    repeats = max(repeats, REPEATS.get(rows, 0))
    x = np.random.default_rng(1).normal(size=(rows, DIM)).astype("float32")
    labels = np.arange(rows) // per_class
    steps = {
        mode: make_step(our_function(name, labels), x, mode)
        for mode in modes()
        if mode != "compiled" or (rows, per_class) == COMPILED
    }
    steps["floor"] = make_step(floor_function(rows), x, modes()[0])
    for step in steps.values():
        step()  # Compiles.
    if rows <= PEER_LIMITS.get(name, PEER_LIMIT) and per_class != MANY:
        steps["PML"] = torch_step(peer_function(name, labels), x)
    times = {
        step: statistics.median(found)
        for step, found in times_in_turns(steps, repeats, SECONDS).items()
    }
    mode = modes()[0]
    line: dict[str, Any] = {"loss": name, "rows": str(rows), "of each": str(per_class)}
    line |= times
    if "PML" in times:
        line["x PML"] = times["PML"] / times[mode]
    line["x floor"] = times[mode] / times["floor"]
    line["peak MiB"] = peak_mib(steps[mode])
    gc.collect()
    return line


def verdict(lines: list[dict[str, Any]]) -> list[str]:
    """What falls short of the bar, in sentences."""
    mode, found = modes()[0], []
    for line in lines:
        what = f"{line['loss']} at {line['rows']} rows, {line['of each']} of each class"
        if framework() == "torch" and line.get("x PML", 1.0) < EAGER_BAR:
            found.append(f"{what}: {line['x PML']:.2f} times as fast as PML, {mode}.")
        if int(line["rows"]) == 4096 and (line["peak MiB"] or 0) > MEMORY_MIB:
            found.append(f"{what}: {line['peak MiB']:.0f} MiB.")
        bar = floor_bar(line)
        if bar is not None and line["x floor"] > bar:
            found.append(
                f"{what}: {line['x floor']:.1f} times the floor; the bar is {bar}."
            )
    ratios = [
        line["x PML"] for line in lines if "x PML" in line and int(line["rows"]) >= 128
    ]
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"Geometric mean of x PML from 128 rows on, {mode}: {mean:.1f}")
        if mean < MEAN_BARS.get(framework(), 0.0):
            found.append(f"The geometric mean is {mean:.1f} times as fast as PML.")
    return found


def floor_bar(line: dict[str, Any]) -> float | None:
    """How many times the floor's time a line may take; `None` without a bar."""
    name = line["loss"]
    if framework() != "jax" or line["rows"] != "1024":
        return None
    if name in WITH_CLASSES or name in THREE_ROWS:
        return None
    if name not in TRIPLETS:
        return FLOOR_BARS["pairs"]
    is_many = line["of each"] == str(MANY)
    return FLOOR_BARS["many triplets" if is_many else "few triplets"]


def cases(chosen: argparse.Namespace) -> Iterator[tuple[str, int, int]]:
    """Loss, rows and rows of each class of each line."""
    for name in chosen.only:
        for per_class in chosen.per_class:
            for rows in chosen.batches:
                yield name, rows, per_class
        if framework() == "jax" and 1024 in chosen.batches and name in SUMS:
            yield name, 1024, MANY


def main() -> int:
    """Measures, prints the table and writes it; returns 1 if it falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=NAMES)
    parser.add_argument("--batches", nargs="*", type=int, default=BATCHES)
    parser.add_argument("--per-class", nargs="*", type=int, default=(4, 2))
    parser.add_argument("--repeats", type=int, default=15)
    chosen = parser.parse_args()
    lines = []
    for case in cases(chosen):
        lines.append(measure(*case, chosen.repeats))
        print(lines[-1], flush=True)
    found = verdict(lines)
    settings = {"dim": DIM, "repeats": chosen.repeats, "threads": threads()}
    write_report(f"losses-{framework()}", lines, **settings, short_of_the_bar=found)
    print("\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
