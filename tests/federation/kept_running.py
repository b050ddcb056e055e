"""Commands that are started again whenever they end, as systemd does, and ways to end them."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from node_processes import Command

TERM_SECONDS = 60.0
TERMINATED = -signal.SIGTERM
"""Told to end before the program was there to be told."""


@dataclass
class Kept:
    """One command and its successors.

    codes : the exit codes that are in order. rested : is called when no process runs, and checks
    the files. ends : how often each exit code came. seen : all processes, children included.
    """

    name: str
    start: Callable[[], Command]
    codes: frozenset[int]
    rested: Callable[[], None]
    pause: float = 0.5
    ends: Counter[int] = field(default_factory=Counter)
    seen: set[psutil.Process] = field(default_factory=set)
    command: Command | None = None
    stopped_until: float | None = None
    _next_start: float = 0.0

    def look(self) -> None:
        """See to it that one runs."""
        if self.command is not None and self.command.code is not None:
            self._ended(self.command, self.codes)
        elif self.stopped_until is not None and time.monotonic() > self.stopped_until:
            self.go_on()
        if self.command is None and time.monotonic() > self._next_start:
            self.command = self.start()
            self._see(self.command)

    def kill(self) -> bool:
        """SIGKILL; whether there was something to kill."""
        return self._end(signal.SIGKILL, self.codes | {-signal.SIGKILL})

    def terminate(self) -> bool:
        """SIGTERM; it must end by itself."""
        self.go_on()
        return self._end(signal.SIGTERM, self.codes | {130, TERMINATED})

    def stop_for(self, seconds: float) -> bool:
        """SIGSTOP, and SIGCONT later."""
        if self.command is None or self.command.code is not None or self.stopped_until is not None:
            return False
        self.command.send(signal.SIGSTOP)
        self.stopped_until = time.monotonic() + seconds
        return True

    def go_on(self) -> None:
        if (
            self.stopped_until is not None
            and self.command is not None
            and self.command.code is None
        ):
            self.command.send(signal.SIGCONT)
        self.stopped_until = None

    def left_over(self) -> set[psutil.Process]:
        """What still runs of all that was started, once nothing should."""
        return {
            each
            for each in self.seen
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE
        }

    def _end(self, number: signal.Signals, codes: frozenset[int]) -> bool:
        if self.command is None or self.command.code is not None:
            return False
        self._see(self.command)
        self.command.send(number)
        self._ended(self.command, codes)
        return True

    def _see(self, command: Command) -> None:
        process = psutil.Process(command.pid)
        self.seen |= {process, *process.children(recursive=True)}

    def _ended(self, command: Command, codes: frozenset[int]) -> None:
        code = command.wait(TERM_SECONDS)
        said = "\n".join(command.said)
        assert code in codes, f"{self.name} ended with {code}:\n{said}"
        assert "Traceback" not in said, f"{self.name}:\n{said}"
        self.ends[code] += 1
        self.command, self.stopped_until = None, None
        self._next_start = time.monotonic() + self.pause
        self.rested()
