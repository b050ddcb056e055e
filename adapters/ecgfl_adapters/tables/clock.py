"""Determines the sampling rate and the gaps of a table from its time or sample column."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.samples import AT_A_TIME
from ecgfl_adapters.tables.arrays import steps_of
from ecgfl_adapters.tables.coarse_clock import coarse_gaps
from ecgfl_adapters.timeline import MAX_RATE_DIFFERENCE, RATES, check_rate, check_span

_MAX_GAP_SHARE = 0.02
_MAX_JITTER = 0.6
"""Largest distance of a time stamp from its place on the regular grid, in sampling intervals; half
of one is rounding.
"""
_LAST_SECOND = 59.0
_FEW_TWICE = 0.01
"""Minimum share of rows that repeat the time before them for stamps to be coarse; below it, they
are duplicate rows.
"""
_BURST_SECONDS = 1.0
"""Minimum length of regular stretches between jumps; shorter ones are packets with arrival times.
"""
USUAL_HZ = (50.0, 5000.0)
"""Plausible ECG sampling rates in hertz.

A rate outside them, known only from the time column, is probably a wrong time unit.
"""
_CRYSTAL = 1e-5
"""A rate this close (relative) to a whole number of hertz is taken to be that number."""


class Clock(NamedTuple):
    """The sampling rate and the gaps of a table.

    Parameters
    ----------
    fs : float
        Sampling rate in hertz.
    rows : int
        Number of rows of the table.
    after, missing : array
        Shape (gaps,); after row `after[i]`, `missing[i]` samples are missing.
    unsure : tuple of (int, int)
        Ranges of rows [start, stop) whose position is not known.
    precision : float, optional
        Duration in seconds below which coarse stamps show no gap; None if each sample has a stamp.
    """

    fs: float
    rows: int
    after: NDArray[np.int64]
    missing: NDArray[np.int64]
    unsure: tuple[tuple[int, int], ...] = ()
    precision: float | None = None

    @property
    def length(self) -> int:
        """Number of samples on the continuous axis."""
        return self.rows + int(self.missing.sum())

    def spread(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return samples on the continuous axis, with NaN in the gaps.

        Parameters
        ----------
        samples : array
            One sample per row, shape (rows,). It may be changed in place.
        """
        for start, stop in self.unsure:
            samples[start:stop] = np.nan
        if not self.after.size:
            return samples
        axis = np.full(self.length, np.nan, dtype=np.float32)
        starts = np.concatenate(([0], self.after + 1))
        moved = np.concatenate(([0], np.cumsum(self.missing)))
        for start, stop, by in zip(
            starts.tolist(), [*starts[1:].tolist(), self.rows], moved.tolist(), strict=True
        ):
            axis[start + by : stop + by] = samples[start:stop]
        return axis


def clock_of_rows(path: Path, rows: int, fs: float) -> Clock:
    """Return the clock of a table without a column of times, in which no row is missing."""
    return _clock(path, fs, rows, [])


def clock_of_index(path: Path, index: NDArray[np.float64], fs: float) -> Clock:
    """Return the clock of a table with a column that counts samples; a jump in it is a gap.

    Raises `FileUnreadable` if the column does not increase.
    """
    _check_finite(path, index)
    _check_upwards(path, "sample number", index)
    fraction = next((float(value) for value in index[:AT_A_TIME] if value != np.rint(value)), None)
    if fraction is not None:
        raise FileUnreadable(
            path,
            f"the column of sample numbers holds {fraction:g}, no whole number",
            "Name it time_s if it holds seconds",
        )
    steps = [
        (row, step)
        for start, part in steps_of(index)
        for row, step in _unusual(start, np.rint(part) - 1)
    ]
    return _clock(path, fs, index.size, steps)


