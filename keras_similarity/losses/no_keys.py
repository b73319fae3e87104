"""What losses share that compare the rows of a batch with each other alone."""

from __future__ import annotations

from keras_similarity.pairs import Batch


def refuse_keys(batch: Batch, owner: str) -> None:
    """Raises a `ValueError` if the batch has keys of its own.

    Args:
        batch: A batch.
        owner: Name of the class that takes none, for the message.
    """
    if batch.has_keys:
        raise ValueError(
            f"`{owner}` compares the rows of a batch with each other, and takes no keys. "
            "Received: `key_embeddings`."
        )
