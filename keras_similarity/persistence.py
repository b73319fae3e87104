"""Folders that are saved by one atomic step, and checked when they are opened.

A save writes its files into a new sub-folder, a generation, and then replaces one small
file, the manifest, that names the generation and lists its files with sizes and
checksums. A crash at any moment leaves the old or the new state, whole.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_similarity.checksums import (
    DamagedError,
    MappedFile,
    check_content,
    check_size,
    described,
)
from keras_similarity.places import (
    GENERATION,
    MANIFEST,
    LocalFolder,
    Place,
    files_in,
    place_of,
)
from keras_similarity.types import Ints

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


def save_folder(
    path: str | os.PathLike[str],
    *,
    kind: str,
    config: dict[str, Any],
    write: Callable[[Path], None],
) -> None:
    """Saves files and a config into a folder, by one atomic step.

    What was saved there before stays loadable until the new state is complete, and is
    removed afterwards; nothing else in the folder is touched. Savers of one local
    folder wait for each other. On an object store the last one wins, and a saver that
    was killed leaves its unfinished generation behind.

    Args:
        path: Folder, made if it is missing; or a URL that fsspec knows
            (`"s3://bucket/folder"`).
        kind: What is saved, e.g. `"index"`; `open_folder` must ask for the same.
        config: Plain data; NumPy numbers and arrays become Python numbers and lists.
        write: Puts the files (sub-folders too) into the empty local folder it is given.

    Raises:
        ValueError: If the folder holds something of another kind, or of a newer
            version of the package.
        TypeError: If `config` is not plain data.
    """
    json.dumps(config, default=_to_plain)  # Fails before anything is written.
    place = place_of(path)
    with place.lock(shared=False) as is_alone:
        previous = _replaced_generation(place, kind)
        name = f"generation-{uuid.uuid4().hex}"
        with place.generation(name) as folder:
            write(folder)
            body = {
                "kind": kind,
                "format_version": FORMAT_VERSION,
                "generation": name,
                "config": config,
                "files": {
                    file.relative_to(folder).as_posix(): described(file)
                    for file in files_in(folder)
                },
            }
        place.commit(_sealed(body))
        place.remove_stale(previous, name, is_alone)


class SavedFiles:
    """The files of a saved folder, of which some may be checked only as they are read.

    Attributes:
        folder: Local folder with the files.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], path: str) -> None:
        self.folder = folder
        self._expected = manifest["files"]
        self._path = path
        self._mapped: dict[str, MappedFile] = {}

    def check_all(self) -> None:
        """Checks sizes and checksums of all files."""
        for name, expected in self._expected.items():
            check_size(self.folder / name, expected, self._path, name)
            check_content(self.folder / name, expected, self._path, name)

    def map(self) -> None:
        """Checks small files, and of large ones that can be mapped size and header."""
        for name, expected in self._expected.items():
            file = self.folder / name
            check_size(file, expected, self._path, name)
            if "crc32" not in expected:
                check_content(file, expected, self._path, name)
                continue
            damaged = functools.partial(self._raise_damaged, name)
            self._mapped[name] = MappedFile(file, expected, damaged)

    def check_mapped(self, folder: str = "", *, but: str | None = None) -> None:
        """Checks what was not checked yet of the mapped files of a sub-folder.

        Args:
            folder: What their names start with.
            but: The name of one that is left out.
        """
        for name, file in self._mapped.items():
            if name.startswith(folder) and name != but:
                file.check()

    def check_rows(self, name: str, rows: Ints) -> None:
        """Checks the blocks in which rows of a mapped array lie, if they were not yet."""
        if name in self._mapped:
            self._mapped[name].check_rows(rows)

    def _raise_damaged(self, name: str, how: str) -> None:
        raise DamagedError(self._path, name, how)


@contextlib.contextmanager
def open_files(
    path: str | os.PathLike[str], *, kind: str | None, mmap: bool = False
) -> Iterator[tuple[dict[str, Any], SavedFiles]]:
    """As `open_folder`, but gives an object that can check mapped files later.

    Args:
        kind: `None` for any.
    """
    place = place_of(path)
    if mmap and not isinstance(place, LocalFolder):
        raise ValueError(
            f"`path` must be a local folder to be mapped. Received: path={place.path!r}, "
            "mmap=True. Load it with `mmap=False`, or download it first."
        )
    with place.lock(shared=True), contextlib.ExitStack() as stack:
        manifest = _read_manifest(place, kind)
        while True:
            try:
                folder = stack.enter_context(place.fetch(manifest))
                files = SavedFiles(folder, manifest, place.path)
                files.map() if mmap else files.check_all()
                break
            except (ValueError, FileNotFoundError):
                # Where no lock can be had, a save may have taken the files away.
                newer = _read_manifest(place, kind)
                if newer["generation"] == manifest["generation"]:
                    raise
                manifest = newer
        yield manifest["config"], files


