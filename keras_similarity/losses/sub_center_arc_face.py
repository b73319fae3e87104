"""Sub-center ArcFace loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.backend import framework, is_traced, ops
from keras_similarity.losses.arc_face import ArcFaceLoss
from keras_similarity.losses.classes import positive_integer
from keras_similarity.losses.metric_loss import register
from keras_similarity.types import Floats, Ints

Tensor = Any


@register("sub_center_arc_face")
class SubCenterArcFaceLoss(ArcFaceLoss):
    """ArcFace with several vectors a class, of which the nearest counts.

    Where labels are noisy or a class has several looks, one center takes the rows that
    are typical and the others take the rest; `get_outliers` finds those.

    Args:
        num_classes: How many classes there are.
        embedding_size: Width `D` of the embeddings.
        margin: In degrees, from 0 to 180.
        scale: What cosines are multiplied by.
        sub_centers: Vectors a class.
        **kwargs: Those of `ClassWeightLoss` and `MetricLoss`: `weight_regularizer`,
            `learning_rate_multiplier`, `miner`, `reducer`, `name`, ...; a `distance`
            must measure cosines.

    Attributes:
        W: The variable of the weights, `[D, num_classes * sub_centers]`, those of a
            class beside each other; normal of deviation 1 at first.

    Raises:
        ValueError: If a size is not positive, `margin` is out of range, or `distance`
            does not measure cosines; when called, as in `ClassWeightLoss`.

    Reference:
        [Deng et al., 2020](https://www.ecva.net/papers/eccv_2020/papers_ECCV/html/1445_ECCV_2020_paper.php)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SubCenterArcFaceLoss
        >>> loss = SubCenterArcFaceLoss(2, 4, weight_init_func="identity", sub_centers=2)
        >>> outliers, _ = loss.get_outliers([0, 0, 0], np.eye(4)[:3])
        >>> outliers.tolist()
        [1, 2]
    """

    default_name = "sub_center_arc_face_loss"

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        margin: float = 28.6,
        scale: float = 64,
        sub_centers: int = 3,
        **kwargs: Any,
    ) -> None:
        self.sub_centers = positive_integer("sub_centers", sub_centers)
        super().__init__(num_classes, embedding_size, margin, scale, **kwargs)

    @property
    def num_rows(self) -> int:
        return self.num_classes * self.sub_centers

    def cosines_and_scale(self, embeddings: Tensor) -> tuple[Tensor, Any]:
        cosines = self._center_cosines(embeddings)
        if framework() == "torch" and not is_traced(
            cosines
        ):  # Three kernels fewer, of all centers.
            return ops.amax_last(cosines), self.scale
        return ops.amax(cosines, axis=2), self.scale

    def get_outliers(
        self,
        labels: Any,
        embeddings: Any,
        threshold: float = 75,
        return_dominant_centers: bool = True,
    ) -> Any:
        """Rows that are far from the vector that most rows of their class are nearest to.

        Args:
            labels: Integers `[N]`: the classes.
            embeddings: Floats `[N, D]`.
            threshold: Degrees from the dominant vector beyond which a row is an outlier.
            return_dominant_centers: Return those vectors, too?

        Returns:
            Row numbers of the outliers, ascending; and the dominant vectors
            `[D, num_classes]`, 0 for a class without a row. NumPy arrays.

        Raises:
            TypeError: If labels are no integers.
            ValueError: If a label is no class.
        """
        labels = check_labels(labels, name="labels")
        batch = self._batch(labels, embeddings)
        self._check_batch(batch)
        cosines = to_numpy(self._center_cosines(batch.embeddings))[
            np.arange(len(labels)), labels
        ]  # [N, sub_centers]
        dominant = self._dominant_centers(labels, cosines.argmax(axis=1))
        own = cosines[np.arange(len(labels)), dominant[labels]]
        outliers = np.flatnonzero(own < math.cos(math.radians(threshold)))
        if not return_dominant_centers:
            return outliers
        return outliers, self._center_columns(dominant, np.unique(labels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sub_centers": self.sub_centers}

    def _center_cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines `[N, num_classes, sub_centers]`."""
        cosines, _ = super().cosines_and_scale(embeddings)
        return ops.reshape(cosines, (-1, self.num_classes, self.sub_centers))

    def _dominant_centers(self, labels: Ints, nearest: Ints) -> Ints:
        """Which vector of each class `[num_classes]` most of its rows are nearest to."""
        counts = np.zeros((self.num_classes, self.sub_centers), "int64")
        np.add.at(counts, (labels, nearest), 1)
        return counts.argmax(axis=1)

    def _center_columns(self, dominant: Ints, present: Ints) -> Floats:
        weights = to_numpy(ops.convert_to_tensor(self.W))
        columns = np.zeros((len(weights), self.num_classes), "float32")
        columns[:, present] = weights[:, present * self.sub_centers + dominant[present]]
        return columns
