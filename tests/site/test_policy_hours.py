"""Hours of the day, past midnight too."""

from datetime import datetime, timedelta

import pytest

from ecgfl_cli.site.hours import Hours


@pytest.mark.parametrize(
    ("hours", "clock", "wait", "left"),
    [
        ("22:00-06:00", "22:00", 0, 8 * 60),
        ("22:00-06:00", "23:59", 0, 6 * 60 + 1),
        ("22:00-06:00", "00:00", 0, 6 * 60),
        ("22:00-06:00", "05:59", 0, 1),
        ("22:00-06:00", "06:00", 16 * 60, 0),
        ("22:00-06:00", "21:59", 1, 0),
        ("09:30-17:00", "09:30", 0, 7.5 * 60),
        ("09:30-17:00", "16:59", 0, 1),
        ("09:30-17:00", "09:29", 1, 0),
        ("09:30-17:00", "17:00", 16.5 * 60, 0),
    ],
)
def test_how_long_until_they_begin_and_end(
    hours: str, clock: str, wait: float, left: float
) -> None:
    now = datetime.fromisoformat(f"2026-12-31T{clock}")
    assert Hours.read(hours).wait_from(now) == timedelta(minutes=wait)
    assert Hours.read(hours).left_from(now) == timedelta(minutes=left)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "night",
        "22-06",
        "24:00-06:00",
        "22:00-22:00",
        "22:60-06:00",
        "22:00-06:00\n",
        "9:00-17:00",
    ],
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-06:00"):
        Hours.read(text)
