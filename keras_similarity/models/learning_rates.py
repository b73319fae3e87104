"""Variables that learn faster or slower than the others, under any optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from keras_similarity.losses.head import LossHead

# Methods of an optimizer that stand before its class's while it multiplies.
_METHODS = ("update_step", "_parallel_update_step", "_apply_weight_decay")


def multiply_learning_rates(optimizer: Any, heads: Sequence[LossHead]) -> None:
    """Lets an optimizer train the variables of heads at multiples of its learning rate.

    Exact for all optimizers of Keras, weight decay included: a variable moves as if it
    had an optimizer of its own with the multiplied rate. An optimizer is left alone where
    all multiples are 1, and becomes its old self when it is given other heads.

    Args:
        optimizer: A Keras optimizer; also one that wraps others. `None` for none.
        heads: Their `learning_rate_multiplier` is looked at now, not later.
    """
    for part in _simple_optimizers(optimizer):
        for name in _METHODS:
            part.__dict__.pop(name, None)
        factors = {
            part._var_key(variable): head.learning_rate_multiplier
            for head in heads
            if head.learning_rate_multiplier != 1
            for variable in head.trainable_variables
        }
        if factors:
            _multiply(part, factors)


def _simple_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that update variables, of one that may wrap others."""
    if optimizer is None:
        return []
    if hasattr(optimizer, "inner_optimizer"):
        return _simple_optimizers(optimizer.inner_optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def _multiply(optimizer: Any, factors: dict[Any, float]) -> None:
    update, decay = optimizer.update_step, optimizer._apply_weight_decay

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> Any:
        factor = factors.get(optimizer._var_key(variable), 1.0)
        rate = learning_rate if factor == 1 else learning_rate * factor
        return update(gradient, variable, rate)

    def apply_weight_decay(variables: Sequence[Any]) -> None:
        decayed = [each for each in variables if optimizer._use_weight_decay(each)]
        for factor, places in _places(optimizer, decayed, factors).items():
            with _learning_rate(optimizer, factor):
                decay([decayed[place] for place in places])

    # Into `__dict__`, since Keras would track what is set otherwise.
    optimizer.__dict__.update(
        update_step=update_step, _apply_weight_decay=apply_weight_decay
    )
    parallel = getattr(optimizer, "_parallel_update_step", None)
    if parallel is None:
        return

    # On torch: one update of many variables at once, in place of `update_step`.
    def parallel_update_step(grads: Any, variables: Any, learning_rate: Any) -> None:
        first, *others = _places(optimizer, variables, factors).items()
        factor, places = first
        rate = learning_rate if factor == 1 else learning_rate * factor
        parallel([grads[i] for i in places], [variables[i] for i in places], rate)
        # Not in parallel again: an optimizer may count its steps there.
        for place in (place for _, places in others for place in places):
            update_step(grads[place], variables[place], learning_rate)

    optimizer.__dict__["_parallel_update_step"] = parallel_update_step


def _places(
    optimizer: Any, variables: Sequence[Any], factors: dict[Any, float]
) -> dict[float, list[int]]:
    """Places of variables by their factor; first those of factor 1, if there are any."""
    places: dict[float, list[int]] = {1.0: []}
    for place, variable in enumerate(variables):
        factor = factors.get(optimizer._var_key(variable), 1.0)
        places.setdefault(factor, []).append(place)
    return {factor: found for factor, found in places.items() if found}


@contextmanager
def _learning_rate(optimizer: Any, factor: float) -> Iterator[None]:
    """Lets an optimizer see a multiple of its learning rate."""
    own = optimizer.__dict__["_learning_rate"]
    if factor != 1:
        optimizer.__dict__["_learning_rate"] = optimizer.learning_rate * factor
    try:
        yield
    finally:
        optimizer.__dict__["_learning_rate"] = own
