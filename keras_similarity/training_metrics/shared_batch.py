"""One comparison of a batch for all metrics that look at it."""

from __future__ import annotations

import json
import weakref
from dataclasses import dataclass, field
from typing import Any

from keras_similarity.backend import framework, is_traced, ops
from keras_similarity.distances import Distance
from keras_similarity.pairs import Batch, has_any, masked_max, masked_min

Tensor = Any


@dataclass(frozen=True)
class Partners:
    """The distance of each anchor to one of its positives, or of its negatives.

    Attributes:
        values: Float32 `[N, 1]`; 0 where it has none.
        has_one: Bool `[N, 1]`.
        counts: Float32 `[N, 1]`: 1 where it has one, else 0.
    """

    values: Tensor
    has_one: Tensor
    counts: Tensor


class SharedBatch:
    """A batch, without gradients, and what metrics made of it.

    Args:
        labels: Integers `[N]` or `[N, 1]`.
        embeddings: Floats `[N, D]`.
        distance: How they are compared.

    Raises:
        TypeError: If labels are no integers.
        ValueError: If shapes do not fit.
    """

    def __init__(self, labels: Any, embeddings: Any, distance: Distance) -> None:
        embeddings = ops.stop_gradient(ops.convert_to_tensor(embeddings))
        names = ("y_true", "y_pred")
        self.batch = Batch(labels, embeddings, distance=distance, names=names)
        self._partners: dict[tuple[bool, bool], Partners] = {}

    def partners(self, *, is_positive: bool, is_farthest: bool) -> Partners:
        """The farthest, or the nearest, positive or negative of each anchor."""
        key = is_positive, is_farthest
        if key not in self._partners:
            pairs = self.batch.pairs
            mask = pairs.positive_mask if is_positive else pairs.negative_mask
            cost = (masked_max if is_farthest else masked_min)(self.batch.cost, mask)
            has_one = has_any(mask)
            values = ops.where(has_one, self.batch.distance.to_cost(cost), 0.0)
            self._partners[key] = Partners(
                ops.cast(values, "float32"), has_one, ops.cast(has_one, "float32")
            )
        return self._partners[key]


@dataclass
class _Latest:
    """What was compared last, and what came of it, by the distance."""

    labels: Any
    embeddings: weakref.ref[Any]
    versions: tuple[int, int]
    batches: dict[str, SharedBatch] = field(default_factory=dict)

    def is_of(self, labels: Any, embeddings: Any) -> bool:
        return (
            self.labels is labels
            and self.embeddings() is embeddings
            and self.versions == _versions(labels, embeddings)
        )


_latest: _Latest | None = None


def batch_of(labels: Any, embeddings: Any, distance: Distance) -> SharedBatch:
    """The batch that metrics of one step have in common.

    A compiler merges what two metrics compute alike; eager torch computes it twice, so
    that there the batch is kept, as long as its embeddings live.

    Arguments and errors are those of `SharedBatch`.
    """
    global _latest
    if not _may_share(labels, embeddings):
        return SharedBatch(labels, embeddings, distance)
    latest = _latest
    if latest is None or not latest.is_of(labels, embeddings):
        latest = _Latest(
            labels, weakref.ref(embeddings, _forget), _versions(labels, embeddings)
        )
    key = json.dumps([type(distance).__qualname__, distance.get_config()], default=repr)
    if key not in latest.batches:
        latest.batches[key] = SharedBatch(labels, embeddings, distance)
    _latest = latest
    return latest.batches[key]


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
