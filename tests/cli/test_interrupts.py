import contextlib
import signal
import threading
import time

import pytest

from keras_similarity.cli.interrupts import insistent_interrupts, no_interrupts

pytestmark = pytest.mark.keras_free


def test_an_interrupt_that_was_swallowed_comes_again():
    with pytest.raises(KeyboardInterrupt), insistent_interrupts():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            time.sleep(0.01)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_interrupt_comes_after_the_block():
    with pytest.raises(KeyboardInterrupt), insistent_interrupts():
        signal.raise_signal(signal.SIGINT)
    time.sleep(1.2)


def test_a_handler_of_the_program_stays():
    received = []
    before = signal.signal(signal.SIGINT, lambda *_: received.append(1))
    try:
        with insistent_interrupts():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [1]


def test_nothing_interrupts_what_must_end():
    with insistent_interrupts(), no_interrupts():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_are_let_alone():
    errors = []

    def work():
        try:
            with insistent_interrupts(), no_interrupts():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
