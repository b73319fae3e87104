"""Keras Similarity: learn which things are alike, find them again, know when to trust it.

`import keras_similarity as ksim`. Submodules are imported when they are first used, but
for those whose classes Keras must know in order to load a model.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from keras_similarity.backend import keras_problem

if TYPE_CHECKING:
    from keras_similarity import architectures as architectures
    from keras_similarity import callbacks as callbacks
    from keras_similarity import classification_metrics as classification_metrics
    from keras_similarity import databases as databases
    from keras_similarity import datasets as datasets
    from keras_similarity import distances as distances
    from keras_similarity import evaluators as evaluators
    from keras_similarity import indexer as indexer
    from keras_similarity import layers as layers
    from keras_similarity import losses as losses
    from keras_similarity import matchers as matchers
    from keras_similarity import miners as miners
    from keras_similarity import models as models
    from keras_similarity import pairs as pairs
    from keras_similarity import preprocessing as preprocessing
    from keras_similarity import reducers as reducers
    from keras_similarity import regularizers as regularizers
    from keras_similarity import retrieval_metrics as retrieval_metrics
    from keras_similarity import samplers as samplers
    from keras_similarity import search as search
    from keras_similarity import stores as stores
    from keras_similarity import testing as testing
    from keras_similarity import training_metrics as training_metrics
    from keras_similarity import types as types
    from keras_similarity import visualization as visualization

__version__ = "0.1.0"

# Work on NumPy arrays and need no framework.
_FINDING = (
    "classification_metrics",
    "databases",
    "datasets",
    "distances",
    "evaluators",
    "indexer",
    "matchers",
    "preprocessing",
    "retrieval_metrics",
    "search",
    "stores",
    "types",
    "visualization",
)
# Need Keras and a backend.
_TRAINING = (
    "architectures",
    "callbacks",
    "layers",
    "losses",
    "miners",
    "models",
    "pairs",
    "reducers",
    "regularizers",
    "samplers",
    "testing",
    "training_metrics",
)

__all__ = ["__version__", *_FINDING, *_TRAINING]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


if keras_problem() is None:
    # `keras.saving.load_model` finds a class only once its module has been imported.
    for _name in ("distances", "layers", "losses", "models", "training_metrics"):
        importlib.import_module(f"{__name__}.{_name}")
