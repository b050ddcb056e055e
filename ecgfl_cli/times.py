"""Parse times in ISO 8601 and durations.

Only years from 2000 to 9000 are accepted. Python represents the years 1 to 9999, so arithmetic and
changes of the time zone near these bounds would fail.
"""

import re
from datetime import UTC, datetime

from ecgfl_cli.errors import UnusableInput

FIRST_YEAR, LAST_YEAR = 2000, 9000

DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
"""Unit of a duration -> seconds."""


def seconds_of(text: str) -> float:
    """Return the seconds of a duration, for instance "90", "90s", "15m", "2h" or "1d".

    Raises
    ------
    ValueError
        The text is not a duration.
    """
    match = DURATION.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a valid duration (examples: 90s, 15m, 2h, 1d)")
    return float(match[1]) * SECONDS[match[2]]


def time_of(text: object) -> datetime:
    """Parse a time in ISO 8601 with a time zone.

    Raises
    ------
    ValueError
        The value is anything else.
    """
    if not isinstance(text, str):
        raise ValueError("not a text")
    return checked_time(datetime.fromisoformat(text))


def current_time() -> datetime:
    """Return the current time in UTC.

    Raises
    ------
    UnusableInput
        The clock is wrong by decades or centuries.
    """
    now = datetime.now(UTC)
    try:
        return checked_time(now)
    except ValueError as error:
        raise UnusableInput(
            f"this machine's clock says {now.isoformat(timespec='seconds')}", "Set the clock"
        ) from error


def checked_time(time: datetime) -> datetime:
    """Return the time. Raise `ValueError` if it has no time zone or is outside the valid years."""
    if time.tzinfo is None:
        raise ValueError("a time without a time zone")
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"not a time in the years {FIRST_YEAR} to {LAST_YEAR}")
    return time
