"""The parts of an index, made from what the user gave, and as plain data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity import distances, evaluators, search, stores
from keras_similarity.databases import Database
from keras_similarity.distances import Distance
from keras_similarity.evaluators import Evaluator
from keras_similarity.search import Search
from keras_similarity.search.base import is_same_distance
from keras_similarity.stores import Store

if TYPE_CHECKING:
    from keras_similarity.indexer.indexer import Indexer

logger = logging.getLogger(__name__)


def search_of(engine: Any, distance: Distance, dim: int) -> Search | Database:
    """The search engine that an object, a name or a config means, if it fits."""
    if isinstance(engine, str):
        return search.get(engine, distance=distance, dim=dim)
    if not isinstance(engine, Database):
        engine = search.get(engine)
    if engine.dim != dim or not is_same_distance(engine.distance, distance):
        raise ValueError(
            f"`search` must have the index' distance and embedding size, {distance!r} "
            f"and {dim}. Received: {engine.distance!r} and {engine.dim}."
        )
    return engine


def check_evaluator(evaluator: Any) -> None:
    """Raises a `ValueError` unless `evaluator_of` can make an evaluator of it."""
    is_name = isinstance(evaluator, str) and evaluator.lower() == "memory"
    if not is_name and not isinstance(evaluator, Evaluator):
        raise ValueError(
            f"`evaluator` must be 'memory' or an `Evaluator`. Received: {evaluator!r}."
        )


def evaluator_of(evaluator: Any) -> Evaluator:
    """The evaluator that an object or the name `"memory"` means."""
    check_evaluator(evaluator)
    return evaluators.get(evaluator)


def check_embedding_output(output: Any) -> int | str | None:
    """The argument, if it can name an output: a number from 0, a key or `None`."""
    if output is None or isinstance(output, str):
        return output
    is_number = isinstance(output, (int, np.integer)) and not isinstance(output, bool)
    if is_number and output >= 0:
        return int(output)
    raise ValueError(
        "`embedding_output` must be the number (from 0) or the key of an output, or "
        f"None. Received: {output!r}."
    )


def arguments_as_config(index: Indexer) -> dict[str, Any]:
    """Constructor arguments of an index, as plain data."""
    return {
        "embedding_size": index.embedding_size,
        "distance": distances.serialize(index.distance),
        "search": search.serialize(index.search),
        "kv_store": stores.serialize(index.kv_store),
        "evaluator": evaluators.serialize(index.evaluator),
        "embedding_output": index.embedding_output,
        "stat_buffer_size": index.stat_buffer_size,
        "dtype": "float32",  # Of the vectors.
    }


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of an index, from `arguments_as_config`."""
    names = ("embedding_size", "distance", "search", "kv_store", "embedding_output")
    arguments = {name: config[name] for name in (*names, "stat_buffer_size")}
    return {**arguments, "evaluator": evaluator_from(config["evaluator"])}


def evaluator_from(config: Mapping[str, Any]) -> Evaluator | str:
    """The evaluator of a config; `"memory"`, and a warning, if its class is not known."""
    try:
        return evaluators.deserialize(config)
    except ValueError as error:
        # It holds no data, so an index is complete without it.
        logger.warning("The index gets the evaluator 'memory': %s", error)
        return "memory"


def has_rows_of(store: Store, saved: Mapping[str, Any]) -> bool:
    """Do the rows of a saved engine have the numbers that the store has for them today?

    Args:
        store: The index' store, read.
        saved: Config of the saved index.
    """
    if not store.is_external:
        return True
    is_same = saved.get("store_version") == store.version
    if is_same and saved["searchable"] <= store.num_rows:
        return True
    logger.warning(
        "The rows of %s were numbered anew after the index was saved: the search is "
        "built from them again.",
        type(store).__name__,
    )
    return False
