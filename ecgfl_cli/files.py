"""Files that are either whole or absent."""

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
    """Create files in the block with the umask that this program was started with, but writable only for this user.

    This is for results outside a home.
    """
    before = os.umask(_USERS[0] | NOBODY_ELSE_WRITES)
    try:
        yield
    finally:
        os.umask(before)


def atomic_write_bytes(path: Path, data: bytes, mode: int | None = None) -> None:
    """Put `data` at `path`, replacing what is there; a kill at any moment leaves the old file or the new one.

    mode : permission bits of the file, whatever the umask; None takes the system's default for new files.

    The folder must exist. Raises `OSError`; the temporary file beside `path` is removed then.
    """
    # Named after nothing: the target's own name may already be as long as the file system allows.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    # The file is born with its permissions, so that a secret is at no moment readable by others.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
    except OSError as error:
        error.filename = str(path)  # what the caller knows of
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
    """Remove what a kill within `atomic_write_bytes` left in a folder in which nobody else writes now."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # not gone yet: the next time
            path.unlink()


def sync_file(path: Path) -> None:
    """Wait until a file that somebody else wrote is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until what was renamed into a folder is on the disk: the rename itself must survive a power cut."""
    # Windows cannot open a folder, and some network drives cannot sync one.
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
