"""Judging known and unknown classes apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from keras_similarity.callbacks.eval_callback import EvalCallback
from keras_similarity.distances import Distance


class SplitValidationLoss(EvalCallback):
    """An `EvalCallback` that judges queries of known and of unknown classes apart.

    Known are the classes that the model is trained on; how well it does on the others
    says how far its embeddings go beyond them. All queries are looked up among all
    targets. The names of the values end in `_known_classes` and `_unknown_classes`; a
    group without a query is left out.

    Args:
        queries: Inputs `[Q, ...]` to look up.
        query_labels: Their labels `[Q]`.
        targets: Inputs `[N, ...]` to index.
        target_labels: Their labels `[N]`.
        known_classes: Labels that the model is trained on.
        distance: As `EvalCallback`. So are `tb_logdir`, `k`, `matcher`,
            `distance_thresholds` and `retrieval_metrics`.
        metrics: Classification metrics, by name or as objects.

    Raises:
        ValueError: As `EvalCallback`.

    Example:
        >>> import keras, numpy as np
        >>> from keras_similarity.callbacks import SplitValidationLoss
        >>> from keras_similarity.losses import TripletLoss
        >>> from keras_similarity.models import SimilarityModel
        >>> inputs = keras.Input((3,))
        >>> model = SimilarityModel(inputs, keras.layers.Flatten()(inputs))
        >>> model.compile(loss=TripletLoss())
        >>> x, y = np.eye(3, dtype="float32"), np.array([0, 1, 2])
        >>> split = SplitValidationLoss(x, y, x[:2], y[:2], known_classes=[0, 1])
        >>> logs = model.fit(x, y, verbose=0, callbacks=[split]).history
        >>> logs["f1score_known_classes"], logs["f1score_unknown_classes"]
        ([1.0], [0.0])
    """

    def __init__(
        self,
        queries: Any,
        query_labels: Sequence[int],
        targets: Any,
        target_labels: Sequence[int],
        known_classes: Collection[int],
        distance: Distance | str = "auto",
        metrics: Sequence[Any] = ("binary_accuracy", "f1score"),
        tb_logdir: str | None = None,
        k: int = 1,
        matcher: Any = "match_nearest",
        distance_thresholds: Any = None,
        retrieval_metrics: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            queries,
            query_labels,
            targets,
            target_labels,
            distance=distance,
            metrics=metrics,
            tb_logdir=tb_logdir,
            k=k,
            matcher=matcher,
            distance_thresholds=distance_thresholds,
            known_classes=known_classes,
            retrieval_metrics=retrieval_metrics,
        )
