"""What can be wrong with a loss: one check each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_similarity.backend import framework, keras, ops
from keras_similarity.losses import MetricLoss
from keras_similarity.losses.class_weight_loss import ClassWeightLoss
from keras_similarity.pairs import Pairs, pairs_from_labels
from keras_similarity.testing.backend import gradient, jit_with_gradient
from keras_similarity.testing.subject import Subject, plain_call

Check = Callable[[Subject], Iterator[str]]

#: What each check is called, in the order in which they run.
CHECKS: dict[str, Check] = {}

# Two float32 computations of one value.
_SAME = 1e-4
_ALL = slice(None)


def check(name: str) -> Callable[[Check], Check]:
    """Registers a check, which yields a sentence for each fault that it finds."""

    def add(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return add


@check("gradient")
def gradient_is_the_slope(subject: Subject) -> Iterator[str]:
    """The gradient is that of the value, against finite differences."""
    # The one backend on which `keras.ops` keeps float64 throughout.
    is_wide = framework() == "tensorflow"
    x = subject.embeddings.astype("float64" if is_wide else "float32")
    steps = (1e-4, 1e-5, 1e-6) if is_wide else (1e-2, 3e-3, 1e-3, 3e-4)
    tolerance = 1e-4 if is_wide else 3e-2
    random = np.random.default_rng(0)
    misses = []
    for spread in (0.0, 0.1, 0.1):  # A batch may lie on a kink, three hardly all do.
        point = x + (spread * random.normal(size=x.shape)).astype(x.dtype)
        slope = subject.slope(point)
        direction = random.normal(size=x.shape).astype(x.dtype)
        direction /= np.linalg.norm(direction)
        expected = float((slope * direction).sum())
        found = [_difference_quotient(subject, point, direction, step) for step in steps]
        # A step may cross a kink or a jump, or drown in rounding: one must agree.
        nearest = min(found, key=lambda number: abs(number - expected))
        scale = max(float(np.linalg.norm(slope)), 1e-3)
        if not abs(nearest - expected) <= tolerance * scale:
            misses.append((expected, nearest))
    if len(misses) > 1:
        expected, nearest = misses[0]
        yield (
            f"the gradient along a direction is {expected:.4g}, but the value changes "
            f"by {nearest:.4g} a step: is something detached that should not be?"
        )


@check("repeat")
def second_call_is_like_the_first(subject: Subject) -> Iterator[str]:
    """A loss can be called again, and what it remembers has no gradient."""
    try:
        first, again = subject.number(), subject.number()
        slope, slope_again = subject.slope(), subject.slope()
    except Exception as error:
        yield (
            f"a second call fails ({_first_line(error)}): is what the loss remembers of "
            "an earlier batch detached, and kept in its head's variables?"
        )
        return
    if getattr(subject.loss, "is_stateful", False):
        return
    if _differ(first, again) or not np.allclose(slope, slope_again, atol=1e-5):
        yield f"a second call with the same batch gives {again:.6g}, not {first:.6g}"


@check("jit")
def jitted_is_eager(subject: Subject) -> Iterator[str]:
    """Compiled by the backend, the loss gives the same value and gradient."""
    expected, slope = subject.number(), subject.slope()
    labels = ops.convert_to_tensor(subject.labels.astype("int32"))
    x = ops.convert_to_tensor(subject.embeddings)
    full_graph = not getattr(subject.loss, "breaks_torch_graph", False)
    compiled = jit_with_gradient(subject.value, full_graph=full_graph)
    try:
        value, found_slope = map(ops.convert_to_numpy, compiled(x, labels))
    except Exception as error:
        yield (
            f"it cannot be compiled ({_first_line(error)}): a Python branch or NumPy on "
            "a tensor?"
        )
        return
    if _differ(float(value), expected):
        yield f"compiled it gives {value:.6g}, eagerly {expected:.6g}"
    # One value at the edge of a bin or on a kink may round to its other side.
    elif _slopes_differ(found_slope, slope, 1e-2):
        yield "compiled it has another gradient than eagerly"


@check("permutation")
def order_of_rows_is_nothing(subject: Subject) -> Iterator[str]:
    """Rows in another order change nothing but the order."""
    order = np.random.default_rng(1).permutation(len(subject.labels))
    expected = subject.number()
    found = subject.number(subject.embeddings[order], subject.labels[order])
    if _differ(found, expected):
        yield (
            f"with the rows in another order it gives {found:.6g}, not {expected:.6g}: "
            "it looks at the position of rows in the batch"
        )


@check("keys")
def order_of_keys_is_nothing(subject: Subject) -> Iterator[str]:
    """Keys in another order change nothing, so nothing hangs on a diagonal."""
    loss = subject.loss
    if not _takes_keys(subject):
        return
    expected = float(_against_keys(subject, loss, None if loss.takes_pairs else _ALL))
    if loss.takes_pairs and _differ(expected, subject.number()):
        yield (
            f"with pairs in place of the labels it gives {expected:.6g}, not "
            f"{subject.number():.6g}: it does not take its pairs from `pairs`"
        )
    order = np.roll(np.arange(len(subject.labels)), 1)
    found = float(_against_keys(subject, loss, order))
    if _differ(found, expected):
        yield (
            f"with the keys in another order it gives {found:.6g}, not {expected:.6g}: "
            "it counts, or leaves out, the diagonal, where a key need not be the anchor"
        )


@check("split")
def blocks_of_anchors_add_up(subject: Subject) -> Iterator[str]:
    """An anchor's loss hangs on its own row alone, where the loss says so."""
    loss, half = subject.loss, len(subject.labels) // 2
    if not isinstance(loss, MetricLoss) or not loss.is_row_wise or _mines(loss):
        return
    each, measure = _unreduced(loss), _measure(subject)
    if measure is None and subject.call is not plain_call:
        return  # It may reduce the values itself.
    whole = subject.value(loss=each) if measure is None else measure(subject, each)
    if tuple(whole.shape) != subject.labels.shape:
        yield (
            'with `reduction="none"` it has no value for each anchor: it should declare '
            "`is_row_wise = False`"
        )
        return
    if measure is None:
        return
    parts = [
        ops.convert_to_numpy(measure(subject, each, rows=rows))
        for rows in (slice(0, half), slice(half, None))
    ]
    whole = ops.convert_to_numpy(whole)
    if not np.allclose(np.concatenate(parts), whole, rtol=_SAME, atol=_SAME):
        yield (
            "half of the anchors against all keys have other losses than in the whole "
            "batch: it is a global loss, and should declare `is_row_wise = False`"
        )


