"""How well clusters agree with classes, as PyTorch Metric Learning computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_similarity.set_metrics import AMI, NMI, compute_all
from keras_similarity.types import Floats

CLUSTERING = ("AMI", "NMI")


def clustering_metrics(
    names: Sequence[str],
    embeddings: Any,
    labels: Any,
    kmeans: Callable[[Floats, int], Any] | None,
) -> dict[str, Any]:
    """Name -> value of those of `"AMI"` and `"NMI"` that are asked for.

    Embeddings are clustered as they are, by the Euclidean distance.
    """
    classes = {"AMI": AMI, "NMI": NMI}
    metrics = {name: classes[name](kmeans=kmeans) for name in names}
    return dict(compute_all(metrics, embeddings, labels, "euclidean"))
