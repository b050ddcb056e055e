"""The manifest of a model version, and its Ed25519 signature."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Protocol, Self

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.calibration import Calibration
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.times import time_of

MANIFEST_SCHEMA: Literal["ecgfl.model/1"] = "ecgfl.model/1"
SHA256 = r"^[0-9a-f]{64}$"
VERSION = r"^[a-z0-9][a-z0-9-]{0,62}$"
LARGEST_MANIFEST_BYTES = 64 * 1024

LARGEST_NUMBER = 1_000_000_000
"""Largest number of models, rounds or sites, which no coordinator reaches."""

LARGEST_COUNT = 1_000_000_000_000
"""Largest number of beats of all sites together."""

LARGEST_LOSS = 1e6
"""Largest loss of a usable network."""

LATER_FIELDS = ("parent_manifest", "plan_sha256", "strategy")
"""Fields that manifests of earlier versions do not have."""

VALIDITY = timedelta(days=365)
"""How long a site accepts a model that it does not have yet. A coordinator that makes a new model
each month never reaches this limit. After a year, stolen old models are useless: no site accepts
them, even if it has lost its registry."""


def time_text(text: str) -> str:
    """Check that a text is a time in ISO 8601 and UTC, from 2000 to 9000.

    Raises
    ------
    ValueError
        It is anything else.
    """
    if time_of(text).utcoffset() != timedelta(0):
        raise ValueError("not a time in UTC")
    return text


Time = Annotated[str, Field(max_length=40), AfterValidator(time_text)]
Name = Annotated[str, Field(pattern=VERSION)]
Sha256 = Annotated[str, Field(pattern=SHA256)]
Number = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]


def validity(now: datetime) -> tuple[str, str]:
    """Return `created` and `expires` for a manifest that is made at `now`."""
    created, expires = (
        (now + span).astimezone(UTC).isoformat(timespec="milliseconds")
        for span in (timedelta(0), VALIDITY)
    )
    return created, expires


class Verifier(Protocol):
    """What checks signatures: an Ed25519 public key, or several of them (`trust.AnyOf`)."""

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raise `InvalidSignature` unless the signature is valid."""


class Metrics(StrictModel):
    """Gross figures of a round over the sites' own held-out patients, on annotated beats."""

    beats: Count
    pvcs: Count
    loss: Annotated[float, Field(ge=0)] | None
    sensitivity: Share | None
    precision: Share | None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of sensitivity and precision; None where one of them is not defined."""
        if self.sensitivity is None or self.precision is None:
            return None
        total = self.sensitivity + self.precision
        return 2 * self.sensitivity * self.precision / total if total else 0.0


class Manifest(StrictModel):
    """The description of a global model.

    Attributes
    ----------
    version : str
        Name of the version.
    architecture : str
        Name of the architecture.
    sequence : int
        Number of the model among all of its coordinator. A site never goes back to a lower number.
    run, round, rounds
        The coordinator's run, the round that made the model, and the number of rounds.
    parent : str or None
        Version of the model that the round began with.
    parent_manifest : str or None
        SHA-256 of the parent's manifest. None without a parent, and in manifests of earlier
        versions.
    plan_sha256 : str or None
        SHA-256 of the plan of the run (`run_record.plan_sha256`). None in manifests of earlier
        versions, and for a rollback.
    strategy : str or None
        Name of the strategy that combined the sites' weights. None in manifests of earlier
        versions, and for a rollback.
    weights_sha256 : str
        SHA-256 of the flat weight vector as little-endian float32.
    threshold : float
        Probability from which a beat is called V.
    calibration : Calibration
        Of logits to probabilities. Both were fitted to the parent's logits on the sites' held-out
        patients, because those of the model are not known before it is signed.
    sites, examples : int
        Numbers of sites and of training beats in the round.
    parent_metrics : Metrics or None
        Figures of the parent, if sites measured it.
    created, expires : str
        Times in ISO 8601, UTC. After `expires`, a site that does not have the model refuses it; a
        site that has it keeps using it. `expires` is None in manifests of earlier versions; such a
        model is treated as expired.
    program : str
        Name and version of the program that made it.
    """

    schema_name: Annotated[Literal["ecgfl.model/1"], Field(alias="schema")] = MANIFEST_SCHEMA
    version: Name
    architecture: Name
    sequence: Number
    run: Name
    round: Number
    rounds: Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
    parent: Name | None
    parent_manifest: Sha256 | None = None
    plan_sha256: Sha256 | None = None
    strategy: Name | None = None
    weights_sha256: Sha256
    threshold: Share
    calibration: Calibration = Calibration()
    sites: Number
    examples: Count
    parent_metrics: Metrics | None
    created: Time
    expires: Time | None = None
    program: Annotated[str, Field(max_length=200)]

    @model_validator(mode="after")
    def _expires_in_time(self) -> Self:
        if self.expires is not None:
            span = datetime.fromisoformat(self.expires) - datetime.fromisoformat(self.created)
            if not timedelta(0) < span <= VALIDITY:
                raise ValueError(
                    f"expires is {span} after created; more than 0 and at most {VALIDITY.days} "
                    "days are allowed"
                )
        return self

    def is_news(self, now: datetime) -> bool:
        """Whether a site that does not have the model may accept it at a time."""
        return self.expires is not None and now <= datetime.fromisoformat(self.expires)

    @property
    def is_final(self) -> bool:
        """Whether this is the model of the last round of its run."""
        return self.round == self.rounds

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed: JSON with sorted keys and without spaces."""
        fields = self.model_dump(by_alias=True)
        for name in LATER_FIELDS:  # earlier versions of ecgfl do not know them
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


