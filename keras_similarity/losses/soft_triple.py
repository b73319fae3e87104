"""SoftTriple loss."""

from __future__ import annotations

from typing import Any

from keras_similarity.backend import added_to_own, cross_entropy, keras, ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.classes import positive_integer
from keras_similarity.losses.metric_loss import register

Tensor = Any


@register("soft_triple")
class SoftTripleLoss(ClassWeightLoss):
    """SoftTriple: a softmax over classes that have several centers each.

    The similarity of a row and a class is the mean of those to its centers, weighted by
    their softmax: `S_c = sum_k softmax_k(s_ck / gamma) s_ck`. The loss is
    `-log softmax(la * S)` of the row's class, whose own similarity is `margin` lower.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        centers_per_class: Centers a class.
        la: What similarities are multiplied by.
        gamma: Temperature of the softmax over centers; greater than 0.
        margin: Taken from the similarity to the own class.
        distance: A similarity or its name; cosine by default.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ... A weight
            regularizer sees one row for each center, those of a class beside each other
            (`SparseCentersRegularizer` is made for it).

    Attributes:
        fc: The variable of the weights, `[D, num_classes * centers_per_class]`, those
            of a class beside each other; uniform at first, up to
            `1 / sqrt(num_classes * centers_per_class)`.

    Raises:
        ValueError: If a size or `gamma` is not positive, or `distance` is no
            similarity; when called, as in `ClassWeightLoss`.

    Reference:
        [Qian et al., 2019](https://arxiv.org/abs/1909.05235)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SoftTripleLoss
        >>> loss = SoftTripleLoss(2, 2, 1, la=2, margin=0.5, weight_init_func="identity")
        >>> round(float(loss(np.array([0]), np.array([[1.0, 0.0]]))), 3)
        0.313
    """

    default_name = "soft_triple_loss"
    default_distance = CosineSimilarity
    weight_name = "fc"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        centers_per_class: int = 10,
        la: float = 20,
        gamma: float = 0.1,
        margin: float = 0.01,
        **kwargs: Any,
    ) -> None:
        self.centers_per_class = positive_integer("centers_per_class", centers_per_class)
        if gamma <= 0:
            raise ValueError(f"`gamma` must be positive. Received: gamma={gamma}.")
        super().__init__(num_classes, embedding_size, **kwargs)
        self.la = la
        self.gamma = gamma
        self.margin = margin

    @property
    def fc(self) -> Any:
        """The variable of the weights, `[D, num_classes * centers_per_class]`."""
        return self.class_weights

    @property
    def num_rows(self) -> int:
        return self.num_classes * self.centers_per_class

    def default_initializer(self) -> Any:
        bound = self.num_rows**-0.5
        return keras.initializers.RandomUniform(-bound, bound)

    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        similarities = self.get_logits(embeddings)
        lowered = added_to_own(similarities, labels, -float(self.margin))
        return cross_entropy(self.la * lowered, labels)

    def get_logits(self, embeddings: Any) -> Tensor:
        """Similarities `[N, num_classes]` of embeddings `[N, D]` and classes."""
        found = self.distance(ops.convert_to_tensor(embeddings), self.class_rows)
        found = ops.reshape(found, (-1, self.num_classes, self.centers_per_class))
        if self.centers_per_class == 1:
            return found[:, :, 0]
        shares = ops.softmax(found * (1.0 / self.gamma), axis=2)
        return ops.sum(shares * found, axis=2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "centers_per_class": self.centers_per_class,
            "la": self.la,
            "gamma": self.gamma,
            "margin": self.margin,
        }

    def _checked_distance(self, distance: Distance) -> Distance:
        if not distance.is_similarity:
            raise ValueError(
                "`distance` of `SoftTripleLoss` must be a similarity, such as "
                f"CosineSimilarity. Received: distance={distance!r}."
            )
        return distance
