"""No class of a peer goes without its golden cases being run."""

import importlib
import importlib.util
import os

import pytest

from tests.golden.cases import PEERS, load
from tests.golden.runners import FINDING_TABLES, TRAINING_TABLES, runners

# The kinds of cases that run without Keras; those of distances run with it, too.
FINDING_KINDS = {
    "calibration",
    "classification_metric",
    "distance",
    "matcher",
    "metric",
    "retrieval_metric",
}
# What later issues bring: peer and kind -> our module, and the classes.
NOT_YET = {
    # Neighbours.
    ("pml", "metric"): (
        "evaluators",
        {"CustomKNN", "FaissKNN", "MatchFinder"},
    ),
    # Architectures and their layers.
    ("tfsim", "layer"): (
        "layers",
        {
            "ActivationStdLoggingLayer",
            "GeneralizedMeanPooling1D",
            "GeneralizedMeanPooling2D",
        },
    ),
}
LATER = {(*kind, name) for kind, (_, names) in NOT_YET.items() for name in names}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.keras_free
def test_every_class_of_the_finding_half_has_a_runner(peer):
    keys = {key for key in keys_of(peer) if key[1] in FINDING_KINDS}
    assert without_runner(keys, FINDING_TABLES) == set()


@pytest.mark.parametrize("peer", PEERS)
def test_every_class_of_the_training_half_has_a_runner(peer):
    kinds = FINDING_KINDS - {"distance"}
    keys = {key for key in keys_of(peer) if key[1] not in kinds}
    assert without_runner(keys, TRAINING_TABLES) == set()


@pytest.mark.keras_free
def test_a_missing_runner_is_found():
    new = {("pml", "loss", "NewLoss"), ("pml", "new_kind", "MatchFinder")}
    known = {("tfsim", "matcher", "MatchNearest"), ("tfsim", "layer", "DistanceMetric")}
    assert without_runner(new | known, FINDING_TABLES) == new | known - {
        ("tfsim", "matcher", "MatchNearest")
    }


def test_what_exists_is_not_left_for_later():
    for module, names in NOT_YET.values():
        assert names & public_names(module) == set()


@pytest.mark.skipif("KSIM_GOLDEN" in os.environ, reason="It may lack a class of ours.")
@pytest.mark.keras_free
def test_every_runner_has_a_case():
    keys = {key for peer in PEERS for key in keys_of(peer)}
    assert set(runners(FINDING_TABLES)) <= keys


def keys_of(peer):
    return {case.key for case in load(peer)}


def without_runner(keys, tables):
    """What neither has a runner nor is listed as left for later."""
    return set(keys) - set(runners(tables)) - LATER


def public_names(module):
    name = f"keras_similarity.{module}"
    if importlib.util.find_spec(name) is None:  # Not written yet.
        return set()
    return set(importlib.import_module(name).__all__)
