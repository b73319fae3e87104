"""Checks that parts keep the rules, for tests of ours and of your own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_similarity.testing.check_loss import check_loss as check_loss
    from keras_similarity.testing.check_loss import find_faults as find_faults
    from keras_similarity.testing.check_store import check_store as check_store

# Imported when they are used: what checks a store needs no framework.
_MODULES = {
    "check_loss": "check_loss",
    "check_store": "check_store",
    "find_faults": "check_loss",
}

__all__ = ["check_loss", "check_store", "find_faults"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The module `check_loss` has the name of its function, which comes in its place.
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value
