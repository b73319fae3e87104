"""Checks that a part keeps the rules, for tests of ours and of your own.

`check_loss` and `find_faults` need Keras, the others do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_similarity.testing.search_rules import check_search, find_search_faults

if TYPE_CHECKING:
    from keras_similarity.testing.loss_rules import check_loss, find_faults

# What needs Keras, which is imported when it is asked for. No module here may have the
# name of a function: once imported it could stand in its place.
_LAZY = ("check_loss", "find_faults")

__all__ = ["check_loss", "check_search", "find_faults", "find_search_faults"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.loss_rules"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
