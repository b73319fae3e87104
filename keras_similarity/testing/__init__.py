"""Checks that parts keep the rules, for tests of ours and of your own.

`check_loss` needs Keras, the others do not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_similarity.testing.check_loss import check_loss as check_loss
    from keras_similarity.testing.check_loss import find_faults as find_faults
    from keras_similarity.testing.check_search import check_search as check_search
    from keras_similarity.testing.check_search import (
        find_search_faults as find_search_faults,
    )
    from keras_similarity.testing.check_store import check_store as check_store

# Name -> module: what needs Keras is imported when it is asked for.
_MODULES = {
    "check_loss": "check_loss",
    "check_search": "check_search",
    "check_store": "check_store",
    "find_faults": "check_loss",
    "find_search_faults": "check_search",
}

__all__ = [
    "check_loss",
    "check_search",
    "check_store",
    "find_faults",
    "find_search_faults",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The module `check_loss` has the name of its function, which comes in its place.
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value
