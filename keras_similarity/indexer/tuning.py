"""How much of what is nearest a search engine finds, and how to make it enough."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.search import LinearSearch
from keras_similarity.search.base import check_positive
from keras_similarity.types import NO_ID, Bools, Floats, Ints

if TYPE_CHECKING:
    from keras_similarity.databases.base import Database
    from keras_similarity.indexer.contents import Contents
    from keras_similarity.indexer.database_contents import DatabaseContents
    from keras_similarity.search import Search

logger = logging.getLogger(__name__)

# Rows that an exact search holds at once.
_ROWS_AT_ONCE = 2**17
# A recall of other queries lies below the measured one less so many standard errors once
# in twenty times.
_STANDARD_ERRORS = 1.645
# How far a made-up query is from its row, in units of the distance to a neighbour. So
# far, the recall of graphs and lists was that of new queries, or less: on pictures of
# clothes and of characters, on clusters and on normally distributed rows.
_AWAY = 1.0
# By how much two computations of one distance may differ, in units of its size.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Setting:
    """How an engine did with some parameters.

    Attributes:
        parameters: Name -> value; empty where the engine has none.
        recall: The share of the nearest that it found, from 0 to 1.
        expected: What the recall on other queries is at least, nearly always.
        queries_per_second: With all queries in one batch.
    """

    parameters: Mapping[str, Any]
    recall: float
    expected: float
    queries_per_second: float


@dataclass(frozen=True)
class Tuning:
    """What `Indexer.tune` tried and chose; prints as a table.

    Attributes:
        target: The recall that was asked for.
        settings: All that were tried, in that order.
        chosen: The one that is in force now.
        is_reached: Is its expected recall the target or more?
    """

    target: float
    settings: Sequence[Setting]
    chosen: Setting
    is_reached: bool

    def __str__(self) -> str:
        names = list(self.chosen.parameters)
        rows = [[*names, "recall", "queries a second", ""]]
        for setting in self.settings:
            values = [str(setting.parameters[name]) for name in names]
            mark = "chosen" if setting is self.chosen else ""
            speed = f"{setting.queries_per_second:,.0f}"
            rows.append([*values, f"{setting.recall:.4f}", speed, mark])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = "\n".join(
            "  ".join(c.rjust(width) for c, width in zip(row, widths, strict=True))
            for row in rows
        )
        return table if names else f"{table}\nThe engine has nothing to tune."


def measured_recall(
    contents: Contents | DatabaseContents,
    sample: int,
    k: int,
    seed: int,
    queries: Floats | None,
) -> float:
    """See `Indexer.recall`."""
    with contents.reading():
        return float(_trial(contents, sample, k, seed, queries).recalls().mean())


def tuned(
    contents: Contents | DatabaseContents,
    target: float,
    sample: int,
    k: int,
    seed: int,
    queries: Floats | None,
) -> Tuning:
    """See `Indexer.tune`."""
    if not 0 <= target <= 1:
        raise ValueError(f"`recall` must be from 0 to 1. Received: {target}.")
    engine = contents.search
    names = list(engine.tunable())
    before = engine.parameters()
    try:
        with contents.reading():
            trials = [_trial(contents, sample, k, seed, queries)]
            # The order of inner products has no neighbourhood that one could leave.
            if queries is None and not engine.distance.is_similarity:
                trials.append(trials[0].of_strangers(seed))
            settings = list(_tried(engine, trials, target))
        good = [setting for setting in settings if setting.expected >= target]
        # The settings are in the order of their cost where one parameter is tuned.
        if len(names) == 1:
            chosen = (good or [max(settings, key=lambda setting: setting.recall)])[0]
        elif good:
            chosen = max(good, key=lambda setting: setting.queries_per_second)
        else:
            chosen = max(settings, key=lambda setting: setting.recall)
        before = dict(chosen.parameters)
    finally:
        if names:
            engine.set_parameters(**before)
    if not good:
        logger.warning(
            "No setting of %s reaches the recall %s; the best, %s, has %.4f.",
            type(engine).__name__,
            target,
            dict(chosen.parameters) or "the only one",
            chosen.recall,
        )
    return Tuning(target, settings, chosen, bool(good))


def _tried(
    engine: Search | Database, trials: Sequence[_Trial], target: float
) -> Iterator[Setting]:
    """Settings, of each series that differs in the last parameter up to a good one."""

    def tried(parameters: Mapping[str, Any]) -> Setting:
        settings = [trial.setting(parameters) for trial in trials]
        return min(settings, key=lambda setting: setting.expected)

    tunable = engine.tunable()
    if not tunable:
        yield tried({})
        return
    *outer, last = tunable
    for values in itertools.product(*(tunable[name] for name in outer)):
        for value in tunable[last]:
            parameters = {**dict(zip(outer, values, strict=True)), last: value}
            engine.set_parameters(**parameters)
            setting = tried(parameters)
            yield setting
            if setting.expected >= target:
                break


def _trial(
    contents: Contents | DatabaseContents,
    sample: int,
    k: int,
    seed: int,
    queries: Floats | None,
) -> _Trial:
    """A trial with the queries, or with a sample of the rows."""
    check_positive("k", k)
    check_positive("sample", sample)
    rows = contents.searchable_rows()
    if not len(rows) or (queries is not None and not len(queries)):
        raise IndexError("The index and `queries` must not be empty.")
    if queries is not None:
        return _Trial(contents, queries, k)
    drawn = np.random.default_rng(seed).permutation(len(rows))[:sample]
    own = np.sort(rows[drawn])
    return _Trial(contents, contents.vectors(own), k, own)


class _Trial:
    """Queries, and what an exact search finds for them.

    Args:
        contents: The index' rows, held still meanwhile.
        queries: Queries `[Q, D]`.
        k: Neighbours.
        own: The row `[Q]` that each query is and that it must not find, or `None`.
    """

    def __init__(
        self,
        contents: Contents | DatabaseContents,
        queries: Floats,
        k: int,
        own: Ints | None = None,
    ) -> None:
        self.contents = contents
        self._k = k
        self._own = own
        self._queries = queries
        found, distances = self._exact(contents.searchable_rows())
        self._nearest = found
        self._is_there = found != NO_ID
        costs = contents.search.distance.to_cost(distances)
        self._last = np.where(self._is_there, costs, -np.inf).max(axis=1, keepdims=True)

    def of_strangers(self, seed: int) -> _Trial:
        """A trial with queries that are near the rows, but none of them.

        A graph links a row with its neighbours and so finds them more easily than those
        of a new query. Each query here lies on the far side of its row, as seen from one
        of the row's neighbours.
        """
        column = np.random.default_rng(seed).integers(
            0, np.maximum(self._is_there.sum(1), 1)
        )
        neighbours = np.take_along_axis(self._nearest, column[:, None], 1)[:, 0]
        has_any = neighbours != NO_ID
        queries = self._queries.copy()
        away = queries[has_any] - self.contents.vectors(neighbours[has_any])
        queries[has_any] += _AWAY * away
        return _Trial(self.contents, queries, self._k)

    def recalls(self) -> Floats:
        """The share `[Q]` of its nearest that the engine finds, query by query."""
        return self._judged(self._found())

    def setting(self, parameters: Mapping[str, Any]) -> Setting:
        """How the engine does as it is set now."""
        self.contents.nearest(self._queries[:1], self._k)  # What is made lazily, is.
        start = time.perf_counter()
        found = self._found()
        seconds = time.perf_counter() - start
        recalls = self._judged(found)
        error = recalls.std() / len(recalls) ** 0.5
        recall = float(recalls.mean())
        return Setting(
            parameters,
            recall,
            recall - _STANDARD_ERRORS * float(error),
            len(recalls) / seconds,
        )

    def _found(self) -> Ints:
        more = self._own is not None
        return _others(
            self.contents.nearest(self._queries, self._k + more), self._own, self._k
        )

    def _exact(self, rows: Ints) -> tuple[Ints, Floats]:
        """Rows and distances `[Q, k]` of the nearest, the query itself left out."""
        count = self._k + (self._own is not None)
        distance = self.contents.search.distance
        best = np.empty((len(self._queries), 0), "int64")
        costs = np.empty((len(self._queries), 0), "float32")
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            exact = LinearSearch(distance, self._queries.shape[1])
            exact.batch_add(self.contents.vectors(part), part, verbose=0)
            found, distances = exact.batch_lookup(self._queries, count)
            best = np.concatenate([best, found], axis=1)
            costs = np.concatenate([costs, distance.to_cost(distances)], axis=1)
            order = np.argsort(costs, axis=1, kind="stable")[:, :count]  # NaN last.
            best = np.take_along_axis(best, order, 1)
            costs = np.take_along_axis(costs, order, 1)
        if self._own is not None:
            order = np.argsort(best == self._own[:, None], axis=1, kind="stable")
            best = np.take_along_axis(best, order, 1)[:, : self._k]
            costs = np.take_along_axis(costs, order, 1)[:, : self._k]
        return best, distance.to_cost(costs)

    def _judged(self, found: Ints) -> Floats:
        right = self._is_right(found).sum(axis=1)
        there = self._is_there.sum(axis=1)
        return np.minimum(right, there) / np.maximum(there, 1)

    def _is_right(self, found: Ints) -> Bools:
        """Which rows `[Q, k]` are among the nearest, or as near as the last of them."""
        is_right = (found[:, :, None] == self._nearest[:, None, :]).any(axis=2)
        is_right &= found != NO_ID
        query, column = np.nonzero((found != NO_ID) & ~is_right)
        distance = self.contents.search.distance
        costs = distance.to_cost(
            distance.paired(
                self._queries[query], self.contents.vectors(found[query, column])
            )
        )
        last = self._last[query, 0]
        is_right[query, column] = costs <= last + _ROUNDING * np.abs(last)
        return is_right


def _others(rows: Ints, own: Ints | None, k: int) -> Ints:
    """The first `k` rows of each query that are not its own."""
    if own is None:
        return rows
    order = np.argsort(rows == own[:, None], axis=1, kind="stable")
    return np.take_along_axis(rows, order, 1)[:, :k]
