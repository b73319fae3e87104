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
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras as keras
    from keras import ops as ops

logger = logging.getLogger(__name__)

# In the order of preference when several are installed and nothing else decides.
FRAMEWORKS = ("jax", "torch", "tensorflow")

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
    return importlib.import_module("keras")


def framework() -> str:
    """Name of the framework that Keras runs on: `jax`, `torch` or `tensorflow`."""
    return str(require_keras().config.backend())


def full_precision(array: Any) -> AbstractContextManager[Any]:
    """Keeps `torch.autocast` from lowering the precision of what is computed inside."""
    if hasattr(array, "detach"):
        import torch

        kind = array.device.type
        if torch.is_autocast_enabled(kind):
            return torch.autocast(kind, enabled=False)
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
        return require_keras().ops
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
