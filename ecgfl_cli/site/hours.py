"""Hours of the day, in which something may be done."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self

HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")


@dataclass(frozen=True)
class Hours:
    """From `start` to before `end`, in this machine's local time; past midnight where `end` is the earlier one."""

    start: time
    end: time

    @classmethod
    def read(cls, text: str) -> Self:
        """Of "22:00-06:00". Raises `ValueError`."""
        found = HOURS.fullmatch(text)
        if not found or found.group(1, 2) == found.group(3, 4):
            raise ValueError(f"{text!r} are no hours of the day; write 22:00-06:00")
        return cls(time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])))

    def wait_from(self, now: datetime) -> timedelta:
        """How long from `now` until the hours begin; nothing within them."""
        return _until(self.start, now) if not self._holds(now.time()) else timedelta()

    def left_from(self, now: datetime) -> timedelta:
        """How long from `now` until the hours end; nothing outside them."""
        return _until(self.end, now) if self._holds(now.time()) else timedelta()

    def _holds(self, clock: time) -> bool:
        return (
            self.start <= clock < self.end
            if self.start < self.end
            else clock >= self.start or clock < self.end
        )

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def _until(clock: time, now: datetime) -> timedelta:
    then = datetime.combine(now.date(), clock, now.tzinfo)
    return (then if then > now else then + timedelta(days=1)) - now
