"""The index: a search engine and a store, together."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_similarity import distances
from keras_similarity.databases import Database
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator
from keras_similarity.indexer.calibration import Calibration
from keras_similarity.indexer.centers import class_centers
from keras_similarity.indexer.changes import Changes
from keras_similarity.indexer.database_contents import contents_of
from keras_similarity.indexer.decisions import Decisions
from keras_similarity.indexer.finding import Finding
from keras_similarity.indexer.parts import (
    arguments_as_config,
    arguments_of,
    check_embedding_output,
    evaluator_of,
    search_of,
)
from keras_similarity.indexer.statistics import LookupStatistics
from keras_similarity.indexer.summary import stats_text, summary_text
from keras_similarity.persistence import is_saved, open_files, save_folder
from keras_similarity.registry import custom_objects_scope
from keras_similarity.search import Search
from keras_similarity.search.base import check_positive
from keras_similarity.stores import Store
from keras_similarity.types import Ints

if TYPE_CHECKING:
    import pandas as pd


class Indexer(Changes, Finding, Decisions):
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
        search: A `Search` of that distance and size, its name or its config; or a
            `Database` (`"milvus"`, `"lance"`), which is search and store in one.
        kv_store: A `Store`, its name or its config. The rows that one holds already are
            found, too.
        evaluator: `"memory"` or an `Evaluator`.
        embedding_output: Which of a model's outputs is the embedding: its number, or its
            key in a dict. `None` is the first, of a dict the first in the alphabet.
        stat_buffer_size: How many of the last lookups `stats()` is about.
        build: Make the rows searchable now that `kv_store` holds already? If not,
            `build_index()` does.

    Attributes:
        model: What is known of the model that made the vectors, as plain data: a
            `SimilarityModel` keeps hashes of its weights and of its preprocessing here.
            Saved with the index; `None` where nothing is known.
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
        search: Search | Database | str | Mapping[str, Any] = "linear",
        kv_store: Store | str | Mapping[str, Any] = "memory",
        evaluator: Evaluator | str = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
        *,
        build: bool = True,
    ) -> None:
        self.embedding_size = check_positive("embedding_size", embedding_size)
        self.distance = distances.get(distance)
        engine = search_of(search, self.distance, self.embedding_size)
        self._contents = contents_of(engine, kv_store, self.embedding_size)
        self.evaluator = evaluator_of(evaluator)
        self.embedding_output = check_embedding_output(embedding_output)
        self.stat_buffer_size = check_positive("stat_buffer_size", stat_buffer_size)
        self._statistics = LookupStatistics(self.stat_buffer_size)
        self.model: dict[str, Any] | None = None
        self._changing = threading.Lock()  # Held to save and to reset.
        if build and not isinstance(engine, Database):
            self._contents.build(0)

    @property
    def search(self) -> Search | Database:
        """The search engine: rows to ids and distances."""
        return self._contents.search

    @property
    def kv_store(self) -> Store | Database:
        """The store: ids to embeddings, labels and data."""
        return self._contents.store

    # Contents.

    def reset(self) -> None:
        """Forgets everything: examples, statistics and calibration.

        Waits for the lookups that run, so that each sees one version of the index.
        """
        with self._changing:
            self._contents.reset()
            self._statistics = LookupStatistics(self.stat_buffer_size)
            self._calibration = None
            self.model = None

    def size(self) -> int:
        """Number of examples, those that are not searchable yet included."""
        return self._contents.size()

    def searchable(self) -> int:
        """Number of examples that a lookup may find."""
        return self._contents.searchable()

    def _labels(self) -> Ints:
        with self._contents.reading():
            return self._contents.labels(self._contents.searchable_rows())

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
        self.verify()
        return self.kv_store.to_data_frame(num_items)

    def centers(self, search: Search | str | Mapping[str, Any] = "linear") -> Indexer:
        """An index of one row a class, the mean of its examples.

        With few examples a class (few-shot matching) a mean is a steadier neighbour than
        any of them. Calibrate it on its own, and match with it: its distances are others.
        Its ids are the labels, and the metadata `examples` counts the rows of a class.
        It holds what the index holds now; examples that are added later change nothing.

        Args:
            search: As of the constructor.

        Raises:
            IndexError: If no example has a label.

        Reference:
            [Snell et al., 2017](https://arxiv.org/abs/1703.05175)

        Example:
            >>> from keras_similarity.indexer import Indexer
            >>> index = Indexer(embedding_size=1, distance="euclidean")
            >>> index.batch_add([[0.0], [2.0], [7.0]], labels=[3, 3, 8])
            [0, 1, 2]
            >>> neighbors = index.centers().single_lookup([4.5], k=2)
            >>> [(neighbor.label, neighbor.distance) for neighbor in neighbors]
            [(8, 2.5), (3, 3.5)]
        """
        means, labels, counts = class_centers(
            self._contents, self.distance, self.embedding_size
        )
        if not len(labels):
            raise IndexError("The index must have examples with labels: add some first.")
        index = Indexer(
            self.embedding_size,
            self.distance,
            search,
            evaluator=self.evaluator,
            embedding_output=self.embedding_output,
            stat_buffer_size=self.stat_buffer_size,
        )
        metadata = {"examples": counts.tolist()}
        index.batch_add(means, labels, ids=labels, metadata=metadata, verbose=0)
        index.model = self.model
        return index

    # Files.

    def save(
        self,
        path: str | os.PathLike[str],
        compression: bool = True,
        overwrite: bool = True,
        *,
        copy_store: bool = False,
    ) -> None:
        """Saves the index and its calibration into a folder, by one atomic step.

        Whatever happens meanwhile, the folder holds the old index or the new one, whole.
        Other files there stay.

        Args:
            path: Folder, made if it is missing, or an fsspec URL.
            compression: Compress the store? Smaller, and slower to write and read.
                Vectors are never compressed.
            overwrite: Replace an index that is there?
            copy_store: Save the rows of a store that lives elsewhere (`is_external`:
                a database, a file of its own), too? If not, the index refers to it.

        Raises:
            FileExistsError: If there is one and `overwrite` is off.
            TypeError: If some example's data cannot be saved.
        """
        if not overwrite and is_saved(path):
            raise FileExistsError(
                f"`path` holds a saved index. Received: path={os.fspath(path)!r}, "
                "overwrite=False."
            )

        def write(folder: Path) -> None:
            config.update(self._write(folder, compression, copy_store))

        with self._changing:
            config = arguments_as_config(self)
            save_folder(path, kind="index", config=config, write=write)

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        verbose: int = 1,
        *,
        mmap: bool = False,
        custom_objects: Mapping[str, Any] | None = None,
    ) -> Indexer:
        """The index that `save` wrote.

        With `mmap` it is there at once and takes memory on demand: vectors stay in their
        files, of which only sizes and headers are checked now. The search engine's are
        checked at the first lookup, all in one pass, since it may read any of them; the
        store's where they are read, in blocks of 16 MiB. `verify` checks all.

        The rows of a store that lives elsewhere are searched as they are now: the
        engine gets those that were added since, and all if they were numbered anew.

        Args:
            path: As given to `save`.
            verbose: Print how much was loaded?
            mmap: Leave the vectors in the files? Needs a local folder. A save to it is
                no harm: the old files live as long as they are used.
            custom_objects: Class name -> class, of parts of your own that are not
                registered.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged, or from a newer version of the package, or is
                to be mapped and lies at a URL.
        """
        with open_files(path, kind="index", mmap=mmap) as (config, files):
            with custom_objects_scope(custom_objects):
                index = Indexer(**arguments_of(config), build=False)
            index._contents.read(files.folder, config, files if mmap else None)
            if config["calibration"]:
                index._calibration = Calibration.read(files.folder, config["calibration"])
            index.model = config.get("model")
        if verbose:
            print(f"Loaded an index of {index.size():,} examples.")
        return index

    def verify(self) -> None:
        """Checks all files of an index that was loaded with `mmap=True`.

        Any other index was checked when it was loaded.

        Raises:
            ValueError: If a file is damaged; it is named.
        """
        self._contents.verify()

    def _write(self, folder: Path, compression: bool, copy_store: bool) -> dict[str, Any]:
        """Puts everything into files; returns what is to be kept beside them."""
        calibration = self._calibration
        return {
            **self._contents.write(folder, compression, copy_store),
            "calibration": calibration.write(folder) if calibration else None,
            "model": self.model,
        }
