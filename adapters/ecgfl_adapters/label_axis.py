"""Places labels on the axis of a table.

The times of the table may not begin at 0, and rows may be missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.recording import Lead, Remark
from ecgfl_adapters.symbols import BEAT_SYMBOLS

_DAY = 86400.0
_AROUND_SECONDS = 0.04
"""Half width in seconds of the window around a label in which a QRS complex must appear; a narrow
one lasts 80 ms.
"""
_CLEAR = 1.5
"""One interpretation is chosen if the signal moves this many times more at its labels than at those
of the other.
"""
_FEW_LABELS = 5
"""Minimum number of beats for a decision from the signal."""
_MANY_LABELS = 2000
"""Maximum number of beats that are compared."""
_HARMLESS_SECONDS = 0.02
"""Shift in seconds that keeps a label within its QRS complex; both readings are acceptable."""
_FIX_TIMES = (
    "Give the labels in a column 'time_s' on the time axis of the table, or as 'sample' with "
    "--labels FILE"
)


@dataclass
class TableAxis:
    """The axis of a table that was read.

    Parameters
    ----------
    fs : float
        Sampling rate in hertz.
    leads : tuple of Lead
        The leads of the table.
    start : float
        Time of the first sample in seconds, since the zero of the table or, if `is_clock`, since
        midnight; 0 without a time column.
    number : int
        Number of the first sample in a column that counts samples, else 0.
    is_clock : bool
        Whether the table has times of day.
    title : str
        Title of the time column.
    factor : float
        Seconds in one unit of the time column.
    rows : int
        Number of rows that hold samples.
    after, missing : array
        Shape (gaps,); after row `after[i]`, `missing[i]` samples are missing.
    remarks : list of Remark
        Takes what the user should know about the labels.
    """

    fs: float
    leads: tuple[Lead, ...]
    start: float
    number: int
    is_clock: bool
    title: str
    factor: float
    rows: int
    after: NDArray[np.int64]
    missing: NDArray[np.int64]
    remarks: list[Remark] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Number of samples, including missing ones."""
        return self.rows + int(self.missing.sum())


def samples_at_times(
    seconds: NDArray[np.float64], symbols: Sequence[str], axis: TableAxis
) -> NDArray[np.int64]:
    """Return the samples nearest to label times.

    The times count from the start of the recording or on the axis of the table. The signal decides
    which, then the number of labels within the recording. If neither does, they are on the axis of
    the table, and a remark says so.

    Parameters
    ----------
    seconds : array
        Times of the labels in seconds, shape (labels,).
    symbols : sequence of str
        Symbols of the labels.
    axis : TableAxis
        Axis of the table.
    """
    since_start = np.rint(seconds * axis.fs).astype(np.int64)
    on_axis = np.rint((seconds - axis.start) * axis.fs).astype(np.int64)
    return _from_origin(
        on_axis, since_start, symbols, axis, f"the times of the table begin at {axis.start:g} s"
    )


def _from_origin(
    on_axis: NDArray[np.int64],
    since_start: NDArray[np.int64],
    symbols: Sequence[str],
    axis: TableAxis,
    origin: str,
) -> NDArray[np.int64]:
    """Return the better of two interpretations.

    Parameters
    ----------
    origin : str
        Start of the table's axis, for the remark if neither is better.
    """
    if not on_axis.size or np.abs(on_axis - since_start).max() <= 1:
        return since_start
    better = _better(on_axis, since_start, symbols, axis)
    if better is None:
        outside, outside_on_axis = (_outside(samples, axis) for samples in (since_start, on_axis))
        better = None if outside == outside_on_axis else outside_on_axis < outside
        if better is None or min(outside, outside_on_axis) > 0:
            axis.remarks.append(
                Remark(
                    "labels-time-origin",
                    f"{origin}, and nothing shows whether the {on_axis.size} labels count from "
                    "there or from the start of the "
                    "recording; they are read "
                    f"{'from its start' if better is False else 'as the table counts'}",
                    "Compare some labels with their beats (ecgfl review FILE); let table and "
                    "labels begin at 0 to be sure.",
                )
            )
    return since_start if better is False else on_axis


