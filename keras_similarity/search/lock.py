"""A lock that many readers or one writer hold."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ReadersWriterLock:
    """Lets many readers in at once, or one writer alone. A waiting writer goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writers = 0  # Waiting or writing.
        self._is_writing = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Holds the lock together with other readers. Not to be nested."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writers)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the lock alone."""
        with self._changed:
            self._writers += 1
            try:
                self._changed.wait_for(lambda: not self._readers and not self._is_writing)
            except BaseException:
                self._writers -= 1
                self._changed.notify_all()
                raise
            self._is_writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                self._is_writing = False
                self._changed.notify_all()