class SignedManifest(StrictModel):
    """The bytes of a manifest and the signature of exactly these bytes, both as text."""

    manifest: Annotated[str, Field(max_length=LARGEST_MANIFEST_BYTES)]
    signature: Annotated[str, Field(max_length=128)]

    @classmethod
    def sign(cls, manifest: Manifest, key: ed25519.Ed25519PrivateKey) -> Self:
        """Sign a manifest with the coordinator's signing key."""
        data = manifest.to_bytes()
        return cls(manifest=data.decode(), signature=base64.b64encode(key.sign(data)).decode())

    @property
    def sha256(self) -> str:
        """SHA-256 of the manifest's bytes, which identifies the model and all its ancestors."""
        return hashlib.sha256(self.manifest.encode()).hexdigest()

    def open(self, key: Verifier) -> Manifest:
        """Return the manifest after checking its signature.

        Raises
        ------
        ModelRejected
            The signature or the manifest is wrong.
        """
        try:
            key.verify(base64.b64decode(self.signature, validate=True), self.manifest.encode())
        except (InvalidSignature, ValueError) as error:  # ValueError: not base64 or not UTF-8
            raise ModelRejected(
                "the model's signature is not that of a valid signing key of this federation",
                "Do not use it. If it is one of this site's models, run `ecgfl model repair`, "
                "which moves it away; `ecgfl join` or a new model file brings it with a valid one",
            ) from error
        return self.content()

    def content(self) -> Manifest:
        """Return the manifest without checking its signature.

        Raises
        ------
        ModelRejected
            The manifest is broken.
        """
        try:
            return Manifest.model_validate_json(self.manifest)
        except ValidationError as error:
            raise ModelRejected(
                f"the model's manifest is broken: {first_fault(error)}", "Ask the coordinator"
            ) from error


def weights_sha256(vector: NDArray[np.float32]) -> str:
    """Return the SHA-256 of a flat weight vector as little-endian float32."""
    return hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()


def check_weights(manifest: Manifest, vector: NDArray[np.float32]) -> None:
    """Raise `ModelRejected` unless the weights are finite and those of the manifest."""
    digest = weights_sha256(vector)
    if digest != manifest.weights_sha256:
        raise ModelRejected(
            f"model {manifest.version}: the weights' SHA-256 is {digest[:12]}..., not "
            f"{manifest.weights_sha256[:12]}...",
            "The model was damaged or changed; take it from the coordinator again",
        )
    if not np.isfinite(vector).all():
        raise ModelRejected(
            f"model {manifest.version}: weights that are not finite",
            "The run diverged; tell the coordinator",
        )


def public_key_text(key: ed25519.Ed25519PublicKey) -> str:
    """Return a public key in base64."""
    return base64.b64encode(
        key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    ).decode()


def public_key_from_text(text: str) -> ed25519.Ed25519PublicKey:
    """Parse an Ed25519 public key in base64. Raise `ValueError` for anything else."""
    return ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
