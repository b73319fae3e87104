"""Manifold loss."""

from __future__ import annotations

import math
from typing import Any, Literal

from keras_similarity.array_ops import dtype_name
from keras_similarity.backend import keras, one_hot, ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.distances.base import as_floats
from keras_similarity.distances.normalize import unit
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.metric_loss import register
from keras_similarity.pairs import Batch, Pairs
from keras_similarity.pairs.batch import check_order
from keras_similarity.pairs.masked import masked_log1p_sum_exp, one_if_zero

Tensor = Any

# The paper's bandwidth of the affinities.
_BANDWIDTH = 0.5


def diffused(similarities: Tensor, *, alpha: float) -> Tensor:
    """Affinities `[N, N]` after a random walk over all points, started at each.

    `(1 - alpha) (I - alpha D^-1/2 S D^-1/2)^-1`, with `S = exp(max(s, 0) / 0.5)` off the
    diagonal and `D` its row sums.

    Args:
        similarities: `s`, floats `[N, N]`, symmetric.
        alpha: How probably the walk goes on; from 0 to below 1.
    """
    similarities = ops.relu(similarities) * (1.0 / _BANDWIDTH)
    # A factor of `S` cancels: without it nothing overflows.
    similarities = similarities - ops.stop_gradient(ops.amax(similarities))
    identity = ops.eye(ops.shape(similarities)[0], dtype=dtype_name(similarities))
    affinities = ops.exp(similarities) * (1.0 - identity)
    degrees = ops.sum(affinities, axis=1, keepdims=True)
    # Of a point that is alone every affinity is 0: its scale does not matter.
    scale = ops.rsqrt(one_if_zero(degrees))
    affinities = affinities * (alpha * scale) * ops.transpose(scale)
    return (1.0 - alpha) * ops.linalg.inv(identity - affinities)


def proxy_margin_losses(affinities: Tensor, targets: Tensor, *, margin: float) -> Tensor:
    """`log(1 + sum_k exp(v_k))` over the proxies within `margin` of the own one.

    `v_k = a_k - a_own + margin`, where that is at least 0.

    Args:
        affinities: `a`, floats `[N, K]`.
        targets: One-hot floats `[N, K]`: the own proxy.
        margin: In units of the affinities.
    """
    own = ops.sum(affinities * targets, axis=1, keepdims=True)
    violations = affinities - (own - margin)
    counts = (violations >= 0.0) & (targets == 0.0)
    return masked_log1p_sum_exp(violations, counts)[:, 0]


