"""Converts times of day, with or without dates, to seconds since the first row.

No date leaves this module.
"""

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.arrays import Growing, steps_of
from ecgfl_adapters.tables.stamp_forms import COMPACT, STAMP, month_of

_DAY = 86400.0
_HOUR = 3600.0
_MINUTE = 60.0
_ROLLOVER = 0.5
"""Minimum share of a day by which the clock goes back at midnight.

For stamps without hours it is a share of an hour.
"""
_FIX = "Export the times as seconds since the start of the recording"
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?")
_ZONED = re.compile(r"Z|UTC|GMT|.*[+-].*")


class _Parsed(NamedTuple):
    """Stamps of some rows.

    Parameters
    ----------
    seconds : array
        Seconds since midnight, less the offset of the time zone, shape (rows,).
    days : array
        The dates as they are written, or "", shape (rows,).
    zoned : bool
        Whether the offset from UTC is known.
    hourly : bool
        Whether no stamp has hours.
    """

    seconds: NDArray[np.float64]
    days: NDArray[np.str_]
    zoned: bool
    hourly: bool


class Stamps:
    """Takes stamps chunk by chunk; `seconds` returns their times after the last chunk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Growing(np.float64)
        self._days: list[tuple[int, str]] = []
        self._zoned = False
        self._hourly = True
        self._unpadded: bool | None = None

    def add(self, cells: Sequence[str], line: int) -> None:
        """Take the stamps of the next rows.

        Parameters
        ----------
        cells : sequence of str
            The stamps.
        line : int
            Number of the line of the first one, for messages.

        Raises
        ------
        FileUnreadable
            If a cell is not a time of day.
        """
        if self._unpadded is None:
            self._unpadded = _is_unpadded(cells)
        parsed = _fast(cells) or self._parsed(cells, line)
        start = self._clock.size
        self._clock.add(parsed.seconds)
        changes = np.flatnonzero(parsed.days[1:] != parsed.days[:-1]) + 1
        for row in [0, *changes.tolist()] if cells else []:
            day = str(parsed.days[row])
            if not self._days or self._days[-1][1] != day:
                self._days.append((start + row, day))
        self._zoned = self._zoned or parsed.zoned
        self._hourly = self._hourly and parsed.hourly

    def seconds(self) -> NDArray[np.float64]:
        """Return the seconds since the midnight before the first row, shape (rows,).

        Raises
        ------
        FileUnreadable
            If the dates are ambiguous or the clock was changed, so that the time between rows is
            not known.
        """
        clock = self._clock.values
        if self._days and self._days[0][1]:
            starts, days = zip(*self._days, strict=True)
            if not all(days):
                raise FileUnreadable(self._path, "some time stamps have a date, others none", _FIX)
            for (start, stop), offset in zip(
                pairwise([*starts, clock.size]), self._offsets(days), strict=True
            ):
                clock[start:stop] += offset * _DAY
        if len(self._days) < 2:  # also if the date is that of the start
            period = _HOUR if self._hourly and clock.size and clock.max() < _HOUR else _DAY
            rollovers = [
                start + row
                for start, steps in steps_of(clock)
                for row in np.flatnonzero(steps < -_ROLLOVER * period).tolist()
            ]
            for row in rollovers:
                clock[row + 1 :] += period
        if not self._zoned:
            self._refuse_changed_clock(clock)
        return clock

    def _refuse_changed_clock(self, clock: NDArray[np.float64]) -> None:
        """Raise `FileUnreadable` for a jump of one hour: it may be daylight saving time."""
        if clock.size < 2:
            return
        first = np.diff(clock[:100_000])
        usual = float(np.median(first))
        coarse = float(np.median(first[first > 0])) if (first > 0).any() else 0.0
        if coarse >= _MINUTE:
            return
        for start, steps in steps_of(clock):
            jumps = np.flatnonzero(
                np.abs(np.abs(steps - usual) - _HOUR) < max(1.5 * usual, 1.5 * coarse, 1e-6)
            )
            if jumps.size:
                direction = "forwards" if steps[jumps[0]] > 0 else "back"
                raise FileUnreadable(
                    self._path,
                    f"after row {start + int(jumps[0]) + 1} of the data the clock goes {direction} "
                    "by exactly an hour, which may be daylight saving time or a gap",
                    _FIX,
                )

    def _offsets(self, days: Sequence[str]) -> Sequence[int]:
        """Return the days since the first one, for dates in the order in which they occur."""
        if len(days) == 1 and _has_unknown_month(days[0]):
            return [0]
        readings = {_days_since(days, order) for order in _orders(days[0])} - {()}
        rising = {reading for reading in readings if all(np.diff(reading) > 0)}
        daily = {reading for reading in rising if all(np.diff(reading) == 1)}
        for fitting in (rising, daily):
            if len(fitting) == 1:
                return fitting.pop()
        problem = (
            "the dates are not valid"
            if not readings
            else "the dates may be read in more than one way"
            if rising
            else "the dates do not go up"
        )
        raise FileUnreadable(self._path, problem, f"Export them as YYYY-MM-DD. {_FIX}")

    def _parsed(self, cells: Sequence[str], line: int) -> _Parsed:
        """Parse the stamps one by one."""
        seconds = np.empty(len(cells))
        days = []
        zoned, hourly = False, True
        mark: str | None = None
        for row, cell in enumerate(cells):
            stamp = _match(cell)
            if stamp is None or not _is_possible(stamp):
                self._refuse(line + row, cell, "is not a time of day", "Correct the line")
            parts = stamp.groupdict()
            hourly = hourly and parts["hours"] is None
            seconds[row] = _seconds_of(parts, unpadded=bool(self._unpadded))
            if stamp.re is COMPACT:
                days.append(stamp[0][:8])
                continue
            mark = mark or parts["mark"]
            if ":" in (mark or "", parts["mark"] or "") and mark != parts["mark"]:
                self._refuse(
                    line + row, cell, "does not agree with others on milliseconds after a colon"
                )
            if parts["hours"] is None and parts["fraction"] is None:
                self._refuse(line + row, cell, "may be minutes and seconds, or hours and minutes")
            days.append(parts["date"] or parts["later"] or "")
            zoned = zoned or _is_zoned(parts)
        return _Parsed(seconds, np.array(days, dtype=np.str_), zoned, hourly)

    def _refuse(self, line: int, cell: str, problem: str, fix: str = _FIX) -> NoReturn:
        raise FileUnreadable(
            self._path, f"line {line} has the time {cell.strip()[:40]!r}, which {problem}", fix
        )


def _match(cell: str) -> re.Match[str] | None:
    bare = cell.strip().strip("'\"").strip()
    return STAMP.fullmatch(bare) or COMPACT.fullmatch(bare)


def _is_possible(stamp: re.Match[str]) -> bool:
    """Return whether hours, minutes and seconds are in their ranges."""
    parts = stamp.groupdict()
    return (
        (int(parts["minutes"]) <= 59 or parts["hours"] is None)
        and int(parts["seconds"]) <= 60
        and (not parts.get("half") or 1 <= int(parts["hours"] or 0) <= 12)
    )


def _is_unpadded(cells: Sequence[str]) -> bool:
    """Return whether milliseconds lack leading zeros: .0, .4, .12 for .000, .004, .012."""
    stamps = [
        stamp.groupdict()
        for cell in cells[:1000]
        if (stamp := _match(cell)) is not None and stamp.re is STAMP
    ]
    sizes = {len(parts["fraction"]) for parts in stamps if parts["fraction"]}
    if len(sizes) < 2 or max(sizes) > 3:
        return False

    def goes_back(*, unpadded: bool) -> bool:
        times = [_seconds_of(parts, unpadded=unpadded) for parts in stamps]
        return any(-1.0 < later - earlier < 0 for earlier, later in pairwise(times))

    return goes_back(unpadded=False) and not goes_back(unpadded=True)


def _seconds_of(parts: dict[str, str | None], *, unpadded: bool = False) -> float:
    """Return the seconds since midnight of a stamp, less the offset of its time zone."""
    hours = int(parts["hours"] or 0)
    if half := parts.get("half"):
        hours = hours % 12 + (12 if half in "Pp" else 0)
    fraction = parts["fraction"] or "0"
    is_whole = "mark" in parts and (unpadded or (parts["mark"] == ":" and len(fraction) < 3))
    part = int(fraction) / 1000 if is_whole else float(f"0.{fraction}")
    whole = hours * 3600 + int(parts["minutes"] or 0) * 60 + int(parts["seconds"] or 0)
    return whole + part - _offset(parts)


def _offset(parts: dict[str, str | None]) -> float:
    """Return the seconds by which the time zone of a stamp is ahead of UTC; 0 if unknown."""
    offset = _OFFSET.fullmatch(parts.get("zone") or "")
    if offset is None:
        return 0.0
    seconds = int(offset[2]) * 3600 + int(offset[3] or 0) * 60
    return -float(seconds) if offset[1] == "-" else float(seconds)


def _is_zoned(parts: dict[str, str | None]) -> bool:
    return _ZONED.fullmatch(parts.get("zone") or "") is not None


def _fast(cells: Sequence[str]) -> _Parsed | None:
    """Parse all stamps at once if they have the same form as the first; return None otherwise."""
    first = _match(cells[0]) if len(cells) > 1 and cells[0].isascii() else None
    if first is None or first[0] != cells[0]:
        return None
    parts = first.groupdict()
    is_short = parts.get("mark") == ":" and len(parts["fraction"]) < 3
    if parts["hours"] is None or parts.get("later") or is_short:
        return None
    digits = _digits_of(cells, first)
    if digits is None:
        return None

    hours, minutes, seconds = (
        _number(digits[slice(*first.span(name))]) for name in ("hours", "minutes", "seconds")
    )
    if minutes.max() > 59 or seconds.max() > 60:
        return None
    if half := parts.get("half"):
        if hours.min() < 1 or hours.max() > 12:
            return None
        hours = hours % 12 + (12 if half in "Pp" else 0)
    total = hours * 3600 + minutes * 60 + seconds - _offset(parts)
    if parts["fraction"]:
        total += _number(digits[slice(*first.span("fraction"))]) / 10 ** len(parts["fraction"])
    days = np.full(len(cells), "", dtype=np.str_)
    start, stop = (0, 8) if first.re is COMPACT else first.span("date")
    if stop > start:
        written = np.ascontiguousarray((digits[start:stop] + np.uint8(ord("0"))).T)
        days = written.view(f"S{stop - start}").ravel().astype(np.str_)
    return _Parsed(total, days, _is_zoned(parts), hourly=False)


def _number(digits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the numbers with these digits, shape (digits, cells)."""
    number = np.zeros(digits.shape[1])
    for digit in digits:
        number = number * 10 + digit
    return number


