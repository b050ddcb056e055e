"""Reads and writes private keys, encrypted with a passphrase or not.

The passphrase comes from a file descriptor (--passphrase-fd or ECGFL_PASSPHRASE_FD) or from a systemd credential. It is never a
value on the command line or in the environment, which other programs can read.
"""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.files import atomic_write_bytes

CREDENTIAL = "ecgfl-passphrase"
"""The name of the systemd credential (LoadCredential= or LoadCredentialEncrypted=)."""
LARGEST_KEY_FILE = 64 * 1024
LONGEST_PASSPHRASE = 1024
"""Bytes."""
OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
GIVE = (
    "Give its passphrase with --passphrase-fd N, for instance `ecgfl --passphrase-fd 3 ... 3< FILE`, or as the systemd credential"
    f" {CREDENTIAL}"
)
PRIVATE = 0o600

_GIVEN: dict[str, int | bytes] = {}
"""The file descriptor, and the passphrase once it was read: a pipe can be read only once."""


def use_descriptor(number: int | None) -> None:
    """Read the passphrase, when it is needed, from this file descriptor; with None from the systemd credential."""
    _GIVEN.clear()
    if number is not None:
        _GIVEN["descriptor"] = number


def passphrase() -> bytes | None:
    """The passphrase, without the line ending; None if none was given. Raises `UnusableInput` if it cannot be read."""
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
        raise UnusableInput(f"{source}: no passphrase of 1 to {LONGEST_PASSPHRASE} bytes in its first line", GIVE)
    _GIVEN["passphrase"] = text
    return text


def _first_line(source: int | str) -> bytes:
    """The first line, without its ending. Reads no further: whoever writes into a pipe may keep it open."""
    descriptor = source if isinstance(source, int) else os.open(source, os.O_RDONLY)
    try:
        text = b""
        while b"\n" not in text and len(text) <= LONGEST_PASSPHRASE and (data := os.read(descriptor, LONGEST_PASSPHRASE + 2)):
            text += data
    finally:
        if not isinstance(source, int):
            os.close(descriptor)
    return text.partition(b"\n")[0].removesuffix(b"\r")


def is_encrypted(path: Path) -> bool:
    """Whether a PEM file holds an encrypted private key; False for a missing file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        data = file.read(LARGEST_KEY_FILE)
    return any(mark in data for mark in ENCRYPTED)


def key_password(path: Path) -> str | None:
    """What `ssl` needs to load a private key: the passphrase if it is encrypted, else None.

    Raises `UnusableInput` if the passphrase is missing.
    """
    if not is_encrypted(path):
        return None
    return _required(path).decode("utf-8", "surrogateescape")


def load_private_key(path: Path, fix: str) -> PrivateKeyTypes:
    """Load a private key in PEM, PKCS8 or OpenSSH's format.

    Raises `UnusableInput` where it is missing, broken, or encrypted with another passphrase than the given one. fix : what to do
    about a missing or broken one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_KEY_FILE)
        load = serialization.load_ssh_private_key if data.lstrip().startswith(OPENSSH) else serialization.load_pem_private_key
        try:
            return load(data, None)
        except TypeError:  # it is encrypted
            secret = _required(path)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise UnusableInput(f"{path}: not a usable private key: {error}", fix) from error
    try:
        return load(data, secret)
    except UnsupportedAlgorithm as error:
        raise UnusableInput(
            f"{path}: encrypted in a way that this ecgfl cannot read: {error}",
            f"Convert it: ssh-keygen -p -m PKCS8 -f '{path}'",
        ) from error
    except (ValueError, TypeError) as error:
        raise UnusableInput(f"{path}: the passphrase is not the one that this key is encrypted with", GIVE) from error


def _required(path: Path) -> bytes:
    secret = passphrase()
    if secret is None:
        raise UnusableInput(f"{path}: encrypted with a passphrase, and none was given", GIVE)
    return secret


def write_private_key(
    path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, encrypt: bool, openssh: bool = False
) -> None:
    """Write a private key as PEM, PKCS8. Only its owner may read the file.

    openssh : write one that is not encrypted in OpenSSH's format.

    Raises `UnusableInput` where it is to be encrypted and no passphrase was given.
    """
    form = serialization.PrivateFormat.OpenSSH if openssh and not encrypt else serialization.PrivateFormat.PKCS8
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if encrypt:
        secret = passphrase()
        if secret is None:
            raise UnusableInput(f"{path}: to be encrypted, and no passphrase was given", GIVE)
        encryption = serialization.BestAvailableEncryption(secret)
    atomic_write_bytes(path, key.private_bytes(serialization.Encoding.PEM, form, encryption), mode=PRIVATE)