@check("labels")
def labels_are_compared_exactly(subject: Subject) -> Iterator[str]:
    """Labels that only an integer can tell apart are told apart."""
    if subject.has_classes:
        return
    expected = subject.number()
    for offset, what in ((2**24, "float32"), (2**53, "float64")):
        shifted = subject.labels.astype("int64") + offset
        found = subject.number(labels=shifted)
        if _differ(found, expected):
            yield (
                f"with labels from {offset} on it gives {found:.6g}, not "
                f"{expected:.6g}: it compares labels as {what} or narrower"
            )
            return


@check("precision")
def precision_is_that_of_float32(subject: Subject) -> Iterator[str]:
    """Half-precision embeddings give the float32 value of what they hold.

    So they do the gradient, which is in half precision itself.
    """
    for dtype in ("bfloat16", "float16"):
        half = ops.cast(ops.convert_to_tensor(subject.embeddings), dtype)
        rounded = ops.convert_to_numpy(ops.cast(half, "float32"))
        value = subject.value(half)
        kept = keras.backend.standardize_dtype(value.dtype)
        found = float(ops.convert_to_numpy(ops.cast(value, "float32")))
        expected = subject.number(rounded)
        if kept != "float32" or _differ(found, expected):
            yield (
                f"{dtype} embeddings give {found:.6g} in {kept}; their values in float32 "
                f"give {expected:.6g}: it computes in less than float32"
            )
            return
        slope = gradient(lambda x, to=dtype: subject.value(ops.cast(x, to)), rounded)
        if _slopes_differ(slope, subject.slope(rounded), 2e-2):
            yield f"the gradient of {dtype} embeddings is not that of their values"
            return
    wide, narrow = subject.number(subject.embeddings.astype("float64")), subject.number()
    if _differ(wide, narrow):
        yield f"float64 embeddings give {wide:.6g}, float32 ones {narrow:.6g}"


