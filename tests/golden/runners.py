"""Which function runs the cases of which peer, kind and class.

A table is a module with `RUNNERS`: `(peer, kind, peer_class)` -> a function that takes
the case, calls our class and compares. `test_mapping.py` fails for a class that the
data have and no table has.
"""

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from keras_similarity.backend import keras_problem
from tests.golden.cases import Case, load

Key = tuple[str, str, str]
Runner = Callable[[Case], None]

# Run once, without Keras.
FINDING_TABLES = ("tfsim_finding", "pml_finding")
# Run once per backend.
TRAINING_TABLES = (
    "tfsim_training",
    "tfsim_losses",
    "tfsim_training_metrics",
    "pml_training",
    "pml_reducing",
)


def runners(tables: tuple[str, ...]) -> dict[Key, Runner]:
    """The union of tables."""
    found: dict[Key, Runner] = {}
    for table in tables:
        found |= importlib.import_module(f"tests.golden.{table}").RUNNERS
    return found


def params(peer: str) -> list[Any]:
    """Arguments `case, run` of each case that has a runner, for `parametrize`."""
    finding = runners(FINDING_TABLES)
    training = runners(TRAINING_TABLES) if keras_problem() is None else {}
    with_finding = [
        pytest.param(case, finding[case.key], id=case.id, marks=pytest.mark.keras_free)
        for case in load(peer)
        if case.key in finding
    ]
    with_training = [
        pytest.param(case, training[case.key], id=case.id)
        for case in load(peer)
        if case.key in training
    ]
    return with_finding + with_training
