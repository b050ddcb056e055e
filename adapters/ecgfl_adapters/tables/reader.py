"""Reads the signal of a table that was understood."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.missing_codes import Code, MissingCodes, missing_remark
from ecgfl_adapters.recording import Lead, Remark
from ecgfl_adapters.tables.arrays import Growing, Levels
from ecgfl_adapters.tables.blank_rows import FEW_STRETCHES, interleaved_rows, is_regular
from ecgfl_adapters.tables.clock import (
    USUAL_HZ,
    Clock,
    clock_of_index,
    clock_of_rows,
    clock_of_time,
)
from ecgfl_adapters.tables.leads import LeadColumn
from ecgfl_adapters.tables.opensignals import Counter
from ecgfl_adapters.tables.rows import RowBlock, read_rows
from ecgfl_adapters.tables.sniff import LAYOUT_FIX
from ecgfl_adapters.tables.stamps import Stamps
from ecgfl_adapters.tables.thousands import Thousands
from ecgfl_adapters.tables.time_column import TimeColumn
from ecgfl_adapters.tables.time_units import SECONDS_PER
from ecgfl_adapters.tables.understanding import Understanding
from ecgfl_adapters.tables.writer import STEP_COMMENT
from ecgfl_adapters.timeline import MAX_RATE_DIFFERENCE
from ecgfl_adapters.units import check_step

_FEW_ROWS = 10
"""Minimum number of rows to compare a time without a unit with a known rate."""
_FEW_WRAPS = 3
"""Minimum number of decreases of a column of sample numbers for it to be a counter that restarts,
and not rows out of order.
"""
_LARGEST_MV = float(np.finfo(np.float32).max)


class Signal(NamedTuple):
    """The signal of a table.

    Parameters
    ----------
    fs : float
        Sampling rate in hertz.
    leads : tuple of Lead
        The leads, in millivolts.
    axis : TableAxis
        The axis on which labels are placed.
    remarks : tuple of Remark
        Faults that were tolerated.
    """

    fs: float
    leads: tuple[Lead, ...]
    axis: TableAxis
    remarks: tuple[Remark, ...]


class _LeadReader:
    """Collects the samples of one lead, and checks them for codes and thousands separators."""

    def __init__(self, lead: LeadColumn, understanding: Understanding) -> None:
        dialect = understanding.table.rows.dialect
        self.lead = lead
        self.samples = Growing(np.float32)
        self.levels = Levels()
        self.codes = MissingCodes()
        self._path = understanding.path
        self._decimal = dialect.decimal
        self._knows_decimal = understanding.table.layout.decimal is not None
        self._thousands = Thousands(is_quoted=dialect.separator == dialect.decimal)

    def add(self, block: RowBlock) -> None:
        """Take the lead's numbers in a block of rows."""
        numbers = block.numbers[self.lead.column.place]
        self._thousands.add(numbers)
        self.codes.add(numbers)
        values = _millivolts(self.lead, numbers)
        if (np.abs(values) > _LARGEST_MV).any():
            raise FileUnreadable(
                self._path,
                f"column {self.lead.name!r} holds {np.nanmax(np.abs(values)):g} mV after line "
                f"{block.line}, which is too large for a sample",
                "Correct the cell, or the unit",
            )
        self.levels.add(values)
        self.samples.add(values)

    def refuse_thousands(self) -> None:
        """Raise `FileUnreadable` if the decimal marks seem to separate thousands."""
        if self._knows_decimal or not self._thousands.are_likely():
            return
        marks = "points" if self._decimal == "." else "commas"
        raise FileUnreadable(
            self._path,
            f"column {self.lead.name!r} has only whole numbers below 1000 and numbers such as "
            f"1{self._decimal}024: its {marks} seem to separate thousands",
            f"Export the signal without thousands separators; if they are decimal {marks}, say so "
            "with decimal in [[csv]] in site.toml",
        )

    def step(self, codes: Sequence[Code]) -> float:
        """Return the quantisation step in millivolts; `codes` stand for missing samples."""
        return self.levels.step([float(_millivolts(self.lead, code.value)) for code in codes])


