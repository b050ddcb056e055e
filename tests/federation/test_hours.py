"""The hours of the day in which rounds may begin."""

from datetime import datetime, timedelta

import pytest

from ecgfl_cli.federation.hours import Hours


@pytest.mark.parametrize(
    ("hours", "clock", "minutes"),
    [
        *(("22:00-06:00", clock, 0) for clock in ("22:00", "23:59", "00:00", "05:59")),
        *(("22:00-06:00", clock, left) for clock, left in (("06:00", 16 * 60), ("21:59", 1), ("12:00", 10 * 60))),
        *(("09:30-17:00", clock, 0) for clock in ("09:30", "12:00", "16:59")),
        *(("09:30-17:00", clock, left) for clock, left in (("09:29", 1), ("17:00", 16.5 * 60), ("00:00", 9.5 * 60))),
    ],
)
def test_the_wait_ends_when_the_hours_begin(hours: str, clock: str, minutes: float) -> None:
    now = datetime.fromisoformat(f"2026-12-31T{clock}")
    assert Hours.read(hours).wait_from(now) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "text", ["", "night", "22-06", "24:00-06:00", "22:00-22:00", "22:60-06:00", "22:00-06:00\n", "9:00-17:00"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-06:00"):
        Hours.read(text)
