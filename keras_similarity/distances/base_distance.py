"""The base of PyTorch Metric Learning's distances, and of distances made for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from keras_similarity.array_ops import NUMPY, Array, Namespace, namespace
from keras_similarity.backend import keras_problem, require_keras
from keras_similarity.distances.base import Distance, as_floats
from keras_similarity.distances.normalize import unit
from keras_similarity.distances.powers import absolute, raised
from keras_similarity.distances.stats import is_collecting, is_concrete
from keras_similarity.registry import register_serializable


@register_serializable
class BaseDistance(Distance):
    """A distance with PyTorch Metric Learning's options and methods.

    A subclass gives `compute_mat(query, ref)` `[N, M]` and, unless the matrix's diagonal
    is good enough, `pairwise_distance(query, ref)` `[N]`, with `keras.ops` or functions
    of the backend; it then serves everywhere that a `Distance` does. Embeddings are
    normalised before, and values raised to `power` after. For NumPy arrays they are
    given tensors, and their answer is made an array again, where Keras can be used. A
    `compute_mat` that takes arrays as well, and any leading axes, may say so by
    `takes_any_array = True`: it is then given what comes, and serves `paired` too.

    Args:
        normalize_embeddings: Scale embeddings to p-norm 1 first?
        p: Which norm; from 1.
        power: Exponent of the values; greater than 0.
        is_inverted: Does larger mean closer? Also known as `is_similarity`.
        collect_stats: Keep the average norms of the last call, before and after
            normalising, as `initial_avg_query_norm`, `initial_avg_ref_norm`,
            `final_avg_query_norm` and `final_avg_ref_norm`? `None` asks
            `distances.stats.COLLECT_STATS`. Not within traced or compiled functions.
        name: Name of the object; the class's short name by default.

    Raises:
        ValueError: If `p` or `power` is out of range.

    Example:
        >>> from keras_similarity.distances import BaseDistance
        >>> class HalfManhattan(BaseDistance):
        ...     takes_any_array = True
        ...
        ...     def compute_mat(self, query, ref):
        ...         return abs(query[..., :, None, :] - ref[..., None, :, :]).sum(-1) / 2
        >>> distance = HalfManhattan(normalize_embeddings=False)
        >>> distance([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
        [[3.5]]
    """

    takes_any_array: ClassVar[bool] = False

    def __init__(
        self,
        normalize_embeddings: bool = True,
        p: float = 2,
        power: float = 1,
        is_inverted: bool = False,
        collect_stats: bool | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if not 1 <= p < float("inf"):
            raise ValueError(f"`p` must be finite and at least 1. Received: p={p}.")
        if power <= 0:
            raise ValueError(f"`power` must be greater than 0. Received: power={power}.")
        self.normalize_embeddings = normalize_embeddings
        self.p = p
        self.power = power
        self.is_similarity = is_inverted
        self.collect_stats = collect_stats

    @property
    def is_inverted(self) -> bool:
        """Does larger mean closer? The same as `is_similarity`."""
        return self.is_similarity

    @is_inverted.setter
    def is_inverted(self, value: bool) -> None:
        self.is_similarity = value

    def compute_mat(self, query: Array, ref: Array) -> Array:
        """Values `[N, M]` of `[N, D]` and `[M, D]` as they are: the formula alone."""
        raise NotImplementedError(
            f"`{type(self).__name__}` must define `compute_mat(query, ref)`."
        )

    def pairwise_distance(self, query: Array, ref: Array) -> Array:
        """Values `[N]` of each row and the one beside it: the formula alone.

        Unlike `paired`, it neither normalises nor raises to `power`. The diagonal of
        `compute_mat`, unless a subclass knows a shorter way.
        """
        return namespace(query, ref).diagonal(self.compute_mat(query, ref))

    def __call__(self, query: Array, key: Array | None = None) -> Array:
        distances = super().__call__(query, key)
        if is_collecting(self.collect_stats):
            self._keep_norms(query, query if key is None else key)
        return distances

    def matrix(self, query: Array, key: Array, ops: Namespace) -> Array:
        distances = self._formula(*self._normalized(query, key, ops), ops)
        return distances if self.power == 1 else distances**self.power

    def smallest_dist(self, *args: Any, **kwargs: Any) -> Array:
        """The nearest of some distances: `min`, or `max` of a similarity."""
        ops = namespace(*args)
        return (ops.max if self.is_similarity else ops.min)(*args, **kwargs)

    def largest_dist(self, *args: Any, **kwargs: Any) -> Array:
        """The farthest of some distances: `max`, or `min` of a similarity."""
        ops = namespace(*args)
        return (ops.min if self.is_similarity else ops.max)(*args, **kwargs)

    def margin(self, x: Array, y: Array) -> Array:
        """By how much `y` is closer than `x`: `x - y`, or `y - x` of similarities."""
        return y - x if self.is_similarity else x - y

    def normalize(self, embeddings: Array) -> Array:
        """Embeddings `[N, D]` scaled to p-norm 1; zero rows stay zero."""
        ops = namespace(embeddings)
        return unit(as_floats(embeddings, ops), ops, self.p)

    def maybe_normalize(self, embeddings: Array) -> Array:
        """Embeddings `[N, D]`, normalised if `normalize_embeddings` says so."""
        return self.normalize(embeddings) if self.normalize_embeddings else embeddings

    def get_norm(self, embeddings: Array) -> Array:
        """The p-norms `[N]` of embeddings `[N, D]`; the slope at 0 is 0."""
        ops = namespace(embeddings)
        sums = ops.sum(absolute(as_floats(embeddings, ops), ops) ** self.p, axis=-1)
        return raised(sums, 1 / self.p, ops)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "normalize_embeddings": self.normalize_embeddings,
            "p": self.p,
            "power": self.power,
            "is_inverted": self.is_inverted,
            "collect_stats": self.collect_stats,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        # Subclasses often decide `is_inverted` themselves and pass the rest on.
        arguments = dict(config)
        is_inverted = arguments.pop("is_inverted", None)
        distance = cls(**arguments)
        if is_inverted is not None:
            distance.is_similarity = is_inverted
        return distance

    def _normalized(
        self, query: Array, key: Array, ops: Namespace
    ) -> tuple[Array, Array]:
        if not self.normalize_embeddings:
            return query, key
        unit_query = unit(query, ops, self.p)
        return unit_query, unit_query if key is query else unit(key, ops, self.p)

    def _formula(self, query: Array, key: Array, ops: Namespace) -> Array:
        if self.takes_any_array:
            return self.compute_mat(query, key)
        if len(query.shape) == 2:
            return _on_tensors(self.compute_mat, query, key, ops)
        # `paired` asks for N matrices of one row and one column.
        values = _on_tensors(self.pairwise_distance, query[:, 0], key[:, 0], ops)
        return values[:, None, None]

    def _keep_norms(self, query: Array, key: Array) -> None:
        for name, embeddings in (("query", query), ("ref", key)):
            if is_concrete(embeddings):
                raw = _average(self.get_norm(embeddings))
                unit_norm = _average(self.get_norm(self.maybe_normalize(embeddings)))
                setattr(self, f"initial_avg_{name}_norm", raw)
                setattr(self, f"final_avg_{name}_norm", unit_norm)


def _on_tensors(
    function: Callable[[Array, Array], Array], query: Array, key: Array, ops: Namespace
) -> Array:
    """What a function of tensors makes of tensors or NumPy arrays, as the same."""
    if ops is not NUMPY or keras_problem() is not None:
        return function(query, key)
    tensors = require_keras().ops
    found = function(tensors.convert_to_tensor(query), tensors.convert_to_tensor(key))
    return tensors.convert_to_numpy(found).astype(query.dtype)


def _average(norms: Array) -> float:
    ops = namespace(norms)
    norms = ops.mean(norms)
    return float(norms if ops is NUMPY else ops.convert_to_numpy(norms))
