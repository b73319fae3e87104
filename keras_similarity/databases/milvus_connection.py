"""A connection to Milvus that outlives what passes."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

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
    "no available",
    "unavailable",
    "no leader",
)
_NOT_LOADED = frozenset((101, 103, 106))
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# A server that hangs is given up; but what takes long by nature may take longer, and
# this may take as long as it likes.
_SHORTEST_CALL, _PATIENCE = 0.5, 10
_LOOKS = frozenset(("search", "query"))
_UNHURRIED = frozenset(("create_collection", "create_index", "load_collection", "flush"))


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
                self._client = self._connected()
            return self._client

    def _connected(self) -> Any:
        from pymilvus import MilvusClient

        if not self.is_embedded:
            arguments = {"token": self._token} if self._token else {}
            return MilvusClient(uri=self._uri, **arguments)
        try:
            return MilvusClient(uri=self._uri)
        except Exception as error:
            raise RuntimeError(
                "`uri` must be the path of a file for milvus-lite, in a folder that is "
                "there, and that no other process has open. Received: "
                f"{self._uri}. Close it there, or let a Milvus server keep the rows."
            ) from error

    def close(self) -> None:
        """Ends the connection; an embedded file is free for others."""
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What a method of the client returns, tried again after passing problems."""
        return self.repeat(lambda _, left: self.once(method, *args, left=left, **kwargs))

    def once(self, method: str, *args: Any, left: float, **kwargs: Any) -> Any:
        """What a method of the client returns.

        Args:
            left: Seconds that the call may take.
        """
        if not self.is_embedded and method not in _UNHURRIED:
            patience = _PATIENCE if method in _LOOKS else 1
            kwargs["timeout"] = patience * max(left, _SHORTEST_CALL)
        # `retry_times=0`: pymilvus would repeat an insert, which adds rows twice.
        return getattr(self.client, method)(*args, retry_times=0, **kwargs)

    def repeat(self, act: Callable[[int, float], Any]) -> Any:
        """What `act` returns, tried again after passing problems.

        Args:
            act: Gets the number of the attempt, from 0, and the seconds that are left.
                One that failed may have had its effect.
        """
        deadline = time.monotonic() + self._timeout
        for attempt in itertools.count():
            try:
                return act(attempt, deadline - time.monotonic())
            except Exception as error:
                pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
                pause *= random.uniform(0.5, 1.0)  # Not all clients at once.
                is_late = time.monotonic() + pause > deadline
                is_not_loaded = getattr(error, "code", None) in _NOT_LOADED
                may_pass = not self.is_embedded and is_transient(error)
                if is_late or not (may_pass or is_not_loaded):
                    raise
                logger.info("Milvus: %s; the next try is in %.1f s.", error, pause)
                if is_not_loaded:
                    with contextlib.suppress(Exception):  # The next try says why not.
                        self.client.load_collection(self._collection)
                time.sleep(pause)


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


def checked_uri(uri: str | os.PathLike[str]) -> str:
    """The address; of a file, its whole path."""
    uri = os.fspath(uri)
    if "://" not in uri:
        if not uri.endswith(".db"):
            raise ValueError(
                "`uri` must be an address such as 'http://host:19530', or the path of a "
                f"file that ends in '.db'. Received: {uri!r}."
            )
        return os.path.abspath(uri)
    if urlsplit(uri).password:
        raise ValueError(
            "`uri` must hold no password, since it is saved with the index. Give `token`."
        )
    return uri
