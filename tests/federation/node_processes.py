"""ecgfl commands as processes of their own, watched line by line and ended whatever happens.

On Linux they are forked from a server that has imported the program already, because importing
takes several times as long as a round.
Commands that start from nothing are in the tests of the demo and of the examples.
"""

import contextlib
import functools
import io
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from fork_server import start_fork_server
from log_lines import PREFIX, entry_of, matches, shown

from ecgfl_cli.app import main, run
from ecgfl_cli.logs import Event

START_SECONDS = 60.0


@functools.cache
def forks() -> Any:
    """Return the context in which commands are started."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    start_fork_server()
    return multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Socket:
    """local, remote : (address, port), remote None without a peer."""

    status: str
    local: tuple[str, int]
    remote: tuple[str, int] | None


def sockets_of(pid: int) -> set[Socket]:
    """The internet sockets of a process, of its threads and of its children."""
    process = psutil.Process(pid)
    found = [
        each
        for one in [process, *process.children(recursive=True)]
        for each in one.net_connections(kind="inet")
    ]
    return {Socket(each.status, tuple(each.laddr), tuple(each.raddr) or None) for each in found}


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, the JSON of its stdout, and the lines on stderr.

    Attributes
    ----------
    said
        The lines on stderr as a terminal shows them.
    events
        The JSON lines on stderr.
    """

    code: int
    result: dict[str, Any]
    said: list[str]
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """The lines that say what went wrong."""
        return [line for line in self.said if line.startswith("ecgfl: ")]

    def refused(self, code: int) -> str:
        """The one line of an orderly refusal with this exit code."""
        assert self.code == code, (self.code, self.said)
        assert "Traceback" not in "\n".join(self.said), self.said
        assert len(self.errors) == 1, self.said
        assert self.said[-1] == self.errors[0], "the reason is the last line, and is one line"
        assert self.result["status"] == "error"
        assert self.result["code"] == code
        return self.errors[0]


class Command:
    """One `ecgfl --json ...` that runs."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._output, output = forks().Pipe(duplex=False)
        self._errors, errors = forks().Pipe(duplex=False)
        self._process = forks().Process(
            target=_start,
            args=(
                ["--home", str(home), "--json", "--log-format", "json", *arguments],
                output,
                errors,
            ),
        )
        self._process.start()
        output.close()
        errors.close()
        self.said: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._written = ""
        self._readers = [
            threading.Thread(target=work, daemon=True)
            for work in (self._read_errors, self._read_output)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, -N when signal N ended it, None while it runs."""
        return self._process.exitcode

    def logged(self, event: Event, **fields: Any) -> list[dict[str, Any]]:
        """Return what was logged so far about an event with these fields."""
        return [entry for entry in list(self.events) if matches(entry, event, fields)]

    def wait_for(
        self, event: Event, seconds: float = START_SECONDS, **fields: Any
    ) -> dict[str, Any]:
        """Return the first entry of an event with these fields; fails if the process ends first."""
        deadline = time.monotonic() + seconds
        while True:
            has_ended = self.code is not None
            if entries := self.logged(event, **fields):
                return entries[0]
            assert not has_ended, f"ended with {self.code} before {event} {fields}: {self.said}"
            assert time.monotonic() < deadline, f"no {event} {fields} in {seconds} s: {self.said}"
            time.sleep(0.02)

    def wait(self, seconds: float = 120.0) -> int:
        """The exit code, once it has ended and all that it said was read."""
        self._process.join(seconds)
        if self.code is None:
            raise TimeoutError(f"still running after {seconds:.0f} s: {self.said}")
        for reader in self._readers:
            reader.join(10)
        return self.code

    def finish(self, seconds: float = 120.0) -> Ended:
        code = self.wait(seconds)
        return Ended(
            code,
            json.loads(self._written) if self._written.strip() else {},
            list(self.said),
            list(self.events),
        )

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Tell it to end. Killed, a site would stay connected until its heartbeat is missed."""
        self.send(signal.SIGTERM)
        return self.finish(30)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _read_errors(self) -> None:
        with os.fdopen(os.dup(self._errors.fileno()), encoding="utf-8") as lines:
            for line in lines:
                entry = entry_of(line)
                if entry is not None:
                    self.events.append(entry)
                self.said.append(line.rstrip("\n") if entry is None else shown(entry))

    def _read_output(self) -> None:
        with os.fdopen(os.dup(self._output.fileno()), encoding="utf-8") as written:
            self._written = written.read()


def _start(arguments: list[str], output: Connection, errors: Connection) -> None:
    """In the new process: as `python -m ecgfl_cli` begins."""
    # A test runner that a shell started in the background ignores SIGINT, and its children
    # inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    # Streams as a new process has them: those of the fork server may have been made for a file.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = ["ecgfl", *arguments]
    main()


class Processes:
    """Starts commands and sees to it that none outlives its test."""

    def __init__(self) -> None:
        self._running: list[Command] = []

    def start(self, home: Path, *arguments: str) -> Command:
        command = Command(home, *arguments)
        self._running.append(command)
        return command

    def run(self, home: Path, *arguments: str, seconds: float = 120.0) -> Ended:
        return self.start(home, *arguments).finish(seconds)

    def serve(self, home: Path, *arguments: str) -> tuple[Command, int]:
        """A coordinator on a free port of 127.0.0.1, once it listens."""
        command = self.start(
            home, "coordinator", "serve", "--host", "127.0.0.1", "--port", "0", *arguments
        )
        return command, int(command.wait_for(Event.READY)["port"])

    def join(self, home: Path, port: int, *arguments: str, max_wait: str = "90s") -> Command:
        return self.start(
            home,
            "join",
            "--server",
            f"localhost:{port}",
            "--once",
            "--max-wait",
            max_wait,
            *arguments,
        )

    def end_all(self) -> None:
        for command in self._running:
            command.kill()


def told(home: Path, *arguments: str) -> Ended:
    """Run a command in this process, and return what it said and how it ended."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        code = run(["--home", str(home), "--json", *arguments])
    written = output.getvalue()
    return Ended(
        int(code),
        json.loads(written) if written.strip() else {},
        PREFIX.sub("", errors.getvalue()).splitlines(),
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a home but the lock and the audit log, which a refusal may write to."""
    files = (
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "audit.jsonl", "audit.head")
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
