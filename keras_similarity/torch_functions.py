"""Functions of large arrays on torch, in few passes and in place.

An array of more than 32 MiB comes from the system page by page, which takes longer than
to compute it. What autodiff would keep between the steps of a formula is not made here.
Each can be differentiated twice.
"""

from __future__ import annotations

from typing import Any

import torch

Tensor = Any

# A term that is less than the largest by a factor of exp(60) changes no sum.
_DEPTH = 60.0
_LOWEST = -1e38


class _Function(torch.autograd.Function):
    generate_vmap_rule = True


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
        squares = torch.addmm(key_squares.t(), query, key.t(), alpha=-2.0)
        squares.add_(query_squares)
        if floor is None:
            return squares.relu_()
        return torch.threshold_(squares, floor, 0.0).sqrt_()  # NaN passes.

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        query, key, *_, floor = inputs
        ctx.is_root = floor is not None
        ctx.save_for_backward(query, key, output)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> Any:
        query, key, found = ctx.saved_tensors
        # Of `-query . key`, of which the square is twice as much, and constants.
        if ctx.is_root:
            slopes = slopes / torch.threshold(found, 0.0, float("inf"))
            scale = -1.0
        else:
            slopes = slopes * (found > 0)
            scale = -2.0
        of_query = of_key = None
        if ctx.needs_input_grad[0]:
            of_query = (slopes @ key) * scale
        if ctx.needs_input_grad[1]:
            of_key = (slopes.t() @ query) * scale
        return of_query, of_key, None, None, None


class MaskedLogSumExp(_Function):
    """`log(sum exp(value))` over the allowed values of each row, `[n, 1]`.

    -inf, with slope 0, where none is allowed.

    Args, in their order:
        values: Floats `[n, M]`.
        mask: Bool `[n, M]`: which are allowed.
    """

    @staticmethod
    def forward(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        is_out = ~mask
        terms = values.masked_fill(is_out, -float("inf"))
        largest = terms.amax(1, keepdim=True).clamp_(min=_LOWEST)
        # `exp` takes 3 to 80 times as long where it underflows.
        terms.sub_(largest).clamp_(min=-_DEPTH).exp_().masked_fill_(is_out, 0.0)
        totals = terms.sum(1, keepdim=True)
        return largest.add_(totals.log()), terms, totals

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        values, mask = inputs
        found, terms, totals = output
        ctx.mark_non_differentiable(terms, totals)
        ctx.save_for_backward(values, mask, found, terms, totals)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor, *_: Any) -> Any:
        values, mask, found, terms, totals = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return terms * (slopes / torch.threshold(totals, 0.0, 1.0)), None
        # To be differentiated again.
        found = found.masked_fill(found == -float("inf"), 0.0)
        return (values - found).masked_fill(~mask, -float("inf")).exp() * slopes, None


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
