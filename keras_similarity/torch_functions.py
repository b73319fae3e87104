"""Functions of large arrays on torch, in few passes and in place.

An array of more than 32 MiB comes from the system page by page, which takes longer than
to compute it. What autodiff would keep between the steps of a formula is not made here.
Each can be differentiated twice.
"""

from __future__ import annotations

from typing import Any

import torch

Tensor = Any

# Values up to which a matrix and its transpose are added sooner than multiplied twice.
_FEW = 2**18


class _Function(torch.autograd.Function):
    generate_vmap_rule = True

    @classmethod
    def apply(cls, *args: Any) -> Any:
        if torch._C._are_functorch_transforms_active():
            return super().apply(*args)
        # All that the class between does is to look up the signature: 20 microseconds.
        return super(torch.autograd.Function, cls).apply(*args)


def unit_rows(rows: Tensor, shortest: float, scale: float) -> tuple[Tensor, Tensor]:
    """`UnitRows`, step by step: for a compiler, which fuses alone."""
    scaled = rows * scale
    lengths = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    lengths = torch.threshold(lengths, shortest * scale, float("inf"))
    return scaled / lengths, lengths * (1.0 / scale)


class UnitRows(_Function):
    """Rows scaled to length 1, and their lengths: `[..., D]` and `[..., 1]`.

    A row that is no longer than the shortest one gives 0, its slope too; its length is
    infinite.

    Args, in their order:
        rows: Floats `[..., D]`.
        shortest: A length.
        scale: A power of 2, by which squares of lengths are in the dtype's range.
    """

    @staticmethod
    def forward(rows: Tensor, shortest: float, scale: float) -> tuple[Tensor, Tensor]:
        return unit_rows(rows, shortest, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[0], *output)
        ctx.options = inputs[1:]

    @staticmethod
    def backward(ctx: Any, slopes: Tensor | None, _: Any) -> Any:
        rows, units, lengths = ctx.saved_tensors
        if slopes is None:
            return None, None, None
        if torch.is_grad_enabled():  # To be differentiated again.
            units, lengths = unit_rows(rows, *ctx.options)
        return _slopes_of_rows(slopes, units, lengths), None, None


def _slopes_of_rows(slopes: Tensor, units: Tensor, lengths: Tensor) -> Tensor:
    along = (slopes * units).sum(-1, keepdim=True)
    return torch.addcmul(slopes, units, along, value=-1.0) / lengths


class AmongUnitRows(_Function):
    """Cosines `[n, n]` of rows, or Euclidean distances of unit rows, or their squares.

    Args, in their order:
        rows: Floats `[n, D]`.
        shortest, scale: As those of `UnitRows`.
        is_cosine: Cosines?
        floor: Of distances, as that of `UnitEuclidean`.
    """

    @staticmethod
    def forward(
        rows: Tensor, shortest: float, scale: float, is_cosine: bool, floor: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        units, lengths = unit_rows(rows, shortest, scale)
        if is_cosine:
            return units @ units.t(), units, lengths
        squares = (lengths < float("inf")).to(units.dtype)
        return _euclidean(units, units, squares, squares, floor), units, lengths

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.options = inputs[1:]
        found, units, lengths = output
        # Cosines are not needed: kept, their memory would not serve what follows.
        found = None if inputs[3] else found
        ctx.save_for_backward(inputs[0], found, units, lengths)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor | None, *_: Any) -> Any:
        rows, found, units, lengths = ctx.saved_tensors
        *options, is_cosine, floor = ctx.options
        if slopes is None:
            return (None,) * 5
        if torch.is_grad_enabled():  # To be differentiated again.
            units, lengths = unit_rows(rows, *options)
        if not is_cosine:
            slopes, factor = _slopes_of_products(slopes, found, floor)
            lengths = lengths * (1.0 / factor)
        if slopes.numel() <= _FEW:
            of_units = (slopes + slopes.t()) @ units
        else:
            of_units = torch.addmm(slopes @ units, slopes.t(), units)
        return (_slopes_of_rows(of_units, units, lengths), *(None,) * 4)