def _digits_of(cells: Sequence[str], first: re.Match[str]) -> NDArray[np.uint8] | None:
    """Return the digits at their places in the cells, shape (characters, cells).

    Other characters have values above 9. Return None if a cell has digits in other places
    than the first, or other characters between the digits.
    """
    try:
        table = np.array(cells, dtype=f"S{len(cells[0]) + 1}")
    except UnicodeEncodeError:
        return None
    characters = np.ascontiguousarray(table.view(np.uint8).reshape(len(cells), -1).T)
    form = characters[:, 0]
    is_digit = (form >= ord("0")) & (form <= ord("9"))
    is_fixed = ~is_digit
    if first.groupdict().get("zone"):
        is_fixed[slice(*first.span("zone"))] = True
    digits = characters - np.uint8(ord("0"))  # characters before "0" wrap around
    is_alike = (characters[is_fixed] == form[is_fixed, None]).all() and digits[is_digit].max() <= 9
    return digits if is_alike else None


def _orders(day: str) -> list[str]:
    """Return the possible orders of year, month and day in a date.

    A date that begins with the year has ISO's order, a date with points begins with the day, and
    any other may also begin with the month.
    """
    if re.search(r"[^\W\d_]", day) or day.isdigit() or re.match(r"\d{4}", day):
        return ["ymd"]
    if "." in day:
        return ["dmy"]
    return ["dmy", "mdy"] if re.search(r"\d{4}$", day) else ["dmy", "mdy", "ymd"]


def _has_unknown_month(day: str) -> bool:
    word = re.search(r"[^\W\d_]{3,}", day)
    return word is not None and month_of(word[0]) is None


def _days_since(days: Sequence[str], order: str) -> tuple[int, ...]:
    """Return the days since the first date; () if a date is not valid in this order."""
    try:
        ordinals = [_date_of(day, order).toordinal() for day in days]
    except ValueError:
        return ()
    return tuple(ordinal - ordinals[0] for ordinal in ordinals)


def _date_of(day: str, order: str) -> date:
    """Return the date in a text. Raises `ValueError` for a date that does not exist."""
    numbers = re.findall(r"\d+", day)
    word = re.search(r"[^\W\d_]+", day)
    if day.isdigit():
        numbers, order = [day[:4], day[4:6], day[6:]], "ymd"
    elif word is not None and len(numbers) == 2:
        order = "yd" if len(numbers[0]) == 4 else "dy"
    parts = dict(zip(order, map(int, numbers), strict=True))
    month = parts["m"] if "m" in parts else month_of(word[0]) if word is not None else None
    century = 2000 if parts["y"] < 100 else 0  # any century will do: only differences are used
    return date(parts["y"] + century, month or 0, parts["d"])
