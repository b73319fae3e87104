"""Cross-batch memory: the form of TensorFlow Similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_similarity.backend import ops
from keras_similarity.losses.memory import Memory
from keras_similarity.losses.memory_loss import MemoryLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.pairs import Batch, Pairs

Tensor = Any


@register("xbm_loss", "xbm")
class XBM(MemoryLoss):
    """Cross-batch memory: the keys are the batch and, before it, past batches.

    The anchors are the rows of the batch; their keys are the batch, in which gradients
    flow, and as many of the last embeddings as make `memory_size` together, in which
    none do. `CrossBatchMemory` is PyTorch Metric Learning's form.

    The memory stays as it is in `evaluate` and validation, and is saved with the model.
    (In TensorFlow Similarity validation batches enter it, and it is not saved.) A batch
    larger than the memory has itself for keys. One value an anchor and its reduction are
    those of the loss inside, unless `reduction` is given.

    Args:
        loss: A loss about pairs, its name or its config.
        memory_size: How many embeddings are kept.
        warmup_steps: Batches that do not enter the memory, at the start, while
            embeddings change fast.
        reduction: As in `MetricLoss`; `"auto"` is the loss's own.
        name: Name of the loss.
        embedding_size: Width of the embeddings. `None` learns it from the similarity
            model that is compiled, or else from the first call.
        **kwargs: `dtype`, as Keras' losses.

    Raises:
        TypeError: If another option of the loss inside is given here.
        ValueError: If the loss looks at more than pairs, or a size is not positive.

    Reference:
        [Wang et al., 2020](https://arxiv.org/abs/1912.06798)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import XBM, TripletLoss
        >>> loss = XBM(TripletLoss(margin=0.5), memory_size=3)
        >>> _ = loss(np.array([0, 1]), np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> _ = loss(np.array([2, 3]), np.array([[3.0, 0.0], [0.0, 3.0]]))
        >>> loss.memory_labels.tolist()
        [2, 3, 0]
    """

    default_name = "xbm_loss"
    own_options = frozenset({"name", "dtype", "reduction"})

    def __init__(
        self,
        loss: Any,
        memory_size: int,
        warmup_steps: int = 0,
        reduction: str | None = "auto",
        name: str | None = None,
        *,
        embedding_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        if warmup_steps < 0:
            raise ValueError(
                "`warmup_steps` must not be negative. Received: "
                f"warmup_steps={warmup_steps}."
            )
        self.warmup_steps = warmup_steps
        self._given_reduction = reduction
        super().__init__(
            loss, embedding_size, memory_size, reduction=reduction, name=name, **kwargs
        )

    def build(self, embedding_size: int) -> None:
        if self._queue is None and self.warmup_steps:
            self._steps = self.make_head().add_weight(
                shape=(),
                dtype="int32",
                initializer="zeros",
                trainable=False,
                name="steps",
            )
        super().build(embedding_size)

    @property
    def memory_embeddings(self) -> npt.NDArray[np.float32]:
        """The embeddings in the memory, `[m, D]`, the newest first."""
        return self._newest_first("embeddings")

    @property
    def memory_labels(self) -> npt.NDArray[np.int64]:
        """Their labels `[m]`."""
        return self._newest_first("labels")

    def reset_queue(self) -> None:
        """Empties the memory; the warm-up starts anew."""
        super().reset_queue()
        if self._queue is not None and self.warmup_steps:
            self._steps.assign(0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "warmup_steps": self.warmup_steps,
            "reduction": self._given_reduction,
        }

    def _batch(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Batch:
        """The batch against itself and the memory, which it enters."""
        self._refuse_keys(key_labels, key_embeddings, pairs)
        labels, embeddings = self._checked_rows(labels, embeddings)
        memory = self.queue.read()
        rows = ops.shape(labels)[0]
        # Together with the batch: what the memory will hold, but at least the batch.
        is_kept = memory.is_filled & (memory.ages < self.memory_size - rows)
        row = ops.arange(rows)[:, None]
        is_other = row != ops.arange(rows)[None, :]
        batch = Batch(
            labels,
            embeddings,
            ops.concatenate([labels, memory.labels], axis=0),
            ops.concatenate(
                [embeddings, ops.cast(memory.embeddings, embeddings.dtype)], axis=0
            ),
            pair_mask=ops.concatenate([is_other, (row >= 0) & is_kept[None, :]], axis=1),
            distance=self.distance,
            names=("y_true", "y_pred"),
        )
        if self.training:
            self._remember(memory, embeddings, labels)
        return batch

    def _remember(self, memory: Memory, embeddings: Tensor, labels: Tensor) -> None:
        # The last row is written first: with the newest first, rows keep their order.
        newest = slice(None, self.memory_size)
        embeddings = ops.cast(ops.stop_gradient(embeddings), "float32")
        after = memory.enqueued(
            ops.flip(embeddings[newest], axis=0), ops.flip(labels[newest], axis=0)
        )
        if self.warmup_steps:
            steps = ops.convert_to_tensor(self._steps)
            after = after.if_else(steps >= self.warmup_steps, memory)
            self._steps.assign(steps + 1)
        self.queue.write(after)

    def _newest_first(self, part: str) -> npt.NDArray[Any]:
        if self._queue is None:
            width = (0,) if part == "embeddings" else ()
            return np.zeros((0, *width))
        memory = self.queue.read()
        count = int(ops.convert_to_numpy(memory.count))
        order = np.argsort(ops.convert_to_numpy(memory.ages))[:count]
        return ops.convert_to_numpy(getattr(memory, part))[order]
