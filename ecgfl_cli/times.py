"""Times in ISO 8601 that files and messages contain.

Only years from 2000 to 9000 are accepted. Python represents the years 1 to 9999, so arithmetic and changes of the time zone near
these bounds would fail.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

from ecgfl_cli.errors import UnusableInput

FIRST_YEAR, LAST_YEAR = 2000, 9000


def time_of(text: object) -> datetime:
    """Parse a time with a time zone. Raises `ValueError` for anything else."""
    if not isinstance(text, str):
        raise ValueError("not a text")
    return _checked(datetime.fromisoformat(text))


def current_time() -> datetime:
    """Return the current time in UTC. Raises `UnusableInput` if the clock is wrong by centuries or decades."""
    now = datetime.now(UTC)
    try:
        return _checked(now)
    except ValueError as error:
        raise UnusableInput(
            f"this machine's clock says {now.isoformat(timespec='seconds')}", "Set the clock"
        ) from error


def _checked(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"not a time in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_checked)]
"""A time with a time zone as the field of a schema."""
