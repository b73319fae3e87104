"""What each miner costs, beside PyTorch Metric Learning (PML).

    KERAS_BACKEND=torch python -m benchmarks.miners           (or jax, tensorflow)
    KERAS_BACKEND=jax python -m benchmarks.miners --only HDCMiner --batches 1024

Each miner with its defaults, D = 128, 4 and 2 rows of each class, in turns with PML's
(on torch, eagerly, where it fits): alone, from labels and embeddings to pairs; and as it
is used, inside a loss, value and gradient, where ours measures distances once and PML
twice: `ContrastiveLoss` with miners of pairs, `TripletMarginLoss` with those of triplets.
Times are medians in milliseconds; `x PML` is how many times as fast as PML. Compiling
with torch takes longer than all the rest: it is done for one size.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import write_report
from benchmarks.steps import (
    Step,
    make_step,
    modes,
    threads,
    times_in_turns,
    torch_step,
)
from keras_similarity import losses, miners
from keras_similarity.backend import framework, ops
from keras_similarity.pairs import Pairs, Triplets

DIM = 128
BATCHES = (32, 128, 512, 1024)
EAGER_BAR = 0.9
REPEATS = {30: 200, 32: 200, 126: 100, 128: 100}  # Short steps are noisy.
SECONDS = 2.0  # For each step of a line.
COMPILED = (128, 4)  # Rows, and rows of each class.
OF_TRIPLETS = (
    "AngularMiner",
    "BatchHardMiner",
    "DistanceWeightedMiner",
    "EmbeddingsAlreadyPackagedAsTriplets",
    "TripletMarginMiner",
)
NAMES = (
    *OF_TRIPLETS,
    "BatchEasyHardMiner",
    "HDCMiner",
    "MultiSimilarityMiner",
    "PairMarginMiner",
    "UniformHistogramMiner",
)
# The largest batch that PML is given: beyond it takes all memory.
PEER_LIMITS = {"AngularMiner": 128, "TripletMarginMiner": 512}


def loss_name(name: str) -> str:
    """The loss that a miner is used with."""
    return "TripletMarginLoss" if name in OF_TRIPLETS else "ContrastiveLoss"


def mining_step(function: Callable[[Any], Pairs], x: Any, mode: str) -> Step:
    """A call without arguments: the pairs of a batch, when the device is done."""

    def arrays(x: Any) -> list[Any]:
        pairs = function(x)
        found = [pairs.positive_counts, pairs.negative_counts]
        if isinstance(pairs.triplets, Triplets):
            triplets = pairs.triplets
            found += [triplets.positives, triplets.negatives, triplets.counts]
        return found

    tensor = ops.convert_to_tensor(x)
    if framework() == "jax":
        import jax

        compiled = jax.jit(arrays)
        return lambda: jax.block_until_ready(compiled(tensor))
    if framework() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(arrays)
        return lambda: [found.numpy() for found in graph(tensor)]
    import torch

    if mode == "compiled":
        torch._dynamo.reset()
        compiled = torch.compile(arrays)
        return lambda: compiled(tensor)
    return lambda: function(tensor)


def our_steps(name: str, labels: Any, x: Any, mode: str) -> dict[str, Step]:
    """Ours alone, and inside a loss."""
    miner = miners.get(name)
    loss = losses.get(loss_name(name), miner=miners.get(name))
    if framework() != "torch":
        labels = labels.astype("int32")
    labels = ops.convert_to_tensor(labels)
    return {
        mode: mining_step(lambda x: miner(labels, x), x, mode),
        f"{mode} in loss": make_step(lambda x: loss(labels, x), x, mode),
    }


def peer_steps(name: str, labels: Any, x: Any) -> dict[str, Step]:
    """PML's alone, and with a loss."""
    import torch
    from pytorch_metric_learning import losses as peer_losses
    from pytorch_metric_learning import miners as peer_miners

    miner = getattr(peer_miners, name)()
    loss = getattr(peer_losses, loss_name(name))()
    labels, tensor = torch.as_tensor(labels), torch.as_tensor(x)
    return {
        "PML": lambda: miner(tensor, labels),
        "PML in loss": torch_step(lambda x: loss(x, labels, miner(x, labels)), x),
    }


def is_compiled(rows: int, per_class: int) -> bool:
    """Is it also measured with `torch.compile`?"""
    return rows + 2 >= COMPILED[0] >= rows and per_class == COMPILED[1]


def measure(name: str, rows: int, per_class: int, repeats: int) -> dict[str, Any]:
    """One line of the table."""
    if name == "EmbeddingsAlreadyPackagedAsTriplets":
        rows -= rows % 3
    x = np.random.default_rng(1).normal(size=(rows, DIM)).astype("float32")
    labels = np.arange(rows) // per_class
    steps: dict[str, Step] = {}
    chosen = [
        mode for mode in modes() if mode != "compiled" or is_compiled(rows, per_class)
    ]
    for mode in chosen:
        steps |= our_steps(name, labels, x, mode)
    for step in steps.values():
        step()  # Compiles.
    if rows <= PEER_LIMITS.get(name, BATCHES[-1]):
        steps |= peer_steps(name, labels, x)
    found = times_in_turns(steps, max(repeats, REPEATS.get(rows, 0)), SECONDS)
    times = {step: statistics.median(each) for step, each in found.items()}
    line: dict[str, Any] = {"miner": name, "rows": str(rows), "of each": str(per_class)}
    mode = modes()[0]
    for use in ("", " in loss"):
        line |= {f"{each}{use}": times[f"{each}{use}"] for each in chosen}
        if f"PML{use}" in times:
            line[f"PML{use}"] = times[f"PML{use}"]
            line[f"x PML{use}"] = times[f"PML{use}"] / times[f"{mode}{use}"]
    gc.collect()
    return line


def verdict(lines: list[dict[str, Any]]) -> list[str]:
    """Which miners are slower than PML on torch eager, in sentences."""
    if framework() != "torch":
        return []
    return [
        f"{line['miner']}{use} at {line['rows']} rows, {line['of each']} of each class: "
        f"{line[f'x PML{use}']:.2f} times as fast as PML."
        for line in lines
        for use in ("", " in loss")
        if line.get(f"x PML{use}", 1.0) < EAGER_BAR
    ]


def main() -> int:
    """Measures, prints the table and writes it; returns 1 if a miner falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=NAMES)
    parser.add_argument("--batches", nargs="*", type=int, default=BATCHES)
    parser.add_argument("--per-class", nargs="*", type=int, default=(4, 2))
    parser.add_argument("--repeats", type=int, default=15)
    chosen = parser.parse_args()
    lines = [
        measure(name, rows, per_class, chosen.repeats)
        for name in chosen.only
        for per_class in chosen.per_class
        for rows in chosen.batches
    ]
    found = verdict(lines)
    settings = {"dim": DIM, "repeats": chosen.repeats, "threads": threads()}
    write_report(f"miners-{framework()}", lines, **settings, short_of_the_bar=found)
    print("\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
