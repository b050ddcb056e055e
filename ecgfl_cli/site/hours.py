"""The hours of the day in which a site trains and measures."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self

HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")


@dataclass(frozen=True)
class Hours:
    """A period of the day in local time, from `start` to before `end`.

    It extends past midnight if `end` is earlier than `start`.
    """

    start: time
    end: time

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse hours such as "22:00-06:00".

        Raises
        ------
        ValueError
            The text is not a period of the day, or the period is empty.
        """
        match = HOURS.fullmatch(text)
        if not match or match.group(1, 2) == match.group(3, 4):
            raise ValueError(f"{text!r} is not a period of the day (example: 22:00-06:00)")
        return cls(time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4])))

    def wait_from(self, now: datetime) -> timedelta:
        """Return the time from `now` until the hours begin; zero within them."""
        return _until(self.start, now) if not self._holds(now.time()) else timedelta()

    def left_from(self, now: datetime) -> timedelta:
        """Return the time from `now` until the hours end; zero outside them."""
        return _until(self.end, now) if self._holds(now.time()) else timedelta()

    def _holds(self, clock: time) -> bool:
        return (
            self.start <= clock < self.end
            if self.start < self.end
            else clock >= self.start or clock < self.end
        )

    def __str__(self) -> str:
        """Return the hours as in site.toml, for instance 22:00-06:00."""
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def _until(clock: time, now: datetime) -> timedelta:
    then = datetime.combine(now.date(), clock, now.tzinfo)
    return (then if then > now else then + timedelta(days=1)) - now
