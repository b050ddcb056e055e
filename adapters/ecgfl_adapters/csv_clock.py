"""The sampling rate and the gaps of a CSV file, from its time or sample column."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import FileUnreadable, RateUnknown
from ecgfl_adapters.timeline import check_rate, check_span

_MAX_GAP_SHARE = 0.02
_MAX_JITTER = 0.6
"""Largest distance of a time stamp from its place on the regular grid, in sampling intervals; half of one is rounding."""
_MAX_ROUNDING = 1.5
"""Largest distance of a rounded time stamp from its sample, in sampling intervals, where the rate is known."""
_CRYSTAL = 1e-5
"""A rate this close (relative) to a whole number of hertz is taken to be that number."""


class Clock(NamedTuple):
    """Rate in hertz, and where on the continuous axis each row stands, shape (rows,)."""

    fs: float
    positions: NDArray[np.int64]


def clock_of_index(path: Path, index: NDArray[np.float64], fs: float) -> Clock:
    """From a column that counts samples; a jump in it is a gap. Raises `FileUnreadable` where it does not count upwards."""
    check_rate(path, fs)
    positions = np.rint(index - index[0])
    _check_upwards(path, "sample number", positions)
    check_span(path, float(positions[-1]) + 1, fs, positions.size)
    return Clock(fs, positions.astype(np.int64))


def clock_of_time(path: Path, seconds: NDArray[np.float64], fs: float | None) -> Clock:
    """From a column of times; a jump in it is a gap.

    `fs` is the rate that is known from elsewhere. Without it, the rate is the mean over the regular stretches, which is finer
    than any single rounded difference. Raises `FileUnreadable` for a broken column and `RateUnknown` for irregular times.
    """
    if seconds.size < 2 or not np.isfinite(seconds).all():
        raise FileUnreadable(path, "the time column has fewer than 2 rows or an empty cell", "Export the signal again")
    _check_upwards(path, "time", seconds)
    if fs is None:
        return _regular_clock(path, seconds)
    check_rate(path, fs)
    positions = np.rint((seconds - seconds[0]) * fs)
    if (np.diff(positions) < 1).any():  # too coarse to tell samples apart: then no sample may be missing either
        positions = np.arange(seconds.size, dtype=np.float64)
    if np.abs((seconds - seconds[0]) * fs - positions).max() > _MAX_ROUNDING:
        raise RateUnknown(path, f"the time column does not run at {fs:g} Hz", "Correct the rate in the file or in --fs HZ")
    check_span(path, float(positions[-1]) + 1, fs, positions.size)
    return Clock(fs, positions.astype(np.int64))


def _regular_clock(path: Path, seconds: NDArray[np.float64]) -> Clock:
    steps = np.diff(seconds)
    regular = steps < 1.5 * np.median(steps)
    interval = float(steps[regular].mean())
    counts = np.where(regular, 1.0, np.maximum(1.0, np.rint(steps / interval)))
    positions = np.concatenate(([0.0], np.cumsum(counts)))
    start, stop = _longest_run(regular)
    run = seconds[start : stop + 1]
    line = np.linspace(run[0], run[-1], run.size)
    jitter = float(np.abs(run - line).max()) / interval
    if (~regular).mean() > _MAX_GAP_SHARE or jitter > _MAX_JITTER:
        raise RateUnknown(
            path,
            f"the times are not regular (interval {interval:g} s, {int((~regular).sum())} jumps, {jitter:.1f} intervals off)",
            "If its stamps are only rounded, give the rate with --fs HZ; otherwise resample the recording",
        )
    fs = 1.0 / interval
    tolerance = max(_CRYSTAL, jitter / run.size)
    fs = float(round(fs)) if abs(fs - round(fs)) <= tolerance * fs and round(fs) > 0 else fs
    check_span(path, float(positions[-1]) + 1, fs, positions.size)
    return Clock(fs, positions.astype(np.int64))


def _longest_run(regular: NDArray[np.bool_]) -> tuple[int, int]:
    """[start, stop) of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], regular, [False])).astype(np.int8))).reshape(-1, 2)
    start, stop = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    return int(start), int(stop)


def _check_upwards(path: Path, column: str, values: NDArray[np.float64]) -> None:
    back = np.flatnonzero(~(np.diff(values) > 0))
    if back.size:
        row = int(back[0]) + 1
        raise FileUnreadable(
            path,
            f"the {column} column does not go up: row {row + 1} of the data has {values[row]:g} after {values[row - 1]:g}",
            "Sort the rows, or remove the ones that stand twice",
        )
