"""Times of day and dates with them -> seconds since the first row. No date leaves this file."""

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.arrays import Growing, steps_of
from ecgfl_adapters.tables.stamp_forms import COMPACT, STAMP, month_of

_DAY = 86400.0
_HOUR = 3600.0
_MINUTE = 60.0
_ROLLOVER = 0.5
"""Share of a day by which the clock goes back at midnight at least, and of an hour where stamps
have none.
"""
_FIX = "Export the times as seconds since the start of the recording"


class _Parsed(NamedTuple):
    """seconds : since midnight, less the offset of the zone. days : the date as it is written, or
    "". zoned : whether the offset from UTC is known. hourly : whether no stamp has hours.
    """

    seconds: NDArray[np.float64]
    days: NDArray[np.str_]
    zoned: bool
    hourly: bool


class Stamps:
    """Takes stamps chunk by chunk; `seconds` are ready after the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Growing(np.float64)
        self._days: list[tuple[int, str]] = []
        self._zoned = False
        self._hourly = True
        self._unpadded: bool | None = None

    def add(self, cells: Sequence[str], line: int) -> None:
        """Raise `FileUnreadable` for a cell that is no stamp. line : of the chunk's first row, for
        the message.
        """
        if self._unpadded is None:
            self._unpadded = _is_unpadded(cells)
        parsed = self._parsed(cells, line)
        start = self._clock.size
        self._clock.add(parsed.seconds)
        changes = (
            np.concatenate(([0], np.flatnonzero(parsed.days[1:] != parsed.days[:-1]) + 1))
            if cells
            else np.zeros(0, int)
        )
        for at in changes.tolist():
            day = str(parsed.days[at])
            if not self._days or self._days[-1][1] != day:
                self._days.append((start + at, day))
        self._zoned = self._zoned or parsed.zoned
        self._hourly = self._hourly and parsed.hourly

    def seconds(self) -> NDArray[np.float64]:
        """Since midnight of the first row, shape (rows,).

        Raises `FileUnreadable` where dates or a change of the clock leave open how much time went
        by.
        """
        clock = self._clock.values
        if self._days and self._days[0][1]:
            if any(not day for _, day in self._days):
                raise FileUnreadable(self._path, "some time stamps have a date, others none", _FIX)
            offsets = self._offsets([day for _, day in self._days])
            for (start, _), (stop, _), offset in zip(
                self._days, [*self._days[1:], (clock.size, "")], offsets, strict=True
            ):
                clock[start:stop] += offset * _DAY
        if len(self._days) < 2:  # also where the date is that of the start
            period = _HOUR if self._hourly and clock.size and clock.max() < _HOUR else _DAY
            for at in [
                at + row
                for at, steps in steps_of(clock)
                for row in np.flatnonzero(steps < -_ROLLOVER * period).tolist()
            ]:
                clock[at + 1 :] += period
        if not self._zoned:
            self._refuse_changed_clock(clock)
        return clock

    def _refuse_changed_clock(self, clock: NDArray[np.float64]) -> None:
        """Refuse a jump of exactly one hour: it is daylight saving time rather than a gap."""
        if clock.size < 2:
            return
        first = np.diff(clock[:100_000])
        usual = float(np.median(first))
        coarse = float(np.median(first[first > 0])) if (first > 0).any() else 0.0
        if coarse >= _MINUTE:
            return
        for start, steps in steps_of(clock):
            found = np.flatnonzero(
                np.abs(np.abs(steps - usual) - _HOUR) < max(1.5 * usual, 1.5 * coarse, 1e-6)
            )
            if found.size:
                told = "forwards" if steps[found[0]] > 0 else "back"
                raise FileUnreadable(
                    self._path,
                    f"after row {start + int(found[0]) + 1} of the data the clock goes {told} by "
                    "just an hour: "
                    "daylight saving, or a gap",
                    _FIX,
                )

    def _offsets(self, days: list[str]) -> list[int]:
        """Days since the first, for dates in the order in which they occur."""
        if len(days) == 1 and _has_unknown_month(days[0]):
            return [0]
        readings = {
            tuple(offsets)
            for order in _orders(days[0])
            if (offsets := _days_since(days, order)) is not None
        }
        rising = {
            offsets
            for offsets in readings
            if all(later > earlier for earlier, later in pairwise(offsets))
        }
        daily = {
            offsets
            for offsets in rising
            if all(later == earlier + 1 for earlier, later in pairwise(offsets))
        }
        for found in (rising, daily):
            if len(found) == 1:
                return list(next(iter(found)))
        problem = (
            "the dates do not go up"
            if readings and not rising
            else "the dates may be read in more than one way"
        )
        raise FileUnreadable(
            self._path,
            problem if readings else "the dates are no dates",
            f"Export them as YYYY-MM-DD. {_FIX}",
        )

    def _parsed(self, cells: Sequence[str], line: int) -> _Parsed:
        fast = _fast(cells)
        if fast is not None:
            return fast
        seconds = np.empty(len(cells))
        days = []
        zoned, hourly = False, True
        mark: str | None = None
        for row, cell in enumerate(cells):
            bare = cell.strip().strip("'\"").strip()
            found = STAMP.fullmatch(bare) or COMPACT.fullmatch(bare)
            if found is None:
                raise FileUnreadable(
                    self._path,
                    f"line {line + row} has the time {cell.strip()[:40]!r}, which is not "
                    "a time of day",
                    "Correct the line",
                )
            if found.re is COMPACT:
                seconds[row] = _seconds_of(found)
                days.append(f"{found['year']}-{found['month']}-{found['day']}")
                hourly = False
                continue
            mark = mark or found["mark"]
            if ":" in (mark or "", found["mark"] or "") and mark != found["mark"]:
                raise FileUnreadable(
                    self._path,
                    f"line {line + row} has the time {bare[:40]!r}, where others have milliseconds "
                    "after a colon, or have none",
                    _FIX,
                )
            seconds[row], day, has_zone = self._one(found, line + row)
            days.append(day)
            zoned = zoned or has_zone
            hourly = hourly and found["hours"] is None
        return _Parsed(seconds, np.array(days, dtype=np.str_), zoned, hourly)

    def _one(self, found: re.Match[str], line: int) -> tuple[float, str, bool]:
        hours, minutes, seconds = (
            int(found[name] or 0) for name in ("hours", "minutes", "seconds")
        )
        if found["hours"] is None and found["fraction"] is None:
            raise FileUnreadable(
                self._path,
                f"line {line} has the time {found[0]!r}: minutes and seconds, or hours and minutes",
                _FIX,
            )
        if (
            (minutes > 59 and found["hours"] is not None)
            or seconds > 60
            or (found["half"] and not 1 <= hours <= 12)
        ):
            raise FileUnreadable(
                self._path,
                f"line {line} has the time {found[0]!r}, which is not a time of day",
                "Correct the line",
            )
        zone = found["zone"]
        total = _seconds_of(found, unpadded=bool(self._unpadded)) - _offset(zone)
        return total, found["date"] or found["later"] or "", _is_zoned(zone)


def _is_unpadded(cells: Sequence[str]) -> bool:
    """Return whether the digits after the point are whole milliseconds without leading zeros: .0,
    .4, .8, .12 rather than .012.
    """
    found = [
        match
        for cell in cells[:1000]
        if (match := STAMP.fullmatch(cell.strip().strip("'\"").strip())) is not None
    ]
    sizes = {len(match["fraction"]) for match in found if match["fraction"]}
    if len(sizes) < 2 or max(sizes) > 3:
        return False

    def goes_back(*, unpadded: bool) -> bool:
        times = [_seconds_of(match, unpadded=unpadded) for match in found]
        return any(-1.0 < later - earlier < 0 for earlier, later in pairwise(times))

    return goes_back(unpadded=False) and not goes_back(unpadded=True)


def _seconds_of(found: re.Match[str], *, unpadded: bool = False) -> float:
    """Since midnight, as it is written."""
    parts = found.groupdict()
    hours = int(parts["hours"] or 0)
    if parts.get("half"):
        hours = hours % 12 + (12 if parts["half"] in "Pp" else 0)
    fraction = parts["fraction"] or "0"
    whole = unpadded or (parts.get("mark") == ":" and len(fraction) < 3)
    part = int(fraction) / 1000 if whole else float(f"0.{fraction}")
    return hours * 3600 + int(parts["minutes"]) * 60 + int(parts["seconds"]) + part


def _offset(zone: str | None) -> float:
    """Seconds that the zone is ahead of UTC; 0 for one that is only named."""
    found = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?", zone or "")
    if found is None:
        return 0.0
    return (int(found[2]) * 3600 + int(found[3] or 0) * 60) * (-1.0 if found[1] == "-" else 1.0)


def _is_zoned(zone: str | None) -> bool:
    return zone is not None and (zone in ("Z", "UTC", "GMT") or any(sign in zone for sign in "+-"))


def _fast(cells: Sequence[str]) -> _Parsed | None:
    """All cells at once where each looks like the first: digits in the same places, the same signs
    between them.
    """
    if len(cells) < 2 or not cells[0].isascii():
        return None
    found = STAMP.fullmatch(cells[0]) or COMPACT.fullmatch(cells[0])
    if found is None:
        return None
    parts = found.groupdict()
    if (
        parts["hours"] is None
        or parts.get("later")
        or (parts.get("mark") == ":" and len(parts["fraction"]) < 3)
    ):
        return None
    try:
        table = (
            np.array(cells, dtype=f"S{len(cells[0]) + 1}").view(np.uint8).reshape(len(cells), -1)
        )
    except UnicodeEncodeError:
        return None
    first = np.frombuffer(cells[0].encode(), np.uint8)
    fixed = (first < 48) | (first > 57)
    digits = ~fixed
    if parts.get("zone"):
        fixed[slice(*found.span("zone"))] = True
    body = table[:, :-1]
    if (table[:, -1] != 0).any() or (body[:, fixed] != first[fixed]).any():
        return None
    values = body[:, digits].astype(np.int16) - 48
    if (values < 0).any() or (values > 9).any():
        return None
    place = np.cumsum(digits) - 1

    def number(name: str) -> NDArray[np.float64]:
        start, stop = found.span(name)
        total = np.zeros(len(cells))
        for at in range(start, stop):
            total = total * 10 + values[:, place[at]]
        return total

    hours, minutes, seconds = number("hours"), number("minutes"), number("seconds")
    if (minutes > 59).any() or (seconds > 60).any():
        return None
    if parts.get("half"):
        if (hours < 1).any() or (hours > 12).any():
            return None
        hours = hours % 12 + (12 if parts["half"] in "Pp" else 0)
    total = hours * 3600 + minutes * 60 + seconds - _offset(parts.get("zone"))
    if parts["fraction"]:
        total += number("fraction") / 10 ** len(parts["fraction"])
    zoned = _is_zoned(parts.get("zone"))
    if found.re is COMPACT:
        days = np.ascontiguousarray(body[:, :8]).view("S8").ravel().astype(np.str_)
        return _Parsed(total, days, zoned, hourly=False)
    if not parts["date"]:
        return _Parsed(total, np.full(len(cells), "", dtype=np.str_), zoned, hourly=False)
    start, stop = found.span("date")
    days = (
        np.ascontiguousarray(body[:, start:stop]).view(f"S{stop - start}").ravel().astype(np.str_)
    )
    return _Parsed(total, days, zoned, hourly=False)


def _orders(day: str) -> list[str]:
    """Year, month and day as ISO writes them; with points the day comes first; otherwise the month
    may, too.
    """
    if re.search(r"[^\W\d_]", day) or day.isdigit() or re.match(r"\d{4}", day):
        return ["ymd"]
    if "." in day:
        return ["dmy"]
    return ["dmy", "mdy"] if re.search(r"\d{4}$", day) else ["dmy", "mdy", "ymd"]


def _has_unknown_month(day: str) -> bool:
    word = re.search(r"[^\W\d_]{3,}", day)
    return word is not None and month_of(word[0]) is None


def _days_since(days: Sequence[str], order: str) -> list[int] | None:
    try:
        numbers = [_date_of(day, order).toordinal() for day in days]
    except (ValueError, KeyError):
        return None
    return [number - numbers[0] for number in numbers]


def _date_of(day: str, order: str) -> date:
    """Raise `ValueError` for a day that there is not."""
    word = re.search(r"[^\W\d_]+", day)
    if day.isdigit():
        parts = {"y": int(day[:4]), "m": int(day[4:6]), "d": int(day[6:])}
    elif word is not None and len(numbers := re.findall(r"\d+", day)) == 2:
        one, two = numbers
        year, number = (one, two) if len(one) == 4 else (two, one)
        parts = {"y": int(year), "m": month_of(word[0]) or 0, "d": int(number)}
    else:
        parts = dict(zip(order, map(int, re.findall(r"\d+", day)), strict=True))
    century = (
        2000 if parts["y"] < 100 else 0
    )  # which one does not matter: only differences are used
    return date(parts["y"] + century, parts["m"], parts["d"])
