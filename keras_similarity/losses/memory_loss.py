"""What losses with a memory share."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import is_traced, ops
from keras_similarity.distances.base import as_floats
from keras_similarity.losses.memory import MemoryQueue, memory_labels
from keras_similarity.losses.metric_loss import registry
from keras_similarity.losses.wrapper import LossWrapper, pair_loss
from keras_similarity.pairs import Batch, Pairs
from keras_similarity.reducers import SubLoss

Tensor = Any

_ALSO = frozenset({"MarginLoss"})


class MemoryLoss(LossWrapper):
    """A loss whose keys are embeddings of past batches, too.

    The memory is in the head of the loss: a similarity model saves and restores it. It
    advances while `training` is true, which `evaluate` and validation set to false.

    Args:
        loss: A loss about pairs, its name or its config.
        embedding_size: Width of the embeddings; `None` to learn it from the model that
            is compiled, or from the first call.
        memory_size: How many embeddings are kept.
        **kwargs: Those of `MetricLoss` that are in `own_options`.

    Raises:
        TypeError: If an option of the loss inside is given here.
        ValueError: If the loss looks at more than pairs, or a size is not positive.
    """

    takes_pairs = False
    is_stateful = True

    def __init__(
        self, loss: Any, embedding_size: int | None, memory_size: int, **kwargs: Any
    ) -> None:
        self.loss = pair_loss(loss, type(self).__name__, _ALSO)
        super().__init__([self.loss], **kwargs)
        if self.reducer is not None:  # No `reduction` was given.
            # The way of the loss inside, whose terms these are.
            self.reducer, self.reduction = self.loss.reducer, self.loss.reduction
        if memory_size < 1:
            raise ValueError(
                f"`memory_size` must be positive. Received: memory_size={memory_size}."
            )
        self.memory_size = memory_size
        self.embedding_size: int | None = None
        self._queue: MemoryQueue | None = None
        if embedding_size is not None:
            self.build(embedding_size)

    def build(self, embedding_size: int) -> None:
        super().build(embedding_size)
        if self._queue is not None:
            if embedding_size != self.embedding_size:
                raise ValueError(
                    f"`embedding_size` of {type(self).__name__} must be that of the "
                    f"model. Received: {self.embedding_size}, for embeddings of "
                    f"{embedding_size}."
                )
            return
        if embedding_size < 1:
            raise ValueError(
                "`embedding_size` must be positive. Received: "
                f"embedding_size={embedding_size}."
            )
        self.embedding_size = embedding_size
        self._queue = MemoryQueue(self.make_head(), self.memory_size, embedding_size)

    @property
    def queue(self) -> MemoryQueue:
        """The variables of the memory.

        Raises:
            ValueError: If the embedding size, and with it their shape, is not known yet.
        """
        if self._queue is None:
            raise ValueError(
                "`embedding_size` must be known before there is a memory. Received: "
                "embedding_size=None. Give it, or call the loss first."
            )
        return self._queue

    def reset_queue(self) -> None:
        """Empties the memory."""
        if self._queue is not None:
            self._queue.reset()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "loss": registry.serialize(self.loss),
            "embedding_size": self.embedding_size,
            "memory_size": self.memory_size,
        }

    def _terms(self, batch: Batch) -> dict[str, SubLoss]:
        return self.loss._terms(batch)

    def _checked_rows(self, labels: Any, embeddings: Any) -> tuple[Tensor, Tensor]:
        """Labels `[n]` and embeddings `[n, D]`, of which the memory's width is known."""
        names = ("y_true", "y_pred")
        rows = Batch(labels, embeddings, distance=self.distance, names=names).embeddings
        width = rows.shape[1]
        if self._queue is None:
            # Not by the rows: under `jax.grad` they are traced, and variables are not.
            if is_traced(ops.zeros(())):
                raise ValueError(
                    "`embedding_size` must be given to a loss with a memory that is "
                    "compiled before it knows it. Received: embedding_size=None. Write "
                    f"{type(self).__name__}(..., embedding_size={width})."
                )
            self.build(width)
        if width != self.embedding_size:
            raise ValueError(
                f"`y_pred` must have {self.embedding_size} columns, the "
                f"`embedding_size`. Received: y_pred.shape={tuple(rows.shape)}."
            )
        return memory_labels(labels, "y_true"), as_floats(rows, ops)

    def _refuse_keys(
        self, key_labels: Any, key_embeddings: Any, pairs: Pairs | None = None
    ) -> None:
        given = {
            "key_labels": key_labels,
            "key_embeddings": key_embeddings,
            "pairs": pairs,
        }
        names = [name for name, value in given.items() if value is not None]
        if names:
            raise TypeError(
                f"The keys of {type(self).__name__} are its memory: it is called as "
                "loss(labels, embeddings), without keys of your own. Received: "
                f"{', '.join(names)}."
            )
