"""A connection to Milvus that outlives what passes."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger(__name__)

# Codes of a server that starts, is too busy, or looks for the parts of a collection.
_TRANSIENT = frozenset(
    (1, 2, 4, 8, 101, 103, 104, 106, *range(500, 505), *range(901, 907))
)
# The same, where the server has only words for it.
_TRANSIENT_WORDS = (
    "not servic",
    "not ready",
    "not available",
    "unavailable",
    "no leader",
)
_NOT_LOADED = frozenset((101, 103, 106))
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class MilvusWriteError(RuntimeError):
    """A write that was not acknowledged in whole.

    Attributes:
        written_ids: Ids of the rows that are known to be written.
        unknown_ids: Ids of the rows of which that is not known: the server got them and
            did not answer. All others are not written.
    """

    def __init__(
        self, written_ids: Sequence[Any], unknown_ids: Sequence[Any], total: int
    ) -> None:
        self.written_ids = list(written_ids)
        self.unknown_ids = list(unknown_ids)
        written, sent = len(written_ids), len(written_ids) + len(unknown_ids)
        known = f"Rows 0 to {written - 1} are written" if written else "No row is known"
        known += "" if written else " to be written"
        open_ = f", rows {written} to {sent - 1} may be" if unknown_ids else ""
        rest = f", rows {sent} to {total - 1} are not" if sent < total else ""
        super().__init__(
            f"Milvus has not acknowledged all of {total} rows. {known}{open_}{rest}. To "
            "write all of them, `upsert` them: that is right whatever is there already."
        )


class MilvusConnection:
    """Calls Milvus, again and again while that may help.

    Args:
        uri: Of a server or a cluster, or the path of a file.
        token: `"user:password"` or an API key.
        timeout: Seconds for which a call that meets a passing problem is tried again.
        collection: What is loaded when the server says that it is not.
    """

    def __init__(
        self, uri: str, token: str | None, timeout: float, collection: str
    ) -> None:
        self.is_embedded = "://" not in uri
        self._uri, self._token, self._timeout = uri, token, timeout
        self._collection = collection
        self._client: Any = None
        self._connecting = threading.Lock()

    @property
    def client(self) -> Any:
        """The `MilvusClient`, connected when it is first used."""
        with self._connecting:
            if self._client is None:
                from pymilvus import MilvusClient

                arguments = {"token": self._token} if self._token else {}
                self._client = MilvusClient(uri=self._uri, **arguments)
            return self._client

    def close(self) -> None:
        """Ends the connection; an embedded file is free for others."""
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What a method of the client returns, tried again after passing problems."""
        return self.repeat(lambda _: self.once(method, *args, **kwargs))

    def once(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What a method of the client returns."""
        # `retry_times=0`: pymilvus would repeat an insert, which adds rows twice.
        return getattr(self.client, method)(*args, retry_times=0, **kwargs)

    def repeat(self, act: Callable[[int], Any]) -> Any:
        """What `act` returns, tried again after passing problems.

        Args:
            act: Gets the number of the attempt, from 0. One that failed may have had its
                effect.
        """
        deadline = time.monotonic() + self._timeout
        for attempt in itertools.count():
            try:
                return act(attempt)
            except Exception as error:
                pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
                pause *= random.uniform(0.5, 1.0)  # Not all clients at once.
                is_late = time.monotonic() + pause > deadline
                if is_late or self.is_embedded or not is_transient(error):
                    raise
                logger.info("Milvus: %s; the next try is in %.1f s.", error, pause)
                self._load_if_it_is_not(error)
                time.sleep(pause)

    def _load_if_it_is_not(self, error: Exception) -> None:
        if getattr(error, "code", None) in _NOT_LOADED:
            with contextlib.suppress(Exception):  # The next try says what is wrong.
                self.client.load_collection(self._collection)


def is_transient(error: Exception) -> bool:
    """Is the problem one that passes: no connection, a server that starts?"""
    code = getattr(error, "code", None)
    code = code() if callable(code) else code
    if getattr(code, "name", None) in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED"):
        return True
    if isinstance(code, int) and code in _TRANSIENT:
        return True
    is_milvus = type(error).__module__.startswith(("pymilvus", "grpc"))
    text = str(error).lower()
    return is_milvus and any(word in text for word in _TRANSIENT_WORDS)
