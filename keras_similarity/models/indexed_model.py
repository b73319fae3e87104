"""A Keras model with an index of its own."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from keras_similarity import distances, search
from keras_similarity.backend import keras
from keras_similarity.distances import Distance
from keras_similarity.indexer import Indexer
from keras_similarity.models.embedding_model import EmbeddingModel
from keras_similarity.models.forward import row_count
from keras_similarity.models.functional import Functional
from keras_similarity.models.index_options import IndexOptions
from keras_similarity.models.origin import difference, origin_of
from keras_similarity.search.base import check_positive
from keras_similarity.types import Floats, Lookup, Lookups

logger = logging.getLogger(__name__)


class IndexedModel(EmbeddingModel):
    """The part of a similarity model that is about its index: it fills it and asks it."""

    def _first_parts(self) -> dict[str, Any]:
        return {
            **super()._first_parts(),
            "_index": None,
            "_options": None,
            "_is_origin_known": True,  # Are the index' vectors known to be this model's?
            "_training_when_indexed": None,
        }

    def create_index(
        self,
        distance: Distance | str = "cosine",
        search: Any = "linear",
        kv_store: Any = "memory",
        evaluator: Any = "memory",
        embedding_output: int | str | None = None,
        stat_buffer_size: int = 1000,
    ) -> None:
        """Creates an empty index, in place of the one that is there.

        `compile` does this too.

        Args:
            distance: A `Distance` or its name.
            search: A `Search`, or the name of one: `"linear"`, `"faiss"`.
            kv_store: A `Store`, or the name of one: `"memory"`.
            evaluator: An `Evaluator`, or `"memory"`.
            embedding_output: Which output is the embedding: index, or key of a dict;
                `None` for the first.
            stat_buffer_size: Lookups that statistics are kept of.

        Raises:
            ValueError: If an engine, a store or the output is not known.
        """
        options = IndexOptions(
            distance, search, kv_store, evaluator, embedding_output, stat_buffer_size
        )
        options.check(self.output if isinstance(self, Functional) else None)
        self._set_index(options, self._make_index(options))

    @property
    def distance(self) -> Distance | None:
        """Distance of the index; `None` before `compile` and `create_index`."""
        return None if self._options is None else distances.get(self._options.distance)

    @property
    def indexer(self) -> Indexer:
        """The index itself.

        Raises:
            ValueError: If there is none yet.
        """
        if self._index is None:
            raise ValueError(
                "The model has no index yet: call `compile()` or `create_index()` first"
                + (", and index an example." if self._options else ".")
            )
        return self._index

    def index(
        self,
        x: Any,
        y: Any = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
        *,
        ids: Any = None,
        metadata: Any = None,
    ) -> None:
        """Adds examples to the index.

        Args:
            x: Inputs `[N, ...]`.
            y: Labels `[N]`, integers; without them neighbours have none.
            data: What lookups give back with each row, `[N]`: pictures, names, ...
            build: Make them searchable now? If not, `build_index()` does.
            verbose: Show progress?
            ids: Their ids, integers or strings; as `Indexer.batch_add`, and so is
                `metadata`.
        """
        self._check_has_index()
        if y is not None:
            _check_length("y", y, x)
        embeddings = self.embed(x, verbose=verbose)
        index = self._index_of(embeddings)
        index.batch_add(embeddings, y, data, build, verbose, ids=ids, metadata=metadata)
        index.model = origin_of(self)
        self.__dict__["_training_when_indexed"] = self._training()

    def index_single(
        self,
        x: Any,
        y: int | None = None,
        data: Any = None,
        build: bool = True,
        verbose: int = 1,
    ) -> None:
        """Adds one example, given with or without a batch axis of 1, to the index."""
        self.index(
            self._as_batch(x),
            y=None if y is None else np.reshape(np.asarray(y), (1,)),
            data=None if data is None else [data],
            build=build,
            verbose=verbose,
        )

    def build_index(self, verbose: int = 1) -> None:
        """Makes the examples searchable that were added with `build=False`."""
        self.indexer.build_index(verbose=verbose)

    def lookup(self, x: Any, k: int = 5, verbose: int = 1, **kwargs: Any) -> Lookups:
        """The `k` nearest neighbours of each example, as columns and as lists.

        Rows are shorter than `k` where the index is smaller, and empty where it is.

        Args:
            x: Inputs `[N, ...]`.
            k: Neighbours of each.
            verbose: Show progress?
            **kwargs: Which neighbours may be found: `filter`, `exclude_self` and
                `max_per_label` of `Indexer.batch_lookup`.
        """
        self._check_has_index()
        k = check_positive("k", k)
        embeddings = self.embed(x, verbose=verbose)
        return self._index_of(embeddings).batch_lookup(embeddings, k, verbose, **kwargs)

    def single_lookup(self, x: Any, k: int = 5, **kwargs: Any) -> list[Lookup]:
        """The `k` nearest neighbours of one example, given as to `index_single`."""
        return self.lookup(self._as_batch(x), k=k, verbose=0, **kwargs)[0]

    def index_size(self) -> int:
        """Number of examples in the index."""
        return 0 if self._index is None else self._index.size()

    def index_summary(self) -> None:
        """Prints what the index is and what it holds."""
        print(self.indexer.summary())

    def reset_index(self) -> None:
        """Empties the index; its calibration goes too."""
        self.indexer.reset()
        self.__dict__.update(_is_origin_known=True, _training_when_indexed=None)

    def to_data_frame(self, num_items: int = 0) -> Any:
        """The index as a pandas `DataFrame`, or its first `num_items` rows."""
        return self.indexer.to_data_frame(num_items)

    def _make_index(self, options: IndexOptions) -> Indexer | None:
        """A new index; `None` where the model does not know its embedding size yet."""
        output = options.embedding_output
        size = self._size_of_output(output)
        if size is None and self._index is not None and output == self._embedding_output:
            size = self._index.embedding_size
        if size is None:
            return None
        # An engine with the rows of this model's index cannot be joined with a new store;
        # here counts only what it is like.
        if self._index is not None and options.has_filled_search:
            options = replace(options, search=search.serialize(options.search))
        return options.make_index(size)

    def _set_index(self, options: IndexOptions, index: Indexer | None) -> None:
        self._choose_output(options.embedding_output)
        self.__dict__.update(_options=options, _index=index)
        self.__dict__.update(_is_origin_known=True, _training_when_indexed=None)

    def _keeps_index(self, options: IndexOptions, fresh: Indexer | None) -> bool:
        """Is the index that is there like the fresh one that the options describe?"""
        index, output = self._index, options.embedding_output
        if index is None or fresh is None or output != self._embedding_output:
            return False
        if IndexOptions.of(fresh, output) != IndexOptions.of(index, output):
            if index.size():
                logger.warning("Another index: %d examples are dropped.", index.size())
            return False
        index.evaluator = fresh.evaluator
        self.__dict__["_options"] = options
        return True

    def _adopt(self, index: Indexer, embedding_output: int | str | None) -> None:
        self._choose_output(embedding_output)
        options = IndexOptions.of(index, embedding_output)
        self.__dict__.update(_options=options, _index=index)
        # Checked at the first lookup: the weights may be still to be loaded.
        self.__dict__.update(_is_origin_known=False, _training_when_indexed=None)

    def _check_has_index(self) -> None:
        """Is there an index, or will there be one with the first embedding?"""
        if self._options is None:
            _ = self.indexer

    def _index_of(self, embeddings: Floats) -> Indexer:
        """The index, made now if the model did not know its embedding size before."""
        if self._index is None and self._options is not None:
            size = int(embeddings.shape[-1])
            self.__dict__["_index"] = self._options.make_index(size)
        self._check_origin()
        return self.indexer

    def _filled_index(self) -> Indexer:
        if self.index_size() == 0:
            raise IndexError("The index is empty. Add examples first, with `index()`.")
        self._check_origin()
        return self.indexer

    def _check_origin(self) -> None:
        """Are the vectors in the index this model's?

        Raises:
            ValueError: If the index was loaded, and another model made it.
        """
        if self._is_origin_known:
            self._tell_if_trained_on()
            return
        saved = self.indexer.model
        if not self.built:
            return
        if saved is not None and self.index_size():
            differs = difference(saved, origin_of(self))
            if differs is not None:
                raise ValueError(
                    f"The index was made by a model with other {differs}, so that its "
                    "vectors mean something else than this model's. Index the examples "
                    "again (`reset_index()`, then `index()`), or, if the model fits all "
                    "the same, load it with `load_index(path, check_model=False)`."
                )
        training = self._training()
        self.__dict__.update(_is_origin_known=True, _training_when_indexed=training)

    def _tell_if_trained_on(self) -> None:
        before = self._training_when_indexed
        if before is None or not self.index_size():
            return
        optimizer, steps = self._training()
        if steps > (before[1] if optimizer == before[0] else 0):
            self.__dict__["_training_when_indexed"] = None  # Told once.
            logger.warning(
                "The model was trained on after the examples were indexed: their vectors "
                "are those of the model as it was. Index them again."
            )

    def _training(self) -> tuple[int, int]:
        """Which optimizer trains, and how many steps it has made."""
        optimizer = getattr(self, "optimizer", None)
        return id(optimizer), 0 if optimizer is None else int(optimizer.iterations)


def known_rows(x: Any) -> int | None:
    """Rows of arrays; `None` for a data set, which only embedding it counts."""
    arrays = keras.tree.flatten(x)
    is_counted = all(hasattr(array, "shape") and len(array.shape) for array in arrays)
    return row_count(x) if arrays and is_counted else None


def _check_length(name: str, column: Any, x: Any) -> None:
    rows = known_rows(x)
    if rows is not None and len(column) != rows:
        raise ValueError(
            f"`{name}` must hold one entry a row of `x`, {rows} of them. Received: "
            f"{len(column)}."
        )
