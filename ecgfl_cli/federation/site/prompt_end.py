"""An end within seconds also where the interpreter cannot act on a signal: while a name service hangs, for instance."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ecgfl_cli.errors import ExitCode
from ecgfl_cli.federation.site.time_limit import TimeLimit
from ecgfl_cli.logs import Event, event

_log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def prompt_end(seconds: float, limit: TimeLimit) -> Iterator[None]:
    """A signal to end, or the time limit, gives the block so long to end by itself; then the process ends as it is, as after a
    kill.

    Nothing in any thread but the main one, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    heard, told = socket.socketpair()
    with heard, told:
        told.setblocking(False)
        before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        threading.Thread(
            target=_watch, args=(heard, over, seconds, limit), name="prompt-end", daemon=True
        ).start()
        try:
            yield
        finally:
            over.set()
            signal.set_wakeup_fd(before)


def _watch(heard: socket.socket, over: threading.Event, seconds: float, limit: TimeLimit) -> None:
    try:
        while (number := heard.recv(1)) and number[0] not in SIGNALS:
            continue
    except OSError:  # closed: the block is over
        return
    if number and not over.wait(seconds):
        why = "time is up" if limit.passed else "interrupted"
        code = limit.code if limit.passed else ExitCode.INTERRUPTED
        _log.error(
            f"{why}; it did not end by itself within {seconds:g} s",
            extra=event(Event.ERROR, code=int(code), error="KeyboardInterrupt"),
        )
        os._exit(code)
