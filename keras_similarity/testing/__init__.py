"""Checks that a loss, a search engine and a store keep the rules.

For tests of ours and of your own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_similarity.testing.search_rules import check_search, find_search_faults
from keras_similarity.testing.store_rules import check_store, find_store_faults

if TYPE_CHECKING:
    from keras_similarity.testing.loss_rules import check_loss, find_faults

# What needs Keras, which is imported when it is asked for. No module here may have the
# name of a function: once imported it could stand in its place.
_LAZY = ("check_loss", "find_faults")

__all__ = [
    "check_loss",
    "check_search",
    "check_store",
    "find_faults",
    "find_search_faults",
    "find_store_faults",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.loss_rules"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
