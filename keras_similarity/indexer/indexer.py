"""The index: a search engine and a store, together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_similarity import distances, stores
from keras_similarity.arrays import check_labels
from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator
from keras_similarity.indexer.calibration import Calibration
from keras_similarity.indexer.contents import Contents
from keras_similarity.indexer.judging import Judge
from keras_similarity.indexer.parts import (
    arguments_as_config,
    arguments_of,
    check_embedding_output,
    evaluator_of,
    search_of,
)
from keras_similarity.indexer.predictions import select_embeddings, select_one
from keras_similarity.indexer.statistics import LookupStatistics
from keras_similarity.indexer.summary import stats_text, summary_text
from keras_similarity.matchers import ClassificationMatch
from keras_similarity.persistence import is_saved, open_folder, save_folder
from keras_similarity.retrieval_metrics import RetrievalMetric
from keras_similarity.retrieval_metrics.base import check_retrieval_metrics
from keras_similarity.search import Search
from keras_similarity.search.base import check_positive
from keras_similarity.stores import Store
from keras_similarity.types import Bools, CalibrationResults, Floats, Lookup, Lookups

if TYPE_CHECKING:
    import pandas as pd


class Indexer:
    """Finds the neighbours of embeddings, with what was indexed with them.

    Joins a `Search` (vectors to ids and distances) with a `Store` (ids to labels and
    data). Works on embeddings, from whatever made them: no framework is needed. Lookups
    may run in many threads while one adds or resets.

    In all methods, `predictions` are embeddings `[N, D]` or a model's outputs for `N`
    examples; a single `prediction` may be `[D]` too. `target_labels` are the classes of
    queries, integers `[N]`. `k` is the number of neighbours, of which a `matcher` makes
    one label. `verbose` shows something only where that is said.

    Args:
        embedding_size: Length of an embedding.
        distance: A `Distance`, its name or its config.
        search: A `Search` of that distance and size, its name or its config.
        kv_store: A `Store`, its name or its config. One that holds rows already is
            searched after `build_index()`.
        evaluator: `"memory"` or an `Evaluator`.
        embedding_output: Which of a model's outputs is the embedding: its number, or its
            key in a dict. `None` is the first, of a dict the first in the alphabet.
        stat_buffer_size: How many of the last lookups `stats()` is about.

    Attributes:
        is_calibrated: Has `calibrate` been called (since the last `reset`)?
        cutpoints: Cutpoint name -> what `calibrate` found there; empty before.
        calibration_thresholds: Columns over all thresholds; empty before.

    Raises:
        ValueError: If a part is not known, or `search` has another distance or size.

    Example:
        >>> from keras_similarity.indexer import Indexer
        >>> index = Indexer(embedding_size=2, distance="euclidean")
        >>> index.batch_add([[0.0, 0.0], [3.0, 4.0]], labels=[7, 8])
        [0, 1]
        >>> lookups = index.batch_lookup([[0.0, 1.0]], k=1)
        >>> lookups.labels.tolist(), lookups[0][0].distance
        ([[7]], 1.0)
    """

    def __init__(
        self,
        embedding_size: int,
        distance: Distance | str | Mapping[str, Any] = "cosine",
        search: Search | str | Mapping[str, Any] = "linear",
        kv_store: Store | str | Mapping[str, Any] = "memory",
        evaluator: Evaluator | str = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
    ) -> None:
        self.embedding_size = check_positive("embedding_size", embedding_size)
        self.distance = distances.get(distance)
        self._contents = Contents(
            search_of(search, self.distance, self.embedding_size),
            stores.get(kv_store),
            dim=self.embedding_size,
        )
        self.evaluator = evaluator_of(evaluator)
        self.embedding_output = check_embedding_output(embedding_output)
        self.stat_buffer_size = check_positive("stat_buffer_size", stat_buffer_size)
        self._calibration: Calibration | None = None
        self._statistics = LookupStatistics(self.stat_buffer_size)
        self._changing = threading.Lock()  # Held to save and to reset.

    @property
    def search(self) -> Search:
        """The search engine: rows to ids and distances."""
        return self._contents.search

    @property
    def kv_store(self) -> Store:
        """The store: ids to embeddings, labels and data."""
        return self._contents.store

    # Adding.

    def add(
        self,
        prediction: Any,
        label: int | None = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> int:
        """Adds one example and returns its id; see `batch_add`."""
        embedding = self._one_embedding(prediction)
        return self._contents.add(
            embedding, [label], [data], build=build, verbose=verbose
        )[0]

    def batch_add(
        self,
        predictions: Any,
        labels: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> list[int]:
        """Adds examples; on an error none of them.

        Args:
            predictions: The examples.
            labels: Integers `[N]`; `None` for an example without a label, or for all.
            data: One item an example, to be kept with it: an array `[N, ...]` or a list.
            build: Make them searchable now? If not, `build_index()` does, and so does
                the next call with `build=True`.
            verbose: Handed to the search.

        Returns:
            Their ids, which count on from 0.

        Raises:
            ValueError: If shapes do not fit or a value is not finite.
            TypeError: If the labels are no integers.
        """
        embeddings = self._embeddings(predictions)
        return self._contents.add(embeddings, labels, data, build=build, verbose=verbose)

    def build_index(self, verbose: int = 1) -> None:
        """Makes all examples searchable that were added with `build=False`."""
        self._contents.build(verbose)

    # Looking up.

    def single_lookup(self, prediction: Any, k: int = 5) -> list[Lookup]:
        """The `k` nearest neighbours of one example, nearest first.

        The list is shorter where there are fewer.
        """
        return self._lookup(self._one_embedding(prediction), k)[0]

    def batch_lookup(self, predictions: Any, k: int = 5, verbose: int = 1) -> Lookups:
        """The `k` nearest neighbours of each example, nearest first.

        Returns:
            Columns `[Q, k]` that also read as a list of lists of `Lookup`. Rows are
            shorter where there are fewer neighbours, and empty in an empty index.

        Raises:
            ValueError: If shapes do not fit or a value is not finite.
        """
        return self._lookup(self._embeddings(predictions), k)

    # Judging.

    def evaluate_retrieval(
        self,
        predictions: Any,
        target_labels: Any,
        retrieval_metrics: Sequence[RetrievalMetric],
        verbose: int = 1,
    ) -> dict[str, Any]:
        """Judges the order of the neighbours.

        Args:
            retrieval_metrics: Metrics, which bring their own `k`. Under a similarity
                their `distance_threshold` is a cost, the similarity's negative.

        Returns:
            Name of the metric -> its value.

        Raises:
            IndexError: If the index is empty.
            ValueError: If something else than a metric is given, or one needs more
                neighbours than the index has rows.
        """
        self._check_not_empty()
        metrics = check_retrieval_metrics(retrieval_metrics)
        # One more, for the metrics that drop the nearest, the query itself.
        k = 1 + max((metric.k for metric in metrics), default=0)
        labels, lookups = self._judged(predictions, target_labels, k)
        return self._judge.evaluate_retrieval(labels, lookups, metrics)

    def evaluate_classification(
        self,
        predictions: Any,
        target_labels: Any,
        distance_thresholds: Any,
        metrics: Sequence[str | ClassificationMetric] = ("f1",),
        matcher: str | ClassificationMatch = "match_nearest",
        k: int = 1,
        verbose: int = 1,
    ) -> dict[str, Any]:
        """Judges the decisions that thresholds make of the neighbours.

        Args:
            distance_thresholds: Thresholds `[T]`, in the units of the distance.
            metrics: Names or metrics.
            verbose: Handed to the evaluator.

        Returns:
            `"distance"`: the thresholds `[T]` in float32, from the strictest to the
            laxest, repeated ones too; and by the name of each metric its values there.

        Raises:
            IndexError: If the index is empty.
        """
        self._check_not_empty()
        labels, lookups = self._judged(predictions, target_labels, k)
        return self._judge.evaluate_classification(
            labels, lookups, distance_thresholds, metrics, matcher, verbose
        )

    def calibrate(
        self,
        predictions: Any,
        target_labels: Any,
        thresholds_targets: Mapping[str, float] | None = None,
        calibration_metric: str | ClassificationMetric = "f1_score",
        k: int = 1,
        matcher: str | ClassificationMatch = "match_nearest",
        extra_metrics: Sequence[str | ClassificationMetric] = ("precision", "recall"),
        rounding: int = 2,
        verbose: int = 1,
    ) -> CalibrationResults:
        """Finds the distances up to which a neighbour is a match, and keeps them.

        Args:
            predictions: The queries; not examples that are in the index.
            thresholds_targets: Name of a cutpoint -> the value that the calibration
                metric must reach there; left out of the results where it can't.
            calibration_metric: Name or metric; the cutpoint `optimal` is where it is
                best.
            extra_metrics: Further names or metrics to report.
            rounding: Digits of the printed table.
            verbose: Print the cutpoints?

        Raises:
            ValueError: If the index is empty or an argument is not known.
        """
        if not self.search.size():
            hint = " Call `build_index()` first." if self.size() else ""
            raise ValueError(
                f"lookups must not be empty. Is there no data in the index?{hint}"
            )
        labels, lookups = self._judged(predictions, target_labels, k)
        calibration = self._judge.calibrate(
            labels,
            lookups,
            thresholds_targets or {},
            calibration_metric,
            matcher,
            extra_metrics,
            verbose,
        )
        self._calibration = calibration
        if verbose:
            print(calibration.table(rounding))
        return calibration.results

    def match(
        self,
        predictions: Any,
        no_match_label: int = -1,
        k: int = 1,
        matcher: str | ClassificationMatch = "match_nearest",
        verbose: int = 1,
    ) -> dict[str, list[int]]:
        """Decides which class each example belongs to, or none, at every cutpoint.

        Distances are rounded as `calibrate` rounds them, so that an example exactly at
        the cutpoint matches.

        Args:
            no_match_label: Stands for none.
            k: As in `calibrate`; so is `matcher`.

        Returns:
            Name of the cutpoint -> one label an example.

        Raises:
            IndexError: If the index is empty.
            ValueError: If it was not calibrated.
        """
        self._check_not_empty()
        thresholds = self._check_calibrated().distances
        lookups = self._lookup_at_most(self._embeddings(predictions), k)
        return self._judge.match(lookups, thresholds, no_match_label, matcher)

    def is_within(self, distances: Any, cutpoint: str = "optimal") -> Bools:
        """Which distances lie within a cutpoint, as `match` decides it.

        Args:
            distances: Of any shape, e.g. those of a lookup `[Q, k]`. NaN lies within
                nothing.
            cutpoint: Name of the cutpoint.

        Returns:
            Bool, of the shape of `distances`.

        Raises:
            ValueError: If the index was not calibrated, or has no such cutpoint.
        """
        thresholds = self._check_calibrated().distances
        if cutpoint not in thresholds:
            raise ValueError(
                f"`cutpoint` must be one of {', '.join(thresholds)}. Received: "
                f"cutpoint={cutpoint!r}."
            )
        return self._judge.is_within(distances, thresholds[cutpoint])

    @property
    def is_calibrated(self) -> bool:
        return self._calibration is not None

    @property
    def cutpoints(self) -> Mapping[str, Mapping[str, Any]]:
        calibration = self._calibration  # Read once: a reset may take it away.
        return calibration.results.cutpoints if calibration else {}

    @property
    def calibration_thresholds(self) -> Mapping[str, Any]:
        calibration = self._calibration
        return calibration.results.thresholds if calibration else {}

    def get_calibration_metric(self) -> ClassificationMetric:
        """The metric that `calibrate` used.

        Raises:
            ValueError: If the index was not calibrated.
        """
        return self._check_calibrated().metric

    # Contents.

    def reset(self) -> None:
        """Forgets everything: examples, statistics and calibration.

        Waits for the lookups that run, so that each sees one version of the index.
        """
        with self._changing:
            self._contents.reset()
            self._statistics = LookupStatistics(self.stat_buffer_size)
            self._calibration = None

    def size(self) -> int:
        """Number of examples, those that are not searchable yet included."""
        return self.kv_store.size()

    def stats(self) -> dict[str, Any]:
        """`num_lookups`, `size`, and `query_performance` of the last lookups.

        The latter holds `min`, `max`, `avg`, `median` and `stddev` of the seconds that a
        lookup took; one in a batch counts its share. All 0 before any lookup.
        """
        return {**self._statistics.summary(), "size": self.size()}

    def print_stats(self) -> None:
        """Prints `stats()`."""
        print(stats_text(self.stats()))

    def summary(self) -> str:
        """What the index is and what it holds, as text."""
        return summary_text(self, self._calibration)

    def to_data_frame(self, num_items: int = 0) -> pd.DataFrame:
        """The first examples: columns `embeddings`, `data`, `labels`; 0 means all."""
        return self.kv_store.to_data_frame(num_items)

    # Files.

    def save(
        self,
        path: str | os.PathLike[str],
        compression: bool = True,
        overwrite: bool = True,
    ) -> None:
        """Saves the index and its calibration into a folder, by one atomic step.

        Whatever happens meanwhile, the folder holds the old index or the new one, whole.
        Other files there stay.

        Args:
            path: Folder, made if it is missing, or an fsspec URL.
            compression: Compress the store? Smaller, and slower to write and read.
            overwrite: Replace an index that is there?

        Raises:
            FileExistsError: If there is one and `overwrite` is off.
            TypeError: If some example's data cannot be saved.
        """
        if not overwrite and is_saved(path):
            raise FileExistsError(
                f"`path` holds a saved index. Received: path={os.fspath(path)!r}, "
                "overwrite=False."
            )
        with self._changing:
            config = arguments_as_config(self)
            save_folder(
                path,
                kind="index",
                config=config,
                write=lambda folder: config.update(self._write(folder, compression)),
            )

    @staticmethod
    def load(path: str | os.PathLike[str], verbose: int = 1) -> Indexer:
        """The index that `save` wrote.

        Args:
            path: As given to `save`.
            verbose: Print how much was loaded?

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged, or from a newer version of the package.
        """
        with open_folder(path, kind="index") as (config, folder):
            index = Indexer(**arguments_of(config))
            sizes = {name: config[name] for name in ("size", "searchable")}
            index._contents.read(folder, sizes)
            if config["calibration"]:
                index._calibration = Calibration.read(folder, config["calibration"])
        if verbose:
            print(f"Loaded an index of {index.size():,} examples.")
        return index

    def _write(self, folder: Path, compression: bool) -> dict[str, Any]:
        """Puts everything into files; returns what is to be kept beside them."""
        calibration = self._calibration
        return {
            **self._contents.write(folder, compression),
            "calibration": calibration.write(folder) if calibration else None,
        }

    # What the methods above share.

    def _embeddings(self, predictions: Any) -> Floats:
        return select_embeddings(
            predictions, embedding_output=self.embedding_output, dim=self.embedding_size
        )

    def _one_embedding(self, prediction: Any) -> Floats:
        return select_one(
            prediction, embedding_output=self.embedding_output, dim=self.embedding_size
        )

    def _lookup(self, embeddings: Floats, k: int) -> Lookups:
        start = time.perf_counter()
        lookups = self._contents.lookup(embeddings, k)
        self._statistics.add(len(embeddings), time.perf_counter() - start)
        return lookups

    def _judged(
        self, predictions: Any, target_labels: Any, k: int
    ) -> tuple[Any, Lookups]:
        """Labels, and the lookups of their queries."""
        embeddings = self._embeddings(predictions)
        labels = check_labels(target_labels, name="target_labels", rows=len(embeddings))
        return labels, self._lookup_at_most(embeddings, k)

    def _lookup_at_most(self, embeddings: Floats, k: int) -> Lookups:
        """Lookups no wider than the index has rows: matchers vote on real neighbours."""
        return self._lookup(embeddings, min(check_positive("k", k), self.search.size()))

    @property
    def _judge(self) -> Judge:
        return Judge(self.distance, self.evaluator)

    def _check_not_empty(self) -> None:
        if not self.search.size():
            hint = "call `build_index()`" if self.size() else "add examples"
            raise IndexError(f"The index must not be empty: {hint} first.")

    def _check_calibrated(self) -> Calibration:
        if self._calibration is None:
            raise ValueError("The index must be calibrated: call `calibrate()` first.")
        return self._calibration