@contextlib.contextmanager
def open_folder(
    path: str | os.PathLike[str], *, kind: str, mmap: bool = False
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Opens what `save_folder` saved: its config and a local folder with its files.

    Every file has been checked against the manifest's size and checksum. A remote folder
    is downloaded to a temporary one. Read the files inside the `with` block: a save to
    the same local folder waits until it ends.

    Args:
        path: As given to `save_folder`.
        kind: As given to `save_folder`.
        mmap: Are the files to be mapped? Then of large `.npy` files only size and header
            are checked; `verify` checks the rest. They may be used after the `with`
            block: a save that removes them takes only their names away. (On Windows it
            cannot, and leaves them there.)

    Raises:
        FileNotFoundError: If nothing is saved there.
        ValueError: If it is damaged, of another kind, or of a newer version; or a URL,
            with `mmap`.
    """
    with open_files(path, kind=kind, mmap=mmap) as (config, files):
        yield config, files.folder


def verify(path: str | os.PathLike[str]) -> None:
    """Checks all that is saved in a folder: an index, a store or a search engine.

    Raises:
        FileNotFoundError: If nothing is saved there.
        ValueError: If a file is damaged; it is named.
    """
    with open_files(path, kind=None):
        pass


def is_saved(path: str | os.PathLike[str]) -> bool:
    """Has `save_folder` saved something at `path`, whatever its kind and state?"""
    try:
        place_of(path).read_manifest()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _replaced_generation(place: Place, kind: str) -> str | None:
    try:
        manifest = _parsed(place.read_manifest(), place.path)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        logger.warning("Replacing what cannot be read: %s", error)
        return None
    _check_kind(manifest, kind, place.path)
    return str(manifest["generation"])


def _read_manifest(place: Place, kind: str | None) -> dict[str, Any]:
    try:
        content = place.read_manifest()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"`path` must be a folder with a saved {kind or 'object'}: there is no "
            f"{MANIFEST}. "
            f"Received: path={place.path!r}."
        ) from error
    manifest = _parsed(content, place.path)
    if kind is not None:
        _check_kind(manifest, kind, place.path)
    return manifest


def _sealed(body: dict[str, Any]) -> bytes:
    # As it will be read: JSON turns a key that is a number into text.
    body = json.loads(json.dumps(body, default=_to_plain))
    text = json.dumps(body, sort_keys=True)
    body["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(body, sort_keys=True, indent=1).encode()


def _parsed(content: bytes, path: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
        version = manifest["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ValueError(
                f"{path!r} was saved by a newer version of keras_similarity (format "
                f"{version}; this one reads up to {FORMAT_VERSION}). Upgrade the package."
            )
        seal = manifest.pop("sha256")
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise DamagedError(path, MANIFEST, "it is incomplete") from error
    except json.JSONDecodeError as error:
        raise DamagedError(path, MANIFEST, "it is not JSON") from error
    text = json.dumps(manifest, sort_keys=True)
    if hashlib.sha256(text.encode()).hexdigest() != seal:
        raise DamagedError(path, MANIFEST, "its checksum is wrong")
    if not GENERATION.fullmatch(manifest["generation"]):
        raise DamagedError(path, MANIFEST, "it names no generation")
    for name in manifest["files"]:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DamagedError(path, MANIFEST, f"the file name {name!r} leads outside")
    return manifest


def _check_kind(manifest: dict[str, Any], kind: str, path: str) -> None:
    if manifest["kind"] != kind:
        raise ValueError(
            f"`path` must be a folder for a saved {kind}. Received: path={path!r}, which "
            f"holds a saved {manifest['kind']}."
        )


def _to_plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiubU":
        return value.tolist()
    raise TypeError(
        f"A config must be plain data (text, numbers, lists, dicts). Received: {value!r} "
        f"of type {type(value).__name__}."
    )
