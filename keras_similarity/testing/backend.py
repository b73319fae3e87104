"""Gradients and compilation, in one form on every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_similarity.backend import framework, keras, ops


def eager(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is."""
    return function


def jit(function: Callable[..., Any], *, full_graph: bool = True) -> Callable[..., Any]:
    """The function compiled: `jax.jit`, `torch.compile`, or `tf.function` with XLA.

    On torch it is traced to a graph, which finds what cannot be compiled, and the graph
    runs as it is: its backend `inductor` would take minutes for a suite of losses.

    Args:
        function: Of tensors to tensors.
        full_graph: On torch, is a break of the graph an error?
    """
    if framework() == "jax":
        import jax

        return jax.jit(function)
    if framework() == "torch":
        import torch

        # It gives up on a function that was compiled for too many shapes.
        torch._dynamo.reset()
        return torch.compile(function, fullgraph=full_graph, backend="eager")
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def jit_with_gradient(
    function: Callable[..., Any], *, full_graph: bool = True
) -> Callable[..., tuple[Any, Any]]:
    """The scalar `function(array, *others)` and its gradient in `array`, compiled.

    Args:
        function: Of tensors to a scalar.
        full_graph: As of `jit`.
    """
    if framework() == "jax":
        import jax

        return jax.jit(jax.value_and_grad(function))
    if framework() == "torch":
        compiled = jit(function, full_graph=full_graph)

        def value_and_gradient(array: Any, *others: Any) -> tuple[Any, Any]:
            array = array.detach().requires_grad_()
            value = compiled(array, *others)
            if value.requires_grad:  # Else it does not depend on it.
                value.backward()
            return value, ops.zeros_like(array) if array.grad is None else array.grad

        return value_and_gradient
    import tensorflow as tf

    def taped(array: Any, *others: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(array)
            value = function(array, *others)
        zero = tf.UnconnectedGradients.ZERO
        return value, tape.gradient(value, array, unconnected_gradients=zero)

    return tf.function(taped, jit_compile=True)


def gradients(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """Gradients of the scalar `function(*arrays)`, as NumPy arrays.

    An array that the function does not depend on has a gradient of zeros.
    """
    tensors = [ops.convert_to_tensor(np.asarray(array)) for array in arrays]
    found = _GRADIENTS[framework()](function, tensors)
    return [
        np.zeros_like(array) if gradient is None else ops.convert_to_numpy(gradient)
        for gradient, array in zip(found, arrays, strict=True)
    ]


def gradient(function: Callable[..., Any], array: Any) -> Any:
    """Gradient of the scalar `function(array)`, as a NumPy array."""
    return gradients(function, array)[0]


def variable_gradients(
    function: Callable[[], Any], variables: Sequence[Any]
) -> list[Any]:
    """Gradients of the scalar `function()` in Keras variables, as NumPy arrays."""
    if not variables:  # Of a constant there would be none to ask for.
        return []
    name = framework()
    if name == "jax":
        return gradients(
            lambda *values: _with_values(function, variables, values),
            *[variable.numpy() for variable in variables],
        )
    if name == "torch":
        for variable in variables:
            variable.value.grad = None
        function().backward()
        slopes = [variable.value.grad for variable in variables]
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        slopes = tape.gradient(value, [variable.value for variable in variables])
    return [
        np.zeros(variable.shape, "float32")
        if slope is None
        else ops.convert_to_numpy(slope)
        for slope, variable in zip(slopes, variables, strict=True)
    ]


def _with_values(function: Any, variables: Sequence[Any], values: Sequence[Any]) -> Any:
    with keras.StatelessScope(list(zip(variables, values, strict=True))):
        return function()


def _jax_gradients(function: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    import jax

    return jax.grad(function, argnums=tuple(range(len(tensors))))(*tensors)


def _torch_gradients(function: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    tensors = [tensor.requires_grad_() for tensor in tensors]
    value = function(*tensors)
    if value.requires_grad:  # Else it depends on none of them.
        value.backward()
    return [tensor.grad for tensor in tensors]


def _tensorflow_gradients(function: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return [
        None if slope is None else tf.convert_to_tensor(slope)
        for slope in tape.gradient(value, tensors)
    ]


_GRADIENTS = {
    "jax": _jax_gradients,
    "torch": _torch_gradients,
    "tensorflow": _tensorflow_gradients,
}