def clock_of_time(path: Path, seconds: NDArray[np.float64], fs: float | None, stated: str) -> Clock:
    """Return the clock of a table with a column of times; a jump in it is a gap.

    Parameters
    ----------
    path : Path
        The file, for messages.
    seconds : array
        The times in seconds, shape (rows,).
    fs : float, optional
        Sampling rate in hertz, if it is known from elsewhere. Default: the mean rate of the regular
        stretches, which is more precise than a single rounded difference.
    stated : str
        What states `fs`.

    Raises
    ------
    FileUnreadable
        If the column has empty cells or decreases.
    RateUnknown
        If the times are not regular, or do not agree with `fs`.
    """
    _check_finite(path, seconds)
    if fs is not None:
        check_rate(path, fs)
    twice = _check_not_back(path, seconds)
    if twice > _FEW_TWICE:
        if fs is None:
            raise _coarse(path, seconds)
        return _coarse_clock(path, seconds, fs, stated)
    _check_upwards(path, "time", seconds)
    try:
        clock = _regular_clock(path, seconds)
    except RateUnknown:
        if fs is None:
            raise
        return _coarse_clock(path, seconds, fs, stated)
    if fs is None:
        return clock
    if abs(clock.fs - fs) > MAX_RATE_DIFFERENCE * fs:
        raise RateUnknown(
            path,
            f"the rate is {fs:g} Hz ({stated}), but the time column shows {clock.fs:.6g} Hz",
            "Correct the one that is wrong; without --fs HZ the time column alone is used where "
            "the file states no rate"
            if stated == GIVEN
            else "Correct the rate in the file, or the unit in the title of the time column",
        )
    return clock._replace(fs=fs) if abs(clock.fs - fs) * seconds.size <= fs else clock


GIVEN = "--fs"


def _coarse_clock(path: Path, seconds: NDArray[np.float64], fs: float, stated: str) -> Clock:
    gaps = coarse_gaps(path, seconds, fs, stated)
    steps = list(zip(gaps.after.tolist(), gaps.missing.tolist(), strict=True))
    return _clock(path, fs, seconds.size, steps)._replace(
        unsure=gaps.unsure, precision=gaps.precision
    )


def _coarse(path: Path, seconds: NDArray[np.float64]) -> RateUnknown:
    starts = np.flatnonzero(np.diff(seconds) > 0) + 1
    about = ""
    if starts.size > 1:
        rate = np.median(np.diff(starts)) / np.median(np.diff(seconds[starts]))
        about = f" (mostly {rate:.4g} rows a second)"
    return RateUnknown(
        path,
        f"the time stamps are coarser than the samples: many rows have the same one{about}",
        "Give the recorder's sampling rate with --fs HZ",
    )


