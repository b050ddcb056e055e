"""Determines which column of a table holds the times, and what it counts."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.tables.columns import Column
from ecgfl_adapters.tables.layout import FROM_LAYOUT, TimeUnit
from ecgfl_adapters.tables.table import Table
from ecgfl_adapters.tables.time_units import SECONDS_PER, seconds_in, time_title

_UNITS: tuple[TimeUnit, ...] = ("h", "min", "s", "ms", "us", "ns")
_HEAD_ROWS = 300
"""Number of rows in which a column is checked."""
_FEW_ROWS = 3
_EPOCH = (0.9e9, 2.2e9)
"""Seconds since 1970 in the years 1998 to 2039."""
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
    """The column of times.

    Parameters
    ----------
    places : tuple of int
        Index of the column, or of a column of dates and one of times of day.
    kind : {"times", "samples", "stamps"}
        Times as numbers, sample numbers, or times of day with or without a date.
    factor : float
        Seconds in one unit of the numbers.
    assumed : bool
        Whether no unit is stated, so that the rate must confirm that they are seconds.
    key, unit : optional
        `time` and `time_unit` of a `CsvLayout` that describe this column.
    description : str
        The column and what it counts, in words.
    why : str
        What shows it.
    """

    places: tuple[int, ...]
    kind: Literal["times", "samples", "stamps"]
    factor: float
    assumed: bool
    key: str | int
    unit: TimeUnit | None
    description: str
    why: str

    @property
    def in_seconds(self) -> bool:
        """Whether the column shows the rate."""
        return self.kind != "samples"


def time_column(table: Table, columns: Sequence[Column]) -> TimeColumn | None:
    """Return the column of times; None if the table has none, so that no row is missing.

    Raises
    ------
    FileUnreadable
        If the layout does not fit the file, or a column holds times in an unknown form.
    """
    layout = table.layout
    if layout.time == 0:
        return None
    head = table.first_rows(_HEAD_ROWS)
    if layout.time is not None:
        column = _named_column(table.path, columns, layout.time)
        return _described(column, table, columns, FROM_LAYOUT, head)
    _refuse_long_form(table.path, head, columns)
    candidates = _candidates(table, columns, head)
    if candidates:
        column = candidates[0]
        return _described(column, table, columns, f"column {column.place + 1}", head)
    if layout.time_unit is not None:
        raise FileUnreadable(
            table.path,
            f"time_unit = {layout.time_unit!r} in site.toml, but no column is a time",
            f"Give time = NUMBER or its name there, from the {len(columns)} columns",
        )
    _refuse_unread_times(table.path, head, columns)
    return None


def _candidates(table: Table, columns: Sequence[Column], head: list[list[str]]) -> list[Column]:
    """Return the columns that may hold the times, the best first."""
    rising = {column for column in columns if _goes_up(table, head, column)}
    times = [column for column in columns if column.role == "time"]
    stamps = sorted(
        (column for column in times if column.kind in ("clock", "datetime")),
        key=lambda column: _is_coarse(head, column),
    )
    numbers = sorted(
        (
            column
            for column in times
            if column.kind == "number"
            # The milliseconds in a column beside hh:mm:ss start again each second.
            and (column in rising or (not stamps and _is_sure(column)))
        ),
        key=lambda column: (
            column not in rising,
            _is_coarse(head, column),
            _unit_of(column) is None,
        ),
    )
    if stamps and numbers and _is_coarse(head, numbers[0]) and not _is_coarse(head, stamps[0]):
        numbers = []
    with_unit = [
        column
        for column in columns
        if column.role in ("lead", "other") and _unit_of(column) and column in rising
    ]
    counts = [column for column in columns if column.role == "samples" and column.kind == "number"]
    return [*numbers, *stamps, *with_unit] or counts


def _described(
    column: Column, table: Table, columns: Sequence[Column], why: str, head: list[list[str]]
) -> TimeColumn:
    """Return the time column with its unit, from the layout, its title or its values."""
    key = column.title or column.place + 1
    shown = repr(column.title) if column.title else f"column {column.place + 1}"
    places: tuple[int, ...] = (column.place,)
    is_stamp = column.kind in ("clock", "datetime")
    unit = table.layout.time_unit or ("datetime" if is_stamp else None)
    if unit == "datetime":
        before = next((other for other in columns if other.role == "date"), None)
        if column.kind == "clock" and before is not None:
            places = (before.place, *places)
        return TimeColumn(places, "stamps", 1.0, False, key, unit, f"{shown}, times of day", why)
    if unit == "samples" or (unit is None and column.role == "samples"):
        text = f"{shown}, numbers of samples"
        return TimeColumn(places, "samples", 1.0, False, key, "samples", text, why)
    factor = SECONDS_PER[unit] if unit is not None else _unit_of(column)
    if factor is None:
        factor = _since_1970(head, column)
        if factor is not None:
            why = f"{why}; no unit, but numbers as large as times since 1970"
    assumed = factor is None
    if factor is None:
        factor = 1.0
        why = f"{why}; no unit, so seconds if the rate is an ECG's"
    unit = unit or next((name for name in _UNITS if SECONDS_PER[name] == factor), None)
    text = f"{shown}, in {unit or f'1/{1 / factor:.9g} s'}"
    return TimeColumn(places, "times", factor, assumed, key, unit, text, why)


def _unit_of(column: Column) -> float | None:
    """Return the seconds in one unit of a column from its title or the line of units, or None."""
    return seconds_in(column.title) or seconds_in(column.unit or "")


def _since_1970(head: list[list[str]], column: Column) -> float | None:
    """Return the seconds in one unit of Unix times, such as 1e-3 for 1728288000000.

    None for numbers that are not Unix times.
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


