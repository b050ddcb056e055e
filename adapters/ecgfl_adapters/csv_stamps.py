"""Times of day and dates with them -> seconds since the first row. No date leaves this file."""

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.csv_arrays import Growing, steps_of
from ecgfl_adapters.errors import FileUnreadable

_DAY = 86400.0
_HALF_DAY = 43200.0
_HOUR = 3600.0
_MINUTE = 60.0
_STAMP = re.compile(
    r"""\[? (?: (?P<date>\d+[-/.]\d+[-/.]\d+) (?:[T\s]\s*) )?
    (?: (?P<hours>\d+) : )? (?P<minutes>\d+) : (?P<seconds>\d+) (?: [.,] (?P<fraction>\d+) )?
    (?: \s* (?P<half>[AaPp])\.?[Mm]\.? )? (?: \s* (?P<zone>Z|[+-]\d\d:?\d\d) )?
    (?: \s+ (?P<later>\d+[-/.]\d+[-/.]\d+) )? \]?""",
    re.VERBOSE | re.ASCII,
)
_FIX = "Export the times as seconds since the start, or leave them out with time = 0 and fs in a [[csv]] layout in site.toml"


class _Parsed(NamedTuple):
    """seconds : since midnight, less the offset of the zone. day : digits of the date, or ""."""

    seconds: NDArray[np.float64]
    days: NDArray[np.str_]
    zoned: bool


class Stamps:
    """Takes stamps chunk by chunk; `seconds` are ready after the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Growing(np.float64)
        self._days: list[tuple[int, str]] = []
        self._zoned = False

    def add(self, cells: Sequence[str], line: int) -> None:
        """Raises `FileUnreadable` for a cell that is no stamp. line : of the chunk's first row, for the message."""
        parsed = self._parsed(cells, line)
        start = self._clock.size
        self._clock.add(parsed.seconds)
        changes = np.concatenate(([0], np.flatnonzero(parsed.days[1:] != parsed.days[:-1]) + 1)) if cells else np.zeros(0, int)
        for at in changes.tolist():
            day = str(parsed.days[at])
            if not self._days or self._days[-1][1] != day:
                self._days.append((start + at, day))
        self._zoned = self._zoned or parsed.zoned

    def seconds(self) -> NDArray[np.float64]:
        """Since midnight of the first row, shape (rows,).

        Raises `FileUnreadable` where dates or a change of the clock leave open how much time went by.
        """
        clock = self._clock.values
        if self._days and self._days[0][1]:
            if any(not day for _, day in self._days):
                raise FileUnreadable(self._path, "some time stamps have a date, others none", _FIX)
            offsets = self._offsets([day for _, day in self._days])
            for (start, _), (stop, _), offset in zip(self._days, [*self._days[1:], (clock.size, "")], offsets, strict=True):
                clock[start:stop] += offset * _DAY
        else:
            for at in [at + row for at, steps in steps_of(clock) for row in np.flatnonzero(steps < -_HALF_DAY).tolist()]:
                clock[at + 1 :] += _DAY
        if not self._zoned:
            self._refuse_changed_clock(clock)
        return clock

    def _refuse_changed_clock(self, clock: NDArray[np.float64]) -> None:
        """An hour forwards or back, to the sample, is rather daylight saving than a gap."""
        if clock.size < 2:
            return
        usual = float(np.median(np.diff(clock[:100_000])))
        if usual >= _MINUTE:
            return
        for start, steps in steps_of(clock):
            found = np.flatnonzero(np.abs(np.abs(steps - usual) - _HOUR) < max(1.5 * usual, 1e-6))
            if found.size:
                told = "forwards" if steps[found[0]] > 0 else "back"
                raise FileUnreadable(
                    self._path,
                    f"after row {start + int(found[0]) + 1} of the data the clock goes {told} by just an hour: "
                    "daylight saving, or a gap",
                    _FIX,
                )

    def _offsets(self, days: list[str]) -> list[int]:
        """Days since the first, for dates in the order in which they occur."""
        readings = {tuple(offsets) for order in _orders(days[0]) if (offsets := _days_since(days, order)) is not None}
        rising = {offsets for offsets in readings if all(later > earlier for earlier, later in pairwise(offsets))}
        daily = {offsets for offsets in rising if all(later == earlier + 1 for earlier, later in pairwise(offsets))}
        for found in (rising, daily):
            if len(found) == 1:
                return list(next(iter(found)))
        problem = "the dates do not go up" if readings and not rising else "the dates may be read in more than one way"
        raise FileUnreadable(self._path, problem if readings else "the dates are no dates", f"Export them as YYYY-MM-DD. {_FIX}")

    def _parsed(self, cells: Sequence[str], line: int) -> _Parsed:
        fast = _fast(cells)
        if fast is not None:
            return fast
        seconds = np.empty(len(cells))
        days = []
        zoned = False
        for row, cell in enumerate(cells):
            found = _STAMP.fullmatch(cell.strip().strip("'\"").strip())
            if found is None:
                raise FileUnreadable(
                    self._path,
                    f"line {line + row} has the time {cell.strip()[:40]!r}, which is no time of day",
                    "Correct the line",
                )
            seconds[row], day, has_zone = self._one(found, line + row)
            days.append(day)
            zoned = zoned or has_zone
        return _Parsed(seconds, np.array(days, dtype=np.str_), zoned)

    def _one(self, found: re.Match[str], line: int) -> tuple[float, str, bool]:
        hours, minutes, seconds = (int(found[name] or 0) for name in ("hours", "minutes", "seconds"))
        if found["hours"] is None and found["fraction"] is None:
            raise FileUnreadable(
                self._path, f"line {line} has the time {found[0]!r}: minutes and seconds, or hours and minutes", _FIX
            )
        if (minutes > 59 and found["hours"] is not None) or seconds > 60 or (found["half"] and not 1 <= hours <= 12):
            raise FileUnreadable(
                self._path, f"line {line} has the time {found[0]!r}, which is no time of day", "Correct the line"
            )
        if found["half"]:
            hours = hours % 12 + (12 if found["half"] in "Pp" else 0)
        total = hours * 3600 + minutes * 60 + seconds + float(f"0.{found['fraction'] or 0}")
        zone = found["zone"]
        if zone and zone != "Z":
            digits = zone[1:].replace(":", "")
            total -= (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if zone[0] == "-" else 1)
        return total, found["date"] or found["later"] or "", bool(zone)


