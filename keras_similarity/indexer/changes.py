"""How the examples of an index come, change and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_similarity.indexer.contents import Contents
from keras_similarity.indexer.database_contents import DatabaseContents
from keras_similarity.indexer.predictions import TakesPredictions
from keras_similarity.stores.base import UNCHANGED


class Changes(TakesPredictions):
    """Adds, replaces, changes and deletes: the part of `Indexer` that writes."""

    _contents: Contents | DatabaseContents

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
