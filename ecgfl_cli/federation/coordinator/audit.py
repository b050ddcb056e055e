"""The coordinator's audit log: enrolments, revocations, runs, rollbacks and renewals.

Its lines are hash-chained like those of a site's audit log.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from filelock import FileLock, Timeout

from ecgfl_cli.errors import EcgflError, HomeInUse
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.audit import INTENT, UNFINISHED, AuditLog

LONGEST_WAIT_SECONDS = 10.0
"""Longest wait for the log's lock. Another ecgfl process holds it for milliseconds."""


def audit_log(home: CoordinatorHome) -> AuditLog:
    """Return a coordinator's audit log. Hold its lock (`locked`) to append to it."""
    return AuditLog(home.audit, restart="ecgfl coordinator audit restart")


def note(home: CoordinatorHome, event: str, **fields: Any) -> None:
    """Append one line to the audit log.

    Parameters
    ----------
    home
        Home of the coordinator.
    event
        Name of the event.
    **fields
        Other fields of the line.

    Raises
    ------
    HomeInUse
        The log stayed locked for `LONGEST_WAIT_SECONDS`.
    UnusableInput
        The log is damaged.
    OSError
        The log cannot be written.
    """
    with locked(home):
        audit_log(home).append(event, **fields)


@contextlib.contextmanager
def change(home: CoordinatorHome, event: str, **fields: Any) -> Iterator[None]:
    """Log an `intent` line, run the block (the change), and log the event.

    If the block fails, an `unfinished` line is logged. See `AuditLog.change`.

    Parameters
    ----------
    home, event, **fields
        As in `note`, which also lists the errors.
    """
    note(home, INTENT, change=event, **fields)
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError, EcgflError):  # the error of the change matters more
            note(home, UNFINISHED, change=event, reason=type(error).__name__)
        raise
    note(home, event, **fields)


@contextlib.contextmanager
def locked(home: CoordinatorHome) -> Iterator[None]:
    """Hold the lock of the log.

    It is separate from the lock of the home, because `serve` and another command may both write to
    the log.

    Raises
    ------
    HomeInUse
        The log stayed locked for `LONGEST_WAIT_SECONDS`.
    """
    try:
        with FileLock(home.audit_lock, timeout=LONGEST_WAIT_SECONDS, mode=0o600):
            yield
    except Timeout as error:
        raise HomeInUse(
            f"{home.audit} is locked by another ecgfl",
            "Wait until that command ends, then try again",
        ) from error
