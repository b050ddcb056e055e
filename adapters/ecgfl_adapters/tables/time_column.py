"""Which column the times come from, and what it counts."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.cells import cells_of, is_comment, number_of
from ecgfl_adapters.tables.columns import Column
from ecgfl_adapters.tables.layout import FROM_LAYOUT, CsvLayout, TimeUnit
from ecgfl_adapters.tables.sniff import Rows
from ecgfl_adapters.tables.text_file import TextFile
from ecgfl_adapters.tables.time_units import seconds_in, time_title

_SECONDS_PER: dict[TimeUnit, float] = {
    "h": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}
_HEAD_ROWS = 300
"""Number of rows used to check whether a column increases."""
_FEW_ROWS = 3
_EPOCH = (0.9e9, 2.2e9)
"""Seconds from 1970 to 1998 and to 2039."""
_WHOSE = (
    r"(?:lead|channel|sensor|signal|source|variable|kanal|ableitung|canal|voie|derivaci[oó]n)"
    r"(?:[ _]?(?:id|name|no|nr))?"
)
_MOST_LEADS = 40
_CHANGES = 0.1
"""Minimum share of rows whose word differs from the row before for the column to name the lead of
each row.
"""
_DISTINCT = 0.9
"""Minimum share of distinct cells for a column of words to be a time column."""


class TimeColumn(NamedTuple):
    """places : of the column, or of a date's and a clock's side by side. kind : numbers that are
    times, numbers of samples, or stamps to be parsed. factor : seconds in one unit of the numbers.
    assumed : whether seconds are a guess that the rate must confirm. key, unit : as in a
    `CsvLayout`, where no unit there says what the title does.
    """

    places: tuple[int, ...]
    kind: Literal["times", "samples", "stamps"]
    factor: float
    assumed: bool
    key: str | int
    unit: TimeUnit | None
    told: str
    why: str

    @property
    def in_seconds(self) -> bool:
        """Return whether the column itself can tell the rate."""
        return self.kind != "samples"


def time_column(
    path: Path, text: TextFile, columns: Sequence[Column], layout: CsvLayout, rows: Rows
) -> TimeColumn | None:
    """None where rows follow each other without a gap.

    Raises `FileUnreadable` where the layout does not fit the file, and for a column of times that
    cannot be read.
    """
    if layout.time == 0:
        return None
    if layout.time is not None:
        return _of(
            _column(path, columns, layout.time), layout, columns, FROM_LAYOUT, _head(text, rows)
        )
    head = _head(text, rows)
    _refuse_long_form(path, head, columns)
    times = [column for column in columns if column.role == "time"]
    numbers = [
        column
        for column in times
        if column.kind == "number" and (_is_sure(column) or _goes_up(head, column, rows))
    ]
    counted = [column for column in columns if column.role == "samples" and column.kind == "number"]
    stamps = sorted(
        (column for column in times if column.kind in ("clock", "datetime")),
        key=lambda each: _is_coarse(head, each),
    )
    if stamps:  # a column of the milliseconds beside hh:mm:ss starts again each second
        numbers = [column for column in numbers if _goes_up(head, column, rows)]
    numbers = sorted(
        numbers,
        key=lambda each: (
            not _goes_up(head, each, rows),
            _is_coarse(head, each),
            _unit_of(each) is None,
        ),
    )
    if stamps and numbers and _is_coarse(head, numbers[0]) and not _is_coarse(head, stamps[0]):
        numbers = []
    implied = [
        column
        for column in columns
        if column.role in ("lead", "other")
        and column.kind == "number"
        and _unit_of(column)
        and _goes_up(head, column, rows)
    ]
    found = next(
        iter([*numbers, *([] if numbers or stamps or implied else counted), *stamps, *implied]),
        None,
    )
    if found is None:
        if layout.time_unit is not None:
            raise FileUnreadable(path, f"time_unit = {layout.time_unit!r} in site.toml, but no "
                                       "column is a time",
                                 "Give time = NUMBER or its name there, from the "
                                 f"{len(rows.kinds)} columns")  # fmt: skip
        _refuse_unread_times(path, head, columns)
        return None
    return _of(found, layout, columns, f"column {found.place + 1}", head)


def _of(
    column: Column, layout: CsvLayout, columns: Sequence[Column], why: str, head: list[list[str]]
) -> TimeColumn:
    key = column.title or column.place + 1
    shown = repr(column.title) if column.title else f"column {column.place + 1}"
    places: tuple[int, ...] = (column.place,)
    unit = layout.time_unit or ("datetime" if column.kind in ("clock", "datetime") else None)
    if unit == "datetime":
        before = next((each for each in columns if each.role == "date"), None)
        places = (
            (before.place, *places) if column.kind == "clock" and before is not None else places
        )
        return TimeColumn(places, "stamps", 1.0, False, key, unit, f"{shown}, times of day", why)
    if unit == "samples" or (unit is None and column.role == "samples"):
        return TimeColumn(
            places, "samples", 1.0, False, key, "samples", f"{shown}, numbers of samples", why
        )
    factor = _SECONDS_PER[unit] if unit is not None else _unit_of(column)
    if factor is None:
        factor = _since_1970(head, column)
        why = (
            f"{why}; no unit, but numbers as large as times since 1970"
            if factor is not None
            else why
        )
    assumed = factor is None
    factor = factor or 1.0
    unit = unit or next((name for name, each in _SECONDS_PER.items() if each == factor), None)
    why = f"{why}; no unit, so seconds if the rate is an ECG's" if assumed else why
    return TimeColumn(
        places,
        "times",
        factor,
        assumed,
        key,
        unit,
        f"{shown}, in {unit or f'1/{1 / factor:.9g} s'}",
        why,
    )


def _unit_of(column: Column) -> float | None:
    """Return seconds in one unit of the column, as its title or the line of units below says; None
    where neither does.
    """
    below = column.unit if column.unit is not None else ""
    return seconds_in(column.title) or seconds_in(below)


def _since_1970(head: list[list[str]], column: Column) -> float | None:
    """Return seconds in one unit of numbers that can only be Unix times: 1e-3 for 1728288000000.

    None for all other numbers.
    """
    try:
        values = [float(cells[column.place]) for cells in head]
    except ValueError:
        return None
    fits = (
        unit
        for unit in (1.0, 1e-3, 1e-6, 1e-9)
        if values and all(_EPOCH[0] < value * unit < _EPOCH[1] for value in values)
    )
    return next(fits, None)


def _head(text: TextFile, rows: Rows) -> list[list[str]]:
    lines = [
        line
        for line in text.lines[rows.start : rows.start + _HEAD_ROWS]
        if line.strip() and not is_comment(line)
    ]
    return [
        cells
        for line in lines
        if len(cells := cells_of(line, rows.dialect.separator)) == len(rows.kinds)
    ]


def _goes_up(head: list[list[str]], column: Column, rows: Rows) -> bool:
    """Return whether the numbers of the first rows never fall, as times do."""
    values = [
        number
        for cells in head
        if (number := number_of(cells[column.place], rows.dialect.decimal)) is not None
    ]
    return (
        len(values) == len(head) >= _FEW_ROWS
        and values == sorted(values)
        and values[0] < values[-1]
    )


def _is_sure(column: Column) -> bool:
    named = time_title(column.title, first=column.place == 0)
    return named is not None and named.sure


def _is_coarse(head: list[list[str]], column: Column) -> bool:
    """Return whether rows share their time with others."""
    return len({cells[column.place] for cells in head}) < len(head)


def _refuse_long_form(path: Path, head: list[list[str]], columns: Sequence[Column]) -> None:
    """One row for each lead and sample: a column of words says whose value each row holds.

    Raises `FileUnreadable`.
    """
    for column in columns:
        named = re.fullmatch(_WHOSE, column.title.lower()) is not None
        if column.kind != "text" and not (named and column.kind == "number"):
            continue
        cells = [row[column.place] for row in head]
        changes = sum(one != other for one, other in pairwise(cells))
        if 1 < len(set(cells)) <= _MOST_LEADS and changes >= _CHANGES * len(cells):
            raise FileUnreadable(
                path,
                f"column {column.title or column.place + 1!r} says whose value each row holds: one "
                "row for each lead and sample",
                "Export one row for each time, with a column for each lead",
            )


def _refuse_unread_times(path: Path, head: list[list[str]], columns: Sequence[Column]) -> None:
    """Refuse a column of times in an unknown form, because a gap would go unnoticed without it.

    It is a column of words that differ in each row, or whose title says that they are times.
    Raises `FileUnreadable`.
    """
    for column in columns:
        if column.kind != "text":
            continue
        cells = [row[column.place] for row in head]
        named = time_title(column.title, first=column.place == 0) is not None
        counts = len(cells) >= _FEW_ROWS and len(set(cells)) >= _DISTINCT * len(cells)
        if (named or counts) and all(sum(char.isdigit() for char in cell) > 1 for cell in cells):
            raise FileUnreadable(
                path,
                f"column {column.title or column.place + 1!r} holds times such as "
                f"{cells[0][:40]!r}, in a form that is not read, "
                "so that no gap could be seen",
                "Export the times as seconds since the start, or as YYYY-MM-DD hh:mm:ss.mmm; if no "
                "row is missing, "
                "remove the column and give --fs HZ",
            )


def _column(path: Path, columns: Sequence[Column], key: str | int) -> Column:
    for column in columns:
        if key == column.place + 1 or (
            isinstance(key, str) and key.lower() == column.title.lower() and key
        ):
            return column
    there = ", ".join(repr(column.title or column.place + 1) for column in columns)
    raise FileUnreadable(
        path,
        f"time = {key!r} in site.toml is no column (columns: {there})",
        "Correct that line of site.toml",
    )
