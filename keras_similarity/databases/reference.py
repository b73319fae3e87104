"""A saved index and the rows that a database keeps: referred to, or copied."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_similarity.databases.rows import ById
from keras_similarity.stores.files import SavedRows, read_rows, write_rows
from keras_similarity.stores.row_table import RowTable
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import Floats, Ids

if TYPE_CHECKING:
    from keras_similarity.databases.base import Database

logger = logging.getLogger(__name__)

_REFERENCE = "database.json"
_COPY = "copy"
# Rows of a copy that are in memory at a time.
_BLOCK = 10_000


def write_reference(
    database: Database, folder: Path, *, compression: bool, copy: bool
) -> None:
    """Writes where the rows are, and with `copy` the rows."""
    schema = database.schema()
    rows = None
    if copy and schema is not None:
        (folder / _COPY).mkdir()
        rows = _write_copy(database, folder / _COPY, compression)
    reference = {
        "location": database.location,
        "identity": schema and schema.identity,
        "columns": dict(schema.columns) if schema else {},
        "next_id": database._next_id,
        "copied": rows,
    }
    (folder / _REFERENCE).write_text(json.dumps(reference))


def read_reference(database: Database, folder: Path) -> None:
    """Finds the rows where they were, or brings their copy back where none are.

    Raises:
        ValueError: If other rows are there, or none, and there is no copy.
    """
    reference = json.loads((folder / _REFERENCE).read_text())
    schema = database.schema()
    if reference["identity"] is None:
        return  # There were no rows yet: those that came since are the index'.
    copied = reference.get("copied")
    if schema is None:
        if copied is None:
            raise _not_there(reference, "nothing", "Restore it")
        _restore(database, read_rows(folder / _COPY), reference["identity"])
    elif schema.identity != reference["identity"]:
        advice = "Restore it" if copied is None else "Move it away, to restore the copy"
        raise _not_there(reference, "another table of that name", advice)
    elif copied and database.size() < copied:
        logger.warning(
            "%s has %d rows, and %d were saved: some were deleted, or bringing them back "
            "was cut short. If so, `reset()` it and load again.",
            database.location,
            database.size(),
            copied,
        )
    database._remember(reference["columns"])
    database._next_id = reference["next_id"]


def _not_there(reference: Any, state: str, advice: str) -> ValueError:
    return ValueError(
        "The rows of the index must be where they were when it was saved, in "
        f"{reference['location']}. Received: {state} there. {advice}, or make a new "
        "index."
    )


def _write_copy(database: Database, folder: Path, compression: bool) -> int:
    """Writes all rows, as a store in memory is saved; returns how many."""
    ids = database.all_ids()
    table = RowTable()
    for part in _blocks(ids):
        some = ById(database, part)
        numbers = np.arange(len(part))
        table.append(part, some.labels(numbers), some.metadata(numbers))
    data: list[Any] = []

    def embeddings() -> Iterator[Floats]:
        for part in _blocks(ids):
            block, items = ById(database, part).records(np.arange(len(part)))
            data.extend(items)
            yield block

    write_rows(folder, table, embeddings(), data, compression=compression)
    return len(ids)


def _restore(database: Database, saved: SavedRows, identity: str) -> None:
    """Adds the rows of a copy; removes them if that fails."""
    try:
        for start in range(0, len(saved.ids), _BLOCK):
            part = np.arange(start, min(start + _BLOCK, len(saved.ids)))
            new = NewRows(
                saved.ids[part],
                saved.embeddings[part],
                saved.labels[part],
                saved.data[start : start + _BLOCK],
                {name: column.take(part) for name, column in saved.metadata.items()},
            )
            database._commit(database.schema(), new, replacing=False, identity=identity)
    except BaseException:
        database._drop()
        raise


def _blocks(ids: Ids) -> Iterator[Ids]:
    for start in range(0, len(ids), _BLOCK):
        yield ids[start : start + _BLOCK]
