"""Losses that are broken on purpose, one fault each, and the check that must name it."""

from typing import Any

import numpy as np

from keras_similarity.backend import ops
from keras_similarity.losses import ContrastiveLoss, MetricLoss, NTXentLoss
from keras_similarity.losses.pair_losses import of_positives
from keras_similarity.pairs import Pairs, has_any, masked_max, masked_min


class Margin(MetricLoss):
    """A whole loss, that the broken ones spoil: farthest positive, nearest negative."""

    def anchor_losses(self, cost, pairs):
        has_both = has_any(pairs.positive_mask) & has_any(pairs.negative_mask)
        gap = masked_max(cost, pairs.positive_mask) - masked_min(
            cost, pairs.negative_mask
        )
        gap = ops.where(has_both, gap, 0.0)
        return (ops.softplus(gap) * ops.cast(has_both, cost.dtype))[:, 0]


class Detached(Margin):
    def anchor_losses(self, cost, pairs):
        losses = super().anchor_losses(cost, pairs)
        return 0.5 * (losses + ops.stop_gradient(losses))


class OffByTheDiagonal(Margin):
    def anchor_losses(self, cost, pairs):
        rows, keys = cost.shape
        diagonal = ops.convert_to_tensor(np.eye(rows, keys, dtype=bool))
        return super().anchor_losses(
            cost, Pairs(pairs.positive_mask, pairs.negative_mask | diagonal)
        )


class OrderDependent(Margin):
    def sub_losses(self, batch):
        losses = self.anchor_losses(batch.cost, batch.pairs)
        position = ops.arange(losses.shape[0], dtype="float32")
        return {"loss": super().sub_losses(batch)["loss"].__class__(losses * position)}


class NanAtCoincidentPoints(MetricLoss):
    """Takes a root without a guard: its slope at 0 is infinite."""

    takes_pairs = False

    def sub_losses(self, batch):
        x = ops.cast(batch.embeddings, "float32")
        squares = ops.sum(ops.square(x[:, None, :] - x[None, :, :]), axis=2)
        return {"loss": of_positives(ops.sqrt(ops.relu(squares)), batch.pairs)}


class FloatLabels(ContrastiveLoss):
    takes_pairs = False

    def __call__(self, y_true, y_pred, *args: Any, **kwargs: Any):
        rounded = ops.cast(ops.cast(ops.convert_to_tensor(y_true), "float32"), "int32")
        return super().__call__(rounded, y_pred, *args, **kwargs)


class KeepsTheGraph:
    """Remembers a batch's embeddings as they are."""

    def __init__(self):
        self.inner = NTXentLoss()
        self.memory = None

    def __call__(self, labels, embeddings):
        embeddings = ops.convert_to_tensor(embeddings)
        loss = self.inner(labels, embeddings)
        if self.memory is not None:
            loss = loss + 0.1 * ops.sum(self.memory * embeddings)
        self.memory = embeddings * embeddings
        return loss


class ForgetsAnArgument(NTXentLoss):
    def __init__(self, temperature=0.5, weight=1.0, **kwargs):
        super().__init__(temperature, **kwargs)
        self.weight = weight

    def __call__(self, *args, **kwargs):
        return self.weight * super().__call__(*args, **kwargs)


class HalfPrecision(Margin):
    takes_pairs = False

    def __call__(self, y_true, y_pred, *args: Any, **kwargs: Any):
        y_pred = ops.convert_to_tensor(y_pred)
        loss = super().__call__(y_true, y_pred, *args, **kwargs)
        return ops.cast(ops.cast(loss, "bfloat16"), "float32") + 0.05 * ops.cast(
            y_pred.dtype == ops.cast(y_pred, "bfloat16").dtype, "float32"
        )


class BranchesOnATensor(Margin):
    def sub_losses(self, batch):
        terms = super().sub_losses(batch)
        if float(ops.convert_to_numpy(ops.sum(batch.cost))) < -1.0:
            return {}
        return terms


class NanWithoutNegatives(MetricLoss):
    def anchor_losses(self, cost, pairs):
        weights = ops.cast(pairs.negative_mask, cost.dtype)
        mean = ops.sum(cost * weights, axis=1) / ops.sum(weights, axis=1)
        return ops.softplus(-mean)


class SecretlyGlobal(Margin):
    """Says that it looks at its rows alone, and takes a mean over all of them."""

    def anchor_losses(self, cost, pairs):
        losses = super().anchor_losses(cost, pairs)
        return ops.square(losses - ops.mean(losses))


BROKEN = {
    "gradient": Detached(),
    "keys": OffByTheDiagonal(),
    "permutation": OrderDependent(),
    "degenerate": NanAtCoincidentPoints(),
    "degenerate, no negatives": NanWithoutNegatives(),
    "labels": FloatLabels(),
    "repeat": KeepsTheGraph(),
    "config": ForgetsAnArgument(weight=3.0),
    "precision": HalfPrecision(),
    "jit": BranchesOnATensor(),
    "split": SecretlyGlobal(),
}
