"""Read and write private keys, with or without encryption."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site.passphrase import GIVE, passphrase

LARGEST_KEY_FILE = 64 * 1024
OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
PRIVATE = 0o600


def is_encrypted(path: Path) -> bool:
    """Whether a PEM file holds an encrypted private key; False for a missing file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        data = file.read(LARGEST_KEY_FILE)
    return any(mark in data for mark in ENCRYPTED)


def key_password(path: Path) -> bytes | None:
    """Return the password that `ssl` needs to load a private key; None if it is not encrypted.

    Raises
    ------
    UnusableInput
        The passphrase is missing.
    """
    if not is_encrypted(path):
        return None
    return _required(path)


def load_private_key(path: Path, fix: str) -> PrivateKeyTypes:
    """Load a private key in PEM, PKCS8 or OpenSSH format.

    Parameters
    ----------
    path : Path
        The key.
    fix : str
        What to do if it is missing or broken, for the message.

    Raises
    ------
    UnusableInput
        The key is missing or broken, or its passphrase is missing or wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_KEY_FILE)
        load = (
            serialization.load_ssh_private_key
            if data.lstrip().startswith(OPENSSH)
            else serialization.load_pem_private_key
        )
        try:
            return load(data, None)
        except TypeError:  # it is encrypted
            secret = _required(path)
    except (OSError, ValueError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise UnusableInput(f"{path}: not a usable private key: {error}", fix) from error
    try:
        return load(data, secret)
    except UnsupportedAlgorithm as error:
        raise UnusableInput(
            f"{path}: encrypted in a way that this ecgfl cannot read: {error}",
            f"Convert it: ssh-keygen -p -m PKCS8 -f '{path}'",
        ) from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UnusableInput(
            f"{path}: the passphrase is not the one that this key is encrypted with", GIVE
        ) from error


def _required(path: Path) -> bytes:
    secret = passphrase()
    if secret is None:
        raise UnusableInput(f"{path}: encrypted with a passphrase, and none was given", GIVE)
    return secret


def write_private_key(
    path: Path,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    encrypt: bool,
    openssh: bool = False,
) -> None:
    """Write a private key as PEM, PKCS8. Only its owner can read the file.

    Parameters
    ----------
    path : Path
        The file.
    key : private key
        The key.
    encrypt : bool
        Encrypt it with the passphrase.
    openssh : bool
        Use the OpenSSH format if the key is not encrypted.

    Raises
    ------
    UnusableInput
        It is to be encrypted, and no passphrase was given.
    """
    form = (
        serialization.PrivateFormat.OpenSSH
        if openssh and not encrypt
        else serialization.PrivateFormat.PKCS8
    )
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if encrypt:
        secret = passphrase()
        if secret is None:
            raise UnusableInput(f"{path}: cannot be encrypted without a passphrase", GIVE)
        encryption = serialization.BestAvailableEncryption(secret)
    atomic_write_bytes(
        path, key.private_bytes(serialization.Encoding.PEM, form, encryption), mode=PRIVATE
    )
