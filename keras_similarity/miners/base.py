"""What all miners share: pairs in, harder pairs out."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from keras_similarity import distances
from keras_similarity.backend import keras, ops
from keras_similarity.distances import Distance, LpDistance
from keras_similarity.pairs import Batch, Pairs
from keras_similarity.registry import Registry

Tensor = Any


class Miner:
    """Chooses among the pairs of a batch those that teach most.

    Give it to a loss (`miner=`), or call it with labels and embeddings for the `Pairs`
    that a loss takes as `pairs=`. No gradient flows through the choice.

    A subclass writes `mine`, from costs and pairs to pairs of the same shape, or
    `mine_batch` if it looks at the embeddings too.

    Args:
        distance: A `Distance` or its name. `None` shares the loss's; called by itself, a
            miner without one uses `default_distance`.

    Raises:
        ValueError: If the miner cannot use the distance.
    """

    default_distance: ClassVar[type[Distance]] = LpDistance

    def __init__(self, distance: Distance | str | None = None) -> None:
        self.distance: Distance | None = None
        if distance is not None:
            self.distance = self._checked_distance(distances.get(distance))

    def mine(self, cost: Tensor, pairs: Pairs) -> Pairs:
        """The pairs that are kept.

        Args:
            cost: Cost `[n, M]` of anchors and keys, smaller is closer.
            pairs: Pairs `[n, M]` to choose from.
        """
        raise TypeError(f"{type(self).__name__} must define `mine` or `mine_batch`.")

    def mine_batch(self, batch: Batch) -> Pairs:
        """The pairs of a batch that are kept; a loss calls this."""
        return self.mine(ops.stop_gradient(batch.cost_of(self.distance)), batch.pairs)

    def __call__(
        self,
        labels: Any,
        embeddings: Any,
        key_labels: Any = None,
        key_embeddings: Any = None,
        *,
        pairs: Pairs | None = None,
    ) -> Pairs:
        """The pairs of a batch that are kept.

        Args:
            labels: Integers `[N]`; `None` if `pairs` are given.
            embeddings: Anchors `[N, D]`.
            key_labels: Integers `[M]` of `key_embeddings`.
            key_embeddings: Keys `[M, D]` that take the place of the batch.
            pairs: Pairs to choose from, in place of those that the labels make.

        Raises:
            TypeError: If labels are no integers, or stand where the embeddings belong.
            ValueError: If shapes do not fit.
        """
        distance = self.distance or self.default_distance()
        return self.mine_batch(
            Batch(
                labels,
                embeddings,
                key_labels,
                key_embeddings,
                pairs=pairs,
                distance=distance,
            )
        )

    def distance_in(self, batch: Batch) -> Distance:
        """The distance that the costs of a batch are measured by."""
        return self.distance or batch.distance

    @property
    def seed_generator(self) -> keras.random.SeedGenerator | None:
        """Where the miner draws from, if it draws; its state lives with the loss."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        distance = self.distance
        return {"distance": None if distance is None else distances.serialize(distance)}

    def _checked_distance(self, distance: Distance) -> Distance:
        """The distance, or a `ValueError` if the miner cannot use it."""
        return distance

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)


registry = Registry("miner", Miner)
register = registry.register
