"""What can be wrong with a loss: one check each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_similarity.backend import framework, keras, ops
from keras_similarity.losses import MetricLoss
from keras_similarity.pairs import Pairs, pairs_from_labels
from keras_similarity.testing.backend import jit
from keras_similarity.testing.subject import Subject

Check = Callable[[Subject], Iterator[str]]

#: What each check is called, in the order in which they run.
CHECKS: dict[str, Check] = {}

# Two float32 computations of one value.
_SAME = 1e-4


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
    """Compiled by the backend, the loss gives the same value."""
    expected = subject.number()
    labels = ops.convert_to_tensor(subject.labels.astype("int32"))
    x = ops.convert_to_tensor(subject.embeddings)
    full_graph = not getattr(subject.loss, "breaks_torch_graph", False)
    compiled = jit(lambda labels, x: subject.value(x, labels), full_graph=full_graph)
    try:
        found = float(ops.convert_to_numpy(compiled(labels, x)))
    except Exception as error:
        yield (
            f"it cannot be compiled ({_first_line(error)}): a Python branch or NumPy on "
            "a tensor?"
        )
        return
    if _differ(found, expected):
        yield f"compiled it gives {found:.6g}, eagerly {expected:.6g}"


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
    if not _takes_pairs(loss):
        return
    order = np.roll(np.arange(len(subject.labels)), 1)
    pairs = _pairs(subject)
    expected = float(loss(None, subject.embeddings, pairs=_tensors(*pairs)))
    if _differ(expected, subject.number()):
        yield (
            f"with pairs in place of the labels it gives {expected:.6g}, not "
            f"{subject.number():.6g}: it does not take its pairs from `pairs`"
        )
    found = float(
        loss(
            None,
            subject.embeddings,
            key_embeddings=subject.embeddings[order],
            pairs=_tensors(*(mask[:, order] for mask in pairs)),
        )
    )
    if _differ(found, expected):
        yield (
            f"with the keys in another order it gives {found:.6g}, not {expected:.6g}: "
            "it counts, or leaves out, the diagonal, where a key need not be the anchor"
        )


@check("split")
def blocks_of_anchors_add_up(subject: Subject) -> Iterator[str]:
    """An anchor's loss hangs on its own row alone, where the loss says so."""
    loss = subject.loss
    if not _takes_pairs(loss) or not loss.is_row_wise:
        return
    config = {**loss.get_config(), "reducer": None, "reduction": "none"}
    each = type(loss).from_config(config)
    pairs, x = _pairs(subject), subject.embeddings
    whole = ops.convert_to_numpy(each(None, x, pairs=_tensors(*pairs)))
    half = len(x) // 2
    parts = [
        ops.convert_to_numpy(
            each(
                None,
                x[rows],
                key_embeddings=x,
                pairs=_tensors(*(mask[rows] for mask in pairs)),
            )
        )
        for rows in (slice(0, half), slice(half, None))
    ]
    if not np.allclose(np.concatenate(parts), whole, rtol=_SAME, atol=_SAME):
        yield (
            "half of the anchors against all keys have other losses than in the whole "
            "batch: it looks at other anchors' rows; declare `is_row_wise = False`"
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
    """Half-precision embeddings give the float32 value of what they hold."""
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
    wide, narrow = subject.number(subject.embeddings.astype("float64")), subject.number()
    if _differ(wide, narrow):
        yield f"float64 embeddings give {wide:.6g}, float32 ones {narrow:.6g}"


@check("degenerate")
def degenerate_batches_are_finite(subject: Subject) -> Iterator[str]:
    """Value and gradient are finite whatever the batch looks like.

    Of embeddings of norm 1e20 the value may lie beyond float32, and is infinite then.
    """
    for what, labels, x in _degenerate_batches(subject):
        value, slope = subject.number(x, labels), subject.slope(x, labels)
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


def _takes_pairs(loss: Any) -> bool:
    return isinstance(loss, MetricLoss) and loss.takes_pairs and loss.miner is None


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


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:120] if text else ''}"
