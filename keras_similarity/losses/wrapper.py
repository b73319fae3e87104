"""What losses around other losses share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from keras_similarity.losses.head import LossHead
from keras_similarity.losses.metric_loss import MetricLoss, registry

# Classes whose formula sees keys through the pairs only, their subclasses included: it
# does not matter what stands where there is no pair.
PAIR_LOSSES = frozenset(
    {
        "AngularLoss",
        "CircleLoss",
        "ContrastiveLoss",
        "GeneralizedLiftedStructureLoss",
        "IntraPairVarianceLoss",
        "LiftedStructLoss",
        "LiftedStructureLoss",
        "MultiSimilarityLoss",
        "NCALoss",
        "NTXentLoss",
        "SignalToNoiseRatioContrastiveLoss",
        "SoftNearestNeighborLoss",
        "SupConLoss",
        "TripletLoss",
        "TripletMarginLoss",
        "TupletMarginLoss",
    }
)

_OPTIONS = frozenset(inspect.signature(MetricLoss).parameters)


class LossWrapper(MetricLoss):
    """A loss around other losses: their weights and their state are its own, too.

    Args:
        inner_losses: The losses inside, one at least.
        **kwargs: Those of `MetricLoss` that are in `own_options`.

    Raises:
        TypeError: If there is another one, which the losses inside would not see.
    """

    #: Those options of `MetricLoss` that are the wrapper's, not the inner losses'.
    own_options: ClassVar[frozenset[str]] = frozenset({"name", "dtype"})

    def __init__(self, inner_losses: Sequence[MetricLoss], **kwargs: Any) -> None:
        self._refuse_options_of_inner_losses(kwargs)
        # First: the base class says whether the loss is training.
        self.inner_losses = list(inner_losses)
        super().__init__(self.inner_losses[0].distance, **kwargs)

    @property
    def training(self) -> bool:
        """May the losses change their state? A similarity model says so each step."""
        return self._training

    @training.setter
    def training(self, training: bool) -> None:
        self._training = training
        for loss in self.inner_losses:
            loss.training = training

    @property
    def heads(self) -> list[LossHead]:
        inner = [head for loss in self.inner_losses for head in loss.heads]
        return [*super().heads, *inner]

    @property
    def breaks_torch_graph(self) -> bool:  # type: ignore[override]
        return any(loss.breaks_torch_graph for loss in self.inner_losses)

    def build(self, embedding_size: int) -> None:
        for loss in self.inner_losses:
            loss.build(embedding_size)

    def check_classes(self, labels: Any, name: str = "y_true") -> None:
        """Raises a `ValueError` if labels are no classes of a loss inside."""
        for loss in self.inner_losses:
            if hasattr(loss, "check_classes"):
                loss.check_classes(labels, name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("name", "dtype") if name in config}

    def _refuse_options_of_inner_losses(self, options: Mapping[str, Any]) -> None:
        for name in options:
            if name in _OPTIONS - self.own_options:
                raise TypeError(
                    f"`{name}` must not be given to {type(self).__name__}, which has "
                    f"none of its own. Received: {name}={options[name]!r}. Give it to "
                    "the inner loss."
                )


def pair_loss(
    loss: Any, needed_by: str, also: frozenset[str] = frozenset()
) -> MetricLoss:
    """The loss that an object, name or config means, if its formula is one of pairs.

    Args:
        loss: A `MetricLoss`, its name or its config.
        needed_by: The class that takes it, for the message.
        also: Names of classes that are allowed beside `PAIR_LOSSES`.

    Raises:
        ValueError: If its formula looks at anything but pairs.
    """
    loss = registry.get(loss)
    known = PAIR_LOSSES | also
    is_known = any(base.__name__ in known for base in type(loss).__mro__)
    # A formula in `anchor_losses` sees costs and masks, and nothing else.
    has_own_terms = type(loss).sub_losses is not MetricLoss.sub_losses
    has_formula = type(loss).anchor_losses is not MetricLoss.anchor_losses
    if not is_known and (has_own_terms or not has_formula):
        raise ValueError(
            f"`loss` of {needed_by} must be one that is about pairs: one of "
            f"{', '.join(sorted(known))}, a subclass of one, or a loss of your own that "
            f"defines `anchor_losses`. Received: {type(loss).__name__}."
        )
    return loss
