"""What a model learns, beside PyTorch Metric Learning with all else equal.

    KERAS_BACKEND=torch python -m benchmarks.learning      (both, side by side)
    KERAS_BACKEND=jax python -m benchmarks.learning        (ours, on that backend)

Both train the demo's network from the same initial weights on the same batches for as
many steps, with Adam on the same schedule and the multi-similarity loss with its miner;
ours by `fit`, the peer's by a plain torch loop. They are judged by the same code on
characters that training never saw: every unseen picture is a query among the others.
Three seeds each. The peer's recall@1 less one standard deviation is what ours must reach.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import write_report
from keras_similarity.backend import framework
from keras_similarity.cli.recipe import Recipe
from keras_similarity.datasets import Dataset, load_glyphs
from keras_similarity.indexer import Indexer
from keras_similarity.retrieval_metrics import MapAtK, RecallAtK

OURS, PEER = "keras_similarity", "pytorch_metric_learning"


def train_ours(recipe: Recipe, dataset: Dataset) -> Any:
    """A model trained by `fit`, as the demo does."""
    return recipe.train(dataset.x_train, dataset.y_train, verbose=0)


def train_peer(recipe: Recipe, dataset: Dataset) -> Any:
    """The same network, trained by a torch loop with PyTorch Metric Learning."""
    import torch
    from pytorch_metric_learning import losses, miners

    model = recipe.make_model(dataset.x_train.shape[1:])
    ours = recipe.make_loss()
    loss = losses.MultiSimilarityLoss(ours.alpha, ours.beta, base=ours.lmda)
    miner = miners.MultiSimilarityMiner(epsilon=ours.epsilon)
    # Keras' Adam adds its epsilon to the root, as torch does, but a larger one.
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, eps=1e-7)
    schedule = recipe.make_optimizer()._learning_rate
    batches = recipe.make_batches(dataset.x_train, dataset.y_train)
    step = 0
    for _ in range(recipe.epochs):
        for x, y in batches:
            optimizer.param_groups[0]["lr"] = float(schedule(step))
            optimizer.zero_grad()
            embeddings = model(torch.as_tensor(np.asarray(x)), training=True)
            labels = torch.as_tensor(np.asarray(y))
            loss(embeddings, labels, miner(embeddings, labels)).backward()
            optimizer.step()
            step += 1
    return model


def judge(model: Any, dataset: Dataset) -> dict[str, float]:
    """Recall and MAP@R of the unseen pictures, each a query among the others."""
    embeddings = model.embed(dataset.x_test)
    labels, counts = np.unique(dataset.y_test, return_counts=True)
    index = Indexer(embeddings.shape[1])
    index.batch_add(embeddings, labels=dataset.y_test, verbose=0)
    others = {"drop_closest_lookup": True}
    sizes = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    found = index.evaluate_retrieval(
        embeddings,
        dataset.y_test,
        [
            RecallAtK(k=1, **others),
            RecallAtK(k=5, **others),
            MapAtK(k=int(counts.max()), r=sizes, clip_at_r=True, **others),
        ],
        verbose=0,
    )
    return {
        "recall@1": found["recall@1"],
        "recall@5": found["recall@5"],
        "MAP@R": found["map"],
    }


def run(
    name: str, train: Callable[[Recipe, Dataset], Any], recipe: Recipe, dataset: Dataset
) -> dict[str, Any]:
    """One training and its values."""
    start = time.perf_counter()
    model = train(recipe, dataset)
    seconds = time.perf_counter() - start
    row = {"library": name, "backend": framework(), "seed": str(recipe.seed)}
    row |= {"seconds": seconds, **judge(model, dataset)}
    gc.collect()
    print(row, flush=True)
    return row


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds, a row for each library."""
    lines = []
    for name in dict.fromkeys(row["library"] for row in rows):
        of_library = [row for row in rows if row["library"] == name]
        for label, reduce in (("mean", statistics.mean), ("std", statistics.stdev)):
            values = {
                column: reduce([row[column] for row in of_library])
                for column in ("seconds", "recall@1", "recall@5", "MAP@R")
            }
            lines.append(
                {"library": name, "backend": framework(), "seed": label, **values}
            )
    return lines


def is_behind(lines: list[dict[str, Any]]) -> bool:
    """Is our mean recall@1 below the peer's less one standard deviation?

    False where the peer did not run.
    """
    recall = {(line["library"], line["seed"]): line["recall@1"] for line in lines}
    if (PEER, "mean") not in recall:
        return False
    return recall[OURS, "mean"] < recall[PEER, "mean"] - recall[PEER, "std"]


def main() -> int:
    """Trains, prints and writes; returns 1 if ours recalls less than it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    options = parser.parse_args()
    dataset = load_glyphs()
    libraries = {OURS: train_ours}
    if framework() == "torch":
        libraries[PEER] = train_peer
    rows = [
        run(name, train, Recipe(seed=seed, epochs=options.epochs), dataset)
        for seed in range(options.seeds)
        for name, train in libraries.items()
    ]
    steps = options.epochs * Recipe.steps_per_epoch
    lines = summary(rows) if options.seeds > 1 else []
    name, settings = f"learning-{framework()}", {"dataset": repr(dataset), "steps": steps}
    write_report(name, [*rows, *lines], **settings)
    return int(is_behind(lines))


if __name__ == "__main__":
    sys.exit(main())
