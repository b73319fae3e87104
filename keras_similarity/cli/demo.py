"""`ksim demo`: from pictures to a similarity model that has been judged."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras_similarity
from keras_similarity import datasets
from keras_similarity.backend import framework
from keras_similarity.cli.errors import CommandError
from keras_similarity.cli.judge import Verdict, index_and_judge
from keras_similarity.cli.output import staged_folder
from keras_similarity.cli.recipe import Recipe
from keras_similarity.cli.report import draw_figures, make_table, write_queries
from keras_similarity.cli.split import Split, split_unseen
from keras_similarity.datasets import Dataset, DatasetError

logger = logging.getLogger(__name__)

_LOADERS = {
    "glyphs": datasets.load_glyphs,
    "fashion-mnist": datasets.load_fashion_mnist,
    "digits": datasets.load_digits,
}

_DESCRIPTION = """\
Trains a small network on pictures, indexes pictures of classes that it never saw,
calibrates the distance up to which two pictures match, judges the result, and writes

  model.keras            the network, the index and the calibration, in one file
  metrics.json           the numbers
  neighbors.png          queries with their nearest neighbours
  calibration.png        precision and recall by distance
  confusion_matrix.png   which classes are taken for which
  projection.png         the embeddings in two dimensions
  queries/               pictures to try: ksim search demo/model.keras demo/queries/*
"""


def add_command(commands: Any) -> None:
    """Adds `ksim demo` to the parser of the command line."""
    parser = commands.add_parser(
        "demo",
        help="train, index, calibrate and judge a model, and draw what it does",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--dataset",
        choices=_LOADERS,
        default="glyphs",
        help="pictures to learn from (default: glyphs, which come with the package)",
    )
    source.add_argument(
        "--data",
        metavar="FOLDER",
        help="your own pictures: a folder with a folder of pictures for each class",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", default="demo", help="default: demo"
    )
    parser.add_argument(
        "--epochs", type=_positive, metavar="N", help=f"default: {Recipe.epochs}"
    )
    parser.add_argument(
        "--steps",
        type=_positive,
        metavar="N",
        help=f"batches of an epoch (default: {Recipe.steps_per_epoch})",
    )
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="default: 0")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="train for a few seconds only, to see that all works",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs `ksim demo`.

    Raises:
        CommandError: If the pictures or the output folder are of no use.
    """
    start = time.perf_counter()
    # Here, before minutes of training: where no backend is installed it raises.
    backend = framework()
    dataset = load_dataset(options.dataset, options.data)
    split = split_unseen(dataset.y_test, seed=options.seed)
    recipe = make_recipe(options)
    with staged_folder(options.output) as folder:
        print(f"{dataset!r}\nTraining on {backend}: {recipe.steps:,} batches", flush=True)
        model = recipe.train(
            dataset.x_train, dataset.y_train, verbose=1 if sys.stdout.isatty() else 2
        )
        trained = time.perf_counter()
        print("Indexing, calibrating and judging on unseen classes", flush=True)
        model.preprocessing = dataset.preprocessing
        model.class_names = list(dataset.class_names)
        verdict = index_and_judge(model, dataset, split)
        judged = time.perf_counter()
        seconds = {"until_trained": trained - start, "judging": judged - trained}
        _write_results(folder, model, dataset, split, verdict, recipe, seconds)
    print(f"\n{make_table(verdict.values)}\n\n{_closing(options.output)}")
    logger.info("Took %.0f seconds.", time.perf_counter() - start)


def load_dataset(name: str, folder: str | None = None) -> Dataset:
    """The data set of that name, or that of a folder of class folders.

    Raises:
        CommandError: If it is missing or cannot be used.
    """
    try:
        dataset = datasets.load_folder(folder) if folder else _LOADERS[name]()
    except (DatasetError, OSError) as error:
        raise CommandError(str(error)) from error
    if len(dataset.train_classes) < 2:
        raise CommandError(
            "Training needs at least 2 classes, besides those that are kept to judge. "
            f"Received: {dataset!r}."
        )
    return dataset


def make_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for."""
    recipe = Recipe(seed=options.seed)
    if options.quick:
        recipe = replace(recipe, epochs=2, steps_per_epoch=50)
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    if options.steps:
        recipe = replace(recipe, steps_per_epoch=options.steps)
    return recipe


def _write_results(
    folder: Path,
    model: Any,
    dataset: Dataset,
    split: Split,
    verdict: Verdict,
    recipe: Recipe,
    seconds: dict[str, float],
) -> None:
    model.save(folder / "model.keras")
    draw_figures(folder, model, dataset, split, verdict, recipe.seed)
    queries = write_queries(folder / "queries", dataset, split, recipe.seed)
    report = {
        "version": keras_similarity.__version__,
        "backend": framework(),
        "dataset": dataset.name,
        "recipe": asdict(recipe),
        "unseen": verdict.values,
        "queries": queries,
        "seconds": seconds,
    }
    text = json.dumps(report, indent=2, ensure_ascii=False)
    (folder / "metrics.json").write_text(f"{text}\n", encoding="utf-8")


def _closing(output: str) -> str:
    return (
        f"Written to {output}/: model.keras, metrics.json, neighbors.png, "
        "calibration.png, confusion_matrix.png, projection.png\n"
        f"Now try: ksim search {output}/model.keras {output}/queries/*.png"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return number
