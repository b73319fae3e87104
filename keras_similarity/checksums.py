"""Checksums of files, whole and by block, and files that are checked as they are read."""

from __future__ import annotations

import hashlib
import math
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_similarity.types import Ints

#: Bytes of a block that has a checksum of its own.
BLOCK = 2**24
# A file of vectors from this size on is checked by block where it is mapped.
_LARGE = 2**20


class DamagedError(ValueError):
    """What was saved is not what is there."""

    def __init__(self, path: str, name: str, how: str) -> None:
        super().__init__(
            f"{path!r} is damaged: {name}: {how}. Restore the folder from a copy, or "
            "save again."
        )


def described(file: Path) -> dict[str, Any]:
    """Size and checksum of a file; those of its blocks, too, if it may be mapped.

    Mapped are the large `.npy` files that hold a matrix: of vectors, or their codes.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        description = {"size": size, "sha256": checksum}
        if file.suffix != ".npy" or size < _LARGE:
            return description
        header_size, row_size = _layout(stream)
        if row_size is None:
            return description
        # CRC-32 is several times faster than SHA-256: damage is to be found, not malice.
        blocks = [_checksum(stream, at, BLOCK) for at in range(0, size, BLOCK)]
        return {
            **description,
            "block": BLOCK,
            "crc32": blocks,
            "header": [header_size, _checksum(stream, 0, header_size)],
            "row": row_size,
        }


def check_size(file: Path, expected: Mapping[str, Any], path: str, name: str) -> None:
    """Raises a `DamagedError` if the file is missing or has another size."""
    if not file.is_file():
        raise DamagedError(path, name, "it is missing")
    size = file.stat().st_size
    if size != expected["size"]:
        raise DamagedError(
            path, name, f"it has {size} bytes instead of {expected['size']}"
        )


def check_content(file: Path, expected: Mapping[str, Any], path: str, name: str) -> None:
    """Raises a `DamagedError` if the file's checksum is another."""
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != expected["sha256"]:
            raise DamagedError(path, name, "its checksum is wrong")


class MappedFile:
    """A file of one array, each block of which is checked once, before it is read.

    Stays open, so that it can be checked after a later save has removed its name.

    Args:
        file: A `.npy` file of the right size.
        expected: What `described` said of it.
        raise_damaged: Raises the error, given what is wrong.
    """

    def __init__(
        self,
        file: Path,
        expected: Mapping[str, Any],
        raise_damaged: Callable[[str], None],
    ) -> None:
        self._stream = file.open("rb")
        self._expected = expected
        self._raise_damaged = raise_damaged
        self._block = expected["block"]
        self._is_checked = np.zeros(len(expected["crc32"]), bool)
        self._lock = threading.Lock()
        self._header_size, checksum = expected["header"]
        if _checksum(self._stream, 0, self._header_size) != checksum:
            raise_damaged("its header is wrong")

    def check(self) -> None:
        """Checks all blocks that were not checked yet."""
        if not self._is_checked.all():
            self._check(np.flatnonzero(~self._is_checked))

    def check_rows(self, rows: Ints) -> None:
        """Checks the blocks in which rows of the array lie."""
        if self._is_checked.all() or not len(rows):
            return
        # A row is shorter than a block, and lies in one or in two.
        first = self._header_size + rows.astype("int64") * self._expected["row"]
        last = first + self._expected["row"] - 1
        blocks = np.unique(np.concatenate([first, last]) // self._block)
        # Rows that came later are in no block.
        blocks = blocks[blocks < len(self._is_checked)]
        self._check(blocks[~self._is_checked[blocks]])

    def _check(self, blocks: Ints) -> None:
        with self._lock:
            for block in blocks.tolist():
                found = _checksum(self._stream, block * self._block, self._block)
                if found != self._expected["crc32"][block]:
                    self._raise_damaged(
                        f"its checksum is wrong in bytes {block * self._block:,} to "
                        f"{min((block + 1) * self._block, self._expected['size']):,}"
                    )
                self._is_checked[block] = True


def _checksum(stream: IO[bytes], start: int, size: int) -> int:
    stream.seek(start)
    checksum, left = 0, size
    while left and (part := stream.read(min(left, 2**20))):  # Stays in the cache.
        checksum = zlib.crc32(part, checksum)
        left -= len(part)
    return checksum


def _layout(stream: IO[bytes]) -> tuple[int, int | None]:
    """Bytes of the header of a `.npy` file, and bytes of a row of its array.

    `None` if that is no matrix: then it is no vectors, but what is read whole.
    """
    stream.seek(0)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(stream)]
    shape, _, dtype = read(stream)
    row = math.prod(shape[1:]) * dtype.itemsize if len(shape) > 1 else None
    return stream.tell(), row
