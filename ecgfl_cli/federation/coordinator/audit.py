"""The coordinator's audit log: enrolments, revocations, runs, rollbacks and renewals, chained as a site's is."""

from typing import Any

from filelock import FileLock, Timeout

from ecgfl_cli.errors import HomeInUse, UnusableInput
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.site.audit import AuditLog

LONGEST_WAIT_SECONDS = 10.0
"""For another ecgfl that writes a line: it holds the log for milliseconds."""


def note(home: CoordinatorHome, event: str, **fields: Any) -> None:
    """Append one line. A running `serve` and another command may both write: the log has a lock of its own.

    Raises `HomeInUse` when the log stays locked, `UnusableInput` when it is broken, `OSError` when it cannot be written.
    """
    try:
        with FileLock(home.audit_lock, timeout=LONGEST_WAIT_SECONDS):
            AuditLog(home.audit).append(event, **fields)
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableInput(
            f"{home.audit}: its last line is broken",
            "`ecgfl coordinator audit verify` names it; compare it with your backup. Where it is moved aside, a new one begins",
        ) from error
    except Timeout as error:
        raise HomeInUse(f"{home.audit} is locked by another ecgfl", "Wait until that command has ended, and try again") from error
