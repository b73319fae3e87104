"""What a model's index is made of."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

from keras_similarity import distances, evaluators, search, stores
from keras_similarity.backend import keras
from keras_similarity.indexer import Indexer
from keras_similarity.indexer.parts import evaluator_from

logger = logging.getLogger(__name__)


@dataclass
class IndexOptions:
    """The arguments of `create_index`, as the user gave them."""

    distance: Any = "cosine"
    search: Any = "linear"
    kv_store: Any = "memory"
    evaluator: Any = "memory"
    embedding_output: int | str | None = None
    stat_buffer_size: int = 1000

    @classmethod
    def of(cls, index: Indexer, embedding_output: int | str | None) -> Self:
        """The options that would make an index like this one."""
        return cls(
            distance=distances.serialize(index.distance),
            search=search.serialize(index.search),
            kv_store=stores.serialize(index.kv_store),
            embedding_output=embedding_output,
            stat_buffer_size=index.stat_buffer_size,
        )

    @property
    def has_filled_search(self) -> bool:
        """Is the engine an object that holds rows, and the store none?"""
        return (
            isinstance(self.search, search.Search)
            and self.search.size() > 0
            and isinstance(self.kv_store, str)
        )

    def check(self, outputs: Any) -> None:
        """Raises a `ValueError` if a part is not known or there is no such output.

        Args:
            outputs: Outputs of the model: a tensor, a list or a dict; `None` if they are
                not known yet.
        """
        distances.get(self.distance)
        for registry, part in (
            (search.registry, self.search),
            (stores.registry, self.kv_store),
        ):
            if isinstance(part, str):
                registry.find(part)
        if self.evaluator != "memory" and not isinstance(
            self.evaluator, evaluators.Evaluator
        ):
            raise ValueError(
                "`evaluator` must be 'memory' or an `Evaluator`. Received: "
                f"{self.evaluator!r}."
            )
        if outputs is not None:
            self._check_output(outputs)

    def config(self) -> dict[str, Any]:
        """The options as plain data."""
        is_name = isinstance(self.evaluator, str)
        evaluator = self.evaluator if is_name else evaluators.serialize(self.evaluator)
        return {
            "distance": distances.serialize(distances.get(self.distance)),
            "search": _plain(search, self.search),
            "kv_store": _plain(stores, self.kv_store),
            "evaluator": evaluator,
            "embedding_output": self.embedding_output,
            "stat_buffer_size": self.stat_buffer_size,
        }

    def make_index(self, embedding_size: int) -> Indexer:
        """An empty index, of embeddings: the model has chosen the output."""
        return Indexer(
            embedding_size,
            distance=distances.get(self.distance),
            search=self.search,
            kv_store=self.kv_store,
            evaluator=self.evaluator,
            stat_buffer_size=self.stat_buffer_size,
        )

    def _check_output(self, outputs: Any) -> None:
        chosen = self.embedding_output
        if isinstance(outputs, Mapping):
            known: Sequence[Any] = sorted(outputs)
        else:
            known = range(len(outputs) if isinstance(outputs, (list, tuple)) else 1)
        if chosen is None and len(known) > 1:
            logger.warning(
                "The model has several outputs; the first, %r, is the embedding. "
                "`embedding_output` chooses another.",
                known[0],
            )
        elif chosen is not None and chosen not in known:
            raise ValueError(
                f"`embedding_output` must be one of {list(known)}, an output of the "
                f"model. Received: {chosen!r}."
            )


def arguments_of(config: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `compile`, from `IndexOptions.config`."""
    evaluator = config.get("evaluator", "memory")
    if not isinstance(evaluator, str):
        evaluator = evaluator_from(evaluator)
    return {**config, "evaluator": evaluator}


def custom_classes(config: dict[str, Any]) -> dict[str, Any]:
    """Class name -> class, of those that a config names and only Keras knows."""
    names = [part["class_name"] for part in config.values() if isinstance(part, dict)]
    found = {name: keras.saving.get_registered_object(name) for name in names}
    return {name: cls for name, cls in found.items() if cls is not None}


def _plain(module: ModuleType, part: Any) -> Any:
    return part if isinstance(part, (str, dict)) else module.serialize(part)


def distance_of(loss: Any) -> Any:
    """The distance that `distance="auto"` means: that of the first loss, or cosine.

    Raises:
        ValueError: If the loss has none.
    """
    given = loss if isinstance(loss, (list, tuple)) else [loss]
    first = next((each for each in given if each is not None), None)
    if first is None:
        return "cosine"
    if not hasattr(first, "distance"):
        raise ValueError(
            "distance='auto' only works if the first loss is a metric loss. Received: "
            f"loss={loss!r}. Name the distance, e.g. distance='cosine'."
        )
    return first.distance