def _goes_up(table: Table, head: list[list[str]], column: Column) -> bool:
    """Return whether a column holds numbers that never decrease, as times do."""
    if column.kind != "number" or len(head) < _FEW_ROWS:
        return False
    values = [table.number(cells[column.place]) for cells in head]
    numbers = [value for value in values if value is not None]
    return numbers == values and numbers == sorted(numbers) and numbers[0] < numbers[-1]


def _is_sure(column: Column) -> bool:
    named = time_title(column.title, first=column.place == 0)
    return named is not None and named.sure


def _is_coarse(head: list[list[str]], column: Column) -> bool:
    """Return whether several rows have the same time."""
    return len({cells[column.place] for cells in head}) < len(head)


def _refuse_long_form(path: Path, head: list[list[str]], columns: Sequence[Column]) -> None:
    """Raise `FileUnreadable` for a table with one row for each lead and sample.

    It has a column of words that names the lead of each row.
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
                f"column {column.title or column.place + 1!r} names the lead of each row: the "
                "table has one row for each lead and sample",
                "Export one row for each time, with a column for each lead",
            )


def _refuse_unread_times(path: Path, head: list[list[str]], columns: Sequence[Column]) -> None:
    """Raise `FileUnreadable` for a column of times in an unknown form.

    Without it, a gap would not be noticed. It is a column of words that differ in each row, or
    whose title says that they are times.
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
                f"{cells[0][:40]!r} in an unknown form, so gaps would not be noticed",
                "Export the times as seconds since the start, or as YYYY-MM-DD hh:mm:ss.mmm; if no "
                "row is missing, remove the column and give --fs HZ",
            )


def _named_column(path: Path, columns: Sequence[Column], key: str | int) -> Column:
    """Return the column with a name or a number from 1."""
    for column in columns:
        is_name = isinstance(key, str) and key and key.lower() == column.title.lower()
        if is_name or key == column.place + 1:
            return column
    names = ", ".join(repr(column.title or column.place + 1) for column in columns)
    raise FileUnreadable(
        path,
        f"time = {key!r} in site.toml is no column (columns: {names})",
        "Correct that line of site.toml",
    )
