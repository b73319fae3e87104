"""The store on a Redis server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.stores.base import register
from keras_similarity.stores.changes import (
    Change,
    State,
    added_rows,
    changed_meanwhile,
    changed_rows,
)
from keras_similarity.stores.checks import optional_labels
from keras_similarity.stores.columns import missing
from keras_similarity.stores.encoding import all_to_bytes, from_bytes
from keras_similarity.stores.external import ExternalStore
from keras_similarity.stores.keyed_table import StoredRows
from keras_similarity.stores.plain_columns import (
    ids_from_list,
    labels_from_list,
    plain_from_column,
    plain_to_column,
)
from keras_similarity.types import Floats, Ints

# Rows in a command.
_BLOCK = 5000
# Seconds after which others may write if a writer died.
_LEASE = 20


@register("redis")
class RedisStore(ExternalStore):
    """Keeps rows on a Redis server, where many processes may read and write them.

    A call's rows are there all at once or not at all. What survives a crash of the server
    is what its persistence is set to (`appendonly yes`, `appendfsync always` for all).

    Rows are in hashes: `{prefix}:rows` (id, label, is it live, metadata, as JSON),
    `{prefix}:vectors` (float32 little-endian) and `{prefix}:data`. `reset` deletes these
    and nothing else of the database. Ids, labels and metadata are in memory too. Data may
    be what `MemoryStore` can save.

    Args:
        host: Name or address of the server.
        port: Its port.
        db: Number of the database.
        name: Name of the object.
        verbose: Of TensorFlow Similarity's signature; nothing is printed.
        prefix: Begins the names of all keys; another one for each index.
        username: If the server wants one.
        password: If the server wants one; `None` for the environment variable
            `REDIS_PASSWORD`, if it is set. Never saved.
        ssl: Encrypt the connection?
        timeout: How many seconds to wait for another writer; then a `TimeoutError`.

    Raises:
        ImportError: If the package `redis` is missing.
        ConnectionError: By all that needs the server, if it does not answer.
    """

    default_name = "redis"

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        db: int = 0,
        name: str | None = None,
        verbose: int = 0,
        *,
        prefix: str = "keras_similarity",
        username: str | None = None,
        password: str | None = None,
        ssl: bool = False,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(name, verbose)
        self.host, self.port, self.db, self.prefix = host, port, db, prefix
        self.username, self.ssl, self.timeout = username, ssl, timeout
        self._redis = _import_redis()
        self._client = self._redis.Redis(
            host=host,
            port=port,
            db=db,
            username=username,
            password=password or os.environ.get("REDIS_PASSWORD"),
            ssl=ssl,
        )
        self._seen: bytes | None = None
        self._lock: Any = None

    @property
    def location(self) -> str:
        return f"redis://{self.host}:{self.port}/{self.db}/{self.prefix}"

    def get_config(self) -> dict[str, Any]:
        names = ("host", "port", "db", "prefix", "username", "ssl", "timeout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def close(self) -> None:
        """Closes the connections; the next use opens them again."""
        self._client.close()

    def _key(self, part: str) -> str:
        # In braces: on a cluster all keys are on one node then.
        return f"{{{self.prefix}}}:{part}"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._redis.ConnectionError as error:
            raise ConnectionError(
                f"A Redis server must answer at {self.host}:{self.port}. It says: {error}"
            ) from error
        except (self._redis.WatchError, self._redis.exceptions.LockError) as error:
            raise changed_meanwhile() from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._errors():
            lock = self._client.lock(
                self._key("lock"),
                timeout=_LEASE,
                blocking_timeout=self.timeout,
                thread_local=False,
            )
            if not lock.acquire():
                raise TimeoutError(
                    f"Another process has been writing to {self.location} for "
                    f"{self.timeout} s. Nothing was changed. Call again, or give "
                    "`timeout` more seconds."
                )
            self._lock = lock
            try:
                yield
            finally:
                # Unless it has run out, and is another's.
                with contextlib.suppress(
                    self._redis.exceptions.LockError, self._redis.ConnectionError
                ):
                    lock.release()

    # Reading.

    def _has_news(self) -> bool:
        with self._errors():
            return bool(self._client.get(self._key("state")) != self._seen)

    def _read_state(self) -> State | None:
        with self._errors():
            self._seen = self._client.get(self._key("state"))
        return None if self._seen is None else State.from_json(self._seen)

    def _read_rows(self, state: State, after: int) -> StoredRows:
        if after >= 0:
            return self._rows(state, np.arange(after + 1, state.last_key + 1))
        with self._errors():
            found = self._client.hscan_iter(self._key("rows"), count=_BLOCK)
            headers = {int(key): header for key, header in found}
        # Above are those of a call that was killed.
        keys = sorted(key for key in headers if key <= state.last_key)
        return _stored(state, keys, [headers[key] for key in keys])

    def _read_changed(self, state: State, since: int) -> StoredRows:
        with self._errors():
            keys = self._client.zrangebyscore(
                self._key("changed"), f"({since}", state.last_change
            )
        return self._rows(state, np.array(sorted(map(int, keys)), "int64"))

    def _rows(self, state: State, keys: Ints) -> StoredRows:
        headers = self._get("rows", keys)
        there = [place for place, header in enumerate(headers) if header is not None]
        return _stored(state, keys[there].tolist(), [headers[place] for place in there])

    def _fetch(self, keys: Ints) -> tuple[Ints, Floats, list[Any]]:
        vectors, data = self._get("vectors", keys), self._get("data", keys)
        there = [
            place
            for place, parts in enumerate(zip(vectors, data, strict=True))
            if None not in parts
        ]
        joined = bytearray(b"".join(vectors[place] for place in there))
        embeddings = np.frombuffer(joined, "<f4").reshape(len(there) or 1, -1)
        items = [from_bytes(data[place] or None) for place in there]
        return keys[there], embeddings[: len(there)], items

    def _get(self, part: str, keys: Ints) -> list[Any]:
        values: list[Any] = []
        with self._errors():
            for start in range(0, len(keys), _BLOCK):
                block = keys[start : start + _BLOCK].tolist()
                values += self._client.hmget(self._key(part), block)
        return values

    # Changing.

    def _apply(self, change: Change) -> None:
        state = change.state
        headers = _headers(state, changed_rows(change, self._table)[0])
        data: dict[int, bytes] = {}
        if change.data is not None:
            data = _by_key(change.updated, _data(change.data, len(change.updated)))
        if change.new is not None:
            self._insert(change)
        dropped = [] if change.is_reset else change.dropped.tolist()

        def commands(pipe: Any) -> None:
            if change.is_reset:
                pipe.delete(*map(self._key, ("rows", "vectors", "data", "changed")))
            for start in range(0, len(dropped), _BLOCK):
                block = dropped[start : start + _BLOCK]
                for part in ("rows", "vectors", "data"):
                    pipe.hdel(self._key(part), *block)
                pipe.zrem(self._key("changed"), *block)
            if headers:
                pipe.hset(self._key("rows"), mapping=headers)
                changed = dict.fromkeys(headers, state.last_change)
                pipe.zadd(self._key("changed"), changed)
            if data:
                pipe.hset(self._key("data"), mapping=data)
            pipe.set(self._key("state"), state.to_json())

        self._together(commands)

    def _insert(self, change: Change) -> None:
        """Writes new rows, which nobody sees before the state knows them."""
        new = change.added
        data = _data(new.data, len(change.keys))
        headers = list(_headers(change.state, added_rows(change)).values())
        vectors = new.embeddings.astype("<f4", copy=False)
        for start in range(0, len(change.keys), _BLOCK):
            block = slice(start, start + _BLOCK)
            keys = change.keys[block]
            parts = {
                "rows": _by_key(keys, headers[block]),
                "vectors": _by_key(keys, [row.tobytes() for row in vectors[block]]),
                "data": _by_key(keys, data[block]),
            }

            def commands(pipe: Any, parts: Mapping[str, Any] = parts) -> None:
                for part, mapping in parts.items():
                    pipe.hset(self._key(part), mapping=mapping)

            self._together(commands)

    def _together(self, commands: Callable[[Any], None]) -> None:
        """Runs commands at once, if nobody else has begun to write."""
        with self._errors():
            self._lock.reacquire()
            with self._client.pipeline() as pipe:
                pipe.watch(self._key("lock"), self._key("state"))
                is_ours = pipe.get(self._key("lock")) == self._lock.local.token
                if not is_ours or pipe.get(self._key("state")) != self._seen:
                    raise changed_meanwhile()
                pipe.multi()
                commands(pipe)
                pipe.execute()


def _headers(state: State, rows: StoredRows) -> dict[int, str]:
    """Key -> a row as JSON: id, label, is it live, metadata in the state's order."""
    columns = []
    for name, type_ in state.columns:
        column = rows.metadata.get(name) or missing(type_, len(rows))
        values = plain_from_column(column)
        if type_ == "binary":
            values = [v and base64.b64encode(v).decode("ascii") for v in values]
            values = ["" if v == b"" else v for v in values]
        columns.append(values)
    parts = rows.ids.tolist(), optional_labels(rows.labels), rows.is_live.tolist()
    headers = [json.dumps(row) for row in zip(*parts, *columns, strict=True)]
    return _by_key(rows.keys, headers)


