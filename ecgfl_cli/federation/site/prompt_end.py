"""End the process within seconds of a signal, even if the interpreter cannot handle the signal.

That is the case while a name service does not answer, for instance.
"""

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

LONGEST_LOG_SECONDS = 1.0
"""How long the last line may take."""


@contextmanager
def prompt_end(seconds: float, limit: TimeLimit) -> Iterator[None]:
    """Run the block. After a signal or the time limit, kill the process if the block does not end.

    This works in the main thread only, because no other thread receives signals; elsewhere the
    block just runs.

    Parameters
    ----------
    seconds
        Time that the block has to end after a signal or the time limit.
    limit
        The time limit, which decides the exit code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = threading.Event()
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(
            target=_watch, args=(reader, ended, seconds, limit), name="prompt-end", daemon=True
        ).start()
        try:
            yield
        finally:
            ended.set()
            signal.set_wakeup_fd(before)


def _watch(reader: socket.socket, ended: threading.Event, seconds: float, limit: TimeLimit) -> None:
    try:
        while (number := reader.recv(1)) and number[0] not in SIGNALS:
            continue
    except OSError:  # closed, because the block has ended
        return
    if number and not ended.wait(seconds):
        reason = "time limit reached" if limit.passed else "interrupted"
        code = limit.code if limit.passed else ExitCode.INTERRUPTED
        # The thread that hangs may hold the lock of the log.
        last_resort = threading.Timer(LONGEST_LOG_SECONDS, os._exit, args=[code])
        last_resort.daemon = True
        last_resort.start()
        _log.error(
            f"{reason}; it did not end by itself within {seconds:g} s",
            extra=event(Event.ERROR, code=int(code), error="KeyboardInterrupt"),
        )
        os._exit(code)
