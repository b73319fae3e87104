"""Several losses at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_similarity import miners as miners_module
from keras_similarity.losses.metric_loss import register, registry
from keras_similarity.losses.two_views import TwoViewLoss
from keras_similarity.losses.wrapper import LossWrapper
from keras_similarity.miners import Miner
from keras_similarity.pairs import Pairs

Tensor = Any
Parts = Sequence[Any] | Mapping[str, Any]


@register("multiple_losses")
class MultipleLosses(LossWrapper):
    """The weighted sum of several losses of the same batch.

    Args:
        losses: List of losses, or dict of losses by name; each an object, a name or a
            config.
        miners: A miner for each loss, in a list of as many, in which `None` stands for
            none, or in a dict by the names of the losses, which may leave some out.
        weights: What each loss is multiplied by, alike; 1 by default.
        **kwargs: `name` and `dtype`, as Keras' losses.

    Call arguments:
        y_true: As for each loss; so are `y_pred` and the others. `pairs` are given to
            each loss, and only where there are no `miners`.

    Raises:
        TypeError: If an option of the losses inside is given here.
        ValueError: If there are no losses, or miners or weights do not fit them.

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import MultipleLosses
        >>> labels, embeddings = np.array([0, 0, 1]), np.eye(3, dtype="float32")
        >>> loss = MultipleLosses(["contrastive", "nt_xent"], weights=[1.0, 0.5])
        >>> round(float(loss(labels, embeddings)), 3)
        1.761
    """

    default_name = "multiple_losses"
    is_row_wise = False  # Each loss inside reduces its own values.

    def __init__(
        self,
        losses: Parts,
        miners: Parts | None = None,
        weights: Parts | None = None,
        **kwargs: Any,
    ) -> None:
        self.losses = _map(losses, registry.get)
        if not self.losses:
            raise ValueError("`losses` must hold one loss at least. Received: none.")
        super().__init__(_values(self.losses), **kwargs)
        self.miners = _aligned("miners", miners, self.losses, None, _miner)
        self.weights = _aligned("weights", weights, self.losses, 1.0, float)
        self._has_miners = miners is not None
        for loss, miner in zip(self.inner_losses, _values(self.miners), strict=True):
            if miner is not None and isinstance(loss, (LossWrapper, TwoViewLoss)):
                raise ValueError(
                    "`miners` cannot be used with a loss that makes pairs of its own. "
                    f"Received: one for {type(loss).__name__}. Give it to that loss."
                )

    @property
    def takes_pairs(self) -> bool:  # type: ignore[override]
        return all(loss.takes_pairs for loss in self.inner_losses)

    @property
    def is_stateful(self) -> bool:  # type: ignore[override]
        return any(loss.is_stateful for loss in self.inner_losses)

    def __call__(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        *,
        key_labels: Any = None,
        key_embeddings: Any = None,
        pairs: Pairs | None = None,
    ) -> Tensor:
        if self._has_miners and pairs is not None:
            raise ValueError(
                "`pairs` must be None where there are `miners`. Received: "
                f"pairs of the class {type(pairs).__name__}."
            )
        keys = {"key_labels": key_labels, "key_embeddings": key_embeddings}
        total: Any = 0.0
        for loss, miner, weight in zip(
            self.inner_losses, _values(self.miners), _values(self.weights), strict=True
        ):
            if miner is None:
                value = loss(y_true, y_pred, sample_weight, pairs=pairs, **keys)
            else:
                batch = loss._batch(y_true, y_pred, **keys)
                batch = batch.with_pairs(miner.mine_batch(batch))
                value = loss.of_batch(batch, sample_weight)
            total = total + value * weight
        return total

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The weighted sum of what `call` of each loss gives."""
        return sum(
            loss.call(y_true, y_pred) * weight
            for loss, weight in zip(self.inner_losses, _values(self.weights), strict=True)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "losses": _map(self.losses, registry.serialize),
            "miners": _map(self.miners, _miner_config) if self._has_miners else None,
            "weights": self.weights,
        }


def _miner(miner: Any) -> Miner | None:
    return None if miner is None else miners_module.get(miner)


def _miner_config(miner: Miner | None) -> dict[str, Any] | None:
    return None if miner is None else miners_module.serialize(miner)


def _map(parts: Parts, function: Any) -> Any:
    if isinstance(parts, Mapping):
        return {name: function(part) for name, part in parts.items()}
    return [function(part) for part in parts]


def _values(parts: Any) -> list[Any]:
    return list(parts.values() if isinstance(parts, Mapping) else parts)


def _aligned(name: str, parts: Any, losses: Any, default: Any, make: Any) -> Any:
    """A part for each loss, in the form in which the losses are."""
    if parts is None:
        return _map(losses, lambda loss: default)
    is_named = isinstance(losses, Mapping)
    if isinstance(parts, Mapping) != is_named:
        raise ValueError(
            f"`{name}` must be a {'dict' if is_named else 'list'}, as `losses`. "
            f"Received: {type(parts).__name__}."
        )
    if is_named and not set(parts) <= set(losses):
        raise ValueError(
            f"`{name}` must have names of `losses`, {', '.join(losses)}. Received: "
            f"{', '.join(map(str, parts))}."
        )
    if not is_named and len(parts) != len(losses):
        raise ValueError(
            f"`{name}` must hold one for each of {len(losses)} losses. Received: "
            f"{len(parts)}."
        )
    if is_named:
        return {key: make(parts.get(key, default)) for key in losses}
    return [make(part) for part in parts]
