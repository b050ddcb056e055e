"""Which column the times come from, and what it counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ecgfl_adapters.csv_columns import Column, seconds_per_unit, states_time_unit
from ecgfl_adapters.csv_layout import CsvLayout, TimeUnit
from ecgfl_adapters.csv_notes import FROM_LAYOUT
from ecgfl_adapters.csv_sniff import LAYOUT_FIX, Rows
from ecgfl_adapters.errors import FileUnreadable

_SECONDS_PER: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class TimeColumn(NamedTuple):
    """places : of the column, or of a date's and a clock's side by side. kind : numbers that are times, numbers of samples, or
    stamps to be parsed. factor : seconds in one unit of the numbers. assumed : whether seconds are a guess that the rate must
    confirm. key, unit : as in a `CsvLayout`."""

    places: tuple[int, ...]
    kind: Literal["times", "samples", "stamps"]
    factor: float
    assumed: bool
    key: str | int
    unit: TimeUnit
    told: str
    why: str

    @property
    def in_seconds(self) -> bool:
        """Whether the column itself can tell the rate."""
        return self.kind != "samples"


def time_column(path: Path, columns: Sequence[Column], layout: CsvLayout, rows: Rows) -> TimeColumn | None:
    """None where rows follow each other without a gap. Raises `FileUnreadable` where the layout does not fit the file."""
    if layout.time == 0:
        return None
    if layout.time is not None:
        return _of(_column(path, columns, layout.time), layout, columns, FROM_LAYOUT)
    times = [column for column in columns if column.role == "time"]
    numbers = [column for column in times if column.kind == "number"]
    counted = [column for column in columns if column.role == "samples" and column.kind == "number"]
    numbers = sorted(numbers, key=lambda column: not states_time_unit(f"{column.title} {column.unit or ''}"))
    found = next(iter([*numbers, *([] if numbers else counted), *times]), None)
    if found is None:
        if layout.time_unit is not None:
            raise FileUnreadable(path, f"time_unit = {layout.time_unit!r} in site.toml, but no column is a time",
                                 f"Give time = NUMBER or its name there, from the {len(rows.kinds)} columns")  # fmt: skip
        return None
    return _of(found, layout, columns, f"column {found.place + 1}")


def _of(column: Column, layout: CsvLayout, columns: Sequence[Column], why: str) -> TimeColumn:
    key = column.title or column.place + 1
    shown = repr(column.title) if column.title else f"column {column.place + 1}"
    unit = layout.time_unit or _unit(column)
    places: tuple[int, ...] = (column.place,)
    if unit == "datetime":
        before = next((each for each in columns if each.role == "date"), None)
        places = (before.place, *places) if column.kind == "clock" and before is not None else places
        return TimeColumn(places, "stamps", 1.0, False, key, unit, f"{shown}, times of day", why)
    if unit == "samples":
        return TimeColumn(places, "samples", 1.0, False, key, unit, f"{shown}, numbers of samples", why)
    assumed = layout.time_unit is None and not states_time_unit(f"{column.title} {column.unit or ''}")
    why = f"{why}; no unit, so seconds if the rate is an ECG's" if assumed else why
    return TimeColumn(places, "times", _SECONDS_PER[unit], assumed, key, unit, f"{shown}, in {unit}", why)


def _unit(column: Column) -> TimeUnit:
    if column.kind in ("clock", "datetime"):
        return "datetime"
    if column.role == "samples":
        return "samples"
    factor = seconds_per_unit(f"{column.title} {column.unit or ''}") or 1.0
    return next(name for name, each in _SECONDS_PER.items() if each == factor)


def _column(path: Path, columns: Sequence[Column], key: str | int) -> Column:
    for column in columns:
        if key == column.place + 1 or (isinstance(key, str) and key.lower() == column.title.lower() and key):
            return column
    there = ", ".join(repr(column.title or column.place + 1) for column in columns)
    raise FileUnreadable(path, f"time = {key!r} in site.toml is no column (columns: {there})", "Correct that line of site.toml")


def unit_fix(column: str) -> str:
    """What to do about a time column without a unit."""
    return f"Name its unit in the header ('{column}_ms'), or {LAYOUT_FIX}, with time_unit"
