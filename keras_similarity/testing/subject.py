"""A loss under examination, and the batches that it is examined with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.backend import ops
from keras_similarity.reducers import ClassWeightedReducer
from keras_similarity.testing.backend import gradient

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

_SEED = 20190401


def plain_call(loss: Any, labels: Any, embeddings: Any) -> Any:
    """How a loss is called, unless it is said otherwise."""
    return loss(labels, embeddings)


@dataclass
class Subject:
    """A loss, how it is called, and a batch that it has something to say about.

    Attributes:
        loss: The loss.
        labels: Integers `[N]`.
        embeddings: Floats `[N, D]`.
        call: `call(loss, labels, embeddings)` gives a float scalar.
        has_classes: Does the loss have weights for classes, so that a label is one of
            them and no other number will do?
        needs_labels: Does it look at labels where it is given pairs, too?
    """

    loss: Any
    labels: Ints
    embeddings: Floats
    call: Callable[..., Any] = plain_call
    has_classes: bool = False
    needs_labels: bool = False

    @classmethod
    def of(
        cls,
        loss: Any,
        labels: Any = None,
        embeddings: Any = None,
        call: Callable[..., Any] | None = None,
    ) -> Subject:
        """A subject with a batch of our own where none is given."""
        parts = [*_parts(loss)]
        classes = min(filter(None, map(_class_count, parts)), default=None)
        if labels is None:
            # Classes of 3, 3, 2, 2 and 2, in no order; rows of one class far apart.
            labels = np.array([0, 1, 2, 3, 0, 4, 1, 0, 2, 1, 3, 4]) % (classes or 5)
        labels = np.asarray(labels)
        if embeddings is None:
            widths = (getattr(part, "embedding_size", None) for part in parts)
            width = next(filter(None, widths), 6)
            random = np.random.default_rng(_SEED)
            embeddings = random.normal(size=(len(labels), width))
        return cls(
            loss,
            labels,
            np.asarray(embeddings, "float32"),
            plain_call if call is None else call,
            has_classes=classes is not None,
            needs_labels=classes is not None
            or any(getattr(part, "needs_labels", False) for part in parts),
        )

    def value(self, embeddings: Any = None, labels: Any = None, loss: Any = None) -> Any:
        """The loss of the batch, or of another, as a tensor."""
        return self.call(
            self.loss if loss is None else loss,
            self.labels if labels is None else labels,
            self.embeddings if embeddings is None else embeddings,
        )

    def number(self, *args: Any, **kwargs: Any) -> float:
        """The loss as a Python number."""
        return float(ops.convert_to_numpy(self.value(*args, **kwargs)))

    def slope(self, embeddings: Any = None, labels: Any = None) -> Floats:
        """Gradient `[N, D]` with respect to the embeddings."""
        x = self.embeddings if embeddings is None else embeddings
        return gradient(lambda t: self.value(t, labels), x)


def _parts(loss: Any) -> Iterator[Any]:
    """The loss, those inside it, and their reducers."""
    yield loss
    for inner in getattr(loss, "inner_losses", ()):
        yield from _parts(inner)
    reducer = getattr(loss, "reducer", None)
    yield reducer
    yield from getattr(reducer, "reducers", {}).values()
    yield getattr(reducer, "default_reducer", None)


def _class_count(part: Any) -> int | None:
    if isinstance(part, ClassWeightedReducer):
        return len(part.weights)
    return getattr(part, "num_classes", None)
