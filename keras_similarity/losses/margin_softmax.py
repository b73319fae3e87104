"""What losses share that are a softmax over classes with a margin for the right one."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from keras_similarity.backend import added_to_own, cross_entropy, ops, own_values
from keras_similarity.distances import CosineSimilarity, Distance
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.losses.cosine_only import checked_cosine, cosines_between

Tensor = Any


class MarginSoftmaxLoss(ClassWeightLoss):
    """Cross entropy over scaled cosines, where that of the row's own class is lowered.

    A subclass says by how much, in `target_cosines`, and may scale otherwise, in
    `cosines_and_scale`.

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
        cosines, scale = self.cosines_and_scale(embeddings)
        own = own_values(cosines, labels)
        lowered = self.target_cosines(own) - own
        return cross_entropy(added_to_own(cosines, labels, lowered) * scale, labels)

    def cosines_and_scale(self, embeddings: Tensor) -> tuple[Tensor, Any]:
        """Cosines `[N, num_classes]` of rows and classes, and what logits multiply by."""
        found = cosines_between(embeddings, self.class_rows, self.distance)
        return found, self.scale

    def get_logits(self, embeddings: Any) -> Tensor:
        """Logits `[N, num_classes]` of embeddings `[N, D]`, for whom no margin counts."""
        cosines, scale = self.cosines_and_scale(ops.convert_to_tensor(embeddings))
        return cosines * scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "scale": self.scale}

    def _checked_distance(self, distance: Distance) -> Distance:
        return checked_cosine(distance, type(self).__name__)
