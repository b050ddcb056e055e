"""The signal of a table, as the sniffer understood it."""

from typing import NamedTuple

import numpy as np

from ecgfl_adapters.csv_arrays import Growing, Levels
from ecgfl_adapters.csv_clock import Clock, clock_of_index, clock_of_rows, clock_of_time
from ecgfl_adapters.csv_counter import Counter
from ecgfl_adapters.csv_rows import read_rows
from ecgfl_adapters.csv_stamps import Stamps
from ecgfl_adapters.csv_time_column import unit_fix
from ecgfl_adapters.csv_understanding import Understanding
from ecgfl_adapters.csv_values import Thousands, missing_samples
from ecgfl_adapters.csv_write import STEP_COMMENT
from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.recording import Lead, Remark
from ecgfl_adapters.units import check_step

_SLOWEST_HZ = 10
_FASTEST_HZ = 50_000
"""Rates of an ECG, in hertz: what a time column without a unit says is believed between them."""


_LARGEST_MV = float(np.finfo(np.float32).max)


class Signal(NamedTuple):
    fs: float
    leads: tuple[Lead, ...]
    remarks: tuple[Remark, ...]


def read_signal(found: Understanding) -> Signal:
    """Read all rows. Memory: four bytes a sample of each lead, eight for its time, and some megabytes.

    A jump in the time or sample column is a gap and becomes NaN. Raises `FileUnreadable` and `RateUnknown`.
    """
    path, time = found.path, found.time
    samples: list[Growing[np.float32]] = [Growing(np.float32) for _ in found.leads]
    levels = [Levels() for _ in found.leads]
    thousands = [Thousands() for _ in found.leads]
    times: Growing[np.float64] = Growing(np.float64)
    stamps = Stamps(path)
    counters = {column.place: Counter(path) for column in found.columns if column.role == "counter" and found.layout.time != 0}
    numbers = {lead.column.place for lead in found.leads} | set(counters)
    numbers |= set(time.places) if time is not None and time.kind != "stamps" else set()
    texts = set(time.places) if time is not None and time.kind == "stamps" else set()
    rows = 0
    for block in read_rows(found.text, found.rows.dialect, found.rows.start, found.columns, numbers, texts):
        for lead, growing, level, marks in zip(found.leads, samples, levels, thousands, strict=True):
            marks.add(block.numbers[lead.column.place])
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
    for lead, marks in zip(found.leads, thousands, strict=True):
        if found.layout.decimal is None and marks.are_likely():
            mark = "points" if found.rows.dialect.decimal == "." else "commas"
            raise FileUnreadable(
                path,
                f"column {lead.name!r} has whole numbers below 1000 beside numbers such as 1{found.rows.dialect.decimal}024: "
                f"its {mark} seem to separate thousands",
                f"Export the signal without thousands separators; if they are decimal {mark}, say so with decimal in [[csv]] "
                "in site.toml",
            )
    clock = _clock(found, rows, times, stamps)
    steps = _stated_steps(found) or [level.step() for level in levels]
    leads = []
    remarks: list[Remark] = []
    for lead, step in zip(found.leads, steps, strict=True):
        check_step(path, f"column {lead.name!r}", step)
        held = samples.pop(0).values
        for missing in missing_samples(held, lead.scale.baseline or 0.0, lead.scale.factor):
            held = np.where(missing.places, np.float32(np.nan), held)
            remarks.append(
                Remark(
                    "missing-samples",
                    f"column {lead.column.place + 1} holds {missing.value:.10g} {int(missing.places.sum())} times, "
                    "far from its other values: read as missing samples",
                    "Nothing to do if the recorder writes this number where there is no signal; else export the file again.",
                )
            )
        leads.append(Lead(lead.name, clock.spread(held), step))
    return Signal(clock.fs, tuple(leads), tuple(remarks))


def _clock(found: Understanding, rows: int, times: Growing[np.float64], stamps: Stamps) -> Clock:
    path, time = found.path, found.time
    if time is None or time.kind == "samples":
        if found.fs is None:
            raise RateUnknown(path, "nothing states the sampling rate", "Give the rate with --fs HZ")
        return clock_of_rows(path, rows, found.fs) if time is None else clock_of_index(path, times.values, found.fs)
    values, factor = (stamps.seconds(), 1.0) if time.kind == "stamps" else (times.values, time.factor)
    try:
        clock = clock_of_time(path, values, factor, found.fs)
    except RateUnknown:
        if found.fs is not None or found.fallback_fs is None:
            raise
        return clock_of_time(path, values, factor, found.fallback_fs)
    if time.assumed and found.fs is None and not _SLOWEST_HZ <= clock.fs <= _FASTEST_HZ:
        title = found.columns[time.places[0]].title
        raise RateUnknown(
            path,
            f"column {title!r} states no unit of time, and in seconds it would run at {clock.fs:g} Hz, no ECG's rate",
            unit_fix(title),
        )
    return clock


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
