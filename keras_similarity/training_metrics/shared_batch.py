"""One comparison of a batch for all metrics that look at it."""

from __future__ import annotations

import json
import weakref
from dataclasses import dataclass, field
from typing import Any

from keras_similarity.backend import framework, is_traced, ops
from keras_similarity.distances import Distance
from keras_similarity.pairs import Batch


@dataclass
class _Latest:
    """What was compared last, and what came of it, by the distance."""

    labels: Any
    embeddings: weakref.ref[Any]
    versions: tuple[int, int]
    batches: dict[str, Batch] = field(default_factory=dict)

    def is_of(self, labels: Any, embeddings: Any) -> bool:
        return (
            self.labels is labels
            and self.embeddings() is embeddings
            and self.versions == _versions(labels, embeddings)
        )


_latest: _Latest | None = None


def batch_of(labels: Any, embeddings: Any, distance: Distance) -> Batch:
    """A batch, without gradients, that metrics of one step have in common.

    A compiler merges what two metrics compute alike; eager torch computes it twice, so
    that there the batch is kept, as long as its embeddings live.

    Args:
        labels: Integers `[N]` or `[N, 1]`.
        embeddings: Floats `[N, D]`.
        distance: How they are compared.

    Raises:
        TypeError: If labels are no integers.
        ValueError: If shapes do not fit.
    """
    global _latest
    if not _may_share(labels, embeddings):
        return _make(labels, embeddings, distance)
    latest = _latest
    if latest is None or not latest.is_of(labels, embeddings):
        latest = _Latest(
            labels, weakref.ref(embeddings, _forget), _versions(labels, embeddings)
        )
    key = json.dumps([type(distance).__qualname__, distance.get_config()], default=repr)
    if key not in latest.batches:
        latest.batches[key] = _make(labels, embeddings, distance)
    _latest = latest
    return latest.batches[key]


def _make(labels: Any, embeddings: Any, distance: Distance) -> Batch:
    embeddings = ops.stop_gradient(ops.convert_to_tensor(embeddings))
    names = ("y_true", "y_pred")
    return Batch(labels, embeddings, distance=distance, names=names)


def _may_share(*tensors: Any) -> bool:
    if framework() != "torch" or not all(map(ops.is_tensor, tensors)):
        return False
    # Tensors of inference mode do not tell when they are written into.
    return not any(is_traced(each) or each.is_inference() for each in tensors)


def _versions(labels: Any, embeddings: Any) -> tuple[int, int]:
    return labels._version, embeddings._version


def _forget(dead: Any) -> None:
    global _latest
    if _latest is not None and _latest.embeddings is dead:
        _latest = None
