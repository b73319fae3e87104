"""Statements that write and read rows in the tables of a `SQLiteStore`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from keras_similarity.stores.changes import Change
from keras_similarity.stores.checks import optional_labels
from keras_similarity.stores.encoding import all_to_bytes
from keras_similarity.stores.plain_columns import plain_from_column
from keras_similarity.types import Ints

# Rows that one statement asks for.
_CHUNK = 500


def insert(connection: sqlite3.Connection, change: Change) -> None:
    """Writes the rows that a change adds."""
    new, keys = change.added, change.keys.tolist()
    places = {name: place for place, (name, _) in enumerate(change.state.columns)}
    names = columns(places[name] for name in new.metadata)
    values = [plain_from_column(column) for column in new.metadata.values()]
    blobs = new.embeddings.astype("<f4", copy=False)
    data = [None] * len(keys) if new.data is None else all_to_bytes(new.data)
    into = ", ".join(["row", "id", "label", "live", "changed", *names])
    marks = ", ".join(["?, ?, ?, 1, 0", *["?"] * len(names)])
    connection.executemany(
        f"INSERT INTO rows ({into}) VALUES ({marks})",
        zip(keys, new.ids.tolist(), optional_labels(new.labels), *values, strict=True),
    )
    connection.executemany(
        "INSERT INTO contents VALUES (?, ?, ?)",
        zip(keys, (row.tobytes() for row in blobs), data, strict=True),
    )


def update(connection: sqlite3.Connection, change: Change) -> None:
    """Writes what a change gives to rows that are there."""
    keys = change.updated.tolist()
    if not keys:
        return
    places = {name: place for place, (name, _) in enumerate(change.state.columns)}
    names = columns(places[name] for name in change.metadata)
    values = [plain_from_column(column) for column in change.metadata.values()]
    if change.labels is not None:
        names, values = ["label", *names], [optional_labels(change.labels), *values]
    sets = [f"{name} = ?" for name in names] + [f"changed = {change.state.last_change}"]
    connection.executemany(
        f"UPDATE rows SET {', '.join(sets)} WHERE row = ?",
        zip(*values, keys, strict=True),
    )
    if change.data is not None:
        connection.executemany(
            "UPDATE contents SET data = ? WHERE row = ?",
            zip(all_to_bytes(change.data), keys, strict=True),
        )


def contents(connection: sqlite3.Connection, keys: Ints) -> list[Any]:
    """Keys, vectors and data of those keys that are there, ascending."""
    query = "SELECT row, vector, data FROM contents WHERE row "
    first, last = int(keys[0]), int(keys[-1])
    if last - first < 2 * len(keys):  # Mostly neighbours: one run over them.
        between = connection.execute(
            query + "BETWEEN ? AND ? ORDER BY row", (first, last)
        )
        if last - first + 1 == len(keys):
            return between.fetchall()
        wanted = set(keys.tolist())
        return [row for row in between if row[0] in wanted]
    found = []
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK].tolist()
        marks = ", ".join("?" * len(chunk))
        found += connection.execute(
            query + f"IN ({marks}) ORDER BY row", chunk
        ).fetchall()
    return found


def columns(places: Iterable[int]) -> list[str]:
    """What the columns of metadata are called in the file."""
    # Not the users' names: SQLite takes "Price" and "price" for one.
    return [f"m{place}" for place in places]


def singly(keys: Ints) -> list[tuple[int]]:
    """Keys as parameters, one for each run of a statement."""
    return [(key,) for key in keys.tolist()]
