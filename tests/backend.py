"""The one place of the tests that knows which backend Keras runs on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_similarity.backend import framework, ops


def eager(function: Callable) -> Callable:
    """The function as it is."""
    return function


def jit(function: Callable) -> Callable:
    """The function compiled by the backend; torch traces it in one graph."""
    if framework() == "jax":
        import jax

        return jax.jit(function)
    if framework() == "torch":
        import torch

        # It gives up on a function that was compiled for too many shapes.
        torch._dynamo.reset()
        return torch.compile(function, fullgraph=True, backend="eager")
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def gradients(function: Callable, *arrays: Any) -> list[np.ndarray]:
    """Gradients of the scalar `function(*arrays)`, as NumPy arrays."""
    tensors = [ops.convert_to_tensor(np.asarray(array)) for array in arrays]
    if framework() == "jax":
        import jax

        found = jax.grad(function, argnums=tuple(range(len(arrays))))(*tensors)
    elif framework() == "torch":
        tensors = [tensor.requires_grad_() for tensor in tensors]
        function(*tensors).backward()
        found = [tensor.grad for tensor in tensors]
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            for tensor in tensors:
                tape.watch(tensor)
            value = function(*tensors)
        found = tape.gradient(value, tensors)
    return [
        np.zeros_like(array) if gradient is None else ops.convert_to_numpy(gradient)
        for gradient, array in zip(found, arrays, strict=True)
    ]


def gradient(function: Callable, array: Any) -> np.ndarray:
    """Gradient of the scalar `function(array)`."""
    return gradients(function, array)[0]
