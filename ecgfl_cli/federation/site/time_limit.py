"""Interrupt the main thread when a time limit has passed, also during a long computation."""

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ecgfl_cli.errors import ExitCode


class TimeLimit:
    """State of a time limit.

    Attributes
    ----------
    passed
        Whether the time has passed.
    code
        Exit code of the program in that case; the caller may change it.
    """

    def __init__(self) -> None:
        self.passed = False
        self.code = ExitCode.DONE

    def _pass(self) -> None:
        self.passed = True
        _thread.interrupt_main(signal.SIGTERM)


@contextmanager
def time_limit(seconds: float) -> Iterator[TimeLimit]:
    """Run the block with a time limit.

    When the time has passed, the Python handler of SIGTERM runs in the main thread; in this program
    it raises `KeyboardInterrupt`. Without such a handler nothing happens.

    Parameters
    ----------
    seconds
        The time limit.
    """
    limit = TimeLimit()
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), limit._pass)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()
