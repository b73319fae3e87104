"""A lock that many readers or one writer hold."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class ReadersWriterLock:
    """Lets many readers in at once, or one writer alone, in turns.

    A reader that comes while a writer waits lets it go first, and then goes before the
    next writer: a thread that writes again and again keeps nobody out.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._waiting_readers = 0
        self._writers = 0  # Waiting or writing.
        self._is_writing = False
        self._turn = 0  # Counts how often waiting readers were let in.

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Holds the lock together with other readers. Not to be nested."""
        with self._changed:
            if self._writers:
                self._wait_for_turn()
            else:
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
                if not self._is_writing:
                    self._let_readers_in()
                raise
            self._is_writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                self._is_writing = False
                self._let_readers_in()

    def _wait_for_turn(self) -> None:
        """Waits until a writer has let this reader in, and counted it."""
        turn = self._turn
        self._waiting_readers += 1
        try:
            self._changed.wait_for(lambda: self._turn != turn)
        except BaseException:
            if self._turn == turn:
                self._waiting_readers -= 1
            else:
                self._readers -= 1
            self._changed.notify_all()
            raise

    def _let_readers_in(self) -> None:
        self._readers += self._waiting_readers
        self._waiting_readers = 0
        self._turn += 1
        self._changed.notify_all()
