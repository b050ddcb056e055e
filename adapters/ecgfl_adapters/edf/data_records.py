"""The data records of an EDF or BDF file.

They consist of little-endian integers, which numpy reads without a C library. So no unchecked file
reaches a C library, and only the samples in use are in memory. pyedflib refuses or aborts on some
files that are read here, and edfio requires a correct number of records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfl_adapters.edf.header import EdfChannel, EdfHeader
from ecgfl_adapters.errors import FileUnreadable, changed_meanwhile
from ecgfl_adapters.recording import Remark

AT_A_TIME = 1 << 23
"""Number of bytes that are read at a time, if no data record is longer."""

LARGEST_BLOCK = 1 << 16
"""Size in bytes of the largest block that disks and tapes write."""


@dataclass(frozen=True)
class DataRecords:
    """The complete data records of a file.

    Parameters
    ----------
    header : EdfHeader
        EdfHeader of the file.
    count : int
        Number of data records.
    state : tuple
        Size and modification time of the file when they were counted.
    remarks : tuple of Remark
        Faults in their number that were tolerated.
    """

    path: Path
    header: EdfHeader
    count: int
    state: tuple[int, int]
    remarks: tuple[Remark, ...]

    def of(
        self, channel: EdfChannel, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield a channel's bytes in the data records [first, last), some records at a time.

        Each block has the number of its first data record, and an array of shape (records, bytes of
        one).

        Raises
        ------
        FileUnreadable
            If the file changed since its data records were counted.
        """
        last = self.count if last is None else last
        size = self.header.record_bytes
        together = max(1, AT_A_TIME // size)
        span = self._span(channel)
        with self.path.open("rb") as file:
            for number in range(first, last, together):
                some = min(together, last - number)
                file.seek(self.header.size + number * size)
                raw = file.read(some * size)
                if len(raw) < some * size or state_of(self.path) != self.state:
                    raise changed_meanwhile(self.path)
                yield number, np.frombuffer(raw, dtype=np.uint8).reshape(some, size)[:, span]

    def _span(self, channel: EdfChannel) -> slice:
        """Return the bytes of a data record that hold the channel."""
        channels = self.header.channels
        index = next(index for index, other in enumerate(channels) if other is channel)
        start = sum(other.samples for other in channels[:index]) * self.header.sample_bytes
        return slice(start, start + channel.samples * self.header.sample_bytes)


def state_of(path: Path) -> tuple[int, int]:
    """Return the size and the modification time of a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def data_records(path: Path, header: EdfHeader, *, force: bool) -> DataRecords:
    """Return the complete data records of a file.

    The following do not affect the other data records and are tolerated: a header that was never
    closed (-1 records), an incomplete last data record, and trailing bytes that are less than a
    data record or the zeros with which a disk or a tape fills its last block. Any other difference
    is tolerated only with `force`.

    Raises
    ------
    FileUnreadable
        If their number is not the number in the header.
    """
    state = state_of(path)
    stored, left = divmod(state[0] - header.size, header.record_bytes)
    if 0 < header.records < stored and _is_padding(path, header):
        return DataRecords(path, header, header.records, state, (_padded(header, state[0]),))
    if stored < 1:
        raise FileUnreadable(
            path,
            f"{header.size + left} bytes, which hold no whole data record",
            "Copy the file again, or export it again",
        )
    return DataRecords(
        path, header, stored, state, _remarks(path, header, stored, left, force=force)
    )


def _is_padding(path: Path, header: EdfHeader) -> bool:
    """Return whether what follows the stated data records is zeros of less than one block."""
    end = header.size + header.records * header.record_bytes
    if path.stat().st_size - end >= LARGEST_BLOCK:
        return False
    with path.open("rb") as file:
        file.seek(end)
        return not any(file.read(LARGEST_BLOCK))


def _padded(header: EdfHeader, size: int) -> Remark:
    zeros = size - header.size - header.records * header.record_bytes
    return Remark(
        "record-count",
        f"after the {header.records} data records that the header states, the file holds {zeros} "
        "zeros; they are left out",
        "Nothing to do if a disk or tape filled its last block; else compare the file with the "
        "original.",
    )


def _remarks(
    path: Path, header: EdfHeader, stored: int, left: int, *, force: bool
) -> tuple[Remark, ...]:
    if header.records == stored and left == 0:
        return ()
    there = f"{stored} whole data records" + (f" and {left} bytes of another" if left else "")
    if header.records == -1:
        problem = f"the header was not closed (number of data records -1); the file holds {there}"
        return (
            Remark(
                "record-count",
                problem,
                "Nothing to do if the recorder stopped by itself; else export the file again.",
            ),
        )
    problem = f"the header states {header.records} data records, but the file holds {there}"
    if header.records == stored:
        return (
            Remark(
                "record-count",
                f"{problem}; these bytes are left out",
                "Compare the file's size with the original.",
            ),
        )
    if header.records == stored + 1 or force:
        return (
            Remark(
                "record-count",
                problem,
                "The file may be cut off: compare its size with the original.",
            ),
        )
    raise FileUnreadable(
        path,
        problem,
        "Copy the file again, or export it again; --force reads the whole data records there are",
    )


def integers(raw: NDArray[np.uint8], width: int) -> NDArray[np.signedinteger]:
    """Return little-endian integers of `width` bytes, 2 or 3, shape (rows, bytes / width)."""
    if width == 2:
        return np.ascontiguousarray(raw).view("<i2")
    wide = np.zeros((raw.shape[0], raw.shape[1] // 3, 4), dtype=np.uint8)
    wide[..., 1:] = raw.reshape(raw.shape[0], -1, 3)
    return wide.view("<i4")[..., 0] >> 8
