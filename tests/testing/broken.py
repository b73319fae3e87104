"""Losses that are broken on purpose, one fault each, and the check that must name it."""

from typing import Any

from keras_similarity.backend import is_traced, ops
from keras_similarity.distances.base import as_floats
from keras_similarity.losses import ContrastiveLoss, MetricLoss, NTXentLoss
from keras_similarity.losses.pair_losses import of_positives
from keras_similarity.pairs import Pairs, has_any, masked_max, masked_min
from keras_similarity.reducers import SubLoss


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
    is_row_wise = False

    def anchor_losses(self, cost, pairs):
        rows, keys = (ops.arange(size, dtype="int32") for size in cost.shape)
        diagonal = rows[:, None] == keys
        return super().anchor_losses(
            cost, Pairs(pairs.positive_mask, pairs.negative_mask | diagonal)
        )


class OrderDependent(Margin):
    is_row_wise = False

    def sub_losses(self, batch):
        losses = self.anchor_losses(batch.cost, batch.pairs)
        position = ops.cast(ops.arange(losses.shape[0]), losses.dtype)
        return {"loss": SubLoss(losses * position)}


class NanAtCoincidentPoints(MetricLoss):
    """Takes a root without a guard: its slope at 0 is infinite."""

    takes_pairs = False

    def sub_losses(self, batch):
        x, keys = (as_floats(rows, ops) for rows in (batch.embeddings, batch.keys))
        squares = ops.sum(ops.square(x[:, None, :] - keys[None, :, :]), axis=2)
        return {"loss": of_positives(ops.sqrt(ops.relu(squares)), batch.pairs)}


class FloatLabels(ContrastiveLoss):
    takes_pairs = False

    def __call__(self, y_true, y_pred, *args: Any, key_labels=None, **kwargs: Any):
        if key_labels is not None:
            key_labels = self.rounded(key_labels)
        labels = self.rounded(y_true)
        return super().__call__(labels, y_pred, *args, key_labels=key_labels, **kwargs)

    def rounded(self, labels):
        return ops.cast(ops.cast(ops.convert_to_tensor(labels), "float32"), "int32")


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
        return ops.cast(loss, y_pred.dtype)


class BranchesOnATensor(Margin):
    def sub_losses(self, batch):
        terms = super().sub_losses(batch)
        if float(ops.sum(ops.stop_gradient(batch.cost))) < -1.0:
            return {}
        return terms


class DetachedWhenCompiled(Margin):
    takes_pairs = False

    def sub_losses(self, batch):
        losses = self.anchor_losses(batch.cost, batch.pairs)
        if is_traced(batch.labels):
            losses = ops.stop_gradient(losses)
        return {"loss": SubLoss(losses)}


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


class SecretlyGlobalByLabels(SecretlyGlobal):
    takes_pairs = False


class SecretlyOneNumber(Margin):
    def sub_losses(self, batch):
        losses = self.anchor_losses(batch.cost, batch.pairs)
        return {"loss": SubLoss(ops.mean(losses), kind="reduced")}


class HalfGradient(Margin):
    """Its value is whole, but its slope of half-precision embeddings is doubled."""

    def __call__(self, y_true, y_pred, *args: Any, **kwargs: Any):
        y_pred = ops.convert_to_tensor(y_pred)
        loss = super().__call__(y_true, y_pred, *args, **kwargs)
        is_half = "16" in str(y_pred.dtype)
        return 2.0 * loss - ops.stop_gradient(loss) if is_half else loss


class OffByTheDiagonalOfKeys(OffByTheDiagonal):
    """Sees the diagonal where there are keys, and takes labels alone."""

    takes_pairs = False

    def sub_losses(self, batch):
        spoiled = (
            OffByTheDiagonal.anchor_losses if batch.has_keys else Margin.anchor_losses
        )
        return {"loss": SubLoss(spoiled(self, batch.cost, batch.pairs))}


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
    "jit, gradient": DetachedWhenCompiled(),
    "keys, by labels": OffByTheDiagonalOfKeys(),
    "precision, gradient": HalfGradient(),
    "split": SecretlyGlobal(),
    "split, by labels": SecretlyGlobalByLabels(),
    "split, one number": SecretlyOneNumber(),
}
