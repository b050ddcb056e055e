"""Read the passphrase of encrypted private keys from a file descriptor or a systemd credential.

It is never given on the command line or in the environment, because other programs can read these.
"""

import os
from pathlib import Path

from ecgfl_cli.errors import UnusableInput

CREDENTIAL = "ecgfl-passphrase"
"""Name of the systemd credential (LoadCredential= or LoadCredentialEncrypted=)."""
LONGEST_PASSPHRASE = 1023
"""Largest number of bytes; OpenSSL's limit for writing an encrypted key."""
GIVE = (
    "Give its passphrase with --passphrase-fd N, for instance `ecgfl --passphrase-fd 3 ... 3< "
    "FILE`, or as the systemd credential"
    f" {CREDENTIAL}"
)

_GIVEN: dict[str, int | bytes] = {}
"""The file descriptor, and the passphrase once it was read: a pipe can be read only once."""


def use_descriptor(number: int | None) -> None:
    """Set the file descriptor of the passphrase, which is read when it is needed.

    Parameters
    ----------
    number : int or None
        The descriptor; None for the systemd credential.
    """
    _GIVEN.clear()
    if number is not None:
        _GIVEN["descriptor"] = number


def passphrase() -> bytes | None:
    """Return the passphrase without the line ending, or None if none was given.

    Raises
    ------
    UnusableInput
        It cannot be read.
    """
    known = _GIVEN.get("passphrase")
    if isinstance(known, bytes):
        return known
    descriptor = _GIVEN.get("descriptor")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if isinstance(descriptor, int):
        source = f"--passphrase-fd {descriptor}"
    elif folder and (Path(folder) / CREDENTIAL).is_file():
        source = str(Path(folder) / CREDENTIAL)
    else:
        return None
    try:
        text = _first_line(descriptor if isinstance(descriptor, int) else source)
    except OSError as error:
        raise UnusableInput(f"{source}: {error.strerror}", GIVE) from error
    if not text or len(text) > LONGEST_PASSPHRASE:
        raise UnusableInput(
            f"{source}: no passphrase of 1 to {LONGEST_PASSPHRASE} bytes in its first line", GIVE
        )
    _GIVEN["passphrase"] = text
    return text


def _first_line(source: int | str) -> bytes:
    """Return the first line without its ending.

    The end of the file is not awaited, because the writer of a pipe may keep it open.
    """
    descriptor = source if isinstance(source, int) else os.open(source, os.O_RDONLY)
    try:
        text = b""
        while (
            b"\n" not in text
            and len(text) <= LONGEST_PASSPHRASE
            and (data := os.read(descriptor, LONGEST_PASSPHRASE + 2))
        ):
            text += data
    finally:
        if not isinstance(source, int):
            os.close(descriptor)
    return text.partition(b"\n")[0].removesuffix(b"\r")
