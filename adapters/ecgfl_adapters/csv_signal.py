"""The signal of a table, as the sniffer understood it."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.csv_arrays import Growing, Levels
from ecgfl_adapters.csv_clock import USUAL_HZ, Clock, clock_of_index, clock_of_rows, clock_of_time
from ecgfl_adapters.csv_counter import Counter
from ecgfl_adapters.csv_rows import read_rows
from ecgfl_adapters.csv_stamps import Stamps
from ecgfl_adapters.csv_sniff import LAYOUT_FIX
from ecgfl_adapters.csv_time_column import TimeColumn
from ecgfl_adapters.csv_time_units import SECONDS_PER
from ecgfl_adapters.csv_understanding import Understanding
from ecgfl_adapters.csv_write import STEP_COMMENT
from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.recording import Lead
from ecgfl_adapters.units import check_step

_FEW_ROWS = 10
"""Rows from which a time without a unit can be compared with a known rate."""
_LARGEST_MV = float(np.finfo(np.float32).max)


class Signal(NamedTuple):
    fs: float
    leads: tuple[Lead, ...]


def read_signal(found: Understanding) -> Signal:
    """Read all rows. Memory: four bytes a sample of each lead, eight for its time, and some megabytes.

    A jump in the time or sample column is a gap and becomes NaN. Raises `FileUnreadable` and `RateUnknown`.
    """
    path, time = found.path, found.time
    samples: list[Growing[np.float32]] = [Growing(np.float32) for _ in found.leads]
    levels = [Levels() for _ in found.leads]
    times: Growing[np.float64] = Growing(np.float64)
    stamps = Stamps(path)
    counters = {column.place: Counter(path) for column in found.columns if column.role == "counter" and found.layout.time != 0}
    numbers = {lead.column.place for lead in found.leads} | set(counters)
    numbers |= set(time.places) if time is not None and time.kind != "stamps" else set()
    texts = set(time.places) if time is not None and time.kind == "stamps" else set()
    rows = 0
    for block in read_rows(found.text, found.rows.dialect, found.rows.start, found.columns, numbers, texts):
        for lead, growing, level in zip(found.leads, samples, levels, strict=True):
            values = (block.numbers[lead.column.place] - (lead.scale.baseline or 0.0)) * lead.scale.factor
            if (np.abs(values) > _LARGEST_MV).any():
                raise FileUnreadable(
                    path,
                    f"column {lead.name!r} holds {np.nanmax(np.abs(values)):g} mV after line {block.line}: no sample",
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
                [" ".join(cells) for cells in zip(*(block.stamps[place] for place in time.places), strict=True)], block.line
            )
        elif time is not None:
            times.add(block.numbers[time.places[0]])
    clock = _clock(found, rows, times, stamps)
    steps = _stated_steps(found) or [level.step() for level in levels]
    leads = []
    for lead, step in zip(found.leads, steps, strict=True):
        check_step(path, f"column {lead.name!r}", step)
        leads.append(Lead(lead.name, clock.spread(samples.pop(0).values), step))
    return Signal(clock.fs, tuple(leads))


def _clock(found: Understanding, rows: int, times: Growing[np.float64], stamps: Stamps) -> Clock:
    path, time = found.path, found.time
    if time is None or time.kind == "samples":
        if found.fs is None:
            raise RateUnknown(path, "nothing states the sampling rate", "Give the rate with --fs HZ")
        return clock_of_rows(path, rows, found.fs) if time is None else clock_of_index(path, times.values, found.fs)
    if time.kind == "stamps":
        seconds = stamps.seconds()
    else:
        seconds = times.values
        seconds *= _factor(time, seconds, found.fs)
    clock = clock_of_time(path, seconds, found.fs, found.fs_from)
    if found.fs is None and not USUAL_HZ[0] <= clock.fs <= USUAL_HZ[1]:
        title = found.columns[time.places[-1]].title
        unit = "states no unit, and in seconds it" if time.assumed else f"is read as {time.told.rpartition(', ')[2]}, and"
        raise RateUnknown(
            path,
            f"column {title!r} {unit} shows a rate of {clock.fs:.6g} Hz; an ECG has {USUAL_HZ[0]:g} to {USUAL_HZ[1]:g} Hz",
            f"Give the recorder's sampling rate with --fs HZ (--fs {clock.fs:.6g} if this one is right), or name the unit in the "
            f"title, for example 'time_ms', or {LAYOUT_FIX}, with time_unit",
        )
    return clock


def _factor(time: TimeColumn, values: NDArray[np.float64], fs: float | None) -> float:
    """Seconds in one of the column's unit. Where nothing states it, `fs` does: units are far apart."""
    if not time.assumed or fs is None or values.size < _FEW_ROWS or not np.isfinite(values).all():
        return time.factor
    span = float(values[-1] - values[0])
    if span <= 0:
        return time.factor
    expected = (values.size - 1) / fs / span
    return min(sorted(set(SECONDS_PER.values())), key=lambda seconds: abs(math.log(seconds / expected)))


def _stated_steps(found: Understanding) -> list[float]:
    """Quantisation steps in millivolts from the comment that `CsvAdapter.write` leaves; empty where there is none."""
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
            f"line {statement.line}: {STEP_COMMENT!r} is {statement.value!r}, not one positive number for each lead",
            "Remove the comment line",
        ) from error
    places = [column.place for column in signals]
    return [steps[places.index(lead.column.place)] for lead in found.leads]
