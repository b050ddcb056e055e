"""This machine's clock against the coordinator's, by the Date header of its answers."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ecgfl_cli.errors import ClockWrong

CLOCK_LIMIT_SECONDS = 120.0
"""A coordinator refuses a call that was signed more than this before or after its own time. It remembers each call for this long,
so that it accepts none twice."""
RESOLUTION_SECONDS = 1.0
"""Of the header."""


def seconds_ahead(date: str | None, now: datetime) -> float | None:
    """How far this machine's clock is ahead of the Date header, negative where it is behind; None without a header.

    A header names the second that has begun, so that the middle of it is the best guess.
    """
    if date is None:
        return None
    try:
        there = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    return (now - there).total_seconds() - RESOLUTION_SECONDS / 2


def clock_problem(server: str, ahead: float) -> ClockWrong | None:
    """The error where a clock is so wrong that the coordinator refuses what this site signs."""
    if abs(ahead) <= CLOCK_LIMIT_SECONDS + RESOLUTION_SECONDS / 2:
        return None
    side = "ahead of" if ahead > 0 else "behind"
    return ClockWrong(
        f"{server}: this machine's clock is {abs(ahead):.0f} s {side} the coordinator's ({CLOCK_LIMIT_SECONDS:g} s are allowed)",
        "Set the clock and keep it right with NTP (Linux: `timedatectl set-ntp true`; Windows: `w32tm /resync`)",
    )