@check("degenerate")
def degenerate_batches_are_finite(subject: Subject) -> Iterator[str]:
    """Value and gradient are finite whatever the batch looks like.

    Of embeddings of norm 1e20 the value may lie beyond float32, and is infinite then.
    """
    for what, function, x in _degenerate_batches(subject):
        value = float(ops.convert_to_numpy(function(x)))
        slope = gradient(function, x)
        saturates = value == np.inf and "1e20" in what
        if not np.isfinite(value) and not saturates:
            yield f"the value is {value} on a batch with {what}"
        elif not np.isfinite(slope).all():
            yield f"the gradient is not finite on a batch with {what}"


@check("config")
def config_gives_the_loss_back(subject: Subject) -> Iterator[str]:
    """`get_config`, through JSON, makes a loss with equal values."""
    loss = subject.loss
    if not hasattr(loss, "get_config"):
        yield "it has no `get_config`"
        return
    try:
        config = json.loads(json.dumps(loss.get_config()))
        copy = type(loss).from_config(config)
    except Exception as error:
        yield f"its config does not make one again ({_first_line(error)})"
        return
    again = json.loads(json.dumps(copy.get_config()))
    if again != config:
        changed = [name for name in config if again.get(name) != config[name]]
        yield f"its config comes back changed: {', '.join(changed)}"
        return
    _copy_variables(loss, copy)
    found, expected = subject.number(loss=copy), subject.number()
    if _differ(found, expected):
        yield (
            f"made from its config it gives {found:.6g}, not {expected:.6g}: an argument "
            "is missing in `get_config`"
        )


def _difference_quotient(
    subject: Subject, point: Any, direction: Any, step: float
) -> float:
    shift = step * direction
    return (subject.number(point + shift) - subject.number(point - shift)) / (2 * step)


def _degenerate_batches(subject: Subject) -> Iterator[tuple[str, Any, Any]]:
    """What is special about a batch, the loss as a function of embeddings, and those."""
    for what, labels, x in _batches_of_labels(subject):
        yield what, lambda x, labels=labels: subject.value(x, labels), x
    loss = subject.loss
    # The pairs of what only remembers are not all that it looks at.
    if not isinstance(loss, MetricLoss) or (loss.is_stateful and not loss.takes_pairs):
        return
    labels = subject.labels if _needs_labels(subject) else None
    empty = np.zeros((len(subject.labels),) * 2, dtype=bool)

    def without_pairs(x: Any) -> Any:
        return loss(labels, x, pairs=_tensors(empty, empty))

    if not _refuses(lambda: without_pairs(subject.embeddings)):
        yield "pairs that are none", without_pairs, subject.embeddings


def _batches_of_labels(subject: Subject) -> Iterator[tuple[str, Any, Any]]:
    labels, x = subject.labels, subject.embeddings
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    yield "coincident points", labels, np.ones_like(x)
    yield "zero vectors", labels, np.zeros_like(x)
    yield "one zero vector", labels, np.where(np.arange(len(x))[:, None] == 1, 0, x)
    yield "one class only", np.zeros_like(labels), x
    yield "one row", labels[:1], x[:1]
    if not subject.has_classes:
        yield "all labels different", np.arange(len(labels)), x
    yield "embeddings of norm 1e-20", labels, (unit * 1e-20).astype("float32")
    yield "embeddings of norm 1e20", labels, (unit * 1e20).astype("float32")


