"""Judging a similarity model after each epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity import distances
from keras_similarity.arrays import check_labels, to_numpy
from keras_similarity.backend import import_optional, keras
from keras_similarity.classification_metrics import make_classification_metric
from keras_similarity.distances import Distance
from keras_similarity.indexer import Indexer
from keras_similarity.matchers import make_classification_matcher
from keras_similarity.retrieval_metrics.base import check_retrieval_metrics
from keras_similarity.search.base import check_positive
from keras_similarity.types import Bools, Floats, Ints

logger = logging.getLogger(__name__)


class EvalCallback(keras.callbacks.Callback):
    """Indexes targets, looks up queries and logs metrics at the end of each epoch.

    The index is the callback's own: the user's index is left alone. Each value is
    written to `logs` under the metric's name (`"binary_accuracy"`, `"recall@1"`) and
    under `"val_"` and the name, so that `EarlyStopping` and `ModelCheckpoint` can watch
    it: put this callback before them in the list, and give them a `mode`.

    With `known_classes` the queries are judged in two groups, and the names end in
    `_known_classes` and `_unknown_classes`. A group without a query is left out.

    Args:
        queries: Inputs `[Q, ...]` to look up: arrays, or a list of rows.
        query_labels: Their labels `[Q]`.
        targets: Inputs `[N, ...]` to index, as `queries`.
        target_labels: Their labels `[N]`.
        distance: A `Distance` or its name; `"auto"` is that of the model's index.
        metrics: Classification metrics, by name or as objects.
        tb_logdir: Folder for TensorBoard, which gets the values under `index/`. Needs
            TensorFlow and TensorBoard.
        k: Neighbours that the matcher sees.
        matcher: How neighbours become a label; see `SimilarityModel.calibrate`.
        distance_thresholds: Distances up to which a neighbour matches; all by default.
            With several, the first is logged under the metric's name and the others
            under the name, `"@"` and the threshold.
        known_classes: Labels that the model is trained on.
        retrieval_metrics: Retrieval metrics, as objects.

    Attributes:
        seconds: How long the last evaluation took; `logging` (INFO) tells it each time.

    Raises:
        ValueError: If labels and rows do not fit, there are no rows, or a metric, the
            matcher, the distance or `k` is not known.

    Example:
        >>> import keras, numpy as np
        >>> from keras_similarity.callbacks import EvalCallback
        >>> from keras_similarity.losses import TripletLoss
        >>> from keras_similarity.models import SimilarityModel
        >>> inputs = keras.Input((2,))
        >>> model = SimilarityModel(inputs, keras.layers.Dense(2)(inputs))
        >>> model.compile(loss=TripletLoss())
        >>> x, y = np.eye(2, dtype="float32"), np.array([0, 1])
        >>> history = model.fit(x, y, verbose=0, callbacks=[EvalCallback(x, y, x, y)])
        >>> history.history["val_binary_accuracy"]
        [1.0]
    """

    def __init__(
        self,
        queries: Any,
        query_labels: Sequence[int],
        targets: Any,
        target_labels: Sequence[int],
        distance: Distance | str = "auto",
        metrics: Sequence[Any] = ("binary_accuracy",),
        tb_logdir: str | None = None,
        k: int = 1,
        matcher: Any = "match_nearest",
        distance_thresholds: Any = None,
        known_classes: Collection[int] | None = None,
        retrieval_metrics: Sequence[Any] | None = None,
    ) -> None:
        super().__init__()
        self.queries, self.query_labels = _checked("query", queries, query_labels)
        self.targets, self.target_labels = _checked("target", targets, target_labels)
        is_auto = isinstance(distance, str) and distance == "auto"
        self.distance = "auto" if is_auto else distances.get(distance)
        self.metrics = [make_classification_metric(metric) for metric in metrics]
        self.k = check_positive("k", k)
        self.matcher = make_classification_matcher(matcher)
        self.distance_thresholds = (
            [np.inf] if distance_thresholds is None else list(distance_thresholds)
        )
        self.known_classes = known_classes
        self.retrieval_metrics = check_retrieval_metrics(retrieval_metrics or [])
        self.seconds: float | None = None
        self._summary_writer = _summary_writer(tb_logdir)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the values into `logs`, in place."""
        start = time.perf_counter()
        targets = self.model.embed(self.targets)
        distance = self.model.distance if self.distance == "auto" else self.distance
        index = Indexer(targets.shape[1], distance=distance)
        index.batch_add(targets, labels=self.target_labels, verbose=0)
        queries = self.model.embed(self.queries)
        values: dict[str, float] = {}
        for suffix, is_in_group in self._groups():
            found = self._evaluate(index, queries[is_in_group], is_in_group)
            values.update({f"{name}{suffix}": value for name, value in found})
        if logs is not None:
            for name, value in values.items():
                logs[name] = logs[f"val_{name}"] = value
        self._write_summary(epoch, values)
        self.seconds = time.perf_counter() - start
        logger.info("Evaluation: %.2f s, %s", self.seconds, values)

    def _groups(self) -> Iterator[tuple[str, Bools]]:
        if self.known_classes is None:
            yield "", np.ones(len(self.query_labels), "bool")
            return
        is_known = np.isin(self.query_labels, list(self.known_classes))
        for suffix, is_in_group in (
            ("_known_classes", is_known),
            ("_unknown_classes", ~is_known),
        ):
            if is_in_group.any():
                yield suffix, is_in_group

    def _evaluate(
        self, index: Indexer, queries: Floats, is_in_group: Bools
    ) -> Iterator[tuple[str, float]]:
        labels = self.query_labels[is_in_group]
        found = index.evaluate_classification(
            queries,
            target_labels=labels,
            distance_thresholds=self.distance_thresholds,
            metrics=self.metrics,
            matcher=self.matcher,
            k=self.k,
            verbose=0,
        )
        thresholds = found.pop("distance")
        for name, at_thresholds in found.items():
            yield name, float(at_thresholds[0])
            for threshold, value in zip(thresholds[1:], at_thresholds[1:], strict=True):
                yield f"{name}@{threshold:g}", float(value)
        if self.retrieval_metrics:
            retrieval = index.evaluate_retrieval(
                queries, labels, self.retrieval_metrics, verbose=0
            )
            for name, value in retrieval.items():
                yield name, float(value)

    def _write_summary(self, epoch: int, values: dict[str, float]) -> None:
        if self._summary_writer is None:
            return
        import tensorflow as tf

        with self._summary_writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=epoch)
        self._summary_writer.flush()


