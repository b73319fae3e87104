"""Does a loss keep the rules?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from keras_similarity.testing.checks import faults_of, raise_faults
from keras_similarity.testing.faults import CHECKS
from keras_similarity.testing.subject import Subject


def find_faults(
    loss: Any,
    labels: Any = None,
    embeddings: Any = None,
    *,
    call: Callable[..., Any] | None = None,
    skip: Sequence[str] = (),
) -> dict[str, list[str]]:
    """What a loss does wrong: sentences, by the name of the check that found them.

    Args:
        loss: A `MetricLoss`, or anything that is called as `loss(labels, embeddings)`
            and gives a scalar.
        labels: Integers `[N]` to try it with; by default 12 rows of 5 classes.
        embeddings: Floats `[N, D]`; by default random, of the width
            `loss.embedding_size` if the loss has that.
        call: `call(loss, labels, embeddings)` gives the value, for a loss that is called
            in another way.
        skip: Names of checks to leave out, for a loss that means to break a rule.

    Returns:
        Empty if nothing was found.

    Raises:
        ValueError: If `skip` names no check.
    """

    def run(name: str, check: Callable[[Subject], Iterator[str]]) -> list[str]:
        # What remembers batches must not remember ours, but where that is the question.
        subject = Subject.of(loss, labels, embeddings, call)
        with _training(loss, name == "repeat"):
            return list(check(subject))

    return faults_of(CHECKS, skip, run)


@contextmanager
def _training(loss: Any, is_training: bool) -> Iterator[None]:
    if not getattr(loss, "is_stateful", False):
        yield
        return
    before, loss.training = loss.training, is_training
    try:
        yield
    finally:
        loss.training = before


def check_loss(
    loss: Any,
    labels: Any = None,
    embeddings: Any = None,
    *,
    call: Callable[..., Any] | None = None,
    skip: Sequence[str] = (),
) -> None:
    """Raises an `AssertionError` that says what a loss does wrong, if anything.

    For tests, of our losses and of your own. On the backend that Keras runs on:

    - `gradient`: the gradient is that of the value, against finite differences;
    - `repeat`: a second call works, and gives the same;
    - `jit`: compiled, it gives the same value and gradient (on torch it is traced, and
      the graph runs as it is, without `inductor`);
    - `permutation`: the order of rows changes nothing;
    - `keys`: neither does the order of keys, so that nothing hangs on a diagonal;
    - `split`: half of the anchors against all keys have the losses that they have in the
      whole batch, unless the loss declares `is_row_wise = False` (of a loss that refuses
      keys only that each anchor has one);
    - `labels`: ids that floats cannot tell apart are told apart;
    - `precision`: half-precision embeddings give the float32 value and gradient of what
      they hold;
    - `degenerate`: value and gradient are finite on coincident points, zero vectors, one
      class, all labels different, one row, pairs that are none, and embeddings of norm
      1e-20 and 1e20;
    - `config`: `get_config`, through JSON, makes a loss with equal values.

    Args:
        loss: As `find_faults`. So are the other arguments.
        labels: Integers `[N]` to try it with.
        embeddings: Floats `[N, D]`.
        call: How the loss is called.
        skip: Names of checks to leave out.

    Raises:
        AssertionError: If a check found something.
        ValueError: If `skip` names no check.

    Example:
        >>> from keras_similarity.losses import TripletLoss
        >>> from keras_similarity.testing import check_loss
        >>> check_loss(TripletLoss(margin=0.5))
    """
    found = find_faults(loss, labels, embeddings, call=call, skip=skip)
    raise_faults(type(loss).__name__, found, CHECKS)