def _mines(loss: MetricLoss) -> bool:
    """Does it choose among the pairs, by itself or in a loss inside?"""
    miners = getattr(loss, "miners", ())
    own = miners.values() if isinstance(miners, dict) else miners
    inner = any(_mines(inner) for inner in getattr(loss, "inner_losses", ()))
    return inner or any(miner is not None for miner in (loss.miner, *own))


def _takes_keys(subject: Subject) -> bool:
    """Can it be called with keys? A loss that says that it takes pairs must."""
    loss = subject.loss
    if not isinstance(loss, MetricLoss) or _mines(loss):
        return False
    return loss.takes_pairs or not _refuses(lambda: _against_keys(subject, loss))


def _refuses(call: Callable[[], Any]) -> bool:
    try:
        call()
    except (TypeError, ValueError):
        return True
    return False


def _needs_labels(subject: Subject) -> bool:
    return subject.needs_labels or not subject.loss.takes_pairs


def _against_keys(
    subject: Subject, loss: MetricLoss, keys: Any = _ALL, rows: Any = _ALL
) -> Any:
    """The loss of anchors, by pairs if it takes them; the batch is its keys if `None`."""
    x = subject.embeddings
    given: dict[str, Any] = {}
    labels = subject.labels if _needs_labels(subject) else None
    if keys is not None:
        given["key_embeddings"] = x[keys]
        given["key_labels"] = None if labels is None else labels[keys]
    if loss.takes_pairs:
        columns = _ALL if keys is None else keys
        masks = (mask[rows][:, columns] for mask in _pairs(subject))
        given["pairs"] = _tensors(*masks)
    return loss(None if labels is None else labels[rows], x[rows], **given)


def _unreduced(loss: MetricLoss) -> Any:
    """The loss with the same variables and a value for each row, of it alone."""
    each = object.__new__(type(loss))  # `copy` would make another from its config.
    each.__dict__.update(
        loss.__dict__,
        reducer=None,
        reduction="none",
        embedding_regularizer=None,
        weight_regularizer=None,
    )
    return each


def _measure(subject: Subject) -> Any:
    """What gives the losses of some anchors against all keys; `None` if nothing does."""
    if isinstance(subject.loss, ClassWeightLoss):
        return _rows_alone
    return _against_keys if _takes_keys(subject) else None


def _rows_alone(subject: Subject, loss: ClassWeightLoss, rows: Any = _ALL) -> Any:
    """Its keys are its weights."""
    return loss(subject.labels[rows], subject.embeddings[rows])


def _pairs(subject: Subject) -> tuple[Any, Any]:
    pairs = pairs_from_labels(subject.labels)
    masks = (pairs.positive_mask, pairs.negative_mask)
    return tuple(ops.convert_to_numpy(mask) for mask in masks)


def _tensors(positive_mask: Any, negative_mask: Any) -> Pairs:
    return Pairs(
        ops.convert_to_tensor(positive_mask), ops.convert_to_tensor(negative_mask)
    )


def _copy_variables(source: Any, target: Any) -> None:
    pairs = zip(
        getattr(source, "variables", ()), getattr(target, "variables", ()), strict=True
    )
    for variable, copy in pairs:
        copy.assign(ops.copy(ops.convert_to_tensor(variable)))


def _differ(a: float, b: float) -> bool:
    return not np.isclose(a, b, rtol=_SAME, atol=_SAME, equal_nan=True)


def _slopes_differ(found: Any, expected: Any, tolerance: float) -> bool:
    bound = tolerance * max(float(np.abs(expected).max()), 1e-3)
    return not np.abs(found - expected).max() <= bound


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:120] if text else ''}"
