"""Checks that a part keeps the rules, for tests of ours and of your own.

`check_loss` needs Keras, the others do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_similarity.testing.check_loss import check_loss, find_faults
    from keras_similarity.testing.check_search import check_search, find_search_faults

# Name -> module: what needs Keras is imported when it is asked for.
_MODULES = {
    "check_loss": "check_loss",
    "check_search": "check_search",
    "find_faults": "check_loss",
    "find_search_faults": "check_search",
}

__all__ = ["check_loss", "check_search", "find_faults", "find_search_faults"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    # The function, not the module of the same name that the import has left here.
    globals()[name] = value
    return value
