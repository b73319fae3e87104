"""The index: a search engine and a store, together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity import distances, stores
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator
from keras_similarity.indexer.calibration import Calibration
from keras_similarity.indexer.choice import ANY, Choice
from keras_similarity.indexer.contents import Contents
from keras_similarity.indexer.decisions import Decisions
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
from keras_similarity.persistence import is_saved, open_folder, save_folder
from keras_similarity.search import Search
from keras_similarity.search.base import check_positive
from keras_similarity.stores import Store
from keras_similarity.stores.base import UNCHANGED
from keras_similarity.stores.filter import Filter
from keras_similarity.types import Floats, Lookup, Lookups

if TYPE_CHECKING:
    import pandas as pd


class Indexer(Decisions):
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
        *,
        id: int | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Adds one example and returns its id; see `batch_add`."""
        return self._contents.add(
            self._one_embedding(prediction),
            [label],
            [data],
            None if id is None else [id],
            None if metadata is None else [metadata],
            build=build,
            verbose=verbose,
        )[0]

    def batch_add(
        self,
        predictions: Any,
        labels: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        *,
        ids: Any = None,
        metadata: Any = None,
    ) -> list[Any]:
        """Adds examples; on an error none of them.

        Args:
            predictions: The examples.
            labels: Integers `[N]`; `None` for an example without a label, or for all.
            data: One item an example, to be kept with it: an array `[N, ...]` or a list.
            build: Make them searchable now? If not, `build_index()` does, and so does
                the next call with `build=True`.
            verbose: Handed to the search.
            ids: Their ids, integers or strings, each used once; `None` to count on from
                the largest, or from 0.
            metadata: Name -> one value an example, or a single one for all; or a list of
                one mapping an example; or a data frame. `None` is a missing value. Those
                of a column are of one type: `bool`, `int`, `float`, `str`, `datetime` or
                `bytes`. Lookups can ask for them: `filter=field("price") < 10`.

        Returns:
            Their ids.

        Raises:
            ValueError: If shapes do not fit, a value is not finite or an id is taken.
            TypeError: If labels, ids or metadata are of a wrong type.
        """
        embeddings = self._embeddings(predictions)
        return self._contents.add(
            embeddings, labels, data, ids, metadata, build=build, verbose=verbose
        )

    def upsert(
        self,
        predictions: Any,
        ids: Any,
        labels: Any = None,
        data: Any = None,
        metadata: Any = None,
    ) -> None:
        """Adds examples, in place of those that have their ids; on an error none.

        A lookup finds all of the old ones or all of the new ones. Arguments are those of
        `batch_add`; what an old example had and the new one is not given is gone.
        """
        embeddings = self._embeddings(predictions)
        self._contents.upsert(embeddings, labels, data, ids, metadata)

    def delete(self, ids: Any) -> int:
        """Deletes examples, and returns how many; on an error none.

        Args:
            ids: Their ids, or one.

        Raises:
            IndexError: If there is no such id.
        """
        return self._contents.delete(ids)

    def update(
        self,
        ids: Any,
        label: Any = UNCHANGED,
        metadata: Any = None,
        data: Any = UNCHANGED,
    ) -> None:
        """Changes what examples were indexed with; on an error nothing.

        Args:
            ids: Their ids, or one.
            label: A label for all, or one each; `None` for no label.
            metadata: As `batch_add`. The columns that it names are changed.
            data: One item each.

        Raises:
            IndexError: If there is no such id.
        """
        self._contents.update(ids, label, data, metadata)

    def compact(self) -> None:
        """Frees the memory of what was deleted; ids stay.

        Happens by itself when more than half of the examples have been deleted.
        """
        self._contents.compact()

    def build_index(self, verbose: int = 1) -> None:
        """Makes all examples searchable that were added with `build=False`."""
        self._contents.build(verbose)

    # Looking up.

    def single_lookup(
        self, prediction: Any, k: int = 5, *, filter: Filter | None = None
    ) -> list[Lookup]:
        """The `k` nearest neighbours of one example, nearest first.

        The list is shorter where there are fewer.
        """
        return self._lookup(self._one_embedding(prediction), k, Choice(filter))[0]

    def batch_lookup(
        self,
        predictions: Any,
        k: int = 5,
        verbose: int = 1,
        *,
        filter: Filter | None = None,
        exclude_self: Any = None,
        max_per_label: int | None = None,
    ) -> Lookups:
        """The `k` nearest neighbours of each example, nearest first.

        Args:
            filter: Only examples of which it is true, e.g. `field("label") == 3`; see
                `Filter`.
            exclude_self: Ids `[N]` of the queries where they are indexed themselves:
                none finds itself.
            max_per_label: At most so many neighbours of the same label.

        Returns:
            Columns `[Q, k]` that also read as a list of lists of `Lookup`. Rows are
            shorter where there are fewer neighbours, and empty in an empty index.

        Raises:
            ValueError: If shapes do not fit, a value is not finite, or `filter` asks for
                metadata that nothing has.
            TypeError: If `filter` compares with a value of another type.
        """
        choice = Choice(filter, exclude_self, max_per_label)
        return self._lookup(self._embeddings(predictions), k, choice)

    def range_lookup(
        self,
        predictions: Any,
        max_distance: float,
        *,
        filter: Filter | None = None,
        exclude_self: Any = None,
    ) -> Lookups:
        """All neighbours of each example that are within a distance, nearest first.

        Under a similarity, all that are at least as similar. Takes memory for as many
        neighbours of every query as the one with most of them has.

        Args:
            max_distance: The largest distance that is found, in the units of the index'
                distance.
            filter: As `batch_lookup`; so is `exclude_self`.

        Returns:
            Columns `[Q, K]`, `K` the largest number that a query found.
        """
        max_cost = float(self.distance.to_cost(np.float32(max_distance)))
        if np.isnan(max_cost):
            raise ValueError(
                f"`max_distance` must be a number. Received: {max_distance}."
            )
        return self._timed(
            self._embeddings(predictions),
            lambda embeddings: self._contents.lookup_within(
                embeddings, max_cost, Choice(filter, exclude_self)
            ),
        )

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
        return self._contents.size()

    def searchable(self) -> int:
        """Number of examples that a lookup may find."""
        return self._contents.searchable()

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

    def _lookup(self, embeddings: Floats, k: int, choice: Choice = ANY) -> Lookups:
        return self._timed(
            embeddings, lambda queries: self._contents.lookup(queries, k, choice)
        )

    def _timed(self, queries: Floats, look: Callable[[Floats], Lookups]) -> Lookups:
        start = time.perf_counter()
        lookups = look(queries)
        self._statistics.add(len(queries), time.perf_counter() - start)
        return lookups