def _stored(state: State, keys: list[int], headers: Sequence[bytes]) -> StoredRows:
    width = 3 + len(state.columns)
    # A column that came late lacks in the rows before it.
    rows = [json.loads(header) for header in headers]
    rows = [(*row, *[None] * (width - len(row)))[:width] for row in rows]
    parts: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * width
    ids, labels, is_live, *columns = parts
    metadata = {}
    for (name, type_), values in zip(state.columns, columns, strict=True):
        if type_ == "binary":
            values = [None if v is None else base64.b64decode(v) for v in values]
        metadata[name] = plain_to_column(type_, values)
    return StoredRows(
        np.array(keys, "int64"),
        ids_from_list(ids),
        labels_from_list(labels),
        np.array(is_live, bool),
        metadata,
    )


def _data(items: list[Any] | None, rows: int) -> list[bytes]:
    return [b""] * rows if items is None else [d or b"" for d in all_to_bytes(items)]


def _by_key(keys: Ints, values: Sequence[Any]) -> dict[int, Any]:
    return dict(zip(keys.tolist(), values, strict=True))


def _import_redis() -> Any:
    try:
        import redis
    except ImportError as error:
        raise ImportError(
            "`RedisStore` needs the package `redis`. Install it with "
            '`pip install "keras-similarity[redis]"`.'
        ) from error
    return redis
