"""Compare this machine's clock with the coordinator's, using the Date header of its answers."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ecgfl_cli.errors import ClockWrong

CLOCK_LIMIT_SECONDS = 120.0
"""Largest difference between the time of a call's signature and the coordinator's clock.

The coordinator also remembers each call for this long, so that it accepts none twice.
"""

RESOLUTION_SECONDS = 1.0
"""Resolution of the Date header."""


def seconds_ahead(date: str | None, now: datetime) -> float | None:
    """Return how far this machine's clock is ahead of a server's.

    Parameters
    ----------
    date
        Date header of the server's answer. It has whole seconds, rounded down, so the best estimate
        is half a second later.
    now
        Time of this machine, with a time zone.

    Returns
    -------
    float or None
        Seconds; negative if the clock is behind. None if the header is missing or malformed.
    """
    if date is None:
        return None
    try:
        server_time = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    if server_time.tzinfo is None:
        server_time = server_time.replace(tzinfo=UTC)
    return (now - server_time).total_seconds() - RESOLUTION_SECONDS / 2


def clock_problem(server: str, ahead: float) -> ClockWrong | None:
    """Return an error if the coordinator refuses this site's signatures because of the clock.

    Parameters
    ----------
    server
        Address of the coordinator, for the message.
    ahead
        Seconds by which this machine's clock is ahead.
    """
    if abs(ahead) <= CLOCK_LIMIT_SECONDS + RESOLUTION_SECONDS / 2:
        return None
    side = "ahead of" if ahead > 0 else "behind"
    return ClockWrong(
        f"{server}: this machine's clock is {abs(ahead):.0f} s {side} the coordinator's"
        f" ({CLOCK_LIMIT_SECONDS:g} s are allowed)",
        "Set the clock and synchronise it with NTP (Linux: `timedatectl set-ntp true`;"
        " Windows: `w32tm /resync`)",
    )
