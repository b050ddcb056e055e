"""Finds gaps at a known sampling rate if samples share a time stamp or stamps come in bursts."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import RateUnknown
from ecgfl_adapters.timeline import MAX_RATE_DIFFERENCE

_SLACK = 1.5
"""Largest error of a time stamp, in samples: the stamp and its row are both rounded."""
_TICK_SHARE = 0.9
"""Minimum share of stamps within this error for them to be clock ticks and not arrival times."""
_WINDOW_SECONDS = 5.0
"""Length of signal used to estimate the difference between the rate and the stamps."""
_FEW = 0.2
"""Minimum share of windows that must agree with the rate if most do not."""
_BLOCK_SECONDS = 1.0
"""Length of the blocks whose earliest stamps are compared, so that a late packet is not taken for a
gap.
"""
_SPREAD = 6.0
"""A gap moves the earliest stamp of a block by more than this many times its variation."""
_MAX_UNSURE_SECONDS = 2.0
"""Longest gap that stamps may hide; less precise stamps cannot show gaps."""


class CoarseGaps(NamedTuple):
    """The gaps of a table with coarse time stamps.

    Parameters
    ----------
    after, missing : array
        Shape (gaps,); after row `after[i]`, `missing[i]` samples are missing.
    unsure : tuple of (int, int)
        Ranges of rows [start, stop) within which rows are missing at an unknown position.
    precision : float
        Duration in seconds from which a gap is seen.
    """

    after: NDArray[np.int64]
    missing: NDArray[np.int64]
    unsure: tuple[tuple[int, int], ...]
    precision: float


def coarse_gaps(path: Path, seconds: NDArray[np.float64], fs: float, stated: str) -> CoarseGaps:
    """Find the missing samples among rows with non-decreasing time stamps.

    Parameters
    ----------
    path : Path
        The file, for messages.
    seconds : array
        The stamps in seconds, shape (rows,).
    fs : float
        Sampling rate in hertz.
    stated : str
        What states the rate, for messages.

    Raises
    ------
    RateUnknown
        If the stamps contradict the rate.
    """
    rows = seconds.size
    starts = np.concatenate(([0], np.flatnonzero(seconds[1:] > seconds[:-1]) + 1))
    if starts.size < 3:
        lasting = float(seconds[-1] - seconds[0])
        if rows / fs > _MAX_UNSURE_SECONDS + 2 * lasting and starts.size < 2:
            raise RateUnknown(
                path,
                f"all {rows} rows have one time stamp",
                "Export the recording again with a time stamp for each sample",
            )
        if lasting > rows / fs + _MAX_UNSURE_SECONDS:
            raise _contradiction(path, fs, rows / max(lasting, 1e-9), stated)
        return CoarseGaps(np.zeros(0, np.int64), np.zeros(0, np.int64), (), max(lasting, 1 / fs))
    lengths = np.diff(starts)
    usual = float(np.median(lengths))
    late = (
        seconds[starts] - seconds[0]
    ) * fs - starts  # delay of each new stamp against its row, in samples
    late[0] = min(
        late[1], max(0.0, usual - lengths[0])
    )  # the tick of the first stamp may have begun before the recording
    last = rows - int(starts[-1])
    if last > 2 * max(usual, float(lengths.max())) + _MAX_UNSURE_SECONDS * fs:
        raise RateUnknown(
            path,
            f"the last {last} rows have one time stamp, {last / fs:.1f} s at {fs:g} Hz ({stated})",
            "Export the recording again, with a time stamp for each sample",
        )
    slope = _slope(starts, late, fs)
    if abs(slope) > MAX_RATE_DIFFERENCE:
        raise _contradiction(path, fs, fs / (1.0 + slope), stated)
    late -= slope * starts
    gaps = _ticks(late, starts, usual, slope, fs)
    return gaps if gaps is not None else _bursts(path, late, starts, rows, fs, stated)


def _slope(starts: NDArray[np.int64], late: NDArray[np.float64], fs: float) -> float:
    """Return the typical drift of the stamps against the rows, in samples per row.

    Gaps are few, so they do not change the median.
    """
    window = int(np.searchsorted(starts, starts[0] + _WINDOW_SECONDS * fs))
    window = max(1, min(window, (starts.size - 1) // 2))
    gains = (late[window:] - late[:-window]) / (starts[window:] - starts[:-window])
    slope = float(np.median(gains))
    if abs(slope) > MAX_RATE_DIFFERENCE and (np.abs(gains) <= MAX_RATE_DIFFERENCE).mean() > _FEW:
        slope = float(
            gains[np.argmin(np.abs(gains))]
        )  # a short recording with a gap within most of the windows
    return slope


def _ticks(
    late: NDArray[np.float64], starts: NDArray[np.int64], usual: float, slope: float, fs: float
) -> CoarseGaps | None:
    """Find gaps when the stamps are clock ticks: each step beyond rounding is a gap.

    None if they are arrival times.
    """
    steps = np.diff(late)
    lengths = np.diff(starts)
    near = np.abs(steps) <= _SLACK
    if near.mean() < _TICK_SHARE:
        return None
    gained = float(steps[near].sum()) / float(lengths[near].sum())
    if abs(slope + gained) > MAX_RATE_DIFFERENCE:
        return None
    steps = steps - gained * lengths
    gaps = np.flatnonzero(steps > _SLACK)
    missing = np.rint(steps[gaps]).astype(np.int64)
    rest = steps.copy()
    rest[gaps] -= missing
    level = np.cumsum(rest)
    if np.ptp(np.concatenate(([0.0], level))) > 2 * _SLACK + 1:
        return None
    short = lengths[gaps] < usual - _SLACK
    short &= gaps > 0
    unsure = [(int(starts[gap]), int(starts[gap + 1])) for gap in gaps[short].tolist()]
    return CoarseGaps(starts[gaps + 1] - 1, missing, tuple(unsure), max(usual, 2.0) / fs)


def _bursts(
    path: Path,
    late: NDArray[np.float64],
    starts: NDArray[np.int64],
    rows: int,
    fs: float,
    stated: str,
) -> CoarseGaps:
    """Find gaps if the stamps are arrival times.

    Only the earliest stamp of a block shows when its rows were sampled.
    """
    block = max(1, round(_BLOCK_SECONDS * fs), 4 * round(float(np.median(np.diff(starts)))))
    edges = np.unique(np.searchsorted(starts, np.arange(0, rows, block)))
    edges = edges[edges < starts.size]
    earliest = np.minimum.reduceat(late, edges)
    moves = np.diff(earliest)
    spread = float(np.median([np.ptp(part) for part in np.split(late, edges[1:])]))
    limit = (
        max(2 * _SLACK, _SPREAD * float(np.median(np.abs(moves))), spread / 2)
        if moves.size
        else float(np.ptp(late))
    )
    if limit > _MAX_UNSURE_SECONDS * fs:
        raise RateUnknown(
            path,
            f"the time stamps vary by {limit / fs:.1f} s beside rows at {fs:g} Hz ({stated}), too "
            "much to show a gap",
            "Export the recording again with a time stamp for each sample",
        )
    after, missing = [], []
    level = 0.0
    reference = float(earliest[0])
    for number in range(1, earliest.size):
        ahead = float(earliest[number : number + 2].min()) - level - reference
        if ahead > limit:
            first, last = (
                int(edges[number - 1]),
                int(edges[number + 1]) if number + 1 < edges.size else starts.size,
            )
            run = first + 1 + int(np.argmax(np.diff(late[first:last])))
            size = max(1, round(ahead))
            after.append(int(starts[run]) - 1)
            missing.append(size)
            level += size
        elif ahead < -2 * limit:
            raise RateUnknown(
                path,
                f"near row {int(starts[edges[number]]) + 1} of the data there are "
                f"{-ahead / fs:.2f} s more rows at {fs:g} Hz "
                f"({stated}) than the time stamps allow",
                "Look for rows that stand twice or for a clock that was set, and export the "
                "recording again",
            )
        else:
            reference += 0.1 * ahead  # follows a slow drift
    order = np.argsort(np.array(after, np.int64), kind="stable")
    found_after, found_missing = (
        np.array(after, np.int64)[order],
        np.array(missing, np.int64)[order],
    )
    return CoarseGaps(found_after, found_missing, (), limit / fs)


def _contradiction(path: Path, fs: float, shown: float, stated: str) -> RateUnknown:
    return RateUnknown(
        path,
        f"the rate is {fs:g} Hz ({stated}), but the time stamps show {shown:.6g} Hz",
        "Correct the rate, or the unit of the time column; if rows are missing throughout, export "
        "the recording again",
    )
