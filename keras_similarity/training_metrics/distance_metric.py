"""The distance of an anchor to one of its positives, or negatives, over an epoch."""

from __future__ import annotations

from typing import Any

from keras_similarity import distances
from keras_similarity.backend import keras, ops
from keras_similarity.distances import Distance
from keras_similarity.pairs import check_rows
from keras_similarity.registry import register_serializable
from keras_similarity.training_metrics.shared_batch import Partners, batch_of

Tensor = Any

AGGREGATES = ("mean", "avg", "max", "min", "sum")
ANCHORS = ("positive", "negative")
POSITIVE_STRATEGIES = ("hard", "semi-hard", "easy")
NEGATIVE_STRATEGIES = ("hard", "easy")


@register_serializable
class DistanceMetric(keras.metrics.Metric):
    """Distance of each anchor to one of its positives, or negatives, aggregated.

    For `compile(metrics=[...])`, whose labels are integers `[N]` or `[N, 1]` and stay so,
    and for loops of your own (`update_state(labels, embeddings)`). All rows of a batch
    are anchors; an anchor without a positive (or negative) does not count. The result is
    over all anchors since `reset_state`, which Keras calls at each epoch: the mean over
    anchors, the largest value, the smallest, or the sum. It is 0 where no anchor counted.

    "Hard" and "easy" mean farther and nearer, whatever the distance: the hard positive
    of a similarity is that with the smallest value, and its hard negative that with the
    largest. Values are those of the distance.

    Args:
        distance: A `Distance`, its name or its config.
        aggregate: `"mean"` (or `"avg"`), `"max"`, `"min"` or `"sum"` over anchors.
        anchor: Measure the distance to a `"positive"` or to a `"negative"`?
        name: By default the aggregate and `_pos` or `_neg`, such as `"mean_pos"`.
        positive_mining_strategy: `"hard"`, the farthest positive, or `"easy"`, the
            nearest; `"semi-hard"` is taken, and means the nearest, too.
        negative_mining_strategy: `"hard"`, the nearest negative, or `"easy"`, the
            farthest.
        dtype: As Keras' metrics; distances are computed in float32 at least.

    Raises:
        ValueError: If an option is not one of those.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.training_metrics import DistanceMetric
        >>> metric = DistanceMetric("l1", aggregate="max", anchor="positive")
        >>> metric.update_state(np.array([0, 0, 1]), np.array([[0.0], [2.0], [5.0]]))
        >>> metric.name, float(metric.result())
        ('max_pos', 2.0)
    """

    def __init__(
        self,
        distance: Distance | str,
        aggregate: str = "mean",
        anchor: str = "positive",
        name: str | None = None,
        positive_mining_strategy: str = "hard",
        negative_mining_strategy: str = "hard",
        dtype: Any = None,
    ) -> None:
        given = (
            ("aggregate", aggregate, AGGREGATES),
            ("anchor", anchor, ANCHORS),
            ("positive_mining_strategy", positive_mining_strategy, POSITIVE_STRATEGIES),
            ("negative_mining_strategy", negative_mining_strategy, NEGATIVE_STRATEGIES),
        )
        for option, value, known in given:
            if value not in known:
                raise ValueError(
                    f"Invalid `{option}`: it must be one of {', '.join(known)}. "
                    f"Received: {value!r}."
                )
        self.distance = distances.get(distance)
        super().__init__(name=name or f"{aggregate}_{anchor[:3]}", dtype=dtype)
        self.aggregate = aggregate
        self.anchor = anchor
        self.positive_mining_strategy = positive_mining_strategy
        self.negative_mining_strategy = negative_mining_strategy
        #: The sum of the values so far, the largest (from -inf) or the smallest.
        self.total = self.add_variable(
            (), keras.initializers.Constant(self._start), dtype="float32", name="total"
        )
        if aggregate in ("mean", "avg"):
            #: How much the anchors that had a value weigh together.
            self.count = self.add_variable((), "zeros", dtype="float32", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes in a batch.

        Args:
            y_true: Labels, integers `[N]` or `[N, 1]`.
            y_pred: Embeddings `[N, D]`.
            sample_weight: Weight `[N]` of each anchor in the mean and the sum; for the
                largest and the smallest, an anchor of weight 0 does not count.

        Raises:
            TypeError: If labels are no integers.
            ValueError: If shapes do not fit.
        """
        shared = batch_of(y_true, y_pred, self.distance)
        is_positive = self.anchor == "positive"
        found = shared.partners(is_positive=is_positive, is_farthest=self._is_farthest)
        weights = None
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight, "float32")
            check_rows("sample_weight", sample_weight, "y_pred", shared.batch.embeddings)
            weights = ops.reshape(sample_weight, (-1, 1))
        if self.aggregate in ("max", "min"):
            self._take_extreme(found, weights)
            return
        values = found.values if weights is None else found.values * weights
        self.total.assign(self.total + ops.sum(values))
        if self.aggregate != "sum":
            counts = found.counts if weights is None else found.counts * weights
            self.count.assign(self.count + ops.sum(counts))

    def reset_state(self) -> None:
        """Forgets all batches."""
        super().reset_state()
        if self.aggregate in ("max", "min"):
            self.total.assign(self._start)

    def result(self) -> Tensor:
        """The aggregate since the last `reset_state`; 0 where no anchor counted."""
        if self.aggregate in ("mean", "avg"):
            return ops.divide_no_nan(self.total, self.count)
        # A copy, which later batches do not change.
        total = self.total + 0.0
        return total if self.aggregate == "sum" else ops.where(self.has_none, 0.0, total)

    @property
    def has_none(self) -> Tensor:
        """Has no anchor counted, of a metric of the largest or the smallest value?"""
        return self.total == self._start

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {
            **super().get_config(),
            "distance": distances.serialize(self.distance),
            "aggregate": self.aggregate,
            "anchor": self.anchor,
            "positive_mining_strategy": self.positive_mining_strategy,
            "negative_mining_strategy": self.negative_mining_strategy,
        }

    @property
    def _is_farthest(self) -> bool:
        if self.anchor == "positive":
            return self.positive_mining_strategy == "hard"
        return self.negative_mining_strategy == "easy"

    @property
    def _start(self) -> float:
        """What `total` is before the first value."""
        return {"max": -float("inf"), "min": float("inf")}.get(self.aggregate, 0.0)

    def _take_extreme(self, found: Partners, weights: Tensor | None) -> None:
        counts = found.has_one
        if weights is not None:
            counts = counts & (weights != 0)
        values = ops.where(counts, found.values, self._start)
        if self.aggregate == "max":
            self.total.assign(ops.maximum(self.total, ops.amax(values)))
        else:
            self.total.assign(ops.minimum(self.total, ops.amin(values)))


def max_pos(distance: Distance | str) -> DistanceMetric:
    """The largest distance of an anchor to its farthest positive."""
    return DistanceMetric(distance, aggregate="max", anchor="positive")


def avg_pos(distance: Distance | str) -> DistanceMetric:
    """The mean distance of anchors to their farthest positives; named `mean_pos`.

    Example:
        >>> import keras, numpy as np
        >>> from keras_similarity import losses, models, training_metrics
        >>> inputs = keras.Input((2,))
        >>> model = models.SimilarityModel(inputs, keras.layers.Flatten()(inputs))
        >>> metrics = [training_metrics.avg_pos("l2"), training_metrics.avg_neg("l2")]
        >>> model.compile(loss=losses.TripletLoss("l2"), metrics=metrics)
        >>> x, y = np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([5, 5, 6])
        >>> history = model.fit(x, y, verbose=0).history
        >>> history["mean_pos"], round(history["mean_neg"][0], 3)
        ([1.0], 3.054)
    """
    return DistanceMetric(distance, aggregate="mean", anchor="positive")


def min_pos(distance: Distance | str) -> DistanceMetric:
    """The smallest distance of an anchor to its farthest positive."""
    return DistanceMetric(distance, aggregate="min", anchor="positive")


def sum_pos(distance: Distance | str) -> DistanceMetric:
    """The summed distances of anchors to their farthest positives."""
    return DistanceMetric(distance, aggregate="sum", anchor="positive")


def max_neg(distance: Distance | str) -> DistanceMetric:
    """The largest distance of an anchor to its nearest negative."""
    return DistanceMetric(distance, aggregate="max", anchor="negative")


def avg_neg(distance: Distance | str) -> DistanceMetric:
    """The mean distance of anchors to their nearest negatives; named `mean_neg`."""
    return DistanceMetric(distance, aggregate="mean", anchor="negative")


def min_neg(distance: Distance | str) -> DistanceMetric:
    """The smallest distance of an anchor to its nearest negative."""
    return DistanceMetric(distance, aggregate="min", anchor="negative")


def sum_neg(distance: Distance | str) -> DistanceMetric:
    """The summed distances of anchors to their nearest negatives."""
    return DistanceMetric(distance, aggregate="sum", anchor="negative")
