"""How evenly embeddings fill the sphere."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_similarity.array_ops import NUMPY
from keras_similarity.distances import SquaredEuclideanDistance
from keras_similarity.distances.normalize import unit
from keras_similarity.set_metrics.base import SetMetric, register
from keras_similarity.set_metrics.rows import Rows, Tile
from keras_similarity.set_metrics.weighing import sums_of_rows
from keras_similarity.types import Floats

# Multiplications up to which each pair is weighed by itself: about a second.
_EXACT_PRODUCTS = 2**34


@register("uniformity")
class Uniformity(SetMetric):
    """Uniformity: `log mean exp(-t ||x - y||^2)` over all pairs, on the sphere.

    Smaller is more even: 0 if all embeddings are one point, about `-2 t` at best with
    many dimensions. Embeddings are scaled to length 1 first, and the distance asked for
    plays no role; nor do labels, unless classes were drawn (see `SetMetric`). Copies of
    a row are a pair, at 0. NaN with less than two rows. With weights, a pair of a large
    set (`N**2 R > 2**34`) weighs `w_i + w_j - 1`.

    Args:
        t: Sharpness, greater than 0; the paper's is 2.
        name: Name of the object.

    Raises:
        ValueError: If `t` is not greater than 0.

    Reference:
        [Wang and Isola, 2020](https://arxiv.org/abs/2005.10242)

    Example:
        >>> from keras_similarity.set_metrics import Uniformity
        >>> round(Uniformity().compute([[1.0, 0.0], [0.0, 1.0]], None), 3)
        -4.0
    """

    default_name = "uniformity"
    needs_labels = False

    def __init__(self, t: float = 2.0, name: str | None = None) -> None:
        super().__init__(name)
        if not 0 < t < np.inf:
            raise ValueError(f"`t` must be greater than 0. Received: t={t}.")
        self.t = float(t)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "t": self.t}

    def summarize(self, rows: Rows) -> Floats:
        """Weighted sums `[R, 2]` over pairs: of the kernel, and of 1."""
        on_sphere = dataclasses.replace(
            rows,
            embeddings=unit(rows.embeddings, NUMPY),
            key_embeddings=unit(rows.key_embeddings, NUMPY),
            distance=SquaredEuclideanDistance(),
        )
        if rows.weights is None:
            parts = [
                self._kernel(tile).sum(axis=(1, 2)) for tile in on_sphere.tiles(once=True)
            ]
            return np.sum(parts, axis=0, keepdims=True) if parts else np.zeros((1, 2))
        is_exact = rows.pairs * rows.draws <= _EXACT_PRODUCTS and rows.is_self
        within, between = np.zeros((2, len(rows.labels), 2))
        products = np.zeros((rows.draws, 2))
        for tile in on_sphere.tiles():
            kernel = self._kernel(tile)
            same = rows.draws_classes & tile.positive
            within[tile.queries] += (kernel * same).sum(axis=2).T
            if is_exact:
                products += _products(rows, tile, kernel * ~same)
            else:
                between[tile.queries] += (kernel * ~same).sum(axis=2).T
        sums = sums_of_rows(rows, within, same_class=True) if rows.draws_classes else 0.0
        return sums + (
            products if is_exact else sums_of_rows(rows, between, same_class=False)
        )

    def value(self, summary: Floats) -> Floats:
        total, count = summary.T
        with np.errstate(divide="ignore"):
            mean = np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan)
            return np.log(mean)

    def _kernel(self, tile: Tile) -> Floats:
        """Values and ones `[2, n, m]` of the pairs that count; 0 elsewhere."""
        kernel = np.ones((2, *tile.costs.shape))
        np.exp(-self.t * tile.costs, out=kernel[0])
        return kernel if tile.counted is None else kernel * tile.counted


def _products(rows: Rows, tile: Tile, values: Floats) -> Floats:
    """Sums `[R, 2]` of the values `[2, n, m]`, each times `w_i * w_j`."""
    query, key = rows.weights_of(tile.queries), rows.weights_of(tile.keys)
    sums = [np.einsum("rn,rn->r", query @ part, key) for part in values if part.size]
    return np.stack(sums, axis=1)
