"""Where the data records of an EDF file stand in time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf_annotations import Annotations
from ecgfl_adapters.edf_header import Header
from ecgfl_adapters.edf_write import true_length
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.timeline import check_rate, check_span

_MAX_ROUNDING = 1.5
"""Samples by which time stamps of adjoining data records may be off; recorders round them."""


@dataclass(frozen=True)
class Axis:
    """A continuous axis of `length` samples.

    runs : stretches of samples without a gap as [start, stop) in the file, and where on the axis each begins.
    """

    length: int
    runs: tuple[tuple[int, int, int], ...]

    def runs_in(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The parts of the runs that lie in [start, stop) of the axis, in the same form."""
        for first, last, place in self.runs:
            begin, end = max(place, start), min(place + last - first, stop, self.length)
            if begin < end:
                yield first + begin - place, first + end - place, begin

    def in_file(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the file samples of the axis stand, -1 in a gap; shape as `places`."""
        first, last, begin = np.array(self.runs, dtype=np.int64).T
        run = np.searchsorted(begin, places, side="right") - 1
        found = first[run] + places - begin[run]
        return np.where((run >= 0) & (found < last[run]), found, -1)


def axis_of(path: Path, header: Header, notes: Annotations, records: int, per_record: int) -> Axis:
    """The axis of channels with `per_record` samples in each of the file's `records` data records.

    A file may call itself continuous (EDF+C) and still have data records that start late: its time stamps are believed. Raises
    `FileUnreadable` where data records overlap.
    """
    fs = per_record / header.duration
    check_rate(path, fs)
    starts = np.arange(records) * header.duration if notes.starts is None else notes.starts - notes.starts[0]
    absent = np.diff(starts) * fs - per_record  # samples missing between a data record and the next
    if (absent < -_MAX_ROUNDING).any():
        record = int(np.argmax(absent < -_MAX_ROUNDING)) + 1
        raise FileUnreadable(
            path,
            f"data record {record} starts at {starts[record]:g} s, before the end of the one before it",
            "Export the file again from the recorder's software",
        )
    breaks = [0, *(np.flatnonzero(absent > _MAX_ROUNDING) + 1).tolist(), records]
    places = [round(float(starts[first]) * fs) for first in breaks[:-1]]
    length = places[-1] + (records - breaks[-2]) * per_record
    check_span(path, length, fs, records * per_record)
    if len(places) == 1:
        length = true_length(header.recording, length, per_record)
    runs = zip((first * per_record for first in breaks), (last * per_record for last in breaks[1:]), places, strict=False)
    return Axis(length, tuple(runs))