def _fast(cells: Sequence[str]) -> _Parsed | None:
    """All cells at once where each looks like the first: digits in the same places, the same signs between them."""
    if len(cells) < 2 or not cells[0].isascii():
        return None
    found = _STAMP.fullmatch(cells[0])
    if found is None or found["hours"] is None or found["half"] or found["zone"] not in (None, "Z") or found["later"]:
        return None
    try:
        table = np.array(cells, dtype=f"S{len(cells[0]) + 1}").view(np.uint8).reshape(len(cells), -1)
    except UnicodeEncodeError:
        return None
    first = np.frombuffer(cells[0].encode(), np.uint8)
    digits = (first >= 48) & (first <= 57)
    body = table[:, :-1]
    if (table[:, -1] != 0).any() or (body[:, ~digits] != first[~digits]).any():
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

    minutes, seconds = number("minutes"), number("seconds")
    if (minutes > 59).any() or (seconds > 60).any():
        return None
    total = number("hours") * 3600 + minutes * 60 + seconds
    if found["fraction"]:
        total += number("fraction") / 10 ** len(found["fraction"])
    if not found["date"]:
        return _Parsed(total, np.full(len(cells), "", dtype=np.str_), bool(found["zone"]))
    start, stop = found.span("date")
    days = np.ascontiguousarray(body[:, start:stop]).view(f"S{stop - start}").ravel()
    return _Parsed(total, days.astype(np.str_), bool(found["zone"]))


def _orders(day: str) -> list[str]:
    """Year, month and day as ISO writes them; with points the day comes first; otherwise the month may, too."""
    if len(re.split(r"[-/.]", day)[0]) == 4:
        return ["ymd"]
    return ["dmy"] if "." in day else ["dmy", "mdy"]


def _days_since(days: Sequence[str], order: str) -> list[int] | None:
    try:
        numbers = []
        for day in days:
            parts = dict(zip(order, map(int, re.split(r"[-/.]", day)), strict=True))
            numbers.append(date(parts["y"], parts["m"], parts["d"]).toordinal())
    except ValueError:
        return None
    return [number - numbers[0] for number in numbers]
