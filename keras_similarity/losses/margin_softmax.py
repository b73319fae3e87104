"""What losses share that are a softmax over classes with a margin for the right one."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from keras_similarity.backend import ops
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.class_weight_loss import (
    ClassWeightLoss,
    cross_entropy,
    one_hot,
)
from keras_similarity.losses.cosine_only import checked_cosine, cosine_of

Tensor = Any


class MarginSoftmaxLoss(ClassWeightLoss):
    """Cross entropy over scaled cosines, where that of the row's own class is lowered.

    A subclass says by how much, in `target_cosines`, and may scale otherwise.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        margin: How much harder the own class is made; its unit is the class's.
        scale: What cosines are multiplied by.
        **kwargs: Those of `ClassWeightLoss`; a `distance` must measure cosines.

    Attributes:
        W: The variable of the weights, `[D, num_classes]`.
    """

    default_distance = CosineSimilarity

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float,
        scale: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, embedding_size, **kwargs)
        self.margin = margin
        self.scale = scale

    @abstractmethod
    def target_cosines(self, cosines: Tensor) -> Tensor:
        """What takes the place of the cosines `[N]` of rows and their own classes."""

    @property
    def W(self) -> Any:
        """The variable of the weights, `[D, rows]`."""
        return self.class_weights

    def class_losses(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosines = self.class_cosines(embeddings)
        targets = one_hot(labels, cosines)
        own = ops.sum(cosines * targets, axis=1)
        lowered = (self.target_cosines(own) - own)[:, None]
        logits = self.scaled(cosines + targets * lowered, embeddings)
        return cross_entropy(logits, targets)

    def class_cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines `[N, num_classes]` of rows and classes."""
        return cosine_of(self.distance.cost(embeddings, self.class_rows), self.distance)

    def scaled(self, cosines: Tensor, embeddings: Tensor) -> Tensor:
        """Logits `[N, num_classes]` of cosines."""
        return self.scale * cosines

    def get_logits(self, embeddings: Any) -> Tensor:
        """Logits `[N, num_classes]` of embeddings `[N, D]`, for whom no margin counts."""
        embeddings = ops.convert_to_tensor(embeddings)
        return self.scaled(self.class_cosines(embeddings), embeddings)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "scale": self.scale}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)
