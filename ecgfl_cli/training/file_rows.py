"""Rows of numbers in a file, so that the memory for training does not grow with the site.

Rows are read, not mapped: a system that caches large pages of a file maps far more than what is
asked for, and the process then holds the whole file in memory.
"""

import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BYTES = np.dtype(np.float32).itemsize


class FileRows:
    """Rows of float32 that are written one after another and then read in any order.

    The file has no name and disappears with this object.

    Parameters
    ----------
    folder : Path
        Folder of the file; created if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".rows-", buffering=0)  # noqa: SIM115 - as long as this object
        weakref.finalize(self, self._file.close)
        self._columns = self._count = 0

    def append(self, rows: NDArray[np.float32]) -> None:
        """Append rows of shape (k, columns). Every call must have the same number of columns."""
        left = memoryview(np.ascontiguousarray(rows).tobytes())
        while left:  # a raw file may write only a part
            left = left[self._file.write(left) :]
        self._count, self._columns = self._count + len(rows), rows.shape[1]

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows at some indices, shape (k,), as an array of shape (k, columns)."""
        rows = np.empty((len(indices), self._columns), dtype=np.float32)
        for row, index in zip(rows, indices.tolist(), strict=True):
            self._file.seek(index * self._columns * BYTES)
            if self._file.readinto(row.data) != row.nbytes:
                raise OSError(
                    f"row {index} of {self._count} cannot be read from the file of training "
                    "examples"
                )
        return rows
