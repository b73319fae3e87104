"""An object of each class of loss, for tests of what all of them keep."""

from typing import Any

from keras_similarity import losses
from keras_similarity.losses.class_weight_loss import ClassWeightLoss

# What only others derive from.
BASES = {"MetricLoss", "TwoViewLoss", "ClassWeightLoss"}
# Arguments of the classes that have some without a default.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ManifoldLoss": {"l": 6, "K": 4},
    "P2SGradLoss": {"descriptors_dim": 6, "num_classes": 5},
    "RankedListLoss": {"margin": 0.4, "Tn": 1},
    "XBM": {"loss": losses.MultiSimilarityLoss(), "memory_size": 20, "embedding_size": 6},
    "CrossBatchMemory": {
        "loss": losses.ContrastiveLoss(),
        "embedding_size": 6,
        "memory_size": 20,
    },
    "MultipleLosses": {
        "losses": [losses.NTXentLoss(), losses.TripletMarginLoss()],
        "weights": [0.5, 2.0],
    },
    "SelfSupervisedLoss": {"loss": losses.NTXentLoss()},
}


def names() -> list[str]:
    """The exported classes."""
    return sorted(
        name
        for name in set(losses.__all__) - BASES
        if isinstance(getattr(losses, name), type)
    )


def make(name: str) -> losses.MetricLoss:
    """A loss of a class, with its defaults, for 5 classes and embeddings of width 6."""
    cls = getattr(losses, name)
    arguments = ARGUMENTS.get(name)
    if arguments is None and issubclass(cls, ClassWeightLoss):
        arguments = {"num_classes": 5, "embedding_size": 6}
    return cls(**(arguments or {}))


def takes_two_views(loss: losses.MetricLoss) -> bool:
    """Is it called with two views, and without labels?"""
    return isinstance(loss, losses.TwoViewLoss | losses.SelfSupervisedLoss)
