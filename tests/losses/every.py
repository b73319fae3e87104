"""An object of each class of loss, for tests of what all of them keep."""

from typing import Any

from keras_similarity import losses

# Arguments of the classes that have some without a default.
ARGUMENTS: dict[str, dict[str, Any]] = {
    **{
        name: {"num_classes": 5, "embedding_size": 6}
        for name in (
            "ArcFaceLoss",
            "CosFaceLoss",
            "LargeMarginSoftmaxLoss",
            "NormalizedSoftmaxLoss",
            "ProxyAnchorLoss",
            "ProxyNCALoss",
            "SoftTripleLoss",
            "SphereFaceLoss",
            "SubCenterArcFaceLoss",
        )
    },
    "ManifoldLoss": {"l": 6, "K": 4},
    "P2SGradLoss": {"descriptors_dim": 6, "num_classes": 5},
    "RankedListLoss": {"margin": 0.4, "Tn": 1},
}


def names() -> list[str]:
    """The exported classes that are called with labels and embeddings."""
    return [
        name
        for name in losses.__all__
        if isinstance(getattr(losses, name), type)
        and issubclass(getattr(losses, name), losses.MetricLoss)
        and getattr(losses, name).is_concrete
    ]


def make(name: str) -> losses.MetricLoss:
    """A loss of a class, with its defaults."""
    return getattr(losses, name)(**ARGUMENTS.get(name, {}))
