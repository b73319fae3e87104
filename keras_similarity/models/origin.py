"""Which model made the vectors of an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_similarity.arrays import to_numpy
from keras_similarity.backend import ops


def origin_of(model: Any) -> dict[str, str | None]:
    """Hashes of a model's weights and of its preprocessing, the same on every backend.

    The weights are those that an embedding depends on, in the order of the layers: all
    but those of the losses. Names and dtypes do not count, which differ by backend.

    Returns:
        `"weights"`, and `"preprocessing"`: `None` where the model has none.
    """
    of_losses = {
        id(weight) for head in getattr(model, "loss_heads", ()) for weight in head.weights
    }
    digest = hashlib.sha256()
    for weight in model.weights:
        if id(weight) not in of_losses:
            values = to_numpy(ops.convert_to_numpy(weight)).astype("<f4")
            digest.update(f"{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
    preprocessing = None
    if model.preprocessing is not None:
        text = json.dumps(model.preprocessing.get_config(), sort_keys=True)
        preprocessing = hashlib.sha256(text.encode()).hexdigest()
    return {"weights": digest.hexdigest(), "preprocessing": preprocessing}


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """In what two origins differ, if they do; what one of them lacks is not compared."""
    for name in ("weights", "preprocessing"):
        hashes = one.get(name), other.get(name)
        if None not in hashes and hashes[0] != hashes[1]:
            return name
    return None
