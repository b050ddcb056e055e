"""Write files atomically: after a kill, a file is complete or unchanged."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

PRIVATE_UMASK = 0o077
NOBODY_ELSE_WRITES = 0o022
_USERS = [NOBODY_ELSE_WRITES]
"""The umask that this program was started with."""


def keep_private() -> None:
    """Set the umask so that no other user can read or write files that this process creates."""
    _USERS[0] = os.umask(PRIVATE_UMASK)


@contextlib.contextmanager
def readable_as_usual() -> Iterator[None]:
    """Create files in the block that other users may read, for results outside a home.

    The umask is the one that this program was started with, but only this user may write.
    """
    before = os.umask(_USERS[0] | NOBODY_ELSE_WRITES)
    try:
        yield
    finally:
        os.umask(before)


def atomic_write_bytes(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a file. A kill at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : Path
        The file, which is replaced if it exists. Its folder must exist.
    data : bytes
        Its content.
    mode : int or None
        Permission bits, regardless of the umask; None for the system's default.

    Raises
    ------
    OSError
        It cannot be written. The temporary file beside it is removed.
    """
    # The name does not contain the target's, which may already have the largest allowed length.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    # The file is created with its permissions, so that others can never read a secret.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
    except OSError as error:
        error.filename = str(path)  # the name that the caller knows
        raise
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove temporary files that a kill left. No other process may write in the folder now."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # else the next time
            path.unlink()


def sync_file(path: Path) -> None:
    """Wait until a file that a library wrote is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until renames in a folder are on the disk, so that they survive a power cut."""
    # Windows cannot open a folder, and some network drives cannot sync one.
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