class UnitEuclidean(_Function):
    """Euclidean distances `[n, M]` of unit rows, or their squares.

    Args, in their order:
        query: Floats `[n, D]`, of length 1 or 0.
        key: Floats `[M, D]`, the same.
        query_squares: Floats `[n, 1]`: their squared lengths, constants.
        key_squares: Floats `[M, 1]`: the same.
        floor: The largest square that is 0, with slope 0; `None` for the squares.
    """

    @staticmethod
    def forward(
        query: Tensor, key: Tensor, query_squares: Tensor, key_squares: Tensor, floor: Any
    ) -> Tensor:
        return _euclidean(query, key, query_squares, key_squares, floor)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        query, key, *_, ctx.floor = inputs
        ctx.save_for_backward(query, key, output)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Any:
        query, key, found = ctx.saved_tensors
        slopes, factor = _slopes_of_products(slopes, found, ctx.floor)
        of_query = of_key = None
        if ctx.needs_input_grad[0]:
            of_query = (slopes @ key) * factor
        if ctx.needs_input_grad[1]:
            of_key = (slopes.t() @ query) * factor
        return of_query, of_key, None, None, None


def _euclidean(
    query: Tensor, key: Tensor, query_squares: Tensor, key_squares: Tensor, floor: Any
) -> Tensor:
    squares = torch.addmm(key_squares.t(), query, key.t(), alpha=-2.0)
    squares.add_(query_squares)
    if floor is None:
        return squares.relu_()
    return torch.threshold_(squares, floor, 0.0).sqrt_()  # NaN passes.


def _slopes_of_products(
    slopes: Tensor, found: Tensor, floor: Any
) -> tuple[Tensor, float]:
    """From those of distances: of the inner products, but for a factor; and that."""
    if floor is None:
        return slopes * (found > 0), -2.0
    return slopes / torch.threshold(found, 0.0, float("inf")), -1.0


class MaskedLogSumExp(_Function):
    """`log(sum exp(value))` over the allowed values of each row, `[n, 1]`.

    -inf, with slope 0, where none is allowed.

    Args, in their order:
        values: Floats `[n, M]`.
        mask: Bool `[n, M]`: which are allowed.
    """

    @staticmethod
    def forward(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        lowest = torch.finfo(values.dtype).min
        terms = values.masked_fill(~mask, lowest).clamp_(min=lowest)
        largest = terms.amax(1, keepdim=True)
        shares = _softmax_in_place(terms)
        # The largest share is 1 over the sum of `exp(value - largest)`.
        found = largest - shares.amax(1, keepdim=True).log()
        return torch.where(mask.any(1, True), found, -float("inf")), shares

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor | None, _: Any) -> Any:
        values, mask, found, shares = ctx.saved_tensors
        if slopes is None:
            return None, None
        # Or of values beyond the dtype alone.
        is_none = found <= torch.finfo(values.dtype).min
        if not torch.is_grad_enabled():
            return shares * slopes.masked_fill(is_none, 0.0), None
        # To be differentiated again.
        found = found.masked_fill(is_none, 0.0)
        return (values - found).masked_fill(~mask, -float("inf")).exp() * slopes, None


def _softmax_in_place(values: Tensor) -> Tensor:
    if torch._C._are_functorch_transforms_active():  # They know no such form.
        return torch.softmax(values, 1)
    return torch.softmax(values, 1, out=values)


class AmaxLast(_Function):
    """Largest of the last axis; of several, each gets its share of the slope."""

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.amax(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Tensor:
        values, largest = ctx.saved_tensors
        is_largest = values == largest.unsqueeze(-1)
        if int(is_largest.count_nonzero()) != largest.numel():
            slopes = slopes / is_largest.sum(-1)
        return is_largest * slopes.unsqueeze(-1)
