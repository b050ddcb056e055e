"""The signal of a table, as the sniffer understood it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.missing_codes import MissingCodes, missing_remark
from ecgfl_adapters.recording import Lead, Remark
from ecgfl_adapters.tables.arrays import Growing, Levels
from ecgfl_adapters.tables.clock import (
    USUAL_HZ,
    Clock,
    clock_of_index,
    clock_of_rows,
    clock_of_time,
)
from ecgfl_adapters.tables.leads import LeadColumn
from ecgfl_adapters.tables.opensignals import Counter
from ecgfl_adapters.tables.rows import read_rows
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
"""Rows from which a time without a unit can be compared with a known rate, and stretches from which
cells are blank again and again.
"""
_INTERLEAVED_SHARE = 0.02
"""Minimum ratio of blank stretches to non-blank rows for the blank rows to belong to other sensors,
not to a loose electrode.
"""
_FEW_WRAPS = 3
"""Minimum number of decreases for a column of sample numbers to be a counter that restarts, and not
rows out of order.
"""
_REGULAR_SHARE = 0.9
"""Minimum share of the blank stretches at one distance for a lead to have a sampling rate of its
own.
"""
_FEW_STRETCHES = 20
"""Minimum number of blank stretches for their distances to tell another sampling rate from randomly
missing samples.
"""
_LARGEST_MV = float(np.finfo(np.float32).max)


class Signal(NamedTuple):
    """axis : for labels. remarks : what was put up with."""

    fs: float
    leads: tuple[Lead, ...]
    axis: TableAxis
    remarks: tuple[Remark, ...]


def read_signal(found: Understanding) -> Signal:
    """Read all rows.

    Memory: four bytes a sample of each lead, eight for its time, and some megabytes.

    A jump in the time or sample column is a gap and becomes NaN. Raises `FileUnreadable` and
    `RateUnknown`.
    """
    path, time = found.path, found.time
    samples: list[Growing[np.float32]] = [Growing(np.float32) for _ in found.leads]
    levels = [Levels() for _ in found.leads]
    dialect = found.rows.dialect
    thousands = [Thousands(is_quoted=dialect.separator == dialect.decimal) for _ in found.leads]
    codes = [MissingCodes() for _ in found.leads]
    times: Growing[np.float64] = Growing(np.float64)
    stamps = Stamps(path)
    counters = {
        column.place: Counter(path)
        for column in found.columns
        if column.role == "counter" and found.layout.time != 0
    }
    numbers = {lead.column.place for lead in found.leads} | set(counters)
    numbers |= set(time.places) if time is not None and time.kind != "stamps" else set()
    texts = set(time.places) if time is not None and time.kind == "stamps" else set()
    rows = 0
    for block in read_rows(found.text, dialect, found.rows.start, found.columns, numbers, texts):
        for lead, growing, level, marks, numbers_seen in zip(
            found.leads, samples, levels, thousands, codes, strict=True
        ):
            marks.add(block.numbers[lead.column.place])
            numbers_seen.add(block.numbers[lead.column.place])
            values = _millivolts(lead, block.numbers[lead.column.place])
            if (np.abs(values) > _LARGEST_MV).any():
                raise FileUnreadable(
                    path,
                    f"column {lead.name!r} holds {np.nanmax(np.abs(values)):g} mV after line "
                    f"{block.line}: no sample",
                    "Correct the cell, or the unit",
                )
            level.add(values)
            growing.add(values)
            count = values.size
        rows += count
        for place, counter in counters.items():
            counter.add(block.numbers[place], block.line)
        if time is not None and time.kind == "stamps":
            stamps.add(
                [
                    " ".join(cells)
                    for cells in zip(*(block.stamps[place] for place in time.places), strict=True)
                ],
                block.line,
            )
        elif time is not None:
            times.add(block.numbers[time.places[0]])
    for lead, marks in zip(found.leads, thousands, strict=True):
        if found.layout.decimal is None and marks.are_likely():
            mark = "points" if dialect.decimal == "." else "commas"
            raise FileUnreadable(
                path,
                f"column {lead.name!r} has only whole numbers below 1000 and numbers such as "
                f"1{dialect.decimal}024: "
                f"its {mark} seem to separate thousands",
                f"Export the signal without thousands separators; if they are decimal {mark}, say "
                "so with decimal in [[csv]] "
                "in site.toml",
            )
    seconds, factor = _seconds(found, times, stamps)
    blank = _interleaved([growing.values for growing in samples])
    clock = _clock_of_some(found, seconds, ~blank) if blank.any() else _clock(found, rows, seconds)
    missing = [each.found() for each in codes]
    steps = _stated_steps(found) or [
        level.step([float(_millivolts(lead, code.value)) for code in found_codes])
        for lead, level, found_codes in zip(found.leads, levels, missing, strict=True)
    ]
    leads = []
    remarks: list[Remark] = []
    for lead, step, found_codes in zip(found.leads, steps, missing, strict=True):
        check_step(path, f"column {lead.name!r}", step)
        held = samples.pop(0).values
        held = held[~blank] if clock.rows < rows else held
        _refuse_interleaved(found, lead.name, held)
        for code in found_codes:
            held[held == _millivolts(lead, code.value).astype(np.float32)] = np.nan
            remarks.append(missing_remark(f"column {lead.column.place + 1}", code))
        leads.append(Lead(lead.name, clock.spread(held), step))
    start = float(seconds[np.argmin(blank) if clock.rows < rows else 0]) if seconds.size else 0.0
    return Signal(
        clock.fs,
        tuple(leads),
        _axis(found, clock, start, factor, tuple(leads)),
        (*_remarks(found, clock), *remarks),
    )


def _millivolts(lead: LeadColumn, numbers: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray((numbers - (lead.scale.baseline or 0.0)) * lead.scale.factor)


def _seconds(
    found: Understanding, times: Growing[np.float64], stamps: Stamps
) -> tuple[NDArray[np.float64], float]:
    """Return the time column in seconds, the numbers of the samples where it counts those, or
    nothing without such a column; and the seconds in one unit of it.
    """
    if found.time is None:
        return np.zeros(0), 1.0
    if found.time.kind == "stamps":
        return stamps.seconds(), 1.0
    factor = _factor(found.time, times.values, found.fs) if found.time.kind == "times" else 1.0
    values = times.values
    values *= factor
    return values, factor


def _clock(found: Understanding, rows: int, seconds: NDArray[np.float64]) -> Clock:
    path, time = found.path, found.time
    if time is None or time.kind == "samples":
        if found.fs is None:
            raise RateUnknown(
                path, "nothing states the sampling rate", "Give the rate with --fs HZ"
            )
        if time is None or _starts_again(path, seconds, found.rows.start + 1):
            return clock_of_rows(path, rows, found.fs)
        return clock_of_index(path, seconds, found.fs)
    clock = clock_of_time(path, seconds, found.fs, found.fs_from)
    if found.fs is None and not USUAL_HZ[0] <= clock.fs <= USUAL_HZ[1]:
        title = found.columns[time.places[-1]].title
        unit = (
            "states no unit, and in seconds it"
            if time.assumed
            else f"is read as {time.told.rpartition(' in ')[2]}, and"
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

    Raises `FileUnreadable`.
    """
    wraps = np.flatnonzero(np.diff(numbers) < 0)
    if wraps.size < _FEW_WRAPS or np.ptp(numbers) < wraps.size or not np.isfinite(numbers).all():
        return False
    Counter(path).add(numbers, line)
    return True


