"""No class that we share with a peer goes without its golden cases."""

import importlib
import importlib.util

import pytest

from tests.golden.cases import PEERS, load
from tests.golden.runners import FINDING_TABLES, TRAINING_TABLES, runners

# The peers' kind of a case -> our modules in which a class of that name is its match.
FINDING_MODULES = {
    "distance": ["distances"],
    "matcher": ["matchers"],
    "classification_metric": ["classification_metrics"],
    "retrieval_metric": ["retrieval_metrics", "indexer"],
    "calibration": ["evaluators", "indexer"],
}
TRAINING_MODULES = {
    "distance": ["distances"],
    "keras_cosine_similarity": ["losses"],
    "layer": ["layers"],
    "loss": ["losses"],
    "metric": ["evaluators", "retrieval_metrics", "training_metrics"],
    "miner": ["miners"],
    "reducer": ["reducers"],
    "regularizer": ["regularizers"],
    "training_metric": ["training_metrics"],
}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.keras_free
def test_every_case_of_a_class_that_exists_is_mapped(peer):
    assert unmapped(peer, FINDING_MODULES, FINDING_TABLES) == set()


@pytest.mark.parametrize("peer", PEERS)
def test_every_case_of_a_training_class_that_exists_is_mapped(peer):
    assert unmapped(peer, TRAINING_MODULES, TRAINING_TABLES) == set()


@pytest.mark.keras_free
def test_a_missing_runner_is_found():
    assert ("tfsim", "matcher", "MatchNearest") in unmapped("tfsim", FINDING_MODULES, ())


@pytest.mark.keras_free
def test_every_runner_has_a_case():
    keys = {case.key for peer in PEERS for case in load(peer)}
    assert set(runners(FINDING_TABLES)) <= keys


def unmapped(peer, modules, tables):
    return {
        case.key
        for case in load(peer)
        if exists(case.peer_class, modules.get(case.kind, []))
    } - set(runners(tables))


def exists(peer_class, modules):
    # "Indexer.calibrate" is a method of `Indexer`, "tf.keras.losses.cosine_similarity"
    # a function of `losses`.
    parts = set(peer_class.split("."))
    return any(parts & public_names(module) for module in modules)


def public_names(module):
    name = f"keras_similarity.{module}"
    if importlib.util.find_spec(name) is None:  # Not written yet.
        return set()
    return set(importlib.import_module(name).__all__)
