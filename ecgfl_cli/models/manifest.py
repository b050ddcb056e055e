"""What is said about a model version, and the Ed25519 signature under it."""

import base64
import hashlib
import json
from typing import Annotated, Literal, Self

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.calibration import Calibration
from ecgfl_cli.schema_faults import LARGEST_INTEGER

MANIFEST_SCHEMA: Literal["ecgfl.model/1"] = "ecgfl.model/1"
SHA256 = r"^[0-9a-f]{64}$"
VERSION = r"^[a-z0-9][a-z0-9-]{0,62}$"
LARGEST_MANIFEST_BYTES = 64 * 1024

Name = Annotated[str, Field(pattern=VERSION)]
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Metrics(Strict):
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


class Manifest(Strict):
    """One global model: which weights they are, and how they came about.

    sequence : counts every global model of a coordinator upwards; a site takes no older one for news.
    weights_sha256 : of the flat weight vector as little-endian float32.
    threshold : the probability from which a beat is called V. calibration : of logits to probabilities. Both were fitted to the
        parent's logits on the sites' held-out patients: its own are not known before it is signed.
    parent_metrics : of the parent as the sites measured it, where they did.
    """

    schema_name: Annotated[Literal["ecgfl.model/1"], Field(alias="schema")] = MANIFEST_SCHEMA
    version: Name
    architecture: Name
    sequence: Count
    run: Name
    round: Count
    rounds: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    parent: Name | None
    weights_sha256: Annotated[str, Field(pattern=SHA256)]
    threshold: Share
    calibration: Calibration = Calibration()
    sites: Count
    examples: Count
    parent_metrics: Metrics | None
    created: str
    program: str

    @property
    def is_final(self) -> bool:
        """Whether this is the model that its run was for."""
        return self.round == self.rounds

    def to_bytes(self) -> bytes:
        """The bytes that are signed: JSON with sorted keys and no spaces."""
        return json.dumps(self.model_dump(by_alias=True), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


class SignedManifest(Strict):
    """A manifest's bytes and the signature over exactly these bytes, both as text."""

    manifest: Annotated[str, Field(max_length=LARGEST_MANIFEST_BYTES)]
    signature: Annotated[str, Field(max_length=128)]

    @classmethod
    def sign(cls, manifest: Manifest, key: ed25519.Ed25519PrivateKey) -> Self:
        data = manifest.to_bytes()
        return cls(manifest=data.decode(), signature=base64.b64encode(key.sign(data)).decode())

    def open(self, key: ed25519.Ed25519PublicKey) -> Manifest:
        """The manifest, once its signature is found to be right. Raises `ModelRejected`."""
        try:
            key.verify(base64.b64decode(self.signature, validate=True), self.manifest.encode())
        except (InvalidSignature, ValueError) as error:
            raise ModelRejected(
                "the model's signature is not this federation's",
                "Do not use it; ask the coordinator whether its signing key changed"
                " (then remove federation.json, and `ecgfl init --site NAME --federation FILE` takes the new one)",
            ) from error
        try:
            return Manifest.model_validate_json(self.manifest)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise ModelRejected(f"the model's manifest is broken at {field}: {first['msg']}", "Ask the coordinator") from error


def weights_sha256(vector: NDArray[np.float32]) -> str:
    """SHA-256 of a flat weight vector as little-endian float32."""
    return hashlib.sha256(vector.astype("<f4").tobytes()).hexdigest()


def check_weights(manifest: Manifest, vector: NDArray[np.float32]) -> None:
    """Raises `ModelRejected` unless these are the weights that the manifest speaks of, all finite."""
    found = weights_sha256(vector)
    if found != manifest.weights_sha256:
        raise ModelRejected(
            f"model {manifest.version}: the weights' SHA-256 is {found[:12]}..., not {manifest.weights_sha256[:12]}...",
            "The model was damaged or changed; take it from the coordinator again",
        )
    if not np.isfinite(vector).all():
        raise ModelRejected(f"model {manifest.version}: weights that are not finite", "The run diverged; tell the coordinator")


def public_key_text(key: ed25519.Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)).decode()


def public_key_from_text(text: str) -> ed25519.Ed25519PublicKey:
    """Raises `ValueError` when the text is no Ed25519 public key in base64."""
    return ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
