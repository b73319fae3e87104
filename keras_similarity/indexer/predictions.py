"""From what a model predicts to the embeddings in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_similarity.arrays import check_embeddings, to_numpy
from keras_similarity.types import Floats


class TakesPredictions:
    """What takes embeddings, or the outputs of a model, for examples.

    Attributes:
        embedding_size: Length of an embedding.
        embedding_output: Which of a model's outputs is the embedding.
    """

    embedding_size: int
    embedding_output: int | str | None

    def _embeddings(self, predictions: Any) -> Floats:
        """The embeddings `[N, D]` of predictions."""
        return select_embeddings(
            predictions, embedding_output=self.embedding_output, dim=self.embedding_size
        )

    def _one_embedding(self, prediction: Any) -> Floats:
        """The embedding `[1, D]` of one prediction."""
        return select_one(
            prediction, embedding_output=self.embedding_output, dim=self.embedding_size
        )


def select_embeddings(
    predictions: Any, *, embedding_output: int | str | None, dim: int
) -> Floats:
    """The embeddings, float32 `[N, dim]`, among a model's outputs.

    Args:
        predictions: An array `[N, dim]`, or a list, tuple or dict of outputs.
        embedding_output: Which output it is: its number, or its key in a dict. `None`
            takes the first, of a dict the one whose key is first in the alphabet, as
            in a model. For a single array, 0 and `None` mean the array itself.
        dim: Embedding size.

    Raises:
        ValueError: If there is no such output, or it is not finite `[N, dim]`.
    """
    heads = _heads(predictions)
    if heads is None:
        if embedding_output not in (None, 0):
            raise _no_such_output(embedding_output, "a single array")
        return check_embeddings(predictions, name="predictions", dim=dim)
    chosen = min(heads, default=None) if embedding_output is None else embedding_output
    if chosen not in heads:
        raise _no_such_output(embedding_output, f"outputs {list(heads)}")
    return check_embeddings(heads[chosen], name=f"predictions[{chosen!r}]", dim=dim)


def select_one(
    prediction: Any, *, embedding_output: int | str | None, dim: int
) -> Floats:
    """As `select_embeddings`, of one example: `[1, dim]`; an array may be `[dim]` too.

    Raises:
        ValueError: If there are several.
    """
    if _heads(prediction) is None:
        array = to_numpy(prediction)
        prediction = array[None] if array.ndim == 1 else array
    embedding = select_embeddings(prediction, embedding_output=embedding_output, dim=dim)
    if len(embedding) != 1:
        raise ValueError(
            f"`prediction` must be one example. Received: {len(embedding)} of them. Use "
            "`batch_add` or `batch_lookup`."
        )
    return embedding


def _heads(predictions: Any) -> Mapping[Any, Any] | None:
    """Outputs by key or number; `None` for a single array, also one as nested lists."""
    if isinstance(predictions, Mapping):
        return predictions
    if not isinstance(predictions, (list, tuple)):
        return None
    # Each element is a row of numbers, or an output: a matrix.
    first: Any = predictions[0] if predictions else ()
    shape = getattr(first, "shape", None)
    if shape is not None:
        is_output = len(shape) > 1
    else:
        row = first[0] if isinstance(first, (list, tuple)) and first else None
        is_output = hasattr(row, "__len__")
    return dict(enumerate(predictions)) if is_output else None


def _no_such_output(chosen: Any, received: str) -> ValueError:
    return ValueError(
        "`predictions` must have the output that `embedding_output` names. Received: "
        f"{received}, with embedding_output={chosen!r}."
    )
