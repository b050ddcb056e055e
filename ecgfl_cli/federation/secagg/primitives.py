"""The cryptography of secure aggregation, from the libraries cryptography and PyCryptodome."""

import hashlib
import secrets
from collections.abc import Mapping

import numpy as np
from Crypto.Protocol.SecretSharing import Shamir
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

SEED_BYTES = 16
"""Length of a secret that is divided into shares: the security level of X25519 and of Shamir's
scheme over GF(2^128)."""

KEY_BYTES = 32
NONCE = bytes(12)
"""Nonce of a sealed message. Each key seals one message."""

DOMAIN = b"ecgfl.secagg/1 "
"""Prefix of every derivation and signature (domain separation)."""


def new_seed() -> bytes:
    """Return a random seed from the operating system."""
    return secrets.token_bytes(SEED_BYTES)


def derived(secret: bytes, purpose: bytes, binding: bytes) -> bytes:
    """Return a key for one purpose: HKDF-SHA-256 (RFC 5869).

    Parameters
    ----------
    secret
        The secret.
    purpose
        What the key is for.
    binding
        What the key depends on besides the secret.

    Returns
    -------
    bytes
        32 bytes.
    """
    return HKDF(
        hashes.SHA256(), KEY_BYTES, salt=None, info=DOMAIN + purpose + b"\0" + binding
    ).derive(secret)


def masking_key(seed: bytes) -> X25519PrivateKey:
    """Return the private key for the masks of pairs, which only the seed determines."""
    return X25519PrivateKey.from_private_bytes(derived(seed, b"masking key", b""))


def public_hex(key: X25519PrivateKey) -> str:
    """Return the public key in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def commitment(seed: bytes, agreement: bytes) -> str:
    """Return a commitment to a seed: its SHA-256 with the agreement, in hexadecimal."""
    return hashlib.sha256(DOMAIN + b"commitment\0" + agreement + seed).hexdigest()


def shared_secret(own: X25519PrivateKey, peer: str) -> bytes:
    """Return the secret of a Diffie-Hellman exchange.

    Parameters
    ----------
    own
        Own private key.
    peer
        Public key of the peer, in hexadecimal.

    Raises
    ------
    ValueError
        If the peer's key is not usable.
    """
    return own.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(peer)))


def seal(secret: bytes, binding: bytes, plaintext: bytes) -> bytes:
    """Encrypt one message with ChaCha20-Poly1305 (RFC 8439).

    Parameters
    ----------
    secret
        Secret of the sender and the recipient.
    binding
        Agreement, sender and recipient. No two messages have the same.
    plaintext
        The message.
    """
    key = derived(secret, b"seal", binding)
    return ChaCha20Poly1305(key).encrypt(NONCE, plaintext, binding)


def unseal(secret: bytes, binding: bytes, sealed: bytes) -> bytes:
    """Decrypt a message of `seal`. Raise `InvalidTag` if it was not made by the sender for this."""
    key = derived(secret, b"seal", binding)
    return ChaCha20Poly1305(key).decrypt(NONCE, sealed, binding)


def mask(secret: bytes, binding: bytes, length: int) -> NDArray[np.uint32]:
    """Return a mask: the key stream of AES-256 in counter mode.

    Parameters
    ----------
    secret
        Secret of a pair, or the seed of one site.
    binding
        What the mask depends on besides the secret.
    length
        Number of values.

    Returns
    -------
    array of uint32, shape (length,)
        The mask.
    """
    key = derived(secret, b"mask", binding)
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(4 * length)), dtype="<u4").astype(np.uint32)


def divide(seed: bytes, threshold: int, shares: int) -> list[bytes]:
    """Divide a seed into shares with Shamir's scheme over GF(2^128).

    Parameters
    ----------
    seed
        The seed, 16 bytes.
    threshold
        Number of shares that determine the seed. Fewer reveal nothing.
    shares
        Number of shares. Share i, from 0, has the x-coordinate i + 1.
    """
    return [share for _, share in Shamir.split(threshold, shares, seed, ssss=False)]


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Return the seed that shares determine.

    Parameters
    ----------
    shares
        x-coordinate -> share; exactly `threshold` of them.
    """
    return bytes(Shamir.combine(list(shares.items()), ssss=False))


def sign(key: ec.EllipticCurvePrivateKey, purpose: bytes, data: bytes) -> str:
    """Return a signature with a node key: ECDSA P-384 with SHA-384, in hexadecimal."""
    return key.sign(DOMAIN + purpose + b"\0" + data, ec.ECDSA(hashes.SHA384())).hex()


def is_signed(key: ec.EllipticCurvePublicKey, signature: str, purpose: bytes, data: bytes) -> bool:
    """Return whether a signature of `sign` is that of this key, purpose and data."""
    try:
        key.verify(
            bytes.fromhex(signature), DOMAIN + purpose + b"\0" + data, ec.ECDSA(hashes.SHA384())
        )
    except InvalidSignature:
        return False
    return True
