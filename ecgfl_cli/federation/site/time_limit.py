"""An end that comes also in the middle of something long, like a training."""

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ecgfl_cli.errors import ExitCode


class TimeLimit:
    """passed : whether the time is up. code : exit code of the program in that case; the caller may change it."""

    def __init__(self) -> None:
        self.passed = False
        self.code = ExitCode.DONE

    def _pass(self) -> None:
        self.passed = True
        _thread.interrupt_main(signal.SIGTERM)


@contextmanager
def time_limit(seconds: float) -> Iterator[TimeLimit]:
    """When the time is up the main thread gets what SIGTERM gives it: in this program a `KeyboardInterrupt`.

    Nothing where SIGTERM has no handler of Python's.
    """
    limit = TimeLimit()
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), limit._pass)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()
