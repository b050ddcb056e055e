"""Let only one ecgfl at a time use a home."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ecgfl_cli.errors import HomeInUse
from ecgfl_cli.site.private import require_private


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold the lock file during the block. The operating system releases it even after a kill.

    Raises
    ------
    HomeInUse
        Another ecgfl holds it. This function does not wait.
    UnusableInput
        Other users could change the home.
    """
    require_private(lock.parent)
    held = FileLock(lock, timeout=0, mode=0o600)
    try:
        held.acquire()
    except Timeout as error:
        raise HomeInUse(
            f"{lock.parent} is in use by another ecgfl",
            "Wait until it has ended; if you know of none, look for it in the list of processes",
        ) from error
    try:
        yield
    finally:
        held.release()
