"""Every way in which ecgfl stops on purpose, and the exit code of each.

EcgflError            1  (never raised itself)
├── UsageError        2  the command line or a setting is wrong
├── UnusableInput     3  a file or a store cannot be used; `ecgfl_adapters.errors.AdapterError` ends with this code too
├── ServerError       4  the coordinator cannot be reached or refused us
│   ├── ServerUnreachable
│   └── ServerRefused
│       ├── TlsFailed      the certificate is not one to trust
│       ├── ClockWrong     this machine's clock
│       ├── NotEnrolled    the coordinator does not know this site's key (any more)
│       ├── ConnectedAlready   another ecgfl has a session with this site's key
│       ├── VersionMismatch
│       ├── ProxyRefused   not the coordinator: the proxy on the way to it
│       ├── MessageRefused   what it sent is broken, or larger than anything that ecgfl sends
│       ├── RequestRefused   not signed by this federation's coordinator for this site and this time, or answered already
│       └── SessionLost    the coordinator forgot this session, mostly because it was started anew
├── PolicyRefused     5  this site's own policy forbids it
├── HomeInUse         6  another ecgfl holds this home
└── ModelRejected     7  a model's signature, hash, architecture or weights are not acceptable
"""

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
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
    """An error for a person: what happened (with file, field and value) and what to do now."""

    exit_code = ExitCode.BUG

    def __init__(self, problem: str, fix: str) -> None:
        # One line, whatever a library put into its own message.
        self.problem = " ".join(problem.split())
        self.fix = " ".join(fix.split())
        super().__init__(f"{self.problem}. {self.fix}")

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """For the way from one process to another, where an error is made anew."""
        return type(self), (self.problem, self.fix)


class UsageError(EcgflError):
    exit_code = ExitCode.USAGE


class UnusableInput(EcgflError):
    exit_code = ExitCode.INPUT


def of_one_file(path: Path, error: Exception) -> UnusableInput:
    """Convert any error that a file of a batch caused into one whose message says what to do."""
    if isinstance(error, UnusableInput):
        return error
    if isinstance(error, OSError):
        problem = f"{error.filename or path}: {error.strerror or error}"
        return UnusableInput(problem, "Check that it exists, its permissions and the free space")
    if isinstance(error, MemoryError):
        problem = f"{path}: this machine has not enough memory for it {f'({error})' if str(error) else ''}".strip()
        return UnusableInput(problem, "Export it in parts, or read it on a larger machine")
    problem = f"{path}: cannot be examined: {type(error).__name__}: {error}"
    return UnusableInput(
        problem, "Export the file again; if that does not help, report this line to us"
    )


class ServerError(EcgflError):
    exit_code = ExitCode.SERVER


class ServerUnreachable(ServerError):
    """reason : the cause, without the time spent on retries."""

    reason = ""


class ServerRefused(ServerError):
    pass


class TlsFailed(ServerRefused):
    pass


class ClockWrong(ServerRefused):
    pass


class NotEnrolled(ServerRefused):
    pass


class ConnectedAlready(ServerRefused):
    pass


class VersionMismatch(ServerRefused):
    pass


class ProxyRefused(ServerRefused):
    pass


class MessageRefused(ServerRefused):
    pass


class RequestRefused(ServerRefused):
    pass


class SessionLost(ServerRefused):
    pass


class PolicyRefused(EcgflError):
    exit_code = ExitCode.POLICY


class HomeInUse(EcgflError):
    exit_code = ExitCode.IN_USE


class ModelRejected(EcgflError):
    exit_code = ExitCode.MODEL
