"""The coordinator's audit log of enrolments, revocations, runs, rollbacks and renewals, hash-chained like a site's."""

from typing import Any

from filelock import FileLock, Timeout

from ecgfl_cli.errors import HomeInUse, UnusableInput
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.audit import AuditLog

LONGEST_WAIT_SECONDS = 10.0
"""Longest wait for the log's lock. Another ecgfl process holds it for milliseconds."""


def note(home: CoordinatorHome, event: str, **fields: Any) -> None:
    """Append one line to the audit log. The log has its own lock, because `serve` and another command may both write to it.

    Raises `HomeInUse` when the log stays locked, `UnusableInput` when it is broken, `OSError` when it cannot be written.
    """
    try:
        with FileLock(home.audit_lock, timeout=LONGEST_WAIT_SECONDS):
            AuditLog(home.audit).append(event, **fields)
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableInput(
            f"{home.audit}: its last line is broken",
            "`ecgfl coordinator audit verify` shows the broken line; compare the log with your backup. If you move it away,"
            " a new log begins",
        ) from error
    except Timeout as error:
        raise HomeInUse(f"{home.audit} is locked by another ecgfl", "Wait until that command ends, then try again") from error
