"""What a loss says about a batch of embeddings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from keras_similarity.backend import framework, keras, ops
from keras_similarity.losses.activity import active_counts
from keras_similarity.types import Floats, Ints

logger = logging.getLogger(__name__)

Tensor = Any

_INT32 = np.iinfo(np.int32)


class LossSigns:
    """Value and gradient of a loss, and how much of it is active; compiled once.

    Nothing changes: a loss with a memory does not remember these batches. A loss that
    fails is not asked again, and a warning says so: whoever watches must not stop a
    training.

    Args:
        loss: Called as `loss(labels, embeddings)`.
    """

    def __init__(self, loss: Any) -> None:
        self.loss = loss
        self._run: Callable[..., Any] | None = None
        self._has_failed = False

    def __call__(self, labels: Ints, embeddings: Floats) -> dict[str, float]:
        """`loss`, `gradient_norm` and `active_share` of a batch.

        The gradient is that in the embeddings, times their mean length, over all rows:
        how much the loss changes if they move by a share of their length. Active are
        pairs, triplets or anchors with a loss above 0; of a loss that does not tell,
        rows with a gradient.
        """
        if self._has_failed:
            return {}
        try:
            value, slope, counts = self._measure(labels, embeddings)
        except Exception as error:
            self._has_failed = True
            logger.warning(
                "The doctor cannot call the loss as loss(labels, embeddings), and goes "
                "on without it: %s: %s",
                type(error).__name__,
                error,
            )
            return {}
        row_norms = np.linalg.norm(slope.astype("float64"), axis=1)
        lengths = np.linalg.norm(embeddings.astype("float64"), axis=1)
        share = float((row_norms > 0).mean())
        if counts is not None:
            active, total = map(float, counts)
            share = active / total if total else 0.0
        norm = float(np.sqrt((row_norms**2).sum()) * lengths.mean())
        return {"loss": value, "gradient_norm": norm, "active_share": share}

    def _measure(self, labels: Ints, embeddings: Floats) -> tuple[float, Floats, Any]:
        if labels.min() < _INT32.min or labels.max() > _INT32.max:
            labels = np.unique(labels, return_inverse=True)[1].reshape(-1)
        tensors = (
            ops.convert_to_tensor(labels.astype("int32")),
            ops.convert_to_tensor(embeddings),
        )
        if self._run is None:
            self._run = _COMPILERS[framework()](self._value, self.loss)
        with _not_training(self.loss):
            value, slope, counts = self._run(*tensors)
        numbers = None if counts is None else [ops.convert_to_numpy(c) for c in counts]
        return (
            float(ops.convert_to_numpy(value)),
            ops.convert_to_numpy(ops.convert_to_tensor(slope)),
            numbers,
        )

    def _value(self, labels: Tensor, embeddings: Tensor) -> tuple[Tensor, Any]:
        value = self.loss(labels, embeddings)
        counts = active_counts(self.loss, labels, ops.stop_gradient(embeddings))
        return (ops.mean(value) if len(value.shape) else value), counts


def _compile_jax(function: Callable[..., Any], loss: Any) -> Callable[..., Any]:
    import jax

    variables = list(getattr(loss, "variables", ()))

    @jax.jit
    def run(values: Any, labels: Tensor, embeddings: Tensor) -> Any:
        def value(x: Tensor) -> Any:
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                return function(labels, x)

        (found, counts), slope = jax.value_and_grad(value, has_aux=True)(embeddings)
        return found, slope, counts

    return lambda *tensors: run([variable.value for variable in variables], *tensors)


def _compile_tensorflow(function: Callable[..., Any], loss: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def run(labels: Tensor, embeddings: Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value, counts = function(labels, embeddings)
        zero = tf.UnconnectedGradients.ZERO
        return value, tape.gradient(value, embeddings, unconnected_gradients=zero), counts

    return tf.function(run, reduce_retracing=True)


def _run_torch(function: Callable[..., Any], loss: Any) -> Callable[..., Any]:
    import torch

    def run(labels: Tensor, embeddings: Tensor) -> Any:
        with torch.enable_grad():
            x = embeddings.detach().clone().requires_grad_()
            value, counts = function(labels, x)
            if not value.requires_grad:  # It does not depend on them.
                return value, torch.zeros_like(x), counts
            (slope,) = torch.autograd.grad(value, [x])
        return value.detach(), slope, counts

    return run


_COMPILERS = {
    "jax": _compile_jax,
    "tensorflow": _compile_tensorflow,
    "torch": _run_torch,
}


@contextmanager
def _not_training(loss: Any) -> Iterator[None]:
    if not hasattr(loss, "training"):
        yield
        return
    before, loss.training = loss.training, False
    try:
        yield
    finally:
        loss.training = before