def _interleaved(leads: Sequence[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Rows of other sensors between those of the leads: every lead is blank there, again and again.
    shape (rows,).
    """
    blank = np.logical_and.reduce([np.isnan(values) for values in leads])
    return blank if _comes_and_goes(blank) else np.zeros_like(blank)


def _comes_and_goes(blank: NDArray[np.bool_]) -> bool:
    held = int((~blank).sum())
    stretches = int((blank[1:] & ~blank[:-1]).sum())
    return stretches > max(_FEW_ROWS, _INTERLEAVED_SHARE * held)


def _clock_of_some(
    found: Understanding, seconds: NDArray[np.float64], held: NDArray[np.bool_]
) -> Clock:
    """Return the clock of the rows that hold the leads, at their own rate, or that of all rows
    where cells are missing at random.

    Raises `RateUnknown` where nothing tells the two apart.
    """
    name = found.leads[0].name
    if found.time is None or found.time.kind == "samples":
        isolated = (
            np.median(np.diff(np.flatnonzero(held))) > 1
            and int((held[:-1] & ~held[1:]).sum()) > _FEW_STRETCHES
        )
        if not isolated and not _is_regular(~held):  # missing at random
            return _clock(found, held.size, seconds)
        raise RateUnknown(
            found.path,
            f"column {name!r} is blank in {1 - held.mean():.0%} of the rows, again and again: it "
            "is sampled at "
            "another rate than the table, or samples are missing",
            "Export this column alone, at its own rate, or with a time column",
        )
    try:
        own = _clock(replace(found, fs=None), int(held.sum()), seconds[held])
    except RateUnknown:
        return _clock(found, held.size, seconds)
    if found.fs is None or abs(own.fs - found.fs) <= MAX_RATE_DIFFERENCE * found.fs:
        return own
    _clock(found, held.size, seconds)  # the rate is that of the table, or it is refused here
    return own


def _refuse_interleaved(found: Understanding, name: str, values: NDArray[np.float32]) -> None:
    blank = np.isnan(values)
    if len(found.leads) > 1 and _is_regular(blank):
        raise RateUnknown(
            found.path,
            f"column {name!r} is blank in {blank.mean():.0%} of the other leads' rows, again and "
            "again: it has another rate",
            f"Read it alone with --lead {name!r}, or the others with --lead NAME",
        )


def _is_regular(blank: NDArray[np.bool_]) -> bool:
    """Return whether blank stretches follow each other at one distance, as at another rate, not
    where an electrode was off.
    """
    starts = np.flatnonzero(blank[1:] & ~blank[:-1])
    if starts.size <= max(_FEW_STRETCHES, _INTERLEAVED_SHARE * (~blank).sum()):
        return False
    distances = np.diff(starts)
    usual = np.median(distances)
    return any(
        ((distances >= low) & (distances <= low + 1)).mean() >= _REGULAR_SHARE
        for low in (usual - 1, usual - 0.5, usual)
    )


def _axis(
    found: Understanding, clock: Clock, start: float, factor: float, leads: tuple[Lead, ...]
) -> TableAxis:
    time = found.time
    counts = time is not None and time.kind == "samples"
    return TableAxis(
        fs=clock.fs,
        leads=leads,
        start=0.0 if counts else start,
        number=int(start) if counts else 0,
        is_clock=time is not None and time.kind == "stamps",
        title=found.columns[time.places[-1]].title if time is not None else "",
        factor=factor,
        rows=clock.rows,
        after=clock.after,
        missing=clock.missing,
    )


def _remarks(found: Understanding, clock: Clock) -> Iterator[Remark]:
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
        f"Hz ({found.fs_from}), and a "
        f"gap shorter than {clock.precision:.3g} s may not show{lost}",
        "Nothing to do if the recorder loses no samples; otherwise export a time stamp for each "
        "sample.",
    )


def _factor(time: TimeColumn, values: NDArray[np.float64], fs: float | None) -> float:
    """Return the column's unit of time in seconds.

    If nothing states the unit, it is inferred from `fs`.
    """
    if not time.assumed or fs is None or values.size < _FEW_ROWS or not np.isfinite(values).all():
        return time.factor
    span = float(values[-1] - values[0])
    if span <= 0:
        return time.factor
    expected = (values.size - 1) / fs / span
    return min(
        sorted(set(SECONDS_PER.values())), key=lambda seconds: abs(math.log(seconds / expected))
    )


def _stated_steps(found: Understanding) -> list[float]:
    """Quantisation steps in millivolts from the comment that `CsvAdapter.write` leaves; empty where
    there is none.
    """
    statement = found.statements.one({STEP_COMMENT})
    if statement is None:
        return []
    try:
        steps = [float(step) for step in statement.value.split()]
        signals = [column for column in found.columns if column.role == "lead"]
        if len(steps) != len(signals) or not all(0 < step < float("inf") for step in steps):
            raise ValueError(statement.value)
    except ValueError as error:
        raise FileUnreadable(
            found.path,
            f"line {statement.line}: {STEP_COMMENT!r} is {statement.value!r}, not one positive "
            "number for each lead",
            "Remove the comment line",
        ) from error
    places = [column.place for column in signals]
    return [steps[places.index(lead.column.place)] for lead in found.leads]
