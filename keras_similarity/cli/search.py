"""`ksim search`: the nearest neighbours of pictures in a saved model's index."""

from __future__ import annotations

import argparse
import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_similarity.backend import require_keras
from keras_similarity.cli.errors import CommandError
from keras_similarity.types import Floats, Ints, Lookup


def add_command(commands: Any) -> None:
    """Adds `ksim search` to the parser of the command line."""
    parser = commands.add_parser(
        "search",
        help="find the nearest neighbours of pictures",
        description="Prints the nearest neighbours of each picture in the index that was "
        "saved with the model, and whether they are near enough to match.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a .keras file, of `ksim demo` say"
    )
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help="a picture file")
    parser.add_argument(
        "-k", type=int, default=5, metavar="N", help="neighbours of each (default: 5)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs `ksim search`.

    Raises:
        CommandError: If the model or a picture is of no use.
    """
    if options.k < 1:
        raise CommandError(f"-k must be 1 or more. Received: {options.k}.")
    for path in (options.model, *options.pictures):
        _check_file(path)
    model = load_model(options.model)
    pictures = read_pictures(model.preprocessing, options.pictures)
    lookups = model.lookup(pictures, k=options.k, verbose=0)
    matches = find_matches(model, lookups.distances, lookups.labels)
    for path, neighbors, is_match in zip(options.pictures, lookups, matches, strict=True):
        print(format_neighbors(path, neighbors, is_match, model.class_names))


def load_model(path: str) -> Any:
    """A model that `ksim search` can work with.

    Raises:
        CommandError: If the file is no similarity model with an index and with
            preprocessing.
    """
    keras = require_keras("`ksim search`")
    from keras_similarity.models import SimilarityModel

    damaged = CommandError(
        f"{path!r} cannot be read as a Keras model: it is damaged or incomplete, or was "
        "never one."
    )
    if path.endswith(".keras") and not zipfile.is_zipfile(path):
        raise damaged
    try:
        model = keras.saving.load_model(path)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise damaged from error
    except (ValueError, TypeError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CommandError(
            f"{path!r} cannot be read as a Keras model ({reason})."
        ) from error
    if not isinstance(model, SimilarityModel):
        raise CommandError(
            f"{path!r} is no similarity model, but a {type(model).__name__}."
        )
    if model.index_size() == 0:
        raise CommandError(f"The index of {path!r} is empty: nothing can be found.")
    if model.preprocessing is None:
        raise CommandError(
            f"{path!r} was saved without preprocessing, so that it is not known how a "
            "picture becomes its input. Set `model.preprocessing` before saving."
        )
    return model


def read_pictures(preprocessing: Any, paths: Sequence[str]) -> Floats:
    """Pictures `[Q, H, W, C]` of files, made as the model's training data were.

    Raises:
        CommandError: If a file is no picture.
    """
    try:
        return np.stack([preprocessing.from_file(path) for path in paths])
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error


def find_matches(
    model: Any, distances: Floats, labels: Ints | None = None
) -> Sequence[Sequence[bool] | None]:
    """Are neighbours at these distances `[Q, K]` matches, row by row?

    By the cutpoint "optimal"; `None` for each row if the model is not calibrated. Their
    labels `[Q, K]` matter where classes have thresholds of their own.
    """
    index = model.indexer
    if not index.is_calibrated:
        return [None] * len(distances)
    return index.is_within(distances, cutpoint="optimal", labels=labels).tolist()


def format_neighbors(
    path: str,
    neighbors: Sequence[Lookup],
    is_match: Sequence[bool] | None,
    class_names: Sequence[str] | None,
) -> str:
    """The neighbours of one picture as lines of text.

    Args:
        path: Name of the picture.
        neighbors: Its neighbours, nearest first.
        is_match: Is each near enough? `None` if the model is not calibrated.
        class_names: Names of the labels 0, 1, ..., or `None`.
    """
    names = [class_name(neighbor.label, class_names) for neighbor in neighbors]
    width = max(len(name) for name in ("class", *names))
    verdicts = [""] * len(neighbors)
    if is_match is not None:
        verdicts = ["  match" if found else "  no match" for found in is_match]
    lines = [printable(path), f"  rank  {'class':<{width}}  distance"]
    # A short row has fewer neighbours than places.
    for neighbor, name, verdict in zip(neighbors, names, verdicts, strict=False):
        rank, distance = f"{neighbor.rank:>4}", f"{neighbor.distance:>8.4f}"
        lines.append(f"  {rank}  {name:<{width}}  {distance}{verdict}")
    return "\n".join(lines)


def class_name(label: int | None, class_names: Sequence[str] | None) -> str:
    """Name of a class for the terminal: with its code point, where it may be unclear."""
    if label is None:
        return "-"
    if class_names is None or not 0 <= label < len(class_names):
        return str(label)
    name = class_names[label]
    if len(name) == 1 and not name.isascii():
        return f"{printable(name)} U+{ord(name):04X}"
    return printable(name)


def printable(text: str) -> str:
    """The text with its control characters spelled out, which could move the cursor."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def _check_file(path: str) -> None:
    if os.path.isdir(path):
        raise CommandError(f"{path!r} is a folder, not a file.")
    if not os.path.exists(path):
        raise CommandError(f"There is no file {path!r}.")
