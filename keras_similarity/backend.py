"""Which framework Keras runs on, chosen before Keras is imported.

The training half of the package takes Keras from here
(`from keras_similarity.backend import keras, ops`), so that a missing framework is
reported in one place, when Keras is first needed. The finding half never does.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import keras as keras
    from keras import ops as ops

logger = logging.getLogger(__name__)

# In the order of preference when several are installed and nothing else decides.
FRAMEWORKS = ("jax", "torch", "tensorflow")

_framework: str | None = None

_INSTALL_HINT = (
    "Install one: `pip install keras-similarity[jax]` (or `[torch]`, `[tensorflow]`). "
    "Searching, evaluating and serving embeddings works without."
)


@functools.cache
def keras_problem() -> str | None:
    """Why Keras cannot be used in this process, or `None` if it can.

    Chooses the backend on the way, by setting `KERAS_BACKEND`, unless that has been
    decided already: by the user's `KERAS_BACKEND`, or by an earlier `import keras`.
    """
    if os.environ.get("KSIM_KERAS") == "0":
        return "it is switched off by `KSIM_KERAS=0`. Unset the variable to use it."
    if not _is_installed("keras"):
        return f"the package `keras` is not installed. {_INSTALL_HINT}"
    if "keras" in sys.modules:
        backend = sys.modules["keras"].config.backend()
    else:
        backend = os.environ.get("KERAS_BACKEND") or _preferred_framework()
    if backend is None:
        return f"none of {', '.join(FRAMEWORKS)} is installed. {_INSTALL_HINT}"
    if backend not in FRAMEWORKS:
        return (
            f"its backend must be one of {', '.join(FRAMEWORKS)}. Received: "
            f"KERAS_BACKEND={backend!r}."
        )
    if not _is_installed(backend):
        return (
            f"its backend `{backend}`, which KERAS_BACKEND or keras.json names, is not "
            f"installed. {_INSTALL_HINT}"
        )
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        # Set rather than passed on, so that child processes inherit the choice.
        os.environ["KERAS_BACKEND"] = backend
        logger.info("Keras backend: %s", backend)
    return None


def require_keras(needed_by: str = "Training with `keras_similarity`") -> ModuleType:
    """The module `keras`, or an `ImportError` that says what to install."""
    problem = keras_problem()
    if problem is not None:
        raise ImportError(f"{needed_by} needs Keras, but {problem}")
    keras = importlib.import_module("keras")
    # Kept, for an import would break the graph of `torch.compile`.
    global _framework
    _framework = str(keras.config.backend())
    return keras


def framework() -> str:
    """Name of the framework that Keras runs on: `jax`, `torch` or `tensorflow`."""
    if _framework is None:
        require_keras()
    return str(_framework)


@functools.cache
def keras_ops(needed_by: str = "Training with `keras_similarity`") -> Any:
    """The functions of `keras.ops`, on torch without most of their overhead."""
    keras = require_keras(needed_by)
    if framework() != "torch":
        return keras.ops
    return importlib.import_module("keras_similarity.torch_ops").TorchOps()


def full_precision(array: Any) -> AbstractContextManager[Any]:
    """Keeps `torch.autocast` from lowering the precision of what is computed inside."""
    if hasattr(array, "detach"):
        import torch

        kind = array.device.type
        if torch.is_autocast_enabled(kind):
            return torch.autocast(kind, enabled=False)
    return nullcontext()


def torch_manhattan(query: Any, key: Any) -> Any:
    """Manhattan distances of torch tensors, by a kernel that needs no blocks.

    2 to 7 times as fast on a CPU as `keras.ops` in blocks.
    """
    import torch

    return torch.cdist(query, key, p=1)


def one_hot(labels: Any, like: Any) -> Any:
    """1 in the column that each label names, else 0: of the shape and dtype of `like`.

    Args:
        labels: Integers `[N]`, from 0 to below `K`.
        like: Floats `[N, K]`.
    """
    if framework() == "torch":  # Three times as fast as the comparison.
        labels = labels.long()[:, None]
        return like.new_zeros(like.shape).scatter_(1, labels, 1.0)
    ops = keras_ops()
    columns = ops.arange(like.shape[1], dtype="int32")
    return ops.cast(ops.cast(labels, "int32")[:, None] == columns, like.dtype)


def own_values(values: Any, labels: Any) -> Any:
    """Of floats `[N, K]` the one in the column that each label names, `[N, 1]`."""
    if framework() == "torch":
        return values.gather(1, labels.long()[:, None])
    return keras_ops().sum(values * one_hot(labels, values), axis=1, keepdims=True)


def added_to_own(values: Any, labels: Any, terms: Any) -> Any:
    """Floats `[N, K]` with `terms` added in the column that each label names.

    `terms` are floats `[N, 1]`, or a number.
    """
    if framework() == "torch":
        if isinstance(terms, float):
            terms = values.new_full((len(values), 1), terms)
        return values.scatter_add(1, labels.long()[:, None], terms)
    return values + one_hot(labels, values) * terms


def cross_entropy(logits: Any, labels: Any) -> Any:
    """`log(sum exp(logits)) - logits of the label`, `[N]`.

    Args:
        logits: Floats `[N, K]`.
        labels: Integers `[N]`, from 0 to below `K`.
    """
    if framework() == "torch":  # One kernel in place of five.
        import torch

        loss = torch.nn.functional.cross_entropy
        return loss(logits, labels.long(), reduction="none")
    ops = keras_ops()
    return ops.logsumexp(logits, axis=1) - own_values(logits, labels)[:, 0]


def static_value(scalar: Any) -> int | None:
    """The value of an integer tensor; `None` while it is traced and has none yet."""
    name = framework()
    if name == "jax":
        import jax

        return None if isinstance(scalar, jax.core.Tracer) else int(scalar)
    if name == "tensorflow":
        return int(scalar) if hasattr(scalar, "numpy") else None
    # A "meta" tensor stands for a shape alone, when Keras builds a model: any will do.
    return 0 if scalar.is_meta else int(scalar)


def is_traced(tensor: Any) -> bool:
    """Does the tensor stand for values of later runs, in a compiler or a shape check?"""
    name = framework()
    if name == "jax":
        import jax

        return isinstance(tensor, jax.core.Tracer)
    if name == "tensorflow":
        return not hasattr(tensor, "numpy")
    import torch

    return tensor.is_meta or torch.compiler.is_compiling()


def keeps_state(traced: Any) -> bool:
    """Do variables keep what is assigned to them where `traced` is computed?

    Not under `jax.jit` without a `keras.StatelessScope` around the assignment: they
    would hold a tracer, which fails when it is read next.
    """
    if framework() != "jax" or not is_traced(traced):
        return True
    with require_keras().StatelessScope() as scope:
        return scope.original_scope is not None


def label_dtype() -> str:
    """The widest integers that variables can have: int64, but int32 on JAX as it is."""
    if framework() == "jax":
        import jax

        return "int64" if jax.config.jax_enable_x64 else "int32"
    return "int64"


def vector_jacobian_product(
    function: Callable[..., Any], tensors: Sequence[Any], upstream: Any
) -> tuple[Any, ...]:
    """Gradients of `sum(function(*tensors) * upstream)` with respect to `tensors`."""
    name = framework()
    if name == "jax":
        import jax

        return jax.vjp(function, *tensors)[1](upstream)
    if name == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        zero = tf.UnconnectedGradients.ZERO
        return tuple(tape.gradient(value, tensors, upstream, unconnected_gradients=zero))
    import torch

    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        value = function(*leaves)
        return torch.autograd.grad(
            value, leaves, upstream, allow_unused=True, materialize_grads=True
        )


def sort_rows(values: Any) -> Any:
    """Each row of floats `[n, M]` in ascending order; without a gradient."""
    name = framework()
    if name == "jax":
        return _sort_rows_on_jax(values)
    if name == "tensorflow":
        import tensorflow as tf

        return tf.sort(tf.stop_gradient(values), axis=1)
    import torch

    return torch.sort(values.detach(), dim=1).values


def _sort_rows_on_jax(values: Any) -> Any:
    import jax
    import jax.numpy as jnp

    # Integers of the same order, which a CPU sorts five times as fast as floats: the
    # bits of a float are its sign and its size.
    is_wide = values.dtype == jnp.float64
    integer = jnp.int64 if is_wide else jnp.int32
    sign = jnp.iinfo(integer).min
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(values), integer)
    keys = jnp.sort(jnp.where(bits < 0, sign - bits, bits), axis=1)
    bits = jnp.where(keys < 0, sign - keys, keys)
    return jax.lax.bitcast_convert_type(bits, values.dtype)


def sums_up_to(values: Any) -> Any:
    """In each row of numbers `[n, M]` the sum of all up to each, that included."""
    if framework() == "jax":  # Twice as fast on a CPU as `cumsum`.
        import jax

        return jax.lax.associative_scan(jax.numpy.add, values, axis=1)
    return keras_ops().cumsum(values, axis=1)


def search_rows(rows: Any, values: Any, side: str = "right") -> Any:
    """How many numbers of a row are not above a value; below it for `side="left"`.

    `keras.ops.searchsorted` takes one row only.

    Args:
        rows: Floats `[n, M]`, each row in ascending order.
        values: Floats `[n, k]` to find in the row.
        side: `"right"` or `"left"`.

    Returns:
        Integers `[n, k]` from 0 to M.
    """
    name = framework()
    if name == "jax":
        import jax

        return jax.vmap(lambda row, x: jax.numpy.searchsorted(row, x, side=side))(
            rows, values
        )
    if name == "tensorflow":
        import tensorflow as tf

        return tf.searchsorted(rows, values, side=side)
    import torch

    return torch.searchsorted(rows, values.contiguous(), side=side)


def stateless_draws(traced: Any, state: Any) -> AbstractContextManager[Any]:
    """Keeps a random state from leaking out of a function that JAX traces.

    Keras advances the state of a `SeedGenerator` in place. Where a function of the
    user's own is traced, and the state was not handed in, the new state would be a
    tracer that outlives it: inside this context it is dropped.

    Args:
        traced: What the function is of.
        state: Value of the random state.
    """
    if framework() == "jax":
        import jax

        if isinstance(traced, jax.core.Tracer) and not isinstance(state, jax.core.Tracer):
            return cast("AbstractContextManager[Any]", require_keras().StatelessScope())
    return nullcontext()


def import_optional(name: str, *, extra: str, needed_by: str) -> ModuleType:
    """Imports an optional package, or says how to install it.

    Args:
        name: Module to import, e.g. `"usearch.index"`.
        extra: The extra of `keras-similarity` that installs it.
        needed_by: What the caller wanted, for the message.

    Raises:
        ImportError: If the package is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(
            f"`{needed_by}` needs the package `{package}`. Install it with "
            f"`pip install keras-similarity[{extra}]`."
        ) from error


def _preferred_framework() -> str | None:
    configured = _configured_backend()
    # Keras writes "tensorflow" into keras.json by itself: no sign of a user's wish.
    if configured not in (None, "tensorflow"):
        return configured
    installed = [name for name in FRAMEWORKS if _is_installed(name)]
    imported = [name for name in installed if name in sys.modules]
    if len(imported) == 1:
        return imported[0]
    return installed[0] if installed else None


def _configured_backend() -> str | None:
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        config = json.loads(Path(home, "keras.json").read_text())
        return config.get("backend")
    except (OSError, ValueError, AttributeError):
        return None


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # A stub in `sys.modules` without a spec.
        return name in sys.modules


def __getattr__(name: str) -> Any:
    if name == "keras":
        return require_keras()
    if name == "ops":
        return keras_ops()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