class _TimeReader:
    """Collects the times of the rows, and checks columns that count the rows."""

    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding
        self._numbers: Growing[np.float64] = Growing(np.float64)
        self._stamps = Stamps(understanding.path)
        self._counters = {
            column.place: Counter(understanding.path)
            for column in understanding.columns
            if column.role == "counter" and understanding.table.layout.time != 0
        }
        time = understanding.time
        places = set() if time is None else set(time.places)
        self.texts = places if time is not None and time.kind == "stamps" else set()
        self.numbers = set(self._counters) | (places - self.texts)

    def add(self, block: RowBlock) -> None:
        """Take the times in a block of rows."""
        for place, counter in self._counters.items():
            counter.add(block.numbers[place], block.line)
        time = self._understanding.time
        if time is None:
            return
        if time.kind == "stamps":
            columns = [block.stamps[place] for place in time.places]
            self._stamps.add([" ".join(row) for row in zip(*columns, strict=True)], block.line)
        else:
            self._numbers.add(block.numbers[time.places[0]])

    def seconds(self) -> tuple[NDArray[np.float64], float]:
        """Return the times, and the seconds in one unit of the column.

        The times are in seconds, or sample numbers if the column counts samples; the array is empty
        without such a column.
        """
        time = self._understanding.time
        if time is None:
            return np.zeros(0), 1.0
        if time.kind == "stamps":
            return self._stamps.seconds(), 1.0
        values = self._numbers.values
        is_times = time.kind == "times"
        factor = _factor(time, values, self._understanding.fs) if is_times else 1.0
        values *= factor
        return values, factor


def read_signal(understanding: Understanding) -> Signal:
    """Read all rows of a table.

    A jump in the time or sample column is a gap and becomes NaN. Reading needs four bytes of memory
    for each sample of each lead, eight for its time, and some megabytes.

    Raises
    ------
    FileUnreadable
        If a cell cannot be read, or the times do not increase.
    RateUnknown
        If nothing states the rate, or the times are not regular.
    """
    table, times = understanding.table, _TimeReader(understanding)
    readers = [_LeadReader(lead, understanding) for lead in understanding.leads]
    numbers = {lead.column.place for lead in understanding.leads} | times.numbers
    for block in read_rows(
        table.text,
        table.rows.dialect,
        table.rows.start,
        understanding.columns,
        numbers,
        times.texts,
    ):
        for reader in readers:
            reader.add(block)
        times.add(block)
    for reader in readers:
        reader.refuse_thousands()
    rows = readers[0].samples.size
    seconds, factor = times.seconds()
    blank = interleaved_rows([reader.samples.values for reader in readers])
    clock = (
        _clock_of_some(understanding, seconds, ~blank)
        if blank.any()
        else _clock(understanding, rows, seconds)
    )
    codes = [reader.codes.found() for reader in readers]
    steps = _stated_steps(understanding) or [
        reader.step(own) for reader, own in zip(readers, codes, strict=True)
    ]
    leads = []
    remarks = list(_remarks(understanding, clock))
    for own, step in zip(codes, steps, strict=True):
        reader = readers.pop(0)  # its samples are freed before the next lead is spread
        lead = reader.lead
        check_step(understanding.path, f"column {lead.name!r}", step)
        held = reader.samples.values
        held = held[~blank] if clock.rows < rows else held
        _refuse_interleaved(understanding, lead.name, held)
        for code in own:
            held[held == _millivolts(lead, code.value).astype(np.float32)] = np.nan
            remarks.append(missing_remark(f"column {lead.column.place + 1}", code))
        leads.append(Lead(lead.name, clock.spread(held), step))
    start = float(seconds[np.argmin(blank) if clock.rows < rows else 0]) if seconds.size else 0.0
    axis = _axis(understanding, clock, start, factor, tuple(leads))
    return Signal(clock.fs, tuple(leads), axis, tuple(remarks))


