"""A list of anything as JSON and arrays, without pickle, and back.

JSON keeps `None`, bools, ints, floats, text and lists as they are. Everything else is
an object with one key, the type. Arrays are collected into one buffer a dtype, of which
the JSON names offset and shape: a file format has no trouble with millions of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]

_STACKED = "stacked"
# Kinds of dtype that `numpy.save` writes without pickle and its name describes.
_KINDS = "fiubcSUmM"


def encode(items: Sequence[Any]) -> tuple[Any, Arrays]:
    """Returns plain data for JSON, and named arrays to be kept beside it.

    Raises:
        TypeError: If an item cannot be encoded; names its row.
    """
    if _can_stack(items):
        return {_STACKED: len(items)}, {_STACKED: np.array(items)}
    if all(item is None for item in items):
        return {"none": len(items)}, {}
    buffers: dict[str, _Buffer] = {}
    encoded = []
    for row, item in enumerate(items):
        try:
            encoded.append(_encode(item, buffers))
        except (TypeError, RecursionError) as error:
            raise _cannot_save(error, row) from error
    arrays = {f"dtype {dtype}": buffer.joined() for dtype, buffer in buffers.items()}
    return {"items": encoded}, arrays


def decode(plain: Any, arrays: Arrays) -> list[Any]:
    """The list that `encode` was given, with items of the same types.

    Raises:
        ValueError: If this is not what `encode` made.
    """
    try:
        ((kind, value),) = plain.items()
        if kind == _STACKED:
            return list(arrays[_STACKED])
        if kind == "none":
            return [None] * value
        return [_decode(item, arrays) for item in value]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"The saved data cannot be read: {error!r}.") from error


class _Buffer:
    """Arrays of one dtype, end to end."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._parts = [np.empty(0, dtype)]
        self._size = 0

    def add(self, array: npt.NDArray[Any]) -> int:
        """Appends and returns the offset."""
        offset = self._size
        self._parts.append(array.reshape(-1))
        self._size += array.size
        return offset

    def joined(self) -> npt.NDArray[Any]:
        return np.concatenate(self._parts)


def _can_stack(items: Sequence[Any]) -> bool:
    """Are all items arrays (or NumPy numbers) of one dtype and shape?"""
    if not items or not isinstance(items[0], (np.ndarray, np.generic)):
        return False
    first = items[0]
    # A list of a stacked array's rows has numbers where the rows were 0-d arrays.
    if first.dtype.kind not in _KINDS or (type(first) is np.ndarray and not first.ndim):
        return False
    return all(
        type(item) is type(first)
        and item.dtype == first.dtype
        and item.shape == first.shape
        for item in items
    )


def _encode(item: Any, buffers: dict[str, _Buffer]) -> Any:
    # Exact types: an enum is an int, too, and would come back as one.
    if item is None or type(item) in (bool, int, float, str):
        return item
    if type(item) is list:
        return [_encode(part, buffers) for part in item]
    if type(item) is tuple:
        return {"tuple": [_encode(part, buffers) for part in item]}
    if type(item) is dict:
        parts = [[_encode(k, buffers), _encode(v, buffers)] for k, v in item.items()]
        return {"dict": parts}
    if type(item) is bytes:
        return {"bytes": base64.b64encode(item).decode("ascii")}
    if type(item) is complex:
        return {"complex": [item.real, item.imag]}
    is_array = type(item) is np.ndarray
    if (is_array or isinstance(item, np.generic)) and item.dtype.kind in _KINDS:
        array = np.asarray(item)
        buffer = buffers.setdefault(array.dtype.str, _Buffer(array.dtype))
        place = [array.dtype.str, buffer.add(array), list(array.shape)]
        return {"array" if is_array else "number": place}
    detail = f" of dtype {item.dtype}" if is_array else ""
    raise TypeError(f"a {type(item).__name__}{detail}")


def _decode(item: Any, arrays: Arrays) -> Any:
    if isinstance(item, list):
        return [_decode(part, arrays) for part in item]
    if not isinstance(item, dict):
        return item
    ((kind, value),) = item.items()
    if kind == "tuple":
        return tuple(_decode(part, arrays) for part in value)
    if kind == "dict":
        return {_decode(k, arrays): _decode(v, arrays) for k, v in value}
    if kind == "bytes":
        return base64.b64decode(value)
    if kind == "complex":
        return complex(*value)
    dtype, offset, shape = value
    size = int(np.prod(shape, dtype="int64"))
    array = arrays[f"dtype {dtype}"][offset : offset + size].reshape(shape)
    return array if kind == "array" else array[()]


def to_bytes(item: Any) -> bytes | None:
    """One item as a line of JSON and the bytes of its arrays; `None` for `None`.

    Raises:
        TypeError: If it cannot be encoded.
    """
    if item is None:
        return None
    buffers: dict[str, _Buffer] = {}
    plain = _encode(item, buffers)
    arrays = [(dtype, buffer.joined()) for dtype, buffer in buffers.items()]
    head = json.dumps([plain, [(dtype, array.size) for dtype, array in arrays]])
    # An array of text without a letter has items of no bytes.
    return b"\n".join([head.encode("ascii"), b"".join(a.tobytes() for _, a in arrays)])


def from_bytes(content: bytes | None) -> Any:
    """The item that `to_bytes` was given."""
    if content is None:
        return None
    head, _, body = content.partition(b"\n")
    plain, sizes = json.loads(head)
    arrays, start = {}, 0
    for dtype, size in sizes:
        end = start + size * np.dtype(dtype).itemsize
        # A copy, since what is read from bytes cannot be written to.
        array = np.ndarray((size,), dtype, bytearray(body[start:end] or b"\0"))
        arrays[f"dtype {dtype}"], start = array, end
    return _decode(plain, arrays)


def all_to_bytes(items: Sequence[Any]) -> list[bytes | None]:
    """`to_bytes` of each item; the error names its row."""
    encoded = []
    for row, item in enumerate(items):
        try:
            encoded.append(to_bytes(item))
        except (TypeError, RecursionError) as error:
            raise _cannot_save(error, row) from error
    return encoded


def _cannot_save(error: Exception, row: int) -> TypeError:
    return TypeError(
        "`data` can be saved if it is made of None, numbers, text, bytes, NumPy "
        f"arrays, lists, tuples and dicts. Received: {error}, in row {row}."
    )
