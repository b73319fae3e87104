"""Cross-batch memory: the form of PyTorch Metric Learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_similarity import miners
from keras_similarity.array_ops import is_host_data
from keras_similarity.backend import is_traced, ops
from keras_similarity.losses.memory import Memory
from keras_similarity.losses.memory_loss import MemoryLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.miners import Miner
from keras_similarity.pairs import Batch, Pairs

Tensor = Any


@register("cross_batch_memory")
class CrossBatchMemory(MemoryLoss):
    """Cross-batch memory: the keys are the last `memory_size` embeddings.

    A batch first enters the memory, without gradient, and is then compared with it; a
    row is no positive of its own copy. Gradients reach the anchors only. (`XBM`, the form
    of TensorFlow Similarity, has the batch itself among the keys.)

    With an `enqueue_mask` only the rows that it marks enter the memory, and only the
    others are anchors: the two halves of a batch in MoCo.

    In `evaluate` and validation a batch is compared with the memory as it would be if
    it entered it, and the memory stays as it is. It is saved with the model.

    Args:
        loss: A loss about pairs, its name or its config.
        embedding_size: Width of the embeddings.
        memory_size: How many embeddings are kept.
        miner: A `Miner` among the pairs of the batch and the memory, or its name.
        **kwargs: `name` and `dtype`, as Keras' losses.

    Raises:
        TypeError: If another option of the loss inside is given here.
        ValueError: If the loss looks at more than pairs, or a size is not positive.

    Reference:
        [Wang et al., 2020](https://arxiv.org/abs/1912.06798)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ContrastiveLoss, CrossBatchMemory
        >>> loss = CrossBatchMemory(ContrastiveLoss(), embedding_size=2, memory_size=3)
        >>> _ = loss(np.array([5, 6]), np.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> _ = loss(np.array([7, 8]), np.array([[3.0, 0.0], [0.0, 3.0]]))
        >>> np.array(loss.label_memory).tolist(), loss.queue_idx, loss.has_been_filled
        ([8, 6, 7], 1, True)
    """

    default_name = "cross_batch_memory"
    own_options = frozenset({"name", "dtype", "miner"})

    def __init__(
        self,
        loss: Any,
        embedding_size: int,
        memory_size: int = 1024,
        miner: Miner | str | None = None,
        **kwargs: Any,
    ) -> None:
        # What the loss inside mines by itself comes after this one.
        super().__init__(loss, embedding_size, memory_size, miner=miner, **kwargs)

    @property
    def embedding_memory(self) -> Tensor:
        """Floats `[memory_size, D]`; 0 where nothing has been written yet."""
        return ops.copy(self.queue.read().embeddings)

    @property
    def label_memory(self) -> Tensor:
        """Integers `[memory_size]`; 0 where nothing has been written yet."""
        return ops.copy(self.queue.read().labels)

    @property
    def queue_idx(self) -> int:
        """The slot that is written next."""
        return int(ops.convert_to_numpy(self.queue.read().position))

    @property
    def has_been_filled(self) -> bool:
        """Has every slot been written?"""
        return int(ops.convert_to_numpy(self.queue.read().count)) == self.memory_size

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
        enqueue_mask: Sequence[bool] | Any = None,
    ) -> Tensor:
        """The reduced loss of a batch against the memory, which the batch enters.

        Args:
            y_true: Labels, integers `[N]` or `[N, 1]`.
            y_pred: Embeddings `[N, D]`.
            sample_weight: Weight `[N]` of each row.
            key_labels: Not for this loss: the keys are the memory. So is
                `key_embeddings`.
            pairs: Pairs `[N, memory_size]` of rows and slots of the memory, in addition
                to all others, or to those of the miner.
            enqueue_mask: Bools `[N]`: which rows enter the memory; the others are the
                anchors. It must be known when a step is compiled: a list, or a NumPy
                array.

        Raises:
            TypeError: If labels are no integers, or keys are given.
            ValueError: If shapes do not fit, the batch is larger than the memory, a
                label does not fit into the memory's integers, or both `pairs` and
                `enqueue_mask` are given.
        """
        self._refuse_keys(key_labels, key_embeddings)
        if enqueue_mask is None:
            batch = self._batch(y_true, y_pred, pairs=pairs)
            return self.of_batch(batch, sample_weight)
        if pairs is not None:
            raise ValueError(
                "`pairs` and `enqueue_mask` exclude each other: give one. Received: both."
            )
        labels, embeddings = self._checked_rows(y_true, y_pred)
        entering, anchors = _split(enqueue_mask, labels.shape[0])
        memory = self._remember(labels, embeddings, entering)[1]
        if not anchors:
            return 0.0 * ops.sum(embeddings)
        if sample_weight is not None:
            sample_weight = ops.take(
                ops.convert_to_tensor(sample_weight), anchors, axis=0
            )
        labels, embeddings = _rows(labels, anchors), _rows(embeddings, anchors)
        batch = self._against(memory, labels, embeddings, memory.is_filled[None, :])
        return self.of_batch(batch, sample_weight)

    def get_config(self) -> dict[str, Any]:
        miner = self.miner
        return {
            **super().get_config(),
            "miner": None if miner is None else miners.serialize(miner),
        }

    def _batch(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Batch:
        """The batch against the memory that it has entered."""
        labels, embeddings = self._checked_rows(labels, embeddings)
        before, memory = self._remember(labels, embeddings)
        rows = ops.arange(ops.shape(labels)[0], dtype="int32")
        is_other = before.places[None, :] != rows[:, None]
        mask = is_other & memory.is_filled[None, :]
        batch = self._against(memory, labels, embeddings, mask)
        return batch if pairs is None else batch.with_pairs(_union(batch.pairs, pairs))

    def _against(
        self, memory: Memory, labels: Tensor, embeddings: Tensor, mask: Tensor
    ) -> Batch:
        batch = Batch(
            labels,
            embeddings,
            memory.labels,
            memory.embeddings,
            pair_mask=mask,
            distance=self.distance,
            names=("y_true", "y_pred"),
        )
        return (
            batch
            if self.miner is None
            else batch.with_pairs(self.miner.mine_batch(batch))
        )

    def _remember(
        self, labels: Tensor, embeddings: Tensor, entering: list[int] | None = None
    ) -> tuple[Memory, Memory]:
        """The memory before and after the rows, or those of `entering`, are written."""
        rows = labels.shape[0] if entering is None else len(entering)
        if rows is not None and rows > self.memory_size:
            raise ValueError(
                "`memory_size` must be as large as a batch. Received: memory_size="
                f"{self.memory_size}, for {rows} rows."
            )
        before = after = self.queue.read()
        if entering is not None:
            labels, embeddings = _rows(labels, entering), _rows(embeddings, entering)
        if rows != 0:
            embeddings = ops.cast(ops.stop_gradient(embeddings), "float32")
            after = before.enqueued(embeddings, labels)
            if self.training:
                self.queue.write(after)
        return before, after


def _rows(tensor: Tensor, rows: list[int]) -> Tensor:
    return ops.take(tensor, ops.convert_to_tensor(rows, dtype="int32"), axis=0)


def _split(mask: Any, rows: int) -> tuple[list[int], list[int]]:
    """The rows that a mask marks, and the others."""
    if not is_host_data(mask) and is_traced(mask):
        raise ValueError(
            "`enqueue_mask` must be known when the step is compiled. Received: "
            f"{type(mask).__name__}, whose values are not. Give a list of bools, or a "
            "NumPy array that is no argument of the compiled function."
        )
    marks = (
        mask if isinstance(mask, (list, tuple)) else ops.convert_to_numpy(mask).tolist()
    )
    if len(marks) != rows:
        raise ValueError(
            f"`enqueue_mask` must hold a bool a row, {rows} of them. Received: "
            f"{len(marks)}."
        )
    return (
        [row for row, mark in enumerate(marks) if mark],
        [row for row, mark in enumerate(marks) if not mark],
    )


def _union(pairs: Pairs, others: Pairs) -> Pairs:
    """Pairs of both, as often as they count in both together."""
    if pairs.triplets is not None:
        raise ValueError(
            "`pairs` cannot be added to the triplets of a miner. Received: a miner that "
            f"gives {type(pairs.triplets).__name__}. Use one that chooses pairs, or give "
            "the miner's and your own together, without `miner`."
        )
    positives = pairs.positive_counts + others.positive_counts
    negatives = pairs.negative_counts + others.negative_counts
    return Pairs(positives > 0, negatives > 0, positives, negatives)