def _millivolts(lead: LeadColumn, numbers: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray((numbers - (lead.scale.baseline or 0.0)) * lead.scale.factor)


def _clock(understanding: Understanding, rows: int, seconds: NDArray[np.float64]) -> Clock:
    path, time = understanding.path, understanding.time
    if time is None or time.kind == "samples":
        if understanding.fs is None:
            raise RateUnknown(
                path, "nothing states the sampling rate", "Give the rate with --fs HZ"
            )
        if time is None or _starts_again(path, seconds, understanding.table.rows.start + 1):
            return clock_of_rows(path, rows, understanding.fs)
        return clock_of_index(path, seconds, understanding.fs)
    clock = clock_of_time(path, seconds, understanding.fs, understanding.fs_from)
    if understanding.fs is None and not USUAL_HZ[0] <= clock.fs <= USUAL_HZ[1]:
        title = understanding.columns[time.places[-1]].title
        unit = (
            "states no unit, and in seconds it"
            if time.assumed
            else f"is read as {time.description.rpartition(' in ')[2]}, and"
        )
        raise RateUnknown(
            path,
            f"column {title!r} {unit} shows a rate of {clock.fs:.6g} Hz; an ECG has "
            f"{USUAL_HZ[0]:g} to {USUAL_HZ[1]:g} Hz",
            f"Give the recorder's sampling rate with --fs HZ (--fs {clock.fs:.6g} if this one is "
            "right), or name the unit in the "
            f"title, for example 'time_ms', or {LAYOUT_FIX}, with time_unit",
        )
    return clock


def _starts_again(path: Path, numbers: NDArray[np.float64], line: int) -> bool:
    """Return whether the sample numbers come from a counter that restarts, and no row is missing.

    Raises `FileUnreadable` if rows are missing.
    """
    wraps = np.flatnonzero(np.diff(numbers) < 0)
    if wraps.size < _FEW_WRAPS or np.ptp(numbers) < wraps.size or not np.isfinite(numbers).all():
        return False
    Counter(path).add(numbers, line)
    return True


def _clock_of_some(
    understanding: Understanding, seconds: NDArray[np.float64], held: NDArray[np.bool_]
) -> Clock:
    """Return the clock of the rows that hold the leads, which have a rate of their own.

    If cells are missing at random, it is the clock of all rows.

    Raises `RateUnknown` if the two cases cannot be distinguished.
    """
    name = understanding.leads[0].name
    if understanding.time is None or understanding.time.kind == "samples":
        isolated = (
            np.median(np.diff(np.flatnonzero(held))) > 1
            and int((held[:-1] & ~held[1:]).sum()) > FEW_STRETCHES
        )
        if not isolated and not is_regular(~held):  # missing at random
            return _clock(understanding, held.size, seconds)
        raise RateUnknown(
            understanding.path,
            f"column {name!r} is blank in {1 - held.mean():.0%} of the rows, again and again: it "
            "is sampled at "
            "another rate than the table, or samples are missing",
            "Export this column alone, at its own rate, or with a time column",
        )
    try:
        own = _clock(replace(understanding, fs=None), int(held.sum()), seconds[held])
    except RateUnknown:
        return _clock(understanding, held.size, seconds)
    if (
        understanding.fs is None
        or abs(own.fs - understanding.fs) <= MAX_RATE_DIFFERENCE * understanding.fs
    ):
        return own
    _clock(understanding, held.size, seconds)  # raises if the rate is not that of the table either
    return own


def _refuse_interleaved(
    understanding: Understanding, name: str, values: NDArray[np.float32]
) -> None:
    blank = np.isnan(values)
    if len(understanding.leads) > 1 and is_regular(blank):
        raise RateUnknown(
            understanding.path,
            f"column {name!r} is blank in {blank.mean():.0%} of the other leads' rows, again and "
            "again: it has another rate",
            f"Read it alone with --lead {name!r}, or the others with --lead NAME",
        )


def _axis(
    understanding: Understanding, clock: Clock, start: float, factor: float, leads: tuple[Lead, ...]
) -> TableAxis:
    time = understanding.time
    counts = time is not None and time.kind == "samples"
    return TableAxis(
        fs=clock.fs,
        leads=leads,
        start=0.0 if counts else start,
        number=int(start) if counts else 0,
        is_clock=time is not None and time.kind == "stamps",
        title=understanding.columns[time.places[-1]].title if time is not None else "",
        factor=factor,
        rows=clock.rows,
        after=clock.after,
        missing=clock.missing,
    )


def _remarks(understanding: Understanding, clock: Clock) -> Iterator[Remark]:
    if clock.precision is None:
        return
    unsure = sum(stop - start for start, stop in clock.unsure)
    lost = (
        f"; {unsure / clock.fs:.1f} s of signal beside gaps are left out, for their place is not "
        "known"
        if unsure
        else ""
    )
    yield Remark(
        "coarse-times",
        f"the time stamps are coarser than the samples or came in bursts: the rate is {clock.fs:g} "
        f"Hz ({understanding.fs_from}), and a "
        f"gap shorter than {clock.precision:.3g} s may not show{lost}",
        "Nothing to do if the recorder loses no samples; otherwise export a time stamp for each "
        "sample.",
    )


def _factor(time: TimeColumn, values: NDArray[np.float64], fs: float | None) -> float:
    """Return the unit of the time column in seconds; if it is not stated, infer it from `fs`."""
    if not time.assumed or fs is None or values.size < _FEW_ROWS or not np.isfinite(values).all():
        return time.factor
    span = float(values[-1] - values[0])
    if span <= 0:
        return time.factor
    expected = (values.size - 1) / fs / span
    return min(
        sorted(set(SECONDS_PER.values())), key=lambda seconds: abs(math.log(seconds / expected))
    )


def _stated_steps(understanding: Understanding) -> list[float]:
    """Return the quantisation steps in millivolts from the comment that `CsvAdapter.write` writes.

    The list is empty if there is no such comment.
    """
    statement = understanding.statements.one({STEP_COMMENT})
    if statement is None:
        return []
    try:
        steps = [float(step) for step in statement.value.split()]
        signals = [column for column in understanding.columns if column.role == "lead"]
        if len(steps) != len(signals) or not all(0 < step < float("inf") for step in steps):
            raise ValueError(statement.value)
    except ValueError as error:
        raise FileUnreadable(
            understanding.path,
            f"line {statement.line}: {STEP_COMMENT!r} is {statement.value!r}, not one positive "
            "number for each lead",
            "Remove the comment line",
        ) from error
    places = [column.place for column in signals]
    return [steps[places.index(lead.column.place)] for lead in understanding.leads]