def samples_at_clock(
    path: Path, seconds: NDArray[np.float64], symbols: Sequence[str], axis: TableAxis
) -> NDArray[np.int64]:
    """Return the samples nearest to times of day.

    Parameters
    ----------
    path : Path
        The label file, for messages.
    seconds : array
        Seconds since the midnight before the first label, shape (labels,).
    symbols : sequence of str
        Symbols of the labels.
    axis : TableAxis
        Axis of the table.

    Raises
    ------
    LabelsUnreadable
        If the table has no times of day, or the labels may belong to more than one day.
    """
    if not axis.is_clock:
        raise LabelsUnreadable(
            path, "the labels have times of day, but the recording has none", _FIX_TIMES
        )
    days = range(-1, int(axis.length / axis.fs / _DAY) + 2)
    readings = [
        np.rint((seconds + day * _DAY - axis.start) * axis.fs).astype(np.int64) for day in days
    ]
    fewest = min(_outside(samples, axis) for samples in readings)
    fitting = [samples for samples in readings if _outside(samples, axis) == fewest]
    best = fitting[0]
    for other in fitting[1:]:
        better = _better(other, best, symbols, axis)
        if better is None:
            raise LabelsUnreadable(
                path,
                "the times of day of the labels fit more than one day of the recording",
                _FIX_TIMES,
            )
        best = other if better else best
    return best


def samples_at_numbers(
    samples: NDArray[np.int64], symbols: Sequence[str], axis: TableAxis
) -> NDArray[np.int64]:
    """Return sample numbers on the continuous axis.

    The numbers count its samples or the rows of the table, which differ after a gap. The signal
    decides. A remark says that they count rows, or that nothing shows what they count.

    Parameters
    ----------
    samples : array
        Sample numbers of the labels, shape (labels,).
    symbols : sequence of str
        Symbols of the labels.
    axis : TableAxis
        Axis of the table.
    """
    if abs(axis.number) > _HARMLESS_SECONDS * axis.fs:  # the table counts its samples itself
        return _from_origin(
            samples - axis.number,
            samples,
            symbols,
            axis,
            f"the table's first sample has the number {axis.number}",
        )
    if not axis.after.size or not samples.size or int(samples.max()) >= axis.rows:
        return samples
    before = np.concatenate(([0], np.cumsum(axis.missing)))
    shift = before[np.searchsorted(axis.after, samples, side="left")]
    if shift.max() / axis.fs <= _HARMLESS_SECONDS:
        return samples
    moved = shift > 0
    later = [symbol for symbol, is_moved in zip(symbols, moved.tolist(), strict=True) if is_moved]
    rows = samples + shift
    better = _better(rows[moved], samples[moved], later, axis)
    if better is False:
        return samples
    if better:
        problem = (
            "the sample numbers of the labels count the rows of the table, from which "
            f"{int(axis.missing.sum())} samples are "
            f"missing; {int(moved.sum())} labels after a gap were moved to their beats, by up to "
            f"{shift.max() / axis.fs:.3g} s"
        )
    else:
        problem = (
            f"{int(axis.missing.sum())} samples are missing from the table, and nothing shows "
            "whether the sample numbers of "
            f"{int(moved.sum())} labels after a gap count the missing ones; they are read as if "
            "they did"
        )
    axis.remarks.append(
        Remark(
            "labels-row-numbers",
            problem,
            "Give labels by time ('time_s'), or count the samples that are missing, too; --labels "
            "none reads without labels.",
        )
    )
    return rows if better else samples


def _outside(samples: NDArray[np.int64], axis: TableAxis) -> int:
    return int(((samples < 0) | (samples >= axis.length)).sum())


def _better(
    one: NDArray[np.int64], other: NDArray[np.int64], symbols: Sequence[str], axis: TableAxis
) -> bool | None:
    """Return whether the signal moves more at `one` than at `other`, as it does at beats.

    None if that is unclear.
    """
    beats = np.flatnonzero([symbol in BEAT_SYMBOLS for symbol in symbols])
    if beats.size < _FEW_LABELS:
        return None
    chosen = beats[np.linspace(0, beats.size - 1, min(_MANY_LABELS, beats.size)).astype(np.int64)]
    ratios = []
    for lead in axis.leads:
        first, second = (_movement(lead, samples[chosen], axis) for samples in (one, other))
        if max(first, second) > 0:
            ratios.append((first + 1e-12) / (second + 1e-12))
    ratio = max(ratios, key=lambda value: max(value, 1 / value), default=1.0)
    return True if ratio >= _CLEAR else False if ratio <= 1 / _CLEAR else None


def _movement(lead: Lead, samples: NDArray[np.int64], axis: TableAxis) -> float:
    """Return the median of the lead's range around the samples.

    The range is 0 for samples outside the recording or in a gap.
    """
    half = max(1, round(_AROUND_SECONDS * axis.fs))
    inside = (samples >= half) & (samples < axis.length - half)
    moves = np.zeros(samples.size)
    stretches = np.asarray(lead.samples)[samples[inside][:, None] + np.arange(-half, half + 1)]
    moves[inside] = np.nan_to_num(np.ptp(stretches, axis=1), nan=0.0)
    return float(np.median(moves))
