"""Places where a folder is saved: a local path, or an object store behind fsspec."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)

#: The one file that says what is saved and where.
MANIFEST = "ksim-manifest.json"
#: Names of the sub-folders that hold the files.
GENERATION = re.compile(r"generation-[0-9a-f]{32}")


class Place(Protocol):
    """Where a saved folder lies: a local path or an object store."""

    path: str

    def lock(self, *, shared: bool) -> contextlib.AbstractContextManager[bool]:
        """Keeps other savers (or, shared, only savers) out; False where it can't."""
        ...

    def read_manifest(self) -> bytes: ...

    def generation(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """A new local folder that is kept at the place, unless the body raises."""
        ...

    def commit(self, manifest: bytes) -> None: ...

    def remove_stale(self, previous: str | None, current: str, is_alone: bool) -> None:
        """Removes generations that the manifest no longer names."""
        ...

    def fetch(
        self, manifest: dict[str, Any]
    ) -> contextlib.AbstractContextManager[Path]: ...


class LocalFolder:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = Path(path)
        self.path = str(path)

    @contextlib.contextmanager
    def lock(self, *, shared: bool) -> Iterator[bool]:
        created = [] if shared else _make_folders(self.folder)
        try:
            with _flock(self.folder, shared=shared) as is_locked:
                yield is_locked
        except BaseException:
            for folder in reversed(created):  # Fails, rightly, where one is in use.
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise

    def read_manifest(self) -> bytes:
        return (self.folder / MANIFEST).read_bytes()

    @contextlib.contextmanager
    def generation(self, name: str) -> Iterator[Path]:
        folder = self.folder / name
        self._uncommitted = folder
        try:
            folder.mkdir()
            yield folder
            for file in files_in(folder):
                _fsync(file)
            for directory in [*_directories(folder), folder, self.folder]:
                _fsync(directory)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def commit(self, manifest: bytes) -> None:
        # Inside the generation the temporary file goes away with it after a crash.
        temporary = self._uncommitted / ".manifest.tmp"
        try:
            temporary.write_bytes(manifest)
            _fsync(temporary)
            os.replace(temporary, self.folder / MANIFEST)
        except BaseException:
            # An interrupt may come after the replacement: then the new state stands.
            if not self._is_manifest(manifest):
                shutil.rmtree(self._uncommitted, ignore_errors=True)
            raise
        _fsync(self.folder)

    def remove_stale(self, previous: str | None, current: str, is_alone: bool) -> None:
        for entry in self.folder.iterdir():
            # Without a lock an unknown generation may be another saver's.
            is_ours = entry.name == previous or is_alone
            if GENERATION.fullmatch(entry.name) and is_ours and entry.name != current:
                shutil.rmtree(entry, ignore_errors=True)

    @contextlib.contextmanager
    def fetch(self, manifest: dict[str, Any]) -> Iterator[Path]:
        yield self.folder / manifest["generation"]

    def _is_manifest(self, manifest: bytes) -> bool:
        try:
            return self.read_manifest() == manifest
        except OSError:
            return False


class RemoteFolder:
    """A folder of an fsspec file system: the generation is uploaded, then one PUT."""

    def __init__(self, path: str) -> None:
        import fsspec

        self.path = path
        self.files, self.root = fsspec.core.url_to_fs(path)

    @contextlib.contextmanager
    def lock(self, *, shared: bool) -> Iterator[bool]:
        self.files.invalidate_cache()
        yield False

    def read_manifest(self) -> bytes:
        return self.files.cat_file(f"{self.root}/{MANIFEST}")

    @contextlib.contextmanager
    def generation(self, name: str) -> Iterator[Path]:
        self._uncommitted = target = f"{self.root}/{name}"
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            yield folder
            try:
                for file in files_in(folder):
                    name = file.relative_to(folder).as_posix()
                    self.files.put_file(str(file), f"{target}/{name}")
            except BaseException:
                self._remove(target)
                raise

    def commit(self, manifest: bytes) -> None:
        try:
            self.files.makedirs(self.root, exist_ok=True)
            self.files.pipe_file(f"{self.root}/{MANIFEST}", manifest)
        except Exception:
            self._remove(self._uncommitted)
            raise

    def remove_stale(self, previous: str | None, current: str, is_alone: bool) -> None:
        if previous is not None:
            self._remove(f"{self.root}/{previous}")

    @contextlib.contextmanager
    def fetch(self, manifest: dict[str, Any]) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as temporary:
            for name in manifest["files"]:
                target = Path(temporary, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                source = f"{self.root}/{manifest['generation']}/{name}"
                with contextlib.suppress(FileNotFoundError):  # Reported by the check.
                    self.files.get_file(source, str(target))
            yield Path(temporary)

    def _remove(self, folder: str) -> None:
        try:
            if self.files.exists(folder):
                self.files.rm(folder, recursive=True)
        except OSError as error:
            logger.warning("Could not remove %s: %s", folder, error)


def place_of(path: str | os.PathLike[str]) -> Place:
    text = os.fspath(path)
    if text.startswith("file://"):
        return LocalFolder(text.removeprefix("file://"))
    return RemoteFolder(text) if "://" in text else LocalFolder(path)


def files_in(folder: Path) -> list[Path]:
    """All files in a folder and its sub-folders, sorted."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _directories(folder: Path) -> list[Path]:
    """Sub-folders, the inner before the outer."""
    return sorted((d for d in folder.rglob("*") if d.is_dir()), reverse=True)


def _make_folders(folder: Path) -> list[Path]:
    """Makes a folder and its parents; returns those that were missing, outer first."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for part in missing:
        _fsync(part.parent)
    return missing[::-1]


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot, and needs not.
        return
    # Windows flushes only what it may write.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _flock(folder: Path, *, shared: bool) -> Iterator[bool]:
    """Locks the folder itself, which leaves no file; the kernel frees a dead lock."""
    try:
        import fcntl
    except ImportError:  # Windows.
        yield False
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # No folder: the caller finds no manifest and says so.
        yield False
        return
    try:
        is_locked = True
        try:
            fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError:  # Some network file systems.
            is_locked = False
        yield is_locked
    finally:
        os.close(handle)
