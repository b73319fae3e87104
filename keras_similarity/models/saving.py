"""Saving a model without harming the one that stands there, and what travels with it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_similarity.indexer import Indexer

_INDEX = "index"
_EXTRAS = "similarity.json"
# Arguments of TensorFlow Similarity's `save` that mean nothing to Keras 3.
_OLD_OPTIONS = (
    "include_optimizer",
    "save_format",
    "signatures",
    "options",
    "save_traces",
)
# What Keras writes when it saves into a folder.
_FOLDER_CONTENT = {"assets", "config.json", "metadata.json", "model.weights.h5"}

logger = logging.getLogger(__name__)


def drop_old_options(arguments: dict[str, Any]) -> None:
    """Takes TensorFlow Similarity's options of `save` out of `arguments`, and logs it."""
    dropped = [name for name in _OLD_OPTIONS if name in arguments]
    for name in dropped:
        del arguments[name]
    if dropped:
        logger.warning("`save` ignores %s, which Keras 3 has not.", ", ".join(dropped))


def portable(config: Any) -> Any:
    """The config of an optimizer, or what holds some, as every backend reads it.

    Keras 3.15 on torch saves its own optimizers under the names of torch's versions of
    them, which load under JAX and TensorFlow and then fail.
    """
    if isinstance(config, list):
        return [portable(item) for item in config]
    if not isinstance(config, dict):
        return config
    config = {name: portable(item) for name, item in config.items()}
    if str(config.get("module", "")).startswith("keras.src.backend.torch.optimizers"):
        config.update(module="keras.optimizers", registered_name=None)
    return config


def check_target(path: str, *, overwrite: bool) -> None:
    """Raises an error if a model must not be saved to `path`.

    Raises:
        FileExistsError: If something is there and `overwrite` is false, or what is there
            is no saved model: a folder with other files, or a folder in place of a file.
        ValueError: If it ends in `.h5`.
    """
    if path.endswith((".h5", ".hdf5")):
        raise ValueError(
            f"`filepath` must end in `.keras`. Received: {path!r}, a format that has no "
            "place for an index."
        )
    if "://" in path:
        if not path.endswith(".keras"):
            raise ValueError(f"A URL must end in `.keras`. Received: {path!r}.")
        return
    if os.path.exists(path) and not overwrite:
        raise FileExistsError(
            f"{path!r} is there already. Save with `overwrite=True` to replace it."
        )
    is_wanted = os.path.isfile if path.endswith(".keras") else _is_saved_folder
    if os.path.exists(path) and not is_wanted(path):
        raise FileExistsError(
            f"{path!r} is there and is no saved model: it would be lost. Choose another "
            "name, one that ends in `.keras` for a file."
        )


def _is_saved_folder(path: str) -> bool:
    return os.path.isdir(path) and set(os.listdir(path)) <= _FOLDER_CONTENT


def replace_atomically(path: str, write: Callable[[str], None]) -> None:
    """Calls `write(temporary path)` and moves what it wrote to `path`, in one step.

    Whatever interrupts it, the old file stays. A folder is moved aside first, since no
    portable call replaces one: a kill between the two moves leaves it beside its place,
    under a name that starts with a dot and ends in `.old`.
    """
    if "://" in path:
        _put(path, write)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        written = folder / target.name
        write(str(written))
        _sync(written)
        if target.is_dir():
            # Not in `folder`, which is deleted whatever happens.
            _swap(written, target, aside=folder.with_name(f"{folder.name}.old"))
        else:
            os.replace(written, target)
        _sync(target.parent, recursive=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(url: str, write: Callable[[str], None]) -> None:
    import fsspec

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "model.keras")
        write(str(written))
        filesystem, place = fsspec.core.url_to_fs(url)
        filesystem.makedirs(filesystem._parent(place), exist_ok=True)
        filesystem.put_file(str(written), place)


def _swap(written: Path, target: Path, aside: Path) -> None:
    try:
        os.replace(target, aside)
        os.replace(written, target)
    finally:
        # An interrupt may come before, between or after the moves.
        if not target.exists():
            os.replace(aside, target)
        shutil.rmtree(aside, ignore_errors=True)


def write_assets(
    folder: str, index: Indexer | None, extras: dict[str, Any], *, compression: bool
) -> None:
    """Writes the index and `extras` (plain data) into a model's folder of assets."""
    if index is not None:
        index.save(Path(folder, _INDEX), compression=compression)
    if extras:
        Path(folder, _EXTRAS).write_text(json.dumps(extras), encoding="utf-8")


def read_assets(folder: str | None) -> tuple[Indexer | None, dict[str, Any]]:
    """What `write_assets` wrote, read into memory: Keras deletes the folder later."""
    if folder is None:
        return None, {}
    index = Path(folder, _INDEX)
    extras = Path(folder, _EXTRAS)
    return (
        Indexer.load(index, verbose=0) if index.exists() else None,
        json.loads(extras.read_text(encoding="utf-8")) if extras.exists() else {},
    )


@contextmanager
def index_folder(path: str | os.PathLike[str]) -> Iterator[str]:
    """The folder of an index that is at `path`, or inside of a model saved there.

    Of a model at a URL the index is downloaded.
    """
    if "://" in os.fspath(path):
        if not os.fspath(path).endswith(".keras"):
            yield os.fspath(path)
            return
        import fsspec

        with fsspec.open(os.fspath(path)) as remote, _unzipped_index(remote) as folder:
            yield folder
        return
    if not os.path.isfile(path):
        inside = Path(path, "assets", _INDEX)
        yield str(inside) if inside.exists() else os.fspath(path)
        return
    with _unzipped_index(path) as folder:
        yield folder


@contextmanager
def _unzipped_index(file: Any) -> Iterator[str]:
    """The index in the file of a model, a path or a stream, unpacked."""
    with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as folder:
        prefix = f"assets/{_INDEX}/"
        names = [name for name in archive.namelist() if name.startswith(prefix)]
        if not names:
            name = getattr(file, "full_name", file)
            raise ValueError(f"The model {str(name)!r} was saved without an index.")
        archive.extractall(folder, names)
        yield str(Path(folder, "assets", _INDEX))


def _sync(path: Path, *, recursive: bool = True) -> None:
    """Flushes a file, or a folder and what is in it, to the disk."""
    if path.is_dir():
        for child in path.iterdir() if recursive else ():
            _sync(child)
        if os.name == "nt":  # Windows cannot open a folder.
            return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
