"""`keras.ops` on torch without their overhead, for the arrays that losses are made of.

`keras.ops` checks and converts what it is given: 2 to 25 microseconds a call beside the 1
or 2 that torch takes. A loss on 32 rows makes 30 calls, so that this was half its time.
Here float32 and float64 tensors go to torch at once, and whatever else to `keras.ops`:
the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from keras import ops

from keras_similarity.backend import is_traced
from keras_similarity.torch_functions import (
    AmaxLast,
    AmongUnitRows,
    MaskedLogSumExp,
    UnitEuclidean,
    UnitRows,
    unit_rows,
)

Tensor = Any

_HAS_HOST_ALONE = not torch.accelerator.is_available()
# Values from which on `where` takes longer than several other kernels.
_MANY = 2**14
_SUMMED = {
    torch.bool: torch.int32,
    torch.int32: torch.int32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}
_FLOATS = frozenset((torch.float32, torch.float64))
_INTEGERS = frozenset((torch.int32, torch.int64))
# Of no axis Keras reduces nothing, and torch everything.
_NO_AXES: tuple[Any, ...] = ((), [])
_DTYPES = {
    "bool": torch.bool,
    "int32": torch.int32,
    "int64": torch.int64,
    "float32": torch.float32,
    "float64": torch.float64,
}


def _is_float(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype in _FLOATS


def _elementwise(name: str, native: Callable[[Tensor], Tensor]) -> Any:
    general = getattr(ops, name)

    def operation(x: Any) -> Tensor:
        return native(x) if _is_float(x) else general(x)

    return staticmethod(operation)


def _reduction(
    name: str, native: Callable[..., Tensor], *, of_integers: bool = False
) -> Any:
    general = getattr(ops, name)

    def operation(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        is_plain = _is_float(x) or (of_integers and _is_int(x))
        if not is_plain or axis in _NO_AXES:
            return general(x, axis=axis, keepdims=keepdims)
        return native(x, tuple(range(x.dim())) if axis is None else axis, keepdims)

    return staticmethod(operation)


def _along(name: str, native: Callable[..., Tensor]) -> Any:
    general = getattr(ops, name)

    def operation(x: Any, axis: int | None = -1) -> Tensor:
        if not _is_float(x) or axis is None:
            return general(x, axis=axis)
        return native(x, axis)

    return staticmethod(operation)


class TorchOps:
    """The functions of `keras.ops`, the frequent ones straight to torch; some more."""

    threshold = staticmethod(torch.threshold)
    vector_norm = staticmethod(torch.linalg.vector_norm)
    among_unit_rows = staticmethod(AmongUnitRows.apply)
    unit_euclidean = staticmethod(UnitEuclidean.apply)
    masked_log_sum_exp = staticmethod(MaskedLogSumExp.apply)
    amax_last = staticmethod(AmaxLast.apply)

    def __getattr__(self, name: str) -> Any:
        return getattr(ops, name)

    abs = _elementwise("abs", torch.abs)
    exp = _elementwise("exp", torch.exp)
    floor = _elementwise("floor", torch.floor)
    log = _elementwise("log", torch.log)
    relu = _elementwise("relu", torch.relu)
    rsqrt = _elementwise("rsqrt", torch.rsqrt)
    sigmoid = _elementwise("sigmoid", torch.sigmoid)
    sign = _elementwise("sign", torch.sign)
    softplus = _elementwise("softplus", torch.nn.functional.softplus)
    sqrt = _elementwise("sqrt", torch.sqrt)
    square = _elementwise("square", torch.square)

    amax = _reduction("amax", torch.amax, of_integers=True)
    amin = _reduction("amin", torch.amin, of_integers=True)
    logsumexp = _reduction("logsumexp", torch.logsumexp)
    mean = _reduction("mean", torch.mean)

    log_softmax = _along("log_softmax", torch.log_softmax)
    softmax = _along("softmax", torch.softmax)

    @staticmethod
    def unit_rows(x: Tensor, shortest: float, scale: float) -> tuple[Tensor, Tensor]:
        """Rows of length 1, and their lengths: see `UnitRows`."""
        function = unit_rows if is_traced(x) else UnitRows.apply
        return function(x, shortest, scale)

    @staticmethod
    def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        is_plain = isinstance(x, torch.Tensor) and x.dtype in _SUMMED
        if not is_plain or axis in _NO_AXES:
            return ops.sum(x, axis=axis, keepdims=keepdims)
        if x.dtype is torch.bool and axis is None and not keepdims:
            return x.count_nonzero().to(torch.int32)  # Without a copy as integers.
        axis = tuple(range(x.dim())) if axis is None else axis
        return torch.sum(x, axis, keepdims, dtype=_SUMMED[x.dtype])

    @staticmethod
    def cast(x: Any, dtype: Any) -> Tensor:
        wanted = _DTYPES.get(dtype, dtype)
        if isinstance(x, torch.Tensor) and isinstance(wanted, torch.dtype):
            return x if x.dtype is wanted else x.to(wanted)
        return ops.cast(x, dtype)

    @staticmethod
    def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None) -> Tensor:
        # With another device than the host's, Keras may have to move it.
        if _HAS_HOST_ALONE and isinstance(x, torch.Tensor):
            wanted = _DTYPES.get(dtype, dtype)
            if wanted is None or x.dtype is wanted:
                return x
        return ops.convert_to_tensor(x, dtype=dtype, sparse=sparse)

    @staticmethod
    def zeros_like(x: Any, dtype: Any = None) -> Tensor:
        wanted = _DTYPES.get(dtype, dtype)
        if isinstance(x, torch.Tensor) and (wanted is None or wanted is not dtype):
            return torch.zeros_like(x, dtype=wanted)
        return ops.zeros_like(x, dtype=dtype)

    @staticmethod
    def stop_gradient(x: Any) -> Tensor:
        return x.detach() if isinstance(x, torch.Tensor) else ops.stop_gradient(x)

    @staticmethod
    def shape(x: Any) -> Any:
        return tuple(x.shape) if isinstance(x, torch.Tensor) else ops.shape(x)

    @staticmethod
    def reshape(x: Any, newshape: Any) -> Tensor:
        if isinstance(x, torch.Tensor):
            return x.reshape(newshape)
        return ops.reshape(x, newshape)

    @staticmethod
    def transpose(x: Any, axes: Any = None) -> Tensor:
        if isinstance(x, torch.Tensor) and axes is None and x.dim() == 2:
            return x.t()
        return ops.transpose(x, axes=axes)

    @staticmethod
    def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
        if isinstance(x, torch.Tensor):
            return x.transpose(axis1, axis2)
        return ops.swapaxes(x, axis1, axis2)

    @staticmethod
    def top_k(x: Any, k: int, sorted: bool = True) -> Any:
        if isinstance(x, torch.Tensor):
            return torch.topk(x, k, sorted=sorted)
        return ops.top_k(x, k, sorted=sorted)

    @staticmethod
    def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        if isinstance(x, torch.Tensor) and x.dtype is not torch.bool:
            return torch.argmax(x, axis, keepdims).to(torch.int32)
        return ops.argmax(x, axis=axis, keepdims=keepdims)

    @staticmethod
    def nonzero(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return torch.nonzero(x).t().to(torch.int32)
        return ops.nonzero(x)

    @staticmethod
    def stack(xs: Any, axis: int = 0) -> Tensor:
        if _are_tensors(*xs):
            return torch.stack(tuple(xs), axis)
        return ops.stack(xs, axis=axis)

    @staticmethod
    def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        is_mask = isinstance(x, torch.Tensor) and x.dtype is torch.bool
        if is_mask and isinstance(axis, int):
            return torch.any(x, axis, keepdims)
        if is_mask and axis is None and not keepdims:
            return torch.any(x)
        return ops.any(x, axis=axis, keepdims=keepdims)

    @staticmethod
    def where(condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
        is_tensor = isinstance(condition, torch.Tensor) and condition.dtype is torch.bool
        if is_tensor and _fit(x1, x2):
            if isinstance(x2, int | float) and condition.numel() >= _MANY:
                return x1.masked_fill(~condition, x2)
            return torch.where(condition, x1, x2)
        return ops.where(condition, x1, x2)

    @staticmethod
    def minimum(x1: Any, x2: Any) -> Tensor:
        if _is_float(x1) and _is_float(x2) and x1.dtype is x2.dtype:
            return torch.minimum(x1, x2)
        if _is_int(x1) and isinstance(x2, int):
            return x1.clamp(max=x2)
        return ops.minimum(x1, x2)

    @staticmethod
    def maximum(x1: Any, x2: Any) -> Tensor:
        if _is_float(x1) and _is_float(x2) and x1.dtype is x2.dtype:
            return torch.maximum(x1, x2)
        return ops.maximum(x1, x2)

    @staticmethod
    def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
        if _is_float(x) and isinstance(x_min, int | float) and isinstance(x_max, float):
            return torch.clamp(x, x_min, x_max)
        return ops.clip(x, x_min, x_max)

    @staticmethod
    def divide_no_nan(x1: Any, x2: Any) -> Tensor:
        if not (_is_float(x1) and _is_float(x2) and x1.dtype is x2.dtype):
            return ops.divide_no_nan(x1, x2)
        is_zero = x2 == 0
        return torch.where(is_zero, 0.0, x1 / torch.where(is_zero, 1.0, x2))

    @staticmethod
    def concatenate(xs: Any, axis: int = 0) -> Tensor:
        first = xs[0]
        if all(isinstance(x, torch.Tensor) and x.dtype is first.dtype for x in xs):
            return torch.cat(tuple(xs), axis)
        return ops.concatenate(xs, axis=axis)

    @staticmethod
    def cumsum(x: Any, axis: int | None = None) -> Tensor:
        if _is_float(x) and axis is not None:
            return torch.cumsum(x, axis)
        return ops.cumsum(x, axis=axis)

    @staticmethod
    def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
        """The same for indices from 0 on; negative ones are not counted from the end."""
        if axis is None or not _are_tensors(x, indices):
            return ops.take(x, indices, axis=axis)
        if indices.dim() == 1:
            return torch.index_select(x, axis, indices)
        found = torch.index_select(x, axis, indices.reshape(-1))
        return found.unflatten(axis, indices.shape)

    @staticmethod
    def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
        """The same for indices from 0 on; negative ones are not counted from the end."""
        if axis is None or not _are_tensors(x, indices):
            return ops.take_along_axis(x, indices, axis=axis)
        if x.dim() == 2 and axis == 1 and len(x) == len(indices):
            return x.gather(1, indices.long())
        return torch.take_along_dim(x, indices.long(), axis)

    @staticmethod
    def segment_sum(
        data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
    ) -> Tensor:
        """The same for indices that are all below `num_segments`, in full precision."""
        is_plain = _is_float(data) and isinstance(segment_ids, torch.Tensor)
        if num_segments is None or not is_plain:
            return ops.segment_sum(data, segment_ids, num_segments, sorted)
        sums = data.new_zeros((num_segments, *data.shape[1:]))
        return sums.index_add(0, segment_ids, data)


def _are_tensors(*arrays: Any) -> bool:
    return all(isinstance(array, torch.Tensor) for array in arrays)


def _is_int(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype in _INTEGERS


def _fit(x1: Any, x2: Any) -> bool:
    """Does torch promote them as Keras does: of one dtype, or one and a number?"""
    if _are_tensors(x1, x2):
        return x1.dtype is x2.dtype
    tensor, number = (x1, x2) if isinstance(x1, torch.Tensor) else (x2, x1)
    if _is_int(tensor):
        return isinstance(number, int)
    return _is_float(tensor) and isinstance(number, int | float)
