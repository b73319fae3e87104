"""What can go wrong with embeddings in training, and how it is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np

Signs = Mapping[str, float]


@dataclass(frozen=True)
class Diagnosis:
    """A trouble, named once.

    Attributes:
        name: Which: `"collapse"`, `"no_positives"`, ...; see `TrainingDoctor`.
        step: The step at which it was named.
        since: The step since which it has been seen.
        sentence: What is wrong, why, and what to change.
        figures: The numbers that were seen at `step`.
    """

    name: str
    step: int
    since: int
    sentence: str
    figures: Mapping[str, float]

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Thresholds:
    """From where on a number is a trouble.

    What runs that learned did is that of 114 runs on digits: 19 losses, 2 networks with
    Adam at 0.001 and 0.005, 3 seeds, 400 steps.

    Attributes:
        one_point: Mean squared distance of two embeddings of length 1, from 0 to 4; for
            losses that see lengths also that of embeddings as they are, over their mean
            squared length. 0.001 is an angle of 1.8 degrees between any two. Most runs
            that learned stayed above 0.2; one came here, for less than four looks.
        few_directions: Effective rank. Embeddings of `C` classes far apart vary in
            `C - 1` directions; 1.2 is a line. Looked at with 4 classes and 4 dimensions
            at least. Runs that learned stayed above 3.
        company: Share of rows with a positive (or a negative). With fewer than a tenth
            the other nine tenths of each batch are computed for nothing.
        active: Share of pairs, triplets or anchors with a loss above 0: one in a
            thousand.
        nearest_right: Share of rows whose nearest neighbour in the batch is of their
            class. A loss that has nothing to say is done where it is 0.95, and wrong
            below.
        norm_drift: Mean length of the embeddings, over that at the start, or its
            inverse. Runs that learned stayed within 40, and within 100 with losses for
            which lengths do not count: for them the limit is its square.
        gradient_drift: Gradient, in shares of the embeddings' length, over the median of
            the first three looks. Runs that learned stayed within 50.
        no_gradient: The same, below.
        unlearned: Mean squared distance of positives, over that of any two rows, on
            average over the last ten of thirty looks at least; 1 says that classes mean
            nothing yet.
    """

    one_point: float = 0.001
    few_directions: float = 1.2
    company: float = 0.1
    active: float = 0.001
    nearest_right: float = 0.95
    norm_drift: float = 100.0
    gradient_drift: float = 100.0
    no_gradient: float = 1e-6
    unlearned: float = 0.98


@dataclass(frozen=True)
class Case:
    """What a rule sees: the looks so far, and what is known of the training."""

    looks: Sequence[Signs]
    limits: Thresholds
    loss: Any = None
    learning_rate: float | None = None

    def get(self, name: str, default: float = float("nan")) -> float:
        """A number of the last look; NaN, which no comparison holds for, if unknown."""
        return self.looks[-1].get(name, default)

    def past(self, name: str) -> list[float]:
        """The number in all looks that have it."""
        return [look[name] for look in self.looks if name in look]


@dataclass(frozen=True)
class Rule:
    """A trouble.

    Attributes:
        name: Its name.
        holds: Does the last look show it?
        sentence: What to say; has `{since}` and numbers of the last look in it.
        looks: How many looks in a row have to show it.
        unless: Troubles that explain it: where one is seen, this one is not named.
    """

    name: str
    holds: Callable[[Case], bool]
    sentence: Callable[[Case], str]
    looks: int = 2
    unless: tuple[str, ...] = ()


def mines_hardest(loss: Any) -> bool:
    """Does the loss, or one inside it, take the hardest negative of each anchor?"""
    parts = [loss, getattr(loss, "miner", None), *getattr(loss, "inner_losses", ())]
    return any(
        getattr(part, "negative_mining_strategy", None) == "hard"
        or getattr(part, "neg_strategy", None) == "hard"
        or type(part).__name__ == "BatchHardMiner"
        for part in parts
    )


def needs_company(loss: Any) -> bool:
    """Does the loss compare the rows of a batch by their labels?

    Not one over two views, with a memory, or with weights of classes.
    """
    return loss is None or bool(getattr(loss, "takes_pairs", True))


def _loss_name(case: Case) -> str:
    return "the loss" if case.loss is None else type(case.loss).__name__


def _at_rate(case: Case) -> str:
    rate = case.learning_rate
    return "this learning rate" + ("" if rate is None else f" ({rate:.2g})")


def is_scale_free(loss: Any) -> bool:
    """Do lengths of embeddings not count for the loss, as far as is known?"""
    distance = getattr(loss, "distance", None)
    if distance is None:
        return True
    return bool(distance.is_cosine or distance.normalize_embeddings)


def _is_one_point(case: Case) -> bool:
    limit = case.limits.one_point
    if not case.get("mean_distance") < limit:
        return False
    # On a ray from 0 they are far apart for a loss that sees lengths.
    return is_scale_free(case.loss) or case.get("spread") < limit


def _collapse(case: Case) -> str:
    if mines_hardest(case.loss):
        return (
            "all embeddings are one point since step {since}: hardest-negative mining "
            f"with {_at_rate(case)}; use semi-hard mining, or warm up the learning rate."
        )
    return (
        f"all embeddings are one point since step {{since}}: {_loss_name(case)} does not "
        f"hold them apart at {_at_rate(case)}; lower it or warm it up, or use a loss "
        "that pushes negatives apart."
    )


def _has_few_directions(case: Case) -> bool:
    is_wide = min(case.get("num_classes"), case.get("dimensions")) >= 4
    return is_wide and case.get("effective_rank") < case.limits.few_directions


def _few_directions(case: Case) -> str:
    return (
        "the embeddings lie on one line since step {since} (effective rank "
        "{effective_rank:.2g} of {dimensions:.0f} dimensions): lower the learning rate, "
        "use a loss with more negatives, or look for a layer that passes one value on."
    )


def _no_positives(case: Case) -> str:
    return (
        "batches have almost no two examples of a class since step {since} (only "
        "{has_positive:.0%} of the rows have a positive), so that nothing is pulled "
        "together: train on a sampler with several examples of each class, such as "
        "MultiShotMemorySampler(examples_per_class_per_batch=4)."
    )


def _no_negatives(case: Case) -> str:
    return (
        "batches have almost nothing but one class since step {since} (only "
        "{has_negative:.0%} of the rows have a negative), so that nothing is pushed "
        "apart: shuffle the examples, or train on a sampler with several classes in a "
        "batch, such as MultiShotMemorySampler(classes_per_batch=16)."
    )


def _is_idle(case: Case) -> bool:
    limit = case.limits.active
    if not case.get("active_share") <= limit:
        return False
    was_never_active = max(case.past("active_share")) <= limit
    return was_never_active or case.get("nearest_right") < case.limits.nearest_right


def _idle(case: Case) -> str:
    return (
        f"{_loss_name(case)} has had no active pair or triplet since step {{since}}, "
        "and nothing to learn from: use harder mining, a larger margin, or batches with "
        "more classes."
    )


def _norms_explode(case: Case) -> bool:
    limit = case.limits.norm_drift
    # Where lengths do not count they may grow: a gradient at right angles adds to them.
    is_free = case.loss is not None and is_scale_free(case.loss)
    return case.get("norm_drift") > (limit**2 if is_free else limit)


def _explode(case: Case) -> str:
    return (
        "the embeddings are {norm_drift:.0f} times as long as at the start since step "
        f"{{since}}, at {_at_rate(case)}: lower it, normalise the embeddings "
        "(MetricEmbedding), or use a regularizer of their length (LpRegularizer)."
    )


def _vanish(case: Case) -> str:
    return (
        "the embeddings are {norm_drift:.1g} times as long as at the start since step "
        "{since}, and become the one point 0: normalise them (MetricEmbedding), use a "
        f"larger margin or a weaker regularizer, or lower {_at_rate(case)}."
    )


def _first_gradient(case: Case) -> float:
    past = case.past("gradient_norm")[:-1][:3]
    return median_low(past) if len(past) == 3 else float("nan")


def _gradient_explodes(case: Case) -> bool:
    bound = case.limits.gradient_drift * _first_gradient(case)
    return 0 < bound < case.get("gradient_norm")


def _explode_gradient(case: Case) -> str:
    return (
        "the gradient of the loss is {gradient_norm:.2g} since step {since}, "
        f"{case.get('gradient_norm') / _first_gradient(case):.0f} times what it was at "
        f"the start, at {_at_rate(case)}: lower it or warm it up, or clip the gradient "
        "(clipnorm=1.0 of the optimizer)."
    )


def _gradient_vanishes(case: Case) -> bool:
    losses = case.past("loss")
    is_no_better = len(losses) > 1 and losses[-1] >= 0.9 * losses[0] > 0
    bound = case.limits.no_gradient * _first_gradient(case)
    return is_no_better and case.get("gradient_norm") < bound


def _vanish_gradient(case: Case) -> str:
    return (
        "the loss has had no gradient since step {since} ({gradient_norm:.1g}), though "
        "it is no lower than at the start: use a higher temperature or a smaller scale, "
        "a soft margin, or another learning rate."
    )


def _has_not_learned(case: Case) -> bool:
    looks = [look for look in case.looks if "alignment" in look]
    if len(looks) < 30 or not case.get("mean_distance") > 0:
        return False
    ratios = [look["alignment"] / max(look["mean_distance"], 1e-12) for look in looks]
    return float(np.mean(ratios[-10:])) > case.limits.unlearned


def _unlearned(case: Case) -> str:
    return (
        "examples of a class are as far apart as any two since step {since}: check that "
        f"labels belong to their examples, or change {_at_rate(case)}."
    )


def _is_not_finite(case: Case) -> bool:
    return case.get("is_finite", 1.0) == 0.0


def _not_finite(case: Case) -> str:
    return (
        f"embeddings or loss are not finite since step {{since}}, at {_at_rate(case)}: "
        "lower it, clip the gradient (clipnorm=1.0 of the optimizer), and check the "
        "inputs for NaN."
    )


_POINT = ("not_finite", "collapse")
_IDLE = (*_POINT, "no_positives", "no_negatives")

RULES = (
    Rule("not_finite", _is_not_finite, _not_finite, looks=1),
    Rule(
        "no_positives",
        lambda case: (
            needs_company(case.loss) and case.get("has_positive") < case.limits.company
        ),
        _no_positives,
    ),
    Rule(
        "no_negatives",
        lambda case: (
            needs_company(case.loss) and case.get("has_negative") < case.limits.company
        ),
        _no_negatives,
    ),
    Rule("collapse", _is_one_point, _collapse, looks=4, unless=("not_finite",)),
    Rule("few_directions", _has_few_directions, _few_directions, looks=5, unless=_POINT),
    Rule("nothing_active", _is_idle, _idle, looks=3, unless=_IDLE),
    Rule(
        "norms_explode",
        _norms_explode,
        _explode,
        looks=1,
        unless=("not_finite",),
    ),
    Rule(
        "norms_vanish",
        lambda case: case.get("norm_drift") < 1 / case.limits.norm_drift,
        _vanish,
        looks=2,
        unless=("not_finite",),
    ),
    Rule(
        "gradients_explode",
        _gradient_explodes,
        _explode_gradient,
        unless=("not_finite", "norms_explode"),
    ),
    Rule(
        "gradients_vanish",
        _gradient_vanishes,
        _vanish_gradient,
        looks=3,
        unless=(*_IDLE, "nothing_active", "norms_vanish"),
    ),
    Rule("nothing_learned", _has_not_learned, _unlearned, unless=_IDLE),
)
