"""Exceptions raised by ecgfl, and the exit code of each.

EcgflError                   1  base class, not raised itself
├── UsageError               2  the command line or a setting is wrong
├── UnusableInput            3  a file or a store cannot be used
├── ServerError              4  the coordinator cannot be reached or refuses this site
│   ├── ServerUnreachable       no connection
│   ├── ServerRefused           the connection was refused or failed
│   │   ├── TlsFailed           the coordinator's certificate is not trusted
│   │   ├── ClockWrong          the clock of this machine is wrong
│   │   ├── NotEnrolled         the coordinator does not know this site's key
│   │   ├── ConnectedAlready    another ecgfl has a session with this site's key
│   │   ├── VersionMismatch     the coordinator needs another version of ecgfl
│   │   ├── ProxyRefused        the proxy refused the connection
│   │   ├── MessageRefused      a message is broken or larger than any that ecgfl sends
│   │   ├── RequestRefused      a request has a wrong signature, site or time, or was answered
│   │   ├── StageMissed         a stage of secure aggregation belongs to another round
│   │   └── SessionLost         the coordinator does not know this session, often after a restart
│   ├── QuorumMissed            too few sites are connected to the coordinator
│   ├── RoundFailed             too few sites answered in a round
│   └── SumLost                 the sum of a round cannot be unmasked
├── PolicyRefused            5  the policy of this site forbids it
├── HomeInUse                6  another ecgfl uses this home
├── ModelRejected            7  a model has a wrong signature, hash, architecture or weights
└── DemoFailed               1  a step of the demo failed

`ecgfl_adapters.errors.AdapterError` also ends with exit code 3.
"""

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of the program."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    SERVER = 4
    POLICY = 5
    IN_USE = 6
    MODEL = 7
    INTERRUPTED = 130


class EcgflError(Exception):
    """Base of the exceptions whose message is meant for users.

    Parameters
    ----------
    problem : str
        What happened, with the file, the field and the value.
    fix : str
        What to do now.
    """

    exit_code = ExitCode.BUG

    def __init__(self, problem: str, fix: str) -> None:
        # The message is one line, even if it quotes a library's message of several lines.
        self.problem = " ".join(problem.split())
        self.fix = " ".join(fix.split())
        super().__init__(f"{self.problem}. {self.fix}")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Support pickling, by which a worker process sends an exception."""
        return type(self), (self.problem, self.fix)


class UsageError(EcgflError):
    """The command line or a setting is wrong."""

    exit_code = ExitCode.USAGE


class UnusableInput(EcgflError):
    """A file or a store cannot be used."""

    exit_code = ExitCode.INPUT


def of_one_file(path: Path, error: Exception) -> UnusableInput:
    """Convert any exception that a file caused into one whose message says what to do."""
    if isinstance(error, UnusableInput):
        return error
    if isinstance(error, OSError):
        problem = f"{error.filename or path}: {error.strerror or error}"
        return UnusableInput(problem, "Check that it exists, its permissions and the free space")
    if isinstance(error, MemoryError):
        detail = f" ({error})" if str(error) else ""
        return UnusableInput(
            f"{path}: too large for the memory of this machine{detail}",
            "Export it in parts, or read it on a machine with more memory",
        )
    return UnusableInput(
        f"{path}: cannot be examined: {type(error).__name__}: {error}",
        "Export the file again; if that does not help, report this line to us",
    )


class ServerError(EcgflError):
    """The coordinator cannot be reached or refuses this site."""

    exit_code = ExitCode.SERVER


class ServerUnreachable(ServerError):
    """There is no connection to the coordinator.

    Attributes
    ----------
    reason : str
        The cause, without the time spent on retries.
    """

    reason = ""


class ServerRefused(ServerError):
    """The connection to the coordinator was refused or failed."""


class TlsFailed(ServerRefused):
    """The coordinator's certificate is not trusted."""


class ClockWrong(ServerRefused):
    """The clock of this machine is wrong."""


class NotEnrolled(ServerRefused):
    """The coordinator does not know this site's key."""


class ConnectedAlready(ServerRefused):
    """Another ecgfl has a session with this site's key."""


class VersionMismatch(ServerRefused):
    """The coordinator needs another version of ecgfl."""


class ProxyRefused(ServerRefused):
    """The proxy refused the connection."""


class MessageRefused(ServerRefused):
    """A message is broken or larger than any that ecgfl sends."""


class RequestRefused(ServerRefused):
    """A request has a wrong signature, site or time, or was already answered."""


class StageMissed(ServerRefused):
    """A stage of secure aggregation belongs to a round that this session has not begun."""


class SessionLost(ServerRefused):
    """The coordinator does not know this session, often because it was restarted."""


class PolicyRefused(EcgflError):
    """The policy of this site forbids it."""

    exit_code = ExitCode.POLICY


class HomeInUse(EcgflError):
    """Another ecgfl uses this home."""

    exit_code = ExitCode.IN_USE


class ModelRejected(EcgflError):
    """A model has a wrong signature, hash, architecture or weights."""

    exit_code = ExitCode.MODEL
