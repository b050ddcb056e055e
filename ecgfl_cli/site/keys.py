"""The node key, which authenticates this site, and the secret that keys its pseudonyms."""

import hashlib
import hmac
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ecgfl_adapters.bounded import read_bounded

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.private_keys import PRIVATE, is_encrypted, load_private_key, write_private_key

PRIVATE_FOLDER = 0o700
SECRET_BYTES = 32
PSEUDONYM_CHARACTERS = 16
LARGEST_PUBLIC_KEY = 16 * 1024
"""Largest size of the file in bytes."""
PUBLIC_KEY_FIX = "Give the file keys/node.pub of the site's home"


def make_keys(home: Home, encrypt: bool = False) -> bool:
    """Make the ECDSA P-384 node key and the secret, unless they exist.

    Parameters
    ----------
    home : Home
        The site's home.
    encrypt : bool
        Encrypt the node key, also an existing one, with the passphrase of `--passphrase-fd` or of
        the systemd credential.

    Returns
    -------
    bool
        Whether an existing node key was encrypted.

    Raises
    ------
    UnusableInput
        The secret is missing although there are pseudonyms, or the passphrase is missing.
    """
    home.keys.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if not home.secret.is_file():
        if home.catalogue.is_file():
            raise UnusableInput(
                f"{home.secret}: missing, and the pseudonyms in {home.catalogue.name} were made "
                "with it",
                "Restore keys/ from your backup, or begin again in a new home",
            )
        atomic_write_bytes(home.secret, secrets.token_bytes(SECRET_BYTES), mode=PRIVATE)
    newly_encrypted = False
    if not home.node_key.is_file():
        key = ec.generate_private_key(ec.SECP384R1())
        home.node_public_key.unlink(missing_ok=True)  # that of a lost key
        write_private_key(home.node_key, key, encrypt, openssh=True)
    elif encrypt and not is_encrypted(home.node_key):
        write_private_key(home.node_key, load_node_key(home), encrypt)
        newly_encrypted = True
    if not home.node_public_key.is_file():
        public = load_node_key(home).public_key()
        line = public.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        atomic_write_bytes(home.node_public_key, line + b"\n")
    return newly_encrypted


def load_node_key(home: Home) -> ec.EllipticCurvePrivateKey:
    """Load the node key.

    Raises
    ------
    UnusableInput
        It is missing or broken, or its passphrase is missing or wrong.
    """
    key = load_private_key(
        home.node_key,
        f"Restore it from your backup; or remove it (not {home.secret.name}), run `ecgfl init "
        "--site NAME` again"
        " and have the new key enrolled",
    )
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnusableInput(
            f"{home.node_key}: a {type(key).__name__}, not an ECDSA key",
            "Restore keys/ from your backup",
        )
    return key


def load_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Load a site's public key. Raise `UnusableInput` if it is not an ECDSA P-384 key."""
    try:
        content = read_bounded(path, LARGEST_PUBLIC_KEY)
    except OSError as error:
        raise UnusableInput(f"{path}: not a public key: {error}", PUBLIC_KEY_FIX) from error
    return public_key(path, content)


def public_key(path: Path, content: bytes) -> ec.EllipticCurvePublicKey:
    """Parse a site's public key.

    Parameters
    ----------
    path : Path
        File of the key, for messages.
    content : bytes
        Its content.
    """
    try:
        key = serialization.load_ssh_public_key(content)
    except (ValueError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise UnusableInput(f"{path}: not a public key: {error}", PUBLIC_KEY_FIX) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise UnusableInput(f"{path}: not an ECDSA P-384 key", PUBLIC_KEY_FIX)
    return key


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a public key file's key as DER, in hexadecimal."""
    return fingerprint_of(load_public_key(path))


def fingerprint_of(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a public key as DER, in hexadecimal."""
    return hashlib.sha256(key_bytes(key)).hexdigest()


def key_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as DER (SubjectPublicKeyInfo)."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def derived_key(home: Home, purpose: str) -> bytes:
    """Return a key of 32 bytes that is derived from the secret, for one purpose.

    Raises
    ------
    UnusableInput
        The secret is missing or cannot be read.
    """
    try:
        secret = read_bounded(home.secret, LARGEST_PUBLIC_KEY)
    except OSError as error:
        raise UnusableInput(
            f"{home.secret}: {error.strerror or error}", "Restore keys/ from your backup"
        ) from error
    return hmac.new(secret, b"key\0" + purpose.encode(), hashlib.sha256).digest()


class Pseudonyms:
    """Pseudonyms of a site: HMAC-SHA-256 keyed with its secret.

    Without the secret, nobody can compute the pseudonym of an identifier.
    """

    def __init__(self, home: Home) -> None:
        self._secret = home.secret.read_bytes()

    def name(self, kind: str, identifier: str | bytes) -> str:
        """Return the pseudonym of an identifier.

        Parameters
        ----------
        kind : str
            Kind of the identifier. Equal identifiers of different kinds get different pseudonyms.
        identifier : str or bytes
            The identifier.
        """
        data = (
            identifier.encode("utf-8", "surrogatepass")
            if isinstance(identifier, str)
            else identifier
        )
        return hmac.new(self._secret, kind.encode() + b"\0" + data, hashlib.sha256).hexdigest()[
            :PSEUDONYM_CHARACTERS
        ]
