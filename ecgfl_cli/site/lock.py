"""One ecgfl at a time in a home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ecgfl_cli.errors import HomeInUse

PRIVATE_UMASK = 0o077


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold the lock file for the block; released by the operating system even after a kill. Raises `HomeInUse` at once."""
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout as error:
        raise HomeInUse(
            f"{lock.parent} is in use by another ecgfl",
            "Wait until it has ended; if none runs, look for one left behind with your process list",
        ) from error
    # Whatever is written in a home is nobody else's to read, also where an administrator made its folder.
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)
        held.release()
