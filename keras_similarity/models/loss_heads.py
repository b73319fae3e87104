"""The variables of losses as a part of the model that is trained with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from keras_similarity.array_ops import is_host_data
from keras_similarity.backend import keras
from keras_similarity.losses import MetricLoss
from keras_similarity.losses.head import LossHead

# The model's attribute by which Keras finds the heads, to train and save them.
_NAME = "loss_heads"


def losses_of(loss: Any) -> list[Any]:
    """The losses of what `compile` takes: one, or a structure of them."""
    return [each for each in keras.tree.flatten(loss) if each is not None]


def heads_of(loss: Any) -> list[LossHead]:
    """The heads of all losses of a structure, each once."""
    heads = [head for each in losses_of(loss) for head in getattr(each, "heads", ())]
    return list({id(head): head for head in heads}.values())


def build_losses(loss: Any, outputs: Any, *, size: int | None) -> None:
    """Tells losses how wide the embeddings are that they will see.

    Args:
        loss: What `compile` takes.
        outputs: Outputs of the model, a tensor or a structure; `None` if not known.
        size: Width of the output that is the embedding; `None` if not known.

    Raises:
        ValueError: If a loss is for another width.
    """
    sizes: Any = None
    if outputs is not None:
        sizes = keras.tree.map_structure(lambda output: output.shape[-1], outputs)
    if isinstance(loss, dict) and isinstance(sizes, dict):
        pairs = [(loss[name], sizes.get(name)) for name in loss]
    elif isinstance(loss, (list, tuple)) and isinstance(sizes, (list, tuple)):
        pairs = list(zip(loss, sizes, strict=False))
    else:
        pairs = [(each, size) for each in losses_of(loss)]
    for each, width in pairs:
        if isinstance(each, MetricLoss) and width is not None:
            each.build(width)


@contextmanager
def attached_heads(model: Any, heads: Sequence[LossHead]) -> Iterator[None]:
    """Makes heads layers of a model, in place of those that it had.

    If what happens inside fails, the model is as it was before.
    """
    before = dict(model.__dict__)
    old = list(before.pop(_NAME, ()))
    _attach(model, heads)
    try:
        yield
    except BaseException:
        for name in set(model.__dict__) - set(before) - {_NAME}:
            del model.__dict__[name]
        model.__dict__.update(before)
        _attach(model, old)
        raise


@contextmanager
def training_mode(loss: Any, training: bool) -> Iterator[None]:
    """Tells losses whether they may change their state, while a step is made."""
    losses = [each for each in losses_of(loss) if hasattr(each, "training")]
    modes = [each.training for each in losses]
    try:
        for each in losses:
            each.training = training
        yield
    finally:
        for each, mode in zip(losses, modes, strict=True):
            each.training = mode


def check_classes(loss: Any, y: Any) -> None:
    """Raises a `ValueError` if labels are not the classes that a loss knows.

    Within a compiled step nobody can; here only where `y` is one array, of the host's.
    """
    if hasattr(loss, "check_classes") and y is not None and is_host_data(y):
        loss.check_classes(y, name="y")


def _attach(model: Any, heads: Sequence[LossHead]) -> None:
    old = model.__dict__.get(_NAME)
    if old is None and not heads:
        return
    tracker = model._tracker
    was_locked = tracker.locked
    # A subclassed model takes no more layers once it is built. (Nothing public
    # unlocks it.)
    tracker.unlock()
    try:
        if old is not None:
            old.clear()  # Also takes them out of the model's layers.
        setattr(model, _NAME, list(heads))
    finally:
        if was_locked:
            tracker.lock()
