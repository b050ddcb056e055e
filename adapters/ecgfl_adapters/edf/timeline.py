"""Determines the times of the data records of an EDF file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf.annotations import Annotations
from ecgfl_adapters.edf.header import EdfHeader
from ecgfl_adapters.edf.padding import true_length
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.timeline import check_rate, check_span

_MAX_ROUNDING = 1.5
"""Largest error in samples of the time stamps of adjacent data records, because recorders round
them.
"""

_MAX_DRIFT = 1e-3
"""Largest relative difference between the clocks of a recorder and of its converter. Quartz clocks
differ by a tenth of it.
"""


@dataclass(frozen=True)
class Axis:
    """A continuous axis.

    Parameters
    ----------
    length : int
        Number of samples.
    runs : tuple
        Stretches of samples without a gap, as [start, stop) in the file, with the position of each
        on the axis.
    """

    length: int
    runs: tuple[tuple[int, int, int], ...]

    def runs_in(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Return the parts of the runs within [start, stop) of the axis, in the same form."""
        for first, last, place in self.runs:
            begin, end = max(place, start), min(place + last - first, stop, self.length)
            if begin < end:
                yield first + begin - place, first + end - place, begin

    def in_file(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices in the file of samples of the axis, -1 in a gap; shape as `places`."""
        first, last, begin = np.array(self.runs, dtype=np.int64).T
        run = np.searchsorted(begin, places, side="right") - 1
        indices = first[run] + places - begin[run]
        return np.where((run >= 0) & (indices < last[run]), indices, -1)


def axis_of(
    path: Path, header: EdfHeader, notes: Annotations, records: int, per_record: int
) -> Axis:
    """Return the axis of channels with `per_record` samples in each data record.

    `records` is the number of data records of the file. A file that says it is continuous (EDF+C)
    may still have data records that start late; its time stamps are used. The clocks of the stamps
    and of the samples may differ by a thousandth.

    Raises
    ------
    FileUnreadable
        If they differ by more, or data records overlap.
    """
    fs = per_record / header.duration
    check_rate(path, fs)
    starts = (
        np.arange(records) * header.duration
        if notes.starts is None
        else notes.starts - notes.starts[0]
    )
    absent = np.diff(starts) * fs - per_record  # samples missing between a data record and the next
    if (absent < -_MAX_ROUNDING).any():
        record = int(np.argmax(absent < -_MAX_ROUNDING)) + 1
        raise FileUnreadable(
            path,
            f"data record {record} starts at {starts[record]:g} s, before the end of the one "
            "before it",
            "Export the file again from the recorder's software",
        )
    _check_rate_of_stamps(path, fs, per_record, absent)
    breaks = [0, *(np.flatnonzero(absent > _MAX_ROUNDING) + 1).tolist(), records]
    places = [round(float(starts[first]) * fs) for first in breaks[:-1]]
    length = places[-1] + (records - breaks[-2]) * per_record
    check_span(path, length, fs, records * per_record)
    if len(places) == 1:
        length = true_length(header.recording, length, per_record)
    runs = zip(
        (first * per_record for first in breaks),
        (last * per_record for last in breaks[1:]),
        places,
        strict=False,
    )
    return Axis(length, tuple(runs))


def _check_rate_of_stamps(
    path: Path, fs: float, per_record: int, absent: NDArray[np.float64]
) -> None:
    """Raise `FileUnreadable` if data records come too slowly or too fast for their samples.

    Each of them may be only a little late.
    """
    late = np.where(np.abs(absent) <= _MAX_ROUNDING, absent, 0.0)
    parted, covered = float(late.sum()), late.size * per_record
    if abs(parted) > max(_MAX_ROUNDING, _MAX_DRIFT * covered):
        raise FileUnreadable(
            path,
            f"data records of {per_record / fs:g} s come every "
            f"{(covered + parted) / late.size / fs:.6g} s",
            "The file states a wrong rate; export it again at its true one, about "
            f"{fs * covered / (covered + parted):.6g} Hz",
        )


def drift_of(
    axis: Axis, notes: Annotations, fs: float, per_record: int
) -> Callable[[float], float]:
    """Return a function from an onset in seconds to the shift of an annotation in samples.

    The shift is the difference between its position on the axis and the one that the onset implies.
    """
    if notes.starts is None:
        return lambda onset: 0.0  # noqa: ARG005
    starts = notes.starts
    records = np.arange(starts.size) * per_record
    first, _, place = np.array(axis.runs, dtype=np.int64).T
    run = np.searchsorted(first, records, side="right") - 1
    parted = place[run] + records - first[run] - (starts - starts[0]) * fs
    parted[np.abs(parted) <= _MAX_ROUNDING] = 0.0
    return lambda onset: float(
        parted[max(0, int(np.searchsorted(starts, onset, side="right")) - 1)]
    )
