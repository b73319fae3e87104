"""An array that grows at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class GrowingArray:
    """Rows of one dtype and width, to which rows are appended in amortised O(1).

    A view handed out by `rows` never changes: appended rows land behind it or in a new
    buffer. So readers in other threads need no lock.

    Args:
        dtype: Of the values.
        width: Number of columns; `None` for an array of single values.

    Example:
        >>> from keras_similarity.growing import GrowingArray
        >>> numbers = GrowingArray("int64")
        >>> numbers.extend([3, 4])
        >>> before = numbers.rows
        >>> numbers.extend([5])
        >>> before.tolist(), numbers.rows.tolist()
        ([3, 4], [3, 4, 5])
    """

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._tail = () if width is None else (width,)
        self._buffer: npt.NDArray[Any] = np.empty((0, *self._tail), dtype)
        # One reference that readers take at once: buffer and length can't disagree.
        self._rows = self._buffer[:0]

    @property
    def rows(self) -> npt.NDArray[Any]:
        """The present rows `[n]` or `[n, width]`, as a view that cannot be written."""
        return self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def extend(self, rows: npt.ArrayLike) -> None:
        """Appends rows, copying them."""
        rows = np.asarray(rows, self._buffer.dtype)
        start, end = len(self), len(self) + len(rows)
        buffer = self._buffer
        if end > len(buffer):
            buffer = np.empty((max(end, start * 3 // 2), *self._tail), buffer.dtype)
            buffer[:start] = self._rows
        buffer[start:end] = rows
        view = buffer[:end]
        view.flags.writeable = False
        self._buffer, self._rows = buffer, view

    def truncate(self, length: int = 0) -> None:
        """Forgets the rows from `length` on; views handed out before keep theirs."""
        self._buffer = self._rows[:length].copy()
        self._rows = self._buffer[:]


def grown(rows: npt.NDArray[Any]) -> GrowingArray:
    """A growing array that holds these rows already, copied."""
    array = GrowingArray(rows.dtype, rows.shape[1] if rows.ndim > 1 else None)
    array.extend(rows)
    return array


def held(rows: npt.NDArray[Any]) -> GrowingArray:
    """A growing array that starts with these very rows: they are copied, to a place
    where there is room, only when others are appended.

    Args:
        rows: Not to be changed any more; they may be mapped from a file.
    """
    array = GrowingArray(rows.dtype, rows.shape[1] if rows.ndim > 1 else None)
    if rows.flags.writeable:
        rows = rows[:]
        rows.flags.writeable = False
    array._buffer = array._rows = rows
    return array
