"""Folders that are saved by one atomic step, and checked when they are opened.

A save writes its files into a new sub-folder, a generation, and then replaces one small
file, the manifest, that names the generation and lists its files with sizes and
checksums. A crash at any moment leaves the old or the new state, whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_similarity.places import GENERATION, MANIFEST, Place, files_in, place_of

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
                    file.relative_to(folder).as_posix(): {
                        "size": file.stat().st_size,
                        "sha256": _sha256(file),
                    }
                    for file in files_in(folder)
                },
            }
        place.commit(_sealed(body))
        place.remove_stale(previous, name, is_alone)


@contextlib.contextmanager
def open_folder(
    path: str | os.PathLike[str], *, kind: str
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Opens what `save_folder` saved: its config and a local folder with its files.

    Every file has been checked against the manifest's size and checksum. A remote folder
    is downloaded to a temporary one. Read the files inside the `with` block: a save to
    the same local folder waits until it ends.

    Args:
        path: As given to `save_folder`.
        kind: As given to `save_folder`.

    Raises:
        FileNotFoundError: If nothing is saved there.
        ValueError: If it is damaged, of another kind, or of a newer version.
    """
    place = place_of(path)
    with place.lock(shared=True), contextlib.ExitStack() as stack:
        manifest = _read_manifest(place, kind)
        while True:
            try:
                folder = stack.enter_context(place.fetch(manifest))
                _check_files(folder, manifest, place.path)
                break
            except (ValueError, FileNotFoundError):
                # Where no lock can be had, a save may have taken the files away.
                newer = _read_manifest(place, kind)
                if newer["generation"] == manifest["generation"]:
                    raise
                manifest = newer
        yield manifest["config"], folder


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
    except _DamagedError as error:
        logger.warning("Replacing what cannot be read: %s", error)
        return None
    _check_kind(manifest, kind, place.path)
    return str(manifest["generation"])


def _read_manifest(place: Place, kind: str) -> dict[str, Any]:
    try:
        content = place.read_manifest()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"`path` must be a folder with a saved {kind}: there is no {MANIFEST}. "
            f"Received: path={place.path!r}."
        ) from error
    manifest = _parsed(content, place.path)
    _check_kind(manifest, kind, place.path)
    return manifest


class _DamagedError(ValueError):
    pass


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
        raise _damaged(path, MANIFEST, "it is incomplete") from error
    except json.JSONDecodeError as error:
        raise _damaged(path, MANIFEST, "it is not JSON") from error
    text = json.dumps(manifest, sort_keys=True)
    if hashlib.sha256(text.encode()).hexdigest() != seal:
        raise _damaged(path, MANIFEST, "its checksum is wrong")
    if not GENERATION.fullmatch(manifest["generation"]):
        raise _damaged(path, MANIFEST, "it names no generation")
    for name in manifest["files"]:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise _damaged(path, MANIFEST, f"the file name {name!r} leads outside")
    return manifest


def _check_kind(manifest: dict[str, Any], kind: str, path: str) -> None:
    if manifest["kind"] != kind:
        raise ValueError(
            f"`path` must be a folder for a saved {kind}. Received: path={path!r}, which "
            f"holds a saved {manifest['kind']}."
        )


def _check_files(folder: Path, manifest: dict[str, Any], path: str) -> None:
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise _damaged(path, name, "it is missing")
        size = file.stat().st_size
        if size != expected["size"]:
            raise _damaged(
                path, name, f"it has {size} bytes instead of {expected['size']}"
            )
        if _sha256(file) != expected["sha256"]:
            raise _damaged(path, name, "its checksum is wrong")


def _damaged(path: str, name: str, how: str) -> _DamagedError:
    return _DamagedError(
        f"{path!r} is damaged: {name}: {how}. Nothing was loaded. Restore the folder "
        "from a copy, or save again."
    )


def _to_plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiubU":
        return value.tolist()
    raise TypeError(
        f"A config must be plain data (text, numbers, lists, dicts). Received: {value!r} "
        f"of type {type(value).__name__}."
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