def _regular_clock(path: Path, times: NDArray[np.float64]) -> Clock:
    every = max(1, times.size // AT_A_TIME)
    median = float(np.median(times[1::every] - times[:-1:every]))
    total, count = 0.0, 0
    unusual: list[tuple[int, float]] = []
    for start, part in steps_of(times):
        regular = part < 1.5 * median
        total += float(part[regular].sum())
        count += int(regular.sum())
        unusual += [(start + int(at), float(part[at])) for at in np.flatnonzero(~regular)]
    if not count:
        raise RateUnknown(
            path,
            "the times are not regular",
            "Give the rate with --fs HZ, or resample the recording",
        )
    interval = total / count
    edges = [-1, *(row for row, _ in unusual), times.size - 1]
    start, stop = max(pairwise(edges), key=lambda run: run[1] - run[0])
    jitter = _jitter(times, start + 1, stop) / interval
    bursts = len(unusual) > 2 and float(np.median(np.diff(edges))) * interval < _BURST_SECONDS
    if len(unusual) / (times.size - 1) > _MAX_GAP_SHARE or jitter > _MAX_JITTER or bursts:
        raise RateUnknown(
            path,
            f"the times are not regular (interval {interval:g} s, {len(unusual)} jumps, "
            f"{jitter:.1f} intervals off)",
            "If its stamps are only rounded, or those of packets, give the rate with --fs HZ; "
            "otherwise resample the recording",
        )
    fs = 1.0 / interval
    tolerance = max(_CRYSTAL, jitter / (stop - start))
    fs = float(round(fs)) if abs(fs - round(fs)) <= tolerance * fs and round(fs) > 0 else fs
    _refuse_clock_digits(path, times, unusual)
    if not RATES[0] <= fs <= RATES[1]:
        raise RateUnknown(
            path,
            f"the time column shows a rate of {fs:.4g} Hz, which no recorder has",
            "Give the recorder's sampling rate with --fs HZ, or name the unit of time in the title",
        )
    return _clock(
        path, fs, times.size, [(row, max(1.0, round(step / interval)) - 1) for row, step in unusual]
    )


def _refuse_clock_digits(
    path: Path, times: NDArray[np.float64], jumps: list[tuple[int, float]]
) -> None:
    """Raise `FileUnreadable` for hhmmss written as one number.

    In such a column 101559.996 is followed by 101600.000, which would be 40 s later in seconds.
    """
    if jumps and all(
        times[row] % 100 > _LAST_SECOND and times[row + 1] % 100 < 1 for row, _ in jumps
    ):
        row = jumps[0][0]
        raise FileUnreadable(
            path,
            f"the time column counts like hhmmss: row {row + 2} of the data has "
            f"{times[row + 1]:.12g} after {times[row]:.12g}",
            "Export the times as hh:mm:ss.mmm or in seconds",
        )


def _jitter(times: NDArray[np.float64], start: int, stop: int) -> float:
    """Return the largest deviation of some rows from the line through the first and the last."""
    slope = float(times[stop] - times[start]) / max(1, stop - start)
    worst = 0.0
    for begin in range(start, stop + 1, AT_A_TIME):
        part = times[begin : min(begin + AT_A_TIME, stop + 1)] - times[start]
        worst = max(
            worst,
            float(np.abs(part - slope * np.arange(begin - start, begin - start + part.size)).max()),
        )
    return worst


def _unusual(start: int, extra: NDArray[np.float64]) -> list[tuple[int, float]]:
    return [(start + int(at), float(extra[at])) for at in np.flatnonzero(extra)]


def _clock(path: Path, fs: float, rows: int, steps: list[tuple[int, float]]) -> Clock:
    """Return a clock. `steps` lists rows, and how many samples are missing after each."""
    gaps = [(row, missing) for row, missing in steps if missing > 0]
    check_span(path, rows + sum(missing for _, missing in gaps), fs, rows)
    return Clock(
        fs,
        rows,
        np.array([row for row, _ in gaps], np.int64),
        np.array([missing for _, missing in gaps], np.int64),
    )


def _check_finite(path: Path, values: NDArray[np.float64]) -> None:
    if values.size < 2:
        raise FileUnreadable(
            path, "the time column has fewer than 2 rows", "Export the signal again"
        )
    empty = np.flatnonzero(~np.isfinite(values))
    if empty.size:
        raise FileUnreadable(
            path,
            f"the time column has {empty.size} empty cells, the first in row {int(empty[0]) + 1} "
            "of the data",
            "Fill them in, or remove the rows",
        )


def _check_not_back(path: Path, values: NDArray[np.float64]) -> float:
    """Return the share of rows with the same time as the row before.

    Raises `FileUnreadable` if times decrease.
    """
    twice = 0
    for start, steps in steps_of(values):
        if (steps < 0).any():
            raise _goes_back(path, "time", values, start + int(np.argmax(steps < 0)) + 1)
        twice += int((steps == 0).sum())
    return twice / (values.size - 1)


def _check_upwards(path: Path, column: str, values: NDArray[np.float64]) -> None:
    for start, steps in steps_of(values):
        back = np.flatnonzero(~(steps > 0))
        if back.size:
            raise _goes_back(path, column, values, start + int(back[0]) + 1)


def _goes_back(path: Path, column: str, values: NDArray[np.float64], row: int) -> FileUnreadable:
    return FileUnreadable(
        path,
        f"the {column} column does not go up: row {row + 1} of the data has {values[row]:.12g} "
        f"after {values[row - 1]:.12g}",
        "If it starts again each second or minute, export the whole time in one column; otherwise "
        "sort the rows, or remove the "
        "ones that stand twice",
    )
