"""Saving a model without harming the one that stands there, and what travels with it."""

from __future__ import annotations

import json
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


def replace_atomically(
    path: str | os.PathLike[str], write: Callable[[str], None]
) -> None:
    """Calls `write(temporary path)` and moves what it wrote to `path`, in one step.

    Whatever interrupts it, the old file stays. A folder is moved aside first, since no
    system call replaces one: a crash between the two moves leaves it beside its place,
    under a name that starts with a dot.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        written = folder / path.name
        write(str(written))
        _sync(written)
        if path.is_dir():
            _swap(written, path, aside=folder / "replaced")
        else:
            os.replace(written, path)
        _sync(path.parent, recursive=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _swap(written: Path, path: Path, aside: Path) -> None:
    os.replace(path, aside)
    try:
        os.replace(written, path)
    except BaseException:
        os.replace(aside, path)
        raise


def write_assets(folder: str, index: Indexer | None, extras: dict[str, Any]) -> None:
    """Writes the index and `extras` (plain data) into a model's folder of assets."""
    if index is not None:
        index.save(Path(folder, _INDEX))
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
    """The folder of an index that is at `path`, or inside of a model saved there."""
    if not os.path.isfile(path):
        inside = Path(path, "assets", _INDEX)
        yield str(inside) if inside.exists() else os.fspath(path)
        return
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        prefix = f"assets/{_INDEX}/"
        names = [name for name in archive.namelist() if name.startswith(prefix)]
        if not names:
            raise ValueError(f"The model {os.fspath(path)!r} was saved without an index.")
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
