"""Reading whole files, whatever is at their path: no more than a known number of bytes, and never from a pipe or a device."""

import errno
import os
import stat
from pathlib import Path

from ecgfl_adapters.errors import FileUnreadable

LARGE_FILE = 1 << 26
"""Bytes from which a file is examined for holes."""

LEAST_STORED = 1 / 64
"""Smallest share of a large file that is stored. File systems that compress store a third to a half of an ECG."""


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a file of at most `most` bytes.

    Raises `OSError`, also for a larger file, of which nothing is read, and for what is not a file: a pipe, a socket, a device.
    """
    # A pipe opened for reading would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a folder, a pipe, a socket or a device, not a file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it has {status.st_size} bytes, and ecgfl reads at most {most} of such a file", str(path))
        # A file of size 0 holds nothing; in /proc it may still deliver something, or wait for it.
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file, b"" for what is not a file or has the size 0. Raises `OSError`."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return b""
    with path.open("rb") as file:
        return file.read(count)


def check_stored(path: Path) -> None:
    """Raise `FileUnreadable` for a large file of which hardly anything is stored: the rest are holes, which read as zeros."""
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
                if error.errno != errno.ENXIO:  # a file system that knows no holes
                    return
                raise FileUnreadable(
                    path,
                    f"{size} bytes, of which only {stored} are stored: the rest of the file are holes",
                    "It was not copied or written to its end: copy it again",
                ) from error
            stored += end - start
