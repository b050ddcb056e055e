"""federation.json: what a site needs to know about its coordinator.

The coordinator hands it over in a way that both sides trust.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519
from ecgfl_adapters.bounded import read_bounded
from pydantic import Field, ValidationError, field_validator

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.models.manifest import public_key_from_text
from ecgfl_cli.schemas import StrictModel, first_fault

FEDERATION_SCHEMA = "ecgfl.federation/1"
LARGEST_BYTES = 64 * 1024


def load_certificate(pem: bytes) -> x509.Certificate:
    """Load a certificate and read every field that ecgfl uses.

    Raises
    ------
    ValueError
        A field is broken or unknown.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        for name in (
            "issuer",
            "subject",
            "extensions",
            "not_valid_before_utc",
            "not_valid_after_utc",
        ):
            getattr(certificate, name)
        certificate.public_key()
    except (
        x509.InvalidVersion,
        x509.DuplicateExtension,
        UnsupportedAlgorithm,
        NotImplementedError,
    ) as error:
        raise ValueError(str(error)) from error
    return certificate


class Federation(StrictModel):
    """What a site needs to know about its coordinator.

    Attributes
    ----------
    server_name
        Name in the coordinator's certificate.
    ca_certificate
        Certificate of the coordinator's CA, PEM.
    signing_public_key
        Key that verifies models, Ed25519, base64.
    """

    schema_name: Annotated[Literal["ecgfl.federation/1"], Field(alias="schema")]
    server_name: Annotated[str, Field(min_length=1, max_length=253)]
    ca_certificate: Annotated[str, Field(max_length=16384)]
    signing_public_key: Annotated[str, Field(max_length=64)]

    @field_validator("ca_certificate")
    @classmethod
    def _is_certificate(cls, text: str) -> str:
        load_certificate(text.encode())
        return text

    @field_validator("signing_public_key")
    @classmethod
    def _is_key(cls, text: str) -> str:
        public_key_from_text(text)
        return text

    @property
    def signing_key(self) -> ed25519.Ed25519PublicKey:
        """Key that verifies models."""
        return public_key_from_text(self.signing_public_key)

    def to_bytes(self) -> bytes:
        """Return the content of federation.json."""
        return json.dumps(self.model_dump(by_alias=True), indent=1).encode() + b"\n"


def load_federation(path: Path) -> Federation:
    """Load federation.json.

    Raises
    ------
    UsageError
        The file is missing.
    UnusableInput
        The file cannot be read, or a field is not valid.
    """
    try:
        return Federation.model_validate_json(read_bounded(path, LARGEST_BYTES))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: {error.strerror}",
            "Get federation.json from the coordinator and run "
            "`ecgfl init --site NAME --federation FILE`",
        ) from error
    except OSError as error:
        raise UnusableInput(
            f"{path}: {error.strerror}", "Get federation.json from the coordinator again"
        ) from error
    except ValidationError as error:
        raise UnusableInput(
            f"{path}: {first_fault(error)}",
            "Get federation.json from the coordinator again",
        ) from error


def ca_certificate(federation: Federation, file: Path | None) -> bytes:
    """Return the certificate of the CA to trust, in PEM.

    Parameters
    ----------
    federation
        Its certificate is used without a file.
    file
        A certificate to use instead.

    Raises
    ------
    UnusableInput
        The file holds no certificate.
    """
    if file is None:
        return federation.ca_certificate.encode()
    try:
        data = read_bounded(file, LARGEST_BYTES)
        load_certificate(data)
    except (OSError, ValueError) as error:
        raise UnusableInput(
            f"{file}: not a CA certificate in PEM: {error}",
            "Give the coordinator's ca.crt, or leave --ca out",
        ) from error
    return data
