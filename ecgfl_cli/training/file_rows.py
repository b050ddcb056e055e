"""Rows of numbers that stay in a file: a site with a thousand Holters trains in the memory of one with ten.

They are read, not mapped: a system that keeps large pages of a file in its cache maps far more than what is asked for, and the
process then holds the whole file resident.
"""

import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BYTES = np.dtype(np.float32).itemsize


class FileRows:
    """Rows of float32, written one after another, then read in any order. The file has no name and ends with this object."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".rows-", buffering=0)  # noqa: SIM115 - as long as this object
        weakref.finalize(self, self._file.close)
        self._columns = self._count = 0

    def append(self, rows: NDArray[np.float32]) -> None:
        """rows : shape (k, columns), of the same columns each time."""
        left = memoryview(np.ascontiguousarray(rows).tobytes())
        while left:  # a raw file may write less than it was given
            left = left[self._file.write(left) :]
        self._count, self._columns = self._count + len(rows), rows.shape[1]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at `places`, shape (k,), as an array of shape (k, columns)."""
        found = np.empty((len(places), self._columns), dtype=np.float32)
        for row, place in zip(found, places.tolist(), strict=True):
            self._file.seek(place * self._columns * BYTES)
            if self._file.readinto(row.data) != row.nbytes:
                raise OSError(
                    f"row {place} of {self._count} cannot be read from the file of training examples"
                )
        return found
