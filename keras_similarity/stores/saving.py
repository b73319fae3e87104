"""A store in a folder of its own, saved by one atomic step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_similarity.persistence import open_folder, save_folder

Path_ = str | os.PathLike[str]


def save_store(
    path: Path_, config: dict[str, Any], write: Callable[[Path], None]
) -> None:
    """Saves what `write` puts into a folder, and the config that `load_store` checks."""
    save_folder(path, kind="store", config={"store": config}, write=write)


def load_store(path: Path_, class_name: str, read: Callable[[Path], None]) -> None:
    """Hands `read` the folder that a store of that class was saved to.

    Raises:
        ValueError: If there is nothing, if it is damaged or of another class.
    """
    try:
        with open_folder(path, kind="store") as (config, folder):
            saved = config["store"]["class_name"]
            if saved != class_name:
                raise ValueError(
                    f"`path` must hold a saved {class_name}. Received: {saved}."
                )
            read(folder)
    except FileNotFoundError as error:
        # The messages of TensorFlow Similarity.
        problem = (
            "Index file not found" if os.path.isdir(path) else "Index path doesn't exist"
        )
        raise ValueError(f"{problem}. Received: path={os.fspath(path)!r}.") from error
