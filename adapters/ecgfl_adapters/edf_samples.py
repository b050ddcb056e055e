"""The data records of an EDF or BDF file.

They are plain little-endian integers, so numpy maps them as they lie: no C library sees a file that nobody has checked, and of a
week of many channels only those asked for come into memory. pyedflib refuses or aborts on some files that are read here, and
edfio wants a right record count.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf_header import Channel, Header
from ecgfl_adapters.errors import FileUnreadable
from ecgfl_adapters.recording import Remark

AT_A_TIME = 4096
"""Data records that are converted at a time."""


class DataRecords(NamedTuple):
    """raw : shape (records, bytes of one), uint8, mapped. remarks : what is wrong with their number."""

    raw: NDArray[np.uint8]
    remarks: tuple[Remark, ...]


def map_records(path: Path, header: Header, *, force: bool) -> DataRecords:
    """The whole data records that the file holds. Raises `FileUnreadable` where that is not what the header states.

    A header that was never closed (-1) and a last data record that is cut off leave no doubt about the rest, so they are put up
    with; any other difference only by `force`.
    """
    held, left = divmod(path.stat().st_size - header.size, header.record_bytes)
    if held < 1:
        raise FileUnreadable(
            path, f"{header.size + left} bytes, which hold no whole data record", "Copy the file again, or export it again"
        )
    remarks = _remarks(path, header, held, left, force=force)
    mapped = np.memmap(path, dtype=np.uint8, mode="r", offset=header.size, shape=(held, header.record_bytes))
    return DataRecords(mapped, remarks)


def _remarks(path: Path, header: Header, held: int, left: int, *, force: bool) -> tuple[Remark, ...]:
    if header.records == held and left == 0:
        return ()
    there = f"{held} whole data records" + (f" and {left} bytes of another" if left else "")
    if header.records == -1:
        problem = f"the header was not closed (number of data records -1); the file holds {there}"
        return (Remark("record-count", problem, "Nothing to do if the recorder stopped by itself; else export the file again."),)
    problem = f"the header states {header.records} data records, but the file holds {there}"
    if header.records == held + 1 or force:
        return (Remark("record-count", problem, "The file may be cut off: compare its size with the original."),)
    raise FileUnreadable(path, problem, "Copy the file again, or export it again; --force reads the whole data records there are")


def span_of(header: Header, channel: Channel) -> slice:
    """The bytes of a data record that hold the channel."""
    before = header.channels[: next(place for place, each in enumerate(header.channels) if each is channel)]
    start = sum(each.samples for each in before) * header.sample_bytes
    return slice(start, start + channel.samples * header.sample_bytes)


def millivolts(records: DataRecords, header: Header, channel: Channel, baseline: float, factor: float) -> NDArray[np.float32]:
    """`(digital - baseline) * factor`, shape (records * samples,)."""
    span = span_of(header, channel)
    physical = np.empty((records.raw.shape[0], channel.samples), dtype=np.float32)
    for start in range(0, physical.shape[0], AT_A_TIME):
        digital = _integers(records.raw[start : start + AT_A_TIME, span], header.sample_bytes)
        physical[start : start + AT_A_TIME] = (digital - baseline) * factor
    return physical.ravel()


def _integers(raw: NDArray[np.uint8], width: int) -> NDArray[np.signedinteger]:
    """Little-endian integers of 2 or 3 bytes, shape (rows, bytes / width)."""
    if width == 2:
        return np.ascontiguousarray(raw).view("<i2")
    wide = np.zeros((raw.shape[0], raw.shape[1] // 3, 4), dtype=np.uint8)
    wide[..., 1:] = raw.reshape(raw.shape[0], -1, 3)
    return wide.view("<i4")[..., 0] >> 8
