"""Our objects that a case of PyTorch Metric Learning means by class and arguments."""

from typing import Any

import numpy as np

from keras_similarity import distances, losses, miners, reducers, regularizers
from keras_similarity.backend import ops
from keras_similarity.pairs import Pairs
from tests.golden.cases import Case

# What the peer's class does unless told otherwise, where ours does another thing.
DISTANCE_DEFAULTS: dict[str, dict[str, Any]] = {
    "SNRDistance": {"normalize_embeddings": True}
}
# The peer's names of our arguments.
LOSS_ARGUMENTS: dict[str, dict[str, str]] = {"CircleLoss": {"m": "margin"}}
# What says which of two peers' formulas is meant, where both have a class of one name.
LOSS_DEFAULTS: dict[str, dict[str, Any]] = {
    "CircleLoss": {"formula": "paper"},
    "InstanceLoss": {"target": "class_rank"},
}


def make(value: Any) -> Any:
    """The object, or structure of objects, that a value of `kwargs` means."""
    if isinstance(value, list):
        return [make(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class" not in value:
        return {name: make(item) for name, item in value.items()}
    return make_object(value["class"], value.get("kwargs", {}))


def make_object(name: str, kwargs: dict[str, Any]) -> Any:
    """Our object of a peer's class."""
    kwargs = {key: make(item) for key, item in kwargs.items()}
    if hasattr(distances, name):
        return distances.get(name, **{**DISTANCE_DEFAULTS.get(name, {}), **kwargs})
    if hasattr(reducers, name):
        return reducers.get(name, **kwargs)
    if hasattr(regularizers, name):
        return regularizers.get(name, **kwargs)
    if hasattr(miners, name):
        # Inside a loss the peer's uses its own distance, too; ours shares the loss's.
        default = getattr(miners, name).default_distance()
        return miners.get(name, **{"distance": default, **kwargs})
    if name == "MultiSimilarityLoss":
        return multi_similarity_loss(**kwargs)
    names = LOSS_ARGUMENTS.get(name, {})
    kwargs = {names.get(key, key): item for key, item in kwargs.items()}
    return losses.get(name, **{**LOSS_DEFAULTS.get(name, {}), **kwargs})


def multi_similarity_loss(alpha=2, beta=50, base=0.5, distance=None, **kwargs):
    """The peer's loss mines nothing, and has one `base` for `lmda` and `center`."""
    options = {"alpha": alpha, "beta": beta, "epsilon": None, **kwargs}
    if distance is None:
        distance = distances.CosineSimilarity()
    lmda = base if distance.is_similarity else -base
    return losses.MultiSimilarityLoss(distance, lmda=lmda, center=0, **options)


def index_pairs(case: Case) -> Pairs | None:
    """The pairs that the peer was given as lists of indices."""
    from keras_similarity.pairs import pairs_from_indices

    inputs = case.inputs
    shape = (len(inputs["embeddings"]), len(inputs.get("ref_emb", inputs["embeddings"])))
    if "triplets" in inputs:
        columns = tuple(inputs["triplets"].reshape(-1, 3).T)
    elif "pos_pairs" in inputs:
        pairs = [inputs[name].reshape(-1, 2).T for name in ("pos_pairs", "neg_pairs")]
        columns = (*pairs[0], *pairs[1])
    else:
        return None
    return pairs_from_indices(columns, shape)


def as_float32(array: Any) -> Any:
    """The tensor that a case's array is given as."""
    return ops.convert_to_tensor(np.asarray(array, "float32"))
