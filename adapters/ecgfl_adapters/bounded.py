"""Reads whole files safely: at most a given number of bytes, and never from a pipe or a device."""

import errno
import os
import stat
from pathlib import Path

from ecgfl_adapters.errors import FileUnreadable

LARGE_FILE = 1 << 26
"""Smallest size in bytes of a file that is examined for holes."""

LEAST_STORED = 1 / 64
"""Smallest share of a large file that must be stored.

Compressing file systems store a third to a half of an ECG.
"""


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    path : Path
        The file.
    most : int
        Largest number of bytes.

    Raises
    ------
    OSError
        If the file cannot be read, is larger (it is not read then), or is a pipe, a socket or a
        device.
    """
    # A pipe opened for reading would wait for its writer.
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(
                errno.EINVAL, "it is a folder, a pipe, a socket or a device, not a file", str(path)
            )
        if status.st_size > most:
            raise OSError(
                errno.EFBIG,
                f"it has {status.st_size} bytes, and ecgfl reads at most {most} of such a file",
                str(path),
            )
        # Files in /proc have size 0, but reading one may return data or block.
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file, or b"" if it is empty or not a regular file.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return b""
    with path.open("rb") as file:
        return file.read(count)


def check_stored(path: Path) -> None:
    """Raise `FileUnreadable` for a large file that consists almost entirely of holes.

    Holes in a sparse file read as zeros.
    """
    if not hasattr(os, "SEEK_DATA") or path.stat().st_size < LARGE_FILE:
        return
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        stored = end = 0
        while stored < LEAST_STORED * size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno != errno.ENXIO:  # the file system does not support holes
                    return
                raise FileUnreadable(
                    path,
                    f"it has {size} bytes, but only {stored} are stored: the rest of the file is "
                    "holes",
                    "It was not copied or written completely: copy it again",
                ) from error
            stored += end - start
