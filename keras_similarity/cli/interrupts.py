"""Ctrl-C that is heard, and heard only where it may be."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PATIENCE = 1.0  # Seconds for an interrupt to arrive where it is handled.


@contextmanager
def insistent_interrupts() -> Iterator[None]:
    """Ctrl-C inside the block ends it with `KeyboardInterrupt`, sooner or later.

    Python raises it wherever the main thread happens to be: a callback of the garbage
    collector or a function that TensorFlow calls from C++ swallows it, and the training
    would go on. So it is raised anew every second until the block has ended.
    """
    if not _python_handles_interrupts():
        yield
        return
    timers: list[threading.Timer] = []

    def insist(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(_PATIENCE, _thread.interrupt_main)
        timer.daemon = True
        timers.append(timer)
        timer.start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, insist)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for timer in timers:
            timer.cancel()


def _python_handles_interrupts() -> bool:
    """Not so in other threads, in background jobs, and where a program handles them."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextmanager
def no_interrupts() -> Iterator[None]:
    """Ctrl-C does nothing inside the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Others get none, and may not set handlers.
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        # None stands for a handler that is not Python's, which cannot be set again.
        signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
