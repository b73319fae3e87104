"""Which function runs the cases of which peer, kind and class.

A table is a module with `RUNNERS`: `(peer, kind, peer_class)` -> a function that takes
the case, calls our class and compares. Adding a class means adding it to a table;
`test_mapping.py` fails for one that exists here and in a peer and is in none.
"""

import importlib
import importlib.util
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
TRAINING_TABLES = ("tfsim_training", "tfsim_losses", "pml_training", "pml_reducing")


def runners(tables: tuple[str, ...]) -> dict[Key, Runner]:
    """The union of tables."""
    found: dict[Key, Runner] = {}
    for table in tables:
        found |= importlib.import_module(f"tests.golden.{table}").RUNNERS
    return found


# Where a part that a case names as {"class": ..., "kwargs": ...} would be ours.
PART_MODULES = ("distances", "losses", "miners", "reducers", "regularizers")


def names_missing_parts(case: Case) -> bool:
    """Does the case use a class that we don't have yet? It runs once we do."""
    missing = case.part_classes()
    for module in PART_MODULES:
        name = f"keras_similarity.{module}"
        if missing and importlib.util.find_spec(name) is not None:
            missing -= set(importlib.import_module(name).__all__)
    return bool(missing)


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
        if case.key in training and not names_missing_parts(case)
    ]
    return with_finding + with_training
