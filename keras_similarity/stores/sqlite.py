"""The store in a SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.stores.base import register
from keras_similarity.stores.changes import Change, State
from keras_similarity.stores.encoding import from_bytes
from keras_similarity.stores.external import ExternalStore
from keras_similarity.stores.keyed_table import StoredRows
from keras_similarity.stores.plain_columns import (
    ids_from_list,
    labels_from_list,
    plain_to_column,
)
from keras_similarity.stores.sqlite_rows import (
    columns,
    contents,
    insert,
    singly,
    update,
)
from keras_similarity.types import Floats, Ints

# Marks a file as ours, and says how its tables are made.
_APPLICATION = 0x6B73696D  # "ksim"
_FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), json TEXT);
CREATE TABLE IF NOT EXISTS rows (
    row INTEGER PRIMARY KEY, id, label INTEGER, live INTEGER NOT NULL,
    changed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS contents (row INTEGER PRIMARY KEY, vector BLOB, data BLOB);
CREATE INDEX IF NOT EXISTS changed_rows ON rows (changed) WHERE changed > 0;
"""
_INHERITED: list[dict[str, sqlite3.Connection]] = []
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@register("sqlite")
class SQLiteStore(ExternalStore):
    """Keeps rows in a SQLite file: what a call has written survives a kill.

    Every call is one transaction that is on the disk when the call returns
    (`journal_mode=WAL`, `synchronous=FULL`), so neither a killed process nor a power cut
    loses it, and nothing is there in half. Several processes may read while one writes;
    a second writer waits.

    Ids, labels, metadata and which rows are there are kept in memory too; embeddings and
    data are read when they are asked for. Data may be what `MemoryStore` can save.

    The file must be on a local disk: SQLite's log does not work over a network. Its
    tables: `rows` (number, id, label, is it live, and a column `m0`, `m1` ... for each of
    the metadata, which `state` names), and `contents` (vector, float32 little-endian, and
    data).

    Args:
        path: The file, e.g. `"products.db"`; made by the first change.
        name: Name of the object.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
        timeout: How many seconds to wait for another writer; then a `TimeoutError`.

    Raises:
        ValueError: If `path` is missing, is no local file, or holds something else.

    Example:
        >>> import tempfile
        >>> from keras_similarity.stores import SQLiteStore
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = SQLiteStore(folder.name + "/products.db")
        >>> store.batch_add([[0.0, 1.0], [1.0, 0.0]], labels=[7, None], data=["a", "b"])
        [0, 1]
        >>> SQLiteStore(folder.name + "/products.db").get(0)[1:]
        (7, 'a')
    """

    default_name = "sqlite"

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        verbose: int = 0,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(name, verbose)
        self.path = _checked_path(path)
        self.timeout = timeout
        self._reading = threading.RLock()
        self._connections: dict[str, sqlite3.Connection] = {}
        self._pid = os.getpid()
        self._data_version: int | None = None
        weakref.finalize(self, _close, self._connections)

    @property
    def location(self) -> str:
        return self.path

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "path": self.path, "timeout": self.timeout}

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        with self._writing, self._reading:
            _close(self._connections)

    # Connections: one that writes, and one that reads meanwhile.

    def _connection(self, kind: str) -> sqlite3.Connection:
        if os.getpid() != self._pid:
            # A connection must be neither used nor closed in a fork of its process.
            _INHERITED.append(dict(self._connections))
            self._connections.clear()
            self._pid = os.getpid()
        if kind not in self._connections:
            self._connections[kind] = self._open(is_writer=kind == "writer")
        return self._connections[kind]

    def _open(self, *, is_writer: bool) -> sqlite3.Connection:
        connection = self._connected()
        try:
            self._check_file(connection)
            if is_writer:
                self._log_ahead(connection)
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA fullfsync=1")
                connection.execute("BEGIN IMMEDIATE")
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={_APPLICATION}")
                connection.execute(f"PRAGMA user_version={_FORMAT}")
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(
                self.path, self.timeout, isolation_level=None, check_same_thread=False
            )
        except sqlite3.OperationalError as error:
            raise OSError(
                "`path` must be a file that can be opened, or made in a folder that is "
                f"there. Received: {self.path!r}."
            ) from error

    def _log_ahead(self, connection: sqlite3.Connection) -> None:
        """Switches to WAL, for which SQLite doesn't wait until others are done."""
        until = time.monotonic() + self.timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _check_file(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")  # Another process may be making it.
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("COMMIT")
        if tables and application != _APPLICATION:
            raise ValueError(
                "`path` must be a file of a SQLiteStore, or a new one. Received: "
                f"{self.path!r}, which is the database of something else."
            )
        if version > _FORMAT:
            raise ValueError(
                f"{self.path!r} was written by a newer version of keras_similarity. "
                "Upgrade the package."
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._errors():
            connection = self._connection("writer")
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._errors():
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that sees one version; `None` where there is no file."""
        with self._reading, self._errors():
            if "reader" not in self._connections and not os.path.exists(self.path):
                yield None
                return
            connection = self._connection("reader")
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _BUSY:
                raise TimeoutError(
                    f"Another process has been writing to {self.path!r} for "
                    f"{self.timeout} s. Nothing was changed. Call again, or give "
                    "`timeout` more seconds."
                ) from error
            if code in _DAMAGED:
                raise ValueError(
                    f"`path` must be a file of a SQLiteStore. Received: {self.path!r}, "
                    f"which is damaged or something else ({error}). Restore it from a "
                    "copy."
                ) from error
            raise

    def _has_news(self) -> bool:
        with self._snapshot() as connection:
            return connection is not None and self._data_version != _version(connection)

    # Reading.

    def _read_state(self) -> State | None:
        with self._snapshot() as connection:
            if connection is None or not _has_tables(connection):
                return None
            self._data_version = _version(connection)
            found = connection.execute("SELECT json FROM state").fetchone()
        return None if found is None else State.from_json(found[0])

    def _read_rows(self, state: State, after: int) -> StoredRows:
        return self._rows_where(state, "row > ?", after)

    def _read_changed(self, state: State, since: int) -> StoredRows:
        return self._rows_where(state, "changed > 0 AND changed > ?", since)

    def _rows_where(self, state: State, condition: str, value: int) -> StoredRows:
        names = ["row", "id", "label", "live", *columns(range(len(state.columns)))]
        query = f"SELECT {', '.join(names)} FROM rows WHERE {condition} ORDER BY row"
        with self._snapshot() as connection:
            assert connection is not None
            found = connection.execute(query, (value,)).fetchall()
        parts: Sequence[Any] = list(zip(*found, strict=True)) or [()] * len(names)
        keys, ids, labels, is_live, *metadata = parts
        return StoredRows(
            np.array(keys, "int64"),
            ids_from_list(ids),
            labels_from_list(labels),
            np.array(is_live, bool),
            {
                name: plain_to_column(type_, values)
                for (name, type_), values in zip(state.columns, metadata, strict=True)
            },
        )

    def _fetch(self, keys: Ints) -> tuple[Ints, Floats, list[Any]]:
        found = self._contents_of(keys)
        if not found:
            return keys[:0], np.zeros((0, 0), "float32"), []
        there, vectors, data = zip(*found, strict=True)
        embeddings = np.frombuffer(bytearray(b"".join(vectors)), "<f4")
        return (
            np.array(there, "int64"),
            embeddings.reshape(len(there), -1),
            [from_bytes(content) for content in data],
        )

    def _contents_of(self, keys: Ints) -> list[tuple[int, bytes, bytes | None]]:
        """Key, vector and encoded data of those of `keys` (ascending) that are there."""
        with self._snapshot() as connection:
            return [] if connection is None else contents(connection, keys)

    # Changing.

    def _apply(self, change: Change) -> None:
        with self._errors():
            connection = self._connection("writer")
            if change.is_reset:
                connection.execute("DELETE FROM rows")
                connection.execute("DELETE FROM contents")
            for table in ("rows", "contents"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE row = ?", singly(change.dropped)
                )
            self._make_columns(connection, len(change.state.columns))
            if change.new is not None:
                insert(connection, change)
            number = change.state.last_change
            connection.executemany(
                f"UPDATE rows SET live = 0, changed = {number} WHERE row = ?",
                singly(change.hidden),
            )
            update(connection, change)
            connection.execute(
                "INSERT OR REPLACE INTO state VALUES (1, ?)", (change.state.to_json(),)
            )

    def _make_columns(self, connection: sqlite3.Connection, count: int) -> None:
        there = {name for _, name, *_ in connection.execute("PRAGMA table_info(rows)")}
        for column in columns(range(count)):
            if column not in there:
                connection.execute(f"ALTER TABLE rows ADD COLUMN {column}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _has_tables(connection: sqlite3.Connection) -> bool:
    query = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'state'"
    return bool(connection.execute(query).fetchone()[0])


def _close(connections: dict[str, sqlite3.Connection]) -> None:
    for connection in connections.values():
        connection.close()
    connections.clear()


def _checked_path(path: Any) -> str:
    if path is None:
        raise ValueError(
            "`path` must say in which file the rows are kept, e.g. "
            '`kv_store=SQLiteStore("products.db")` in place of `kv_store="sqlite"`.'
        )
    text = os.fspath(path)
    if not text or text == ":memory:" or "://" in text or Path(text).is_dir():
        raise ValueError(
            f"`path` must be a local file. Received: {text!r}. For rows in memory use "
            "`MemoryStore`."
        )
    return os.path.abspath(text)