def _checked(what: str, x: Any, labels: Any) -> tuple[Any, Ints]:
    """Inputs and labels as arrays, if they are rows of the same number, at least one."""
    labels = check_labels(labels, name=f"{what}_labels")
    if isinstance(x, (list, tuple)):
        shapes = [tuple(getattr(array, "shape", ())) for array in x]
        # A list of rows, unless it holds an array for each input of the model.
        has_arrays = shapes and all(shape[:1] == labels.shape for shape in shapes)
        x = x if has_arrays else to_numpy(x)
    rows = {len(array) for array in keras.tree.flatten(x)}
    if rows != {len(labels)}:
        raise ValueError(
            f"`{what}_labels` must hold one label a row. Received: {len(labels)} labels "
            f"for {sorted(rows)} rows."
        )
    if not len(labels):
        name = "queries" if what == "query" else "targets"
        raise ValueError(f"`{name}` must hold at least one row. Received: none.")
    return x, labels


def _summary_writer(logdir: str | None) -> Any:
    if logdir is None:
        return None
    needed_by = "EvalCallback(tb_logdir=...)"
    import_optional("tensorboard", extra="tensorflow", needed_by=needed_by)
    tf = import_optional("tensorflow", extra="tensorflow", needed_by=needed_by)
    return tf.summary.create_file_writer(str(Path(logdir, "index")))
