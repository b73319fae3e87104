"""Vectors in fewer bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from keras_similarity.growing import GrowingArray, held
from keras_similarity.types import Floats, Ints

# The largest number of float16.
_FLOAT16_MAX = 65504.0
_INT8_MAX = 127


class Codes(ABC):
    """Rows of codes, one for each vector, that are turned back into vectors nearly.

    A subclass says what arrays it keeps, and how vectors become rows of them and back.

    Args:
        dim: Width of the vectors.
    """

    #: How many candidates are looked at for `k` neighbours: so many times as many.
    widening: ClassVar[int] = 1

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._columns = self.columns(dim)

    @staticmethod
    @abstractmethod
    def columns(dim: int) -> dict[str, GrowingArray]:
        """Empty arrays, by the name of their file."""

    @abstractmethod
    def encode(self, vectors: Floats) -> Sequence[npt.NDArray[Any]]:
        """What the rows of vectors `[N, dim]` are in each of the arrays.

        Raises:
            ValueError: If a vector has no code.
        """

    @abstractmethod
    def decode(self, *rows: npt.NDArray[Any]) -> Floats:
        """Float32 vectors `[N, dim]` of rows of the arrays."""

    def __len__(self) -> int:
        # The last array grows last: a reader finds whole rows.
        return min(map(len, self._columns.values()))

    def extend(self, vectors: Floats) -> None:
        """Appends rows; on an error none."""
        before = len(self)
        try:
            encoded = self.encode(vectors)
            for column, rows in zip(self._columns.values(), encoded, strict=True):
                column.extend(rows)
        except BaseException:
            self.truncate(before)
            raise

    def vectors(self, rows: slice | Ints) -> Floats:
        """What the codes of some rows stand for, float32 `[n, dim]`."""
        return self.decode(*(column.rows[rows] for column in self._columns.values()))

    def array(self, name: str) -> npt.NDArray[Any]:
        """The rows of one of the arrays."""
        return self._columns[name].rows

    def truncate(self, length: int = 0) -> None:
        for column in self._columns.values():
            if len(column) > length:
                column.truncate(length)

    def write(self, folder: Path) -> None:
        for name, column in self._columns.items():
            np.save(folder / f"{name}.npy", column.rows)

    def read(self, folder: Path, rows: int, mmap: bool) -> None:
        """Takes the arrays of `write`.

        Raises:
            ValueError: If they are none of so many rows.
        """
        columns = {}
        for name, empty in self._columns.items():
            shape = (rows, *empty.rows.shape[1:])
            array = read_array(folder / f"{name}.npy", empty.rows.dtype, shape, mmap)
            columns[name] = held(array)
        self._columns = columns


class Float32Codes(Codes):
    """The vectors themselves."""

    @staticmethod
    def columns(dim: int) -> dict[str, GrowingArray]:
        return {"vectors": GrowingArray("float32", dim)}

    def encode(self, vectors: Floats) -> Sequence[npt.NDArray[Any]]:
        return [vectors]

    def decode(self, *rows: npt.NDArray[Any]) -> Floats:
        return rows[0]


class Float16Codes(Codes):
    """Half-precision numbers: 2 bytes a value, 3 digits each, up to 65,504."""

    @staticmethod
    def columns(dim: int) -> dict[str, GrowingArray]:
        return {"float16": GrowingArray("float16", dim)}

    def encode(self, vectors: Floats) -> Sequence[npt.NDArray[Any]]:
        check_float16(vectors)
        return [vectors.astype("float16")]

    def decode(self, *rows: npt.NDArray[Any]) -> Floats:
        return rows[0].astype("float32")


class Int8Codes(Codes):
    """Whole numbers from -127 to 127 and a scale for each vector: a byte a value."""

    widening = 4

    @staticmethod
    def columns(dim: int) -> dict[str, GrowingArray]:
        return {"int8": GrowingArray("int8", dim), "scales": GrowingArray("float32")}

    def encode(self, vectors: Floats) -> Sequence[npt.NDArray[Any]]:
        scales = np.abs(vectors).max(axis=1, initial=0.0) / _INT8_MAX
        safe = np.where(scales == 0, 1.0, scales).astype("float32")
        return [np.rint(vectors / safe[:, None]).astype("int8"), scales]

    def decode(self, *rows: npt.NDArray[Any]) -> Floats:
        return rows[0] * rows[1][:, None]


class BinaryCodes(Codes):
    """The signs of a vector's values, and their mean size: a bit a value.

    [Charikar, 2002](https://doi.org/10.1145/509907.509965): the share of signs in which
    two vectors differ grows with the angle between them.
    """

    widening = 16

    @staticmethod
    def columns(dim: int) -> dict[str, GrowingArray]:
        signs = GrowingArray("uint8", -(-dim // 8))
        return {"signs": signs, "scales": GrowingArray("float32")}

    def encode(self, vectors: Floats) -> Sequence[npt.NDArray[Any]]:
        return [np.packbits(vectors > 0, axis=1), np.abs(vectors).mean(axis=1)]

    def decode(self, *rows: npt.NDArray[Any]) -> Floats:
        is_positive = np.unpackbits(rows[0], axis=1, count=self.dim).astype(bool)
        scales = rows[1][:, None]
        return np.where(is_positive, scales, -scales)


#: By the name of the storage.
CODES: dict[str, type[Codes]] = {
    "float32": Float32Codes,
    "float16": Float16Codes,
    "int8": Int8Codes,
    "binary": BinaryCodes,
}


def check_float16(vectors: Floats, name: str = "embeddings") -> None:
    """Raises a `ValueError` where float16 would make an infinity of a value."""
    largest = max(vectors.max(initial=0.0), -vectors.min(initial=0.0))
    if largest > _FLOAT16_MAX:
        raise ValueError(
            f"`{name}` must lie within {_FLOAT16_MAX:,.0f} of 0, or they are infinite in "
            f"float16. Received: a value of {largest:g}. Scale them down."
        )


def read_array(
    file: Path, dtype: npt.DTypeLike, shape: tuple[int, ...], mmap: bool
) -> npt.NDArray[Any]:
    """The array in a `.npy` file, mapped or in memory.

    Raises:
        ValueError: If it has another dtype or shape.
    """
    is_mapped = mmap and 0 not in shape  # Nothing cannot be mapped.
    array = np.load(file, allow_pickle=False, mmap_mode="r" if is_mapped else None)
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"The saved {file.stem} must be {np.dtype(dtype)} {list(shape)}. Received: "
            f"{array.dtype} {list(array.shape)}."
        )
    return np.asarray(array)
