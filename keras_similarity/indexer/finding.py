"""How the neighbours of queries are found in an index, and how well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_similarity.distances import Distance
from keras_similarity.indexer.choice import ANY, Choice
from keras_similarity.indexer.contents import Contents
from keras_similarity.indexer.database_contents import DatabaseContents
from keras_similarity.indexer.predictions import TakesPredictions
from keras_similarity.indexer.statistics import LookupStatistics
from keras_similarity.indexer.tuning import Tuning, measured_recall, tuned
from keras_similarity.stores.filter import Filter
from keras_similarity.types import Floats, Lookup, Lookups


class Finding(TakesPredictions):
    """Looks neighbours up: the part of `Indexer` that reads.

    Attributes:
        distance: Of the index.
    """

    distance: Distance
    _contents: Contents | DatabaseContents
    _statistics: LookupStatistics

    def single_lookup(
        self,
        prediction: Any,
        k: int = 5,
        *,
        filter: Filter | None = None,
        exclude_self: Any = None,
        max_per_label: int | None = None,
        offset: int = 0,
    ) -> list[Lookup]:
        """The `k` nearest neighbours of one example, nearest first.

        The list is shorter where there are fewer. Arguments are those of `batch_lookup`;
        `exclude_self` is one id.
        """
        choice = Choice(filter, exclude_self, max_per_label, offset)
        return self._lookup(self._one_embedding(prediction), k, choice)[0]

    def batch_lookup(
        self,
        predictions: Any,
        k: int = 5,
        verbose: int = 1,
        *,
        filter: Filter | None = None,
        exclude_self: Any = None,
        max_per_label: int | None = None,
        offset: int = 0,
    ) -> Lookups:
        """The `k` nearest neighbours of each example, nearest first.

        Args:
            predictions: Embeddings `[Q, D]`, floats or integers, or a model's outputs.
                They may hold an example twice, and ones that are indexed.
            k: At least 1.
            filter: Only examples of which it is true, e.g. `field("label") == 3`; see
                `Filter`.
            exclude_self: Ids `[Q]` of the queries where they are indexed themselves:
                none finds itself.
            max_per_label: At most so many neighbours of the same label.
            offset: How many of the nearest are left out, for the next page: with `k=10`
                and `offset=10` come those from the 11th to the 20th.

        Returns:
            Columns `[Q, k]` that also read as a list of lists of `Lookup`. Rows are
            shorter where there are fewer neighbours, and empty in an empty index.

        Raises:
            ValueError: If shapes do not fit, a value is not finite, or `filter` asks for
                metadata that nothing has.
            TypeError: If `filter` compares with a value of another type.
        """
        choice = Choice(filter, exclude_self, max_per_label, offset)
        return self._lookup(self._embeddings(predictions), k, choice)

    lookup = batch_lookup

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

    def recall(
        self, sample: int = 1000, k: int = 10, seed: int = 0, queries: Any = None
    ) -> float:
        """The share of the `k` nearest that the search engine finds.

        What is nearest says an exact search over all examples, a pass over the store in
        blocks. A neighbour that is as near as the last of them counts as found.

        Args:
            sample: How many of the examples are queries; none finds itself. All, where
                there are fewer.
            k: At least 1.
            seed: Which of them.
            queries: Queries `[Q, D]` in place of the sample. New ones may find less
                than the index' own examples, in a graph above all.

        Returns:
            From 0 to 1; 1 for an exact engine.

        Raises:
            IndexError: If nothing can be found.
        """
        if queries is not None:
            queries = self._embeddings(queries)
        return measured_recall(self._contents, sample, k, seed, queries)

    def tune(
        self,
        recall: float = 0.99,
        queries: Any = None,
        k: int = 10,
        *,
        sample: int = 1000,
        seed: int = 0,
    ) -> Tuning:
        """Sets the engine's parameters to the cheapest with which it finds enough.

        Tries them on queries, from the cheapest up, and compares with an exact search;
        see `recall`. A setting is good enough if it would be so on other queries of the
        kind, too: its recall is at least `recall` by 1.6 standard errors. The setting is
        kept and saved with the index. Changes of the index wait until that is done.

        Args:
            recall: The share of the `k` nearest to find, from 0 to 1.
            queries: Queries `[Q, D]` like those to come, some hundred at least; `None`
                for a sample of the examples, and as many made-up queries near them, since
                a graph finds the neighbours of what it holds more easily. The recall is
                the lower of the two.
            k: At least 1.
            sample: As `recall`, of which so many are drawn; so is `seed`.

        Returns:
            The settings that were tried, with recall and queries a second, and the one
            that was chosen. If none is good enough it is the one with the highest
            recall, and a warning says so. Of an exact engine there is nothing to tune.

        Raises:
            ValueError: If `recall` is not from 0 to 1.
            IndexError: If nothing can be found.
        """
        if queries is not None:
            queries = self._embeddings(queries)
        return tuned(self._contents, recall, sample, k, seed, queries)

    def _lookup(self, embeddings: Floats, k: int, choice: Choice = ANY) -> Lookups:
        return self._timed(
            embeddings, lambda queries: self._contents.lookup(queries, k, choice)
        )

    def _timed(self, queries: Floats, look: Callable[[Floats], Lookups]) -> Lookups:
        start = time.perf_counter()
        lookups = look(queries)
        self._statistics.add(len(queries), time.perf_counter() - start)
        return lookups
