"""Sign each call of a site with its node key, for one coordinator, time, path and body.

The signature covers everything that the coordinator acts on. It is in the request headers, so that
the coordinator can refuse a call before it reads the body. A recorded call cannot be sent again
(the nonce), with another body (its hash), as another call (method and path) or to another
coordinator (its signing key).
"""

import hashlib
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.site.keys import key_bytes

KEY, SIGNATURE, TIME, NONCE, BODY = (
    "ecgfl-key",
    "ecgfl-signature",
    "ecgfl-time",
    "ecgfl-nonce",
    "ecgfl-body-sha256",
)
"""Names of the headers, in lower case."""

VERSION = "ecgfl-call/1"
NONCE_BYTES = 16
LONGEST_HEADER = 512
"""Characters of a header's value. A P-384 key has 160 characters, a signature at most 140."""

_ALGORITHM = ec.ECDSA(hashes.SHA384())


class CallNotSigned(ValueError):
    """A call lacks the headers of a signed call, or one of them is malformed."""


@dataclass(frozen=True)
class SignedHead:
    """The signature headers of a call.

    Attributes
    ----------
    key
        Public key of the site, DER (SubjectPublicKeyInfo).
    signature
        ECDSA signature with SHA-384, DER.
    time
        When the call was signed, in seconds since 1970.
    nonce
        Random text in hexadecimal, unique to the call.
    body_sha256
        SHA-256 of the body in hexadecimal.
    """

    key: bytes
    signature: bytes
    time: float
    nonce: str
    body_sha256: str

    def verify(
        self, key: ec.EllipticCurvePublicKey, coordinator: str, method: str, path: str
    ) -> bool:
        """Return whether the holder of a key signed this call for this coordinator.

        Parameters
        ----------
        key
            Public key of the site.
        coordinator
            Public signing key of the coordinator, base64.
        method, path
            Method and path of the call.
        """
        text = _signed_text(
            coordinator, method, path, f"{self.time:.3f}", self.nonce, self.body_sha256
        )
        try:
            key.verify(self.signature, text, _ALGORITHM)
        except InvalidSignature:
            return False
        return True


def sign_call(
    key: ec.EllipticCurvePrivateKey,
    coordinator: str,
    method: str,
    path: str,
    body: bytes,
    now: float,
) -> dict[str, str]:
    """Return the headers that sign a call.

    Parameters
    ----------
    key
        Node key of the site.
    coordinator
        Public signing key of the coordinator, base64, as in federation.json.
    method, path, body
        Method, path and body of the call.
    now
        Time of the signature in seconds since 1970.
    """
    time, nonce = f"{now:.3f}", secrets.token_hex(NONCE_BYTES)
    digest = hashlib.sha256(body).hexdigest()
    signature = key.sign(_signed_text(coordinator, method, path, time, nonce, digest), _ALGORITHM)
    return {
        KEY: b64encode(key_bytes(key.public_key())).decode(),
        SIGNATURE: b64encode(signature).decode(),
        TIME: time,
        NONCE: nonce,
        BODY: digest,
    }


def read_head(headers: Mapping[bytes, bytes]) -> SignedHead:
    """Read the headers of a signed call.

    Parameters
    ----------
    headers
        All headers of the call, with names in lower case.

    Raises
    ------
    CallNotSigned
        A header is missing or malformed.
    """
    try:
        key, signature, time, nonce, digest = (
            _text(headers, name) for name in (KEY, SIGNATURE, TIME, NONCE, BODY)
        )
        if (
            len(bytes.fromhex(nonce)) != NONCE_BYTES
            or len(bytes.fromhex(digest)) != hashlib.sha256().digest_size
        ):
            raise ValueError("the nonce or the hash has the wrong length")
        if not time.replace(".", "", 1).isdecimal():
            raise ValueError(f"{TIME} is not a number of seconds")
        return SignedHead(
            b64decode(key, validate=True),
            b64decode(signature, validate=True),
            float(time),
            nonce,
            digest,
        )
    except (KeyError, ValueError) as error:
        raise CallNotSigned(str(error)) from error


def _text(headers: Mapping[bytes, bytes], name: str) -> str:
    value = headers[name.encode()]
    if len(value) > LONGEST_HEADER:
        raise ValueError(f"{name} has {len(value)} characters, more than {LONGEST_HEADER}")
    return value.decode("ascii")


def _signed_text(*parts: str) -> bytes:
    return "\n".join((VERSION, *parts)).encode()
