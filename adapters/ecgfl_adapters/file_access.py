"""Checks whether a path can be opened.

Pipes, devices, broken links and files without read permission cannot.
"""

import os
import stat
from pathlib import Path

from ecgfl_adapters.companions import absence
from ecgfl_adapters.errors import AdapterError, FileMissing, FormatUnknown


def check_accessible(path: Path) -> None:
    """Raise `FileMissing` or `FileUnreadable` for a path that cannot be opened or would block."""
    absent = absence(path)
    if absent is not None:
        raise FileMissing(path, absent.problem, absent.fix)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
        elif stat.S_ISREG(mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return  # it may be a record that is named without a suffix
    except PermissionError as error:
        raise FileMissing(
            path,
            f"cannot be opened ({error.strerror})",
            "Give the user that runs ecgfl the right to read it",
        ) from error
    except (OSError, ValueError) as error:
        problem = f"cannot be opened ({getattr(error, 'strerror', None) or error})"
        raise FileMissing(
            path, problem, "Copy the file to a local disk, under a short name"
        ) from error
    if is_special(path):
        raise FormatUnknown(
            path,
            "is a pipe, a socket or a device, not a file",
            "Copy what it delivers into a file, and give that",
        )


def is_special(path: Path) -> bool:
    """Return whether a path is a pipe, a socket or a device."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_accessible(path: Path) -> bool:
    """Return whether this user may read a path."""
    try:
        check_accessible(path)
    except AdapterError:
        return False
    return True
