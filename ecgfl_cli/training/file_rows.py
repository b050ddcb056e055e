"""Store rows of numbers in a file, so that the memory for training does not depend on the data.

The rows are read and not mapped into memory. An operating system that caches files in large pages
would map much more than the requested rows, until the process had the whole file in memory.
"""

import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BYTES = np.dtype(np.float32).itemsize
"""Bytes of a value."""


class FileRows:
    """Rows of float32 that are written one after another and then read in any order.

    The file has no name and is deleted with this object.

    Parameters
    ----------
    folder : Path
        Folder of the file; created if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The file stays open as long as this object exists.
        self._file = tempfile.TemporaryFile(  # noqa: SIM115
            dir=folder, prefix=".rows-", buffering=0
        )
        weakref.finalize(self, self._file.close)
        self._columns = 0
        self._count = 0

    def append(self, rows: NDArray[np.float32]) -> None:
        """Append rows of shape (k, columns); all rows have the same number of columns."""
        unwritten = memoryview(np.ascontiguousarray(rows).tobytes())
        while unwritten:  # an unbuffered file may write only a part
            unwritten = unwritten[self._file.write(unwritten) :]
        self._count += len(rows)
        self._columns = rows.shape[1]

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._count

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows with some indices.

        Parameters
        ----------
        indices : array of int64, shape (k,)
            Indices of the rows.

        Returns
        -------
        array of float32, shape (k, columns)
            The rows.

        Raises
        ------
        OSError
            If a row cannot be read.
        """
        rows = np.empty((len(indices), self._columns), dtype=np.float32)
        for row, index in zip(rows, indices.tolist(), strict=True):
            self._file.seek(index * self._columns * BYTES)
            if self._file.readinto(row.data) != row.nbytes:
                raise OSError(
                    f"row {index} of {self._count} cannot be read from the file of training "
                    "examples"
                )
        return rows