@register("manifold")
class ManifoldLoss(ClassWeightLoss):
    """Manifold loss: rows are near to their proxy along the manifold of all points.

    The proxies stand for meta-classes, which need not be classes: by the paper each row
    is given one at random. Affinities are diffused over the rows and the proxies; see
    `diffused()`. The loss of a row is a margin between the affinities to its own proxy
    and to the others, plus `lambdaC` times the same of the cosines of diffused rows; see
    `proxy_margin_losses()`. Inverting the affinities costs `O((N + K)^3)` time.

    `loss(None, embeddings)` draws the meta-classes; `loss(meta_classes, embeddings)` is
    given them, integers from 0 to `K - 1`. For `fit`, which has labels at hand,
    `meta_classes="random"` always draws.

    Args:
        l: Width `D` of the embeddings.
        K: How many proxies there are.
        lambdaC: Weight of the second part; `inf` for that part alone.
        alpha: How far affinities are diffused; from 0 to below 1.
        margin: In units of the affinities.
        meta_classes: `"labels"`: `y_true` are the proxies of the rows. `"random"`:
            `y_true` is not looked at.
        seed: Of the draws; an integer, or `None` for another one each time.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`, without `miner`; a
            `distance` must be a similarity.

    Attributes:
        proxies: The variable of the weights, `[K, D]`; normal of deviation 1 at first.

    Raises:
        ValueError: If an argument is out of its range, or when called with `pairs`.

    Reference:
        [Aziere and Todorovic, 2019](https://openaccess.thecvf.com/content_CVPR_2019/html/Aziere_Ensemble_Deep_Manifold_Similarity_Learning_Using_Hard_Proxies_CVPR_2019_paper.html)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import ManifoldLoss
        >>> loss = ManifoldLoss(l=2, K=2, margin=0.0, weight_init_func="identity")
        >>> # Each row at its own proxy: no other is as near.
        >>> float(loss(np.array([0, 1]), np.eye(2)))
        0.0
    """

    default_name = "manifold_loss"
    default_distance = CosineSimilarity
    has_row_layout = True
    is_row_wise = False
    weight_name = "proxies"

    def __init__(
        self,
        l: int,  # noqa: E741
        K: int = 50,
        lambdaC: float = 1.0,
        alpha: float = 0.8,
        margin: float = 5e-4,
        *,
        meta_classes: Literal["labels", "random"] = "labels",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not lambdaC >= 0:
            raise ValueError(f"`lambdaC` must not be negative. Received: {lambdaC}.")
        if not 0 <= alpha < 1:
            raise ValueError(
                f"`alpha` must be from 0 to below 1. Received: alpha={alpha}."
            )
        if meta_classes not in ("labels", "random"):
            raise ValueError(
                "`meta_classes` must be 'labels' or 'random'. Received: "
                f"{meta_classes!r}."
            )
        if kwargs.get("miner") is not None:
            raise ValueError(
                "`miner` must be None: `ManifoldLoss` has no pairs. Received: "
                f"miner={kwargs['miner']!r}."
            )
        super().__init__(embedding_size=l, num_classes=K, **kwargs)
        self.lambdaC = lambdaC
        self.alpha = alpha
        self.margin = margin
        self.meta_classes = meta_classes
        self.seed = seed
        self._seeds = keras.random.SeedGenerator(seed)
        self.make_head().seed_generator = self._seeds

    @property
    def proxies(self) -> Any:
        """The variable of the weights, `[K, D]`."""
        return self.class_weights

    def check_classes(self, labels: Any, name: str = "y_true") -> None:
        if self.meta_classes == "labels":
            super().check_classes(labels, name)

    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = as_floats(embeddings, ops)
        proxies = ops.cast(self.class_rows, dtype_name(embeddings))
        points = ops.concatenate([embeddings, proxies], axis=0)
        walks = diffused(self.distance(points), alpha=self.alpha)
        own, others = walks[: -self.num_classes], walks[-self.num_classes :]
        intrinsic = own[:, -self.num_classes :]
        targets = one_hot(labels, intrinsic)
        losses: Any = 0.0
        if self.lambdaC != math.inf:
            losses = proxy_margin_losses(intrinsic, targets, margin=self.margin)
        if self.lambdaC:
            context = unit(own, ops) @ ops.transpose(unit(others, ops))
            part = proxy_margin_losses(context, targets, margin=self.margin)
            weight = 1.0 if self.lambdaC == math.inf else self.lambdaC
            losses = losses + weight * part
        return losses

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        sizes = {"l": config.pop("embedding_size"), "K": config.pop("num_classes")}
        return {
            **config,
            **sizes,
            "lambdaC": self.lambdaC,
            "alpha": self.alpha,
            "margin": self.margin,
            "meta_classes": self.meta_classes,
            "seed": self.seed,
        }

    def _batch(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Batch:
        check_order(labels, embeddings)
        if labels is None or self.meta_classes == "random":
            embeddings = ops.convert_to_tensor(embeddings)
            labels = self._draw(ops.shape(embeddings)[0])
        return super()._batch(labels, embeddings, key_labels, key_embeddings, pairs)

    def _check_batch(self, batch: Batch) -> None:
        super()._check_batch(batch)
        if batch.has_given_pairs:
            raise ValueError(
                "`pairs` must not be given: `ManifoldLoss` has none. Received: pairs of "
                f"the shape {tuple(batch.pairs.positive_mask.shape)}."
            )

    def _draw(self, rows: Any) -> Tensor:
        """A proxy for each row: every one once, as far as there are rows, then any."""
        # At once: on torch a draw takes as long as ten other operations.
        draws = keras.random.uniform((2, rows), seed=self._seeds)
        places = ops.cast(ops.argsort(draws[0]), "int32")
        any_proxy = ops.cast(draws[1] * self.num_classes, "int32")  # Below it: draws < 1.
        any_proxy = ops.minimum(any_proxy, self.num_classes - 1)  # If that rounds up.
        return ops.where(places < self.num_classes, places, any_proxy)

    def _checked_distance(self, distance: Distance) -> Distance:
        if not distance.is_similarity:
            raise ValueError(
                "`distance` of `ManifoldLoss` must be a similarity, such as "
                f"CosineSimilarity. Received: distance={distance!r}."
            )
        return distance
