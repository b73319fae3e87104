"""What all metrics of a set share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Self

from keras_similarity.distances import Distance
from keras_similarity.registry import Registry
from keras_similarity.set_metrics.rows import Rows, check_rows
from keras_similarity.types import Floats


class SetMetric(ABC):
    """One number for a whole set of embeddings that is no mean over its queries.

    A subclass gives `summarize`, which looks at the rows, and `value`, which makes the
    number of each draw out of that. Metrics of one `summary_key` share the first, which
    is the expensive part: `compute_all` does it once.

    Weights say how often a bootstrap drew each row. Where two rows of the set make a
    pair it counts `w_i * w_j` times, and copies of a row are no pair. Where each class
    has one weight in every draw, classes were drawn, and each copy is a class of its own:
    a positive pair counts `w` times, not `w ** 2`. With keys of their own the weights are
    those of the queries; the keys stay as they are. Only ratios of weights matter.

    Args:
        name: Key of the metric in results; its short name by default.
    """

    default_name: ClassVar[str] = "set_metric"
    needs_labels: ClassVar[bool] = True

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.default_name

    def compute(
        self,
        embeddings: Any,
        labels: Any,
        distance: Distance | str = "cosine",
        *,
        weights: Any = None,
        key_embeddings: Any = None,
        key_labels: Any = None,
    ) -> float | Floats:
        """The metric of a set against itself, or of queries against keys.

        Args:
            embeddings: Floats `[N, D]`.
            labels: Integers `[N]`; `None` where the metric needs none.
            distance: A `Distance` or its name.
            weights: Floats from 0, `[R, N]`: how often each of R draws holds a row.
            key_embeddings: Floats `[M, D]`; `None`: the set itself, in which a row's own
                pair never counts.
            key_labels: Integers `[M]`.

        Returns:
            A float, NaN where the metric is not defined; with `weights` an array `[R]`.

        Raises:
            ValueError, TypeError: If arguments do not fit, or a distance is not finite.
        """
        metrics = {self.name: self}
        return compute_all(
            metrics,
            embeddings,
            labels,
            distance,
            weights=weights,
            key_embeddings=key_embeddings,
            key_labels=key_labels,
        )[self.name]

    @abstractmethod
    def summarize(self, rows: Rows) -> Any:
        """What the metric needs to know of the rows."""

    @abstractmethod
    def value(self, summary: Any) -> Floats:
        """The metric `[R]` of each draw; `[1]` where there are no weights."""

    @property
    def summary_key(self) -> Hashable:
        """Equal for metrics that `summarize` alike."""
        return type(self), str(self.get_config())

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, as plain data."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object whose `get_config` gave `config`."""
        return cls(**config)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


registry = Registry("set metric", SetMetric)
register = registry.register


def get(identifier: SetMetric | str | Mapping[str, Any], **kwargs: Any) -> SetMetric:
    """The metric that a name, a config or an object means.

    A name may end in the number that it is about: `"tar@far=1e-3"` is `TARAtFAR(1e-3)`.

    Raises:
        ValueError: If there is no such metric, or what follows `=` is no number.

    Example:
        >>> from keras_similarity import set_metrics
        >>> set_metrics.get("tar@far=1e-3").name
        'tar@far=0.001'
    """
    if not isinstance(identifier, str) or "=" not in identifier:
        return registry.get(identifier, **kwargs)
    alias, _, number = identifier.partition("=")
    argument = alias.rpartition("@")[2]
    try:
        kwargs = {argument: float(number), **kwargs}
    except ValueError:
        raise ValueError(
            f"A set metric's name must have a number after `=`. Received: {identifier!r}."
        ) from None
    return registry.get(alias, **kwargs)


def compute_all(
    metrics: Mapping[str, SetMetric] | Sequence[SetMetric | str],
    embeddings: Any,
    labels: Any,
    distance: Distance | str = "cosine",
    *,
    weights: Any = None,
    key_embeddings: Any = None,
    key_labels: Any = None,
) -> dict[str, float | Floats]:
    """Several metrics of one set, which look at its pairs once.

    Args:
        metrics: Metrics or their names, or a mapping of names of your own to them.

    The other arguments are those of `SetMetric.compute`.

    Returns:
        Name of each metric, as it was given -> its value, or its values `[R]` with
        `weights`.

    Raises:
        ValueError, TypeError: As `SetMetric.compute`.

    Example:
        >>> from keras_similarity import set_metrics
        >>> embeddings = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]
        >>> set_metrics.compute_all(["auroc", "eer"], embeddings, [0, 0, 1, 1])
        {'auroc': 1.0, 'eer': 0.0}
    """
    if not isinstance(metrics, Mapping):
        metrics = {
            metric if isinstance(metric, str) else metric.name: get(metric)
            for metric in metrics
        }
    rows = check_rows(
        embeddings,
        labels,
        distance,
        weights,
        key_embeddings,
        key_labels,
        needs_labels=any(metric.needs_labels for metric in metrics.values()),
    )
    summaries: dict[Hashable, Any] = {}
    values: dict[str, float | Floats] = {}
    for name, metric in metrics.items():
        key = metric.summary_key
        if key not in summaries:
            summaries[key] = metric.summarize(rows)
        value = metric.value(summaries[key])
        values[name] = float(value[0]) if weights is None else value
    return values
