"""One ecgfl at a time in a home."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ecgfl_cli.errors import HomeInUse
from ecgfl_cli.site.private import require_private


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold the lock file during the block. The operating system releases it even after a kill.

    Raises `HomeInUse` without waiting, and `UnusableInput` if other users could change the home.
    """
    require_private(lock.parent)
    held = FileLock(lock, timeout=0, mode=0o600)
    try:
        held.acquire()
    except Timeout as error:
        raise HomeInUse(
            f"{lock.parent} is in use by another ecgfl",
            "Wait until it has ended; if none runs, look for one left behind with your process list",
        ) from error
    try:
        yield
    finally:
        held.release()
