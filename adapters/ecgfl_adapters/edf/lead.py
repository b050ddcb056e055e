"""A channel of an EDF file as a lead, which is read as its samples are needed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf.data_records import DataRecords, integers
from ecgfl_adapters.edf.header import EdfChannel
from ecgfl_adapters.edf.timeline import Axis
from ecgfl_adapters.missing_codes import LONG_RUN, Code, MissingCodes


@dataclass(frozen=True)
class EdfSamples:
    """The samples of a channel in millivolts on the axis, NaN in gaps; see `samples.Samples`.

    They are `(digital - baseline) * factor`. Digital values in `missing` stand for missing samples
    and are NaN.
    """

    records: DataRecords
    channel: EdfChannel
    axis: Axis
    baseline: float
    factor: float
    missing: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of samples on the axis."""
        return self.axis.length

    @property
    def shape(self) -> tuple[int]:
        """Shape, (size,)."""
        return (self.axis.length,)

    def __getitem__(self, part: Any) -> NDArray[np.float32]:
        """Return the samples of a slice or at an array of indices; they are read from the file."""
        if isinstance(part, slice):
            start, stop, step = part.indices(self.size)
            return (
                self._stretch(start, stop) if step == 1 else self._at(np.arange(start, stop, step))
            )
        places = np.asarray(part)
        return self._at(np.where(places < 0, places + self.size, places))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all samples in memory."""
        return np.asarray(self._stretch(0, self.size), dtype=dtype)

    def _stretch(self, start: int, stop: int) -> NDArray[np.float32]:
        stretch = np.full(max(0, stop - start), np.nan, dtype=np.float32)
        per_record = self.channel.samples
        for first, last, place in self.axis.runs_in(start, stop):
            for number, raw in self.records.of(
                self.channel, first // per_record, -(-last // per_record)
            ):
                begin, end = (
                    max(first, number * per_record),
                    min(last, (number + len(raw)) * per_record),
                )
                values = self._millivolts(raw)[
                    begin - number * per_record : end - number * per_record
                ]
                stretch[place - start + begin - first : place - start + end - first] = values
        return stretch

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        result = np.full(places.shape, np.nan, dtype=np.float32)
        in_file = self.axis.in_file(places)
        numbers, samples = np.divmod(in_file, self.channel.samples)
        needed = np.unique(numbers[in_file >= 0])
        gaps = np.flatnonzero(np.diff(needed) > 1) + 1
        adjoining = np.split(needed, gaps) if needed.size else []
        order = np.argsort(numbers, axis=None, kind="stable")
        for some in adjoining:
            for number, raw in self.records.of(self.channel, int(some[0]), int(some[-1]) + 1):
                first, last = np.searchsorted(
                    numbers.ravel(), (number, number + len(raw)), sorter=order
                )
                here = order[first:last]
                values = self._millivolts(raw)
                result.flat[here] = values[
                    (numbers.flat[here] - number) * self.channel.samples + samples.flat[here]
                ]
        return result

    def _millivolts(self, raw: NDArray[np.uint8]) -> NDArray[np.float32]:
        digital = integers(raw, self.records.header.sample_bytes)
        values = ((digital - self.baseline) * self.factor).astype(np.float32)
        for value in self.missing:
            values[digital == value] = np.nan
        return values.ravel()


def missing_in(records: DataRecords, channel: EdfChannel) -> tuple[Code, ...]:
    """Return the codes for missing samples of a channel. All its samples are read."""
    has_scale = channel.digital_max > channel.digital_min and channel.gain != 0
    codes = MissingCodes(
        {channel.digital_min, -(1 << (8 * records.header.sample_bytes - 1))},
        shortest=LONG_RUN,
        step=channel.gain if has_scale else 1.0,
        baseline=channel.digital_max - channel.physical_max / channel.gain if has_scale else 0.0,
    )
    for _, raw in records.of(channel):
        codes.add(integers(raw, records.header.sample_bytes).ravel())
    return codes.found()
