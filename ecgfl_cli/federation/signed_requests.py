"""Requests that the coordinator signs for one site and a short time.

TLS proves the identity of the server. It does not prove that a request comes from the coordinator:
an attacker who has stolen `server.key` can impersonate the server, and every site has models that
the coordinator once signed. Therefore each request is signed with the key that signs models, for
one site, with an expiry and a random id that the site answers only once.
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ecgfl_cli.errors import RequestRefused, ServerRefused
from ecgfl_cli.federation.messages import (
    CatchUpRequest,
    Content,
    EvaluateRequest,
    TrainRequest,
    weights_of,
)
from ecgfl_cli.federation.secagg.stages import (
    KeysRequest,
    SharesRequest,
    SurvivorsRequest,
    UnmaskRequest,
)
from ecgfl_cli.models.manifest import SHA256, Name, SignedManifest, Time, Verifier
from ecgfl_cli.models.trust import roots_from, roots_text
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.times import current_time

REQUEST = "ecgfl-request"
"""Name of the text of a message that has the JSON of an `Envelope`."""

SIGNATURE = "ecgfl-signature"
"""Name of the text that has the Ed25519 signature of `DOMAIN` + the envelope, in base64."""

LINEAGE = "ecgfl-lineage"
"""Name of the text of a catch-up request with the manifests of the model's ancestors, as a JSON
list, newest first. It is not signed: the signed model names the hash of its parent, and so on."""

LARGEST_LINEAGE = 96 * 1024
"""Largest lineage, in characters: about 80 models. Older ancestors are left out."""

ROOTS = "ecgfl-roots"
"""Name of the text of a message that has every version of the federation's root metadata."""

DOMAIN = b"ecgfl.request/1\n"
"""Prefix of the signed bytes. Nothing else that the key signs is a request (domain separation)."""

LARGEST_REQUEST = 128 * 1024
"""Largest envelope, in characters."""

LARGEST_SIGNATURE = 128
"""Longest signature, in characters."""

MARGIN = timedelta(minutes=5)
"""Time for which a request is valid after the end of its phase."""

TOLERANCE = timedelta(minutes=5)
"""Largest difference between the clocks of a site and of the coordinator.

`connection.clock` allows less.
"""

LONGEST_VALIDITY = timedelta(days=31)
"""A site refuses a request that is valid for longer. The longest phase of a run takes hours."""

Kind = Literal["train", "evaluate", "catch-up", "keys", "shares", "survivors", "unmask"]
STAGES: dict[type[StrictModel], Kind] = {
    KeysRequest: "keys",
    SharesRequest: "shares",
    SurvivorsRequest: "survivors",
    UnmaskRequest: "unmask",
}
"""Requests of secure aggregation, which come without weights."""

KINDS: dict[type[StrictModel], Kind] = {
    TrainRequest: "train",
    EvaluateRequest: "evaluate",
    CatchUpRequest: "catch-up",
    **STAGES,
}

StageRequest = KeysRequest | SharesRequest | SurvivorsRequest | UnmaskRequest
AnyRequest = TrainRequest | EvaluateRequest | CatchUpRequest | StageRequest

_LINEAGE = TypeAdapter(list[SignedManifest])

Schema = TypeVar("Schema", bound=StrictModel)


class Envelope(StrictModel):
    """A request with its recipient and its period of validity.

    Attributes
    ----------
    kind
        Kind of the request; one of `KINDS`.
    run
        Run to which the request belongs.
    site
        SHA-256 of the site's public node key in hexadecimal (`site.keys.fingerprint_of`). It
        identifies a site permanently. Flower's node id does not, because anyone who has
        `server.key` can give a site any id.
    id
        Random number in hexadecimal. A site answers each id once.
    issued, expires
        Times in ISO 8601, UTC.
    content
        Fields of the request.
    """

    kind: Kind
    run: Name
    site: Annotated[str, Field(pattern=SHA256)]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    issued: Time
    expires: Time
    content: dict[str, Any]

    @model_validator(mode="after")
    def _is_short(self) -> Self:
        span = datetime.fromisoformat(self.expires) - datetime.fromisoformat(self.issued)
        if not timedelta(0) < span <= LONGEST_VALIDITY:
            raise ValueError(
                f"valid for {span}; more than 0 and at most {LONGEST_VALIDITY.days} days are"
                " allowed"
            )
        return self


@dataclass(frozen=True)
class Received(Generic[Schema]):
    """A request whose signature, recipient and times have been checked.

    Attributes
    ----------
    envelope
        The signed envelope.
    content
        The request in it.
    vector
        Weights of the model, shape (n,); empty for a stage of secure aggregation.
    """

    envelope: Envelope
    content: Schema
    vector: NDArray[np.float32]


def seal(
    content: AnyRequest,
    weights: NDArray[np.float32] | None,
    site: str,
    run: str,
    key: ed25519.Ed25519PrivateKey,
    phase_timeout: float,
    now: datetime | None = None,
) -> Content:
    """Sign a request for one site.

    Parameters
    ----------
    content
        The request.
    weights
        Weights of the model, shape (n,); None for a stage of secure aggregation.
    site
        SHA-256 of the site's public node key, in hexadecimal.
    run
        Name of the run.
    key
        Signing key of the coordinator.
    phase_timeout
        Seconds for which the coordinator waits for the answer.
    now
        Time of issue, with a time zone; None for the current time.
    """
    issued = (now or current_time()).astimezone(UTC)
    expires = min(
        issued + timedelta(seconds=min(phase_timeout, LONGEST_VALIDITY.total_seconds())) + MARGIN,
        issued + LONGEST_VALIDITY,
    )
    envelope = Envelope(
        kind=KINDS[type(content)],
        run=run,
        site=site,
        id=secrets.token_hex(16),
        issued=issued.isoformat(timespec="milliseconds"),
        expires=expires.isoformat(timespec="milliseconds"),
        content=_fields_of(content),
    )
    text = envelope.model_dump_json()
    signature = base64.b64encode(key.sign(DOMAIN + text.encode())).decode()
    return Content(texts={REQUEST: text, SIGNATURE: signature}, weights=weights)


def _fields_of(content: AnyRequest) -> dict[str, Any]:
    """Return the fields of a request. Sites of earlier versions do not know the optional ones."""
    fields = content.model_dump()
    for name in ("steps", "secagg", "privacy"):
        if not fields.get(name):
            fields.pop(name, None)
    return fields


def with_lineage(message: Content, ancestors: Sequence[SignedManifest]) -> Content:
    """Return a request with the manifests of its model's ancestors, newest first."""
    text = "[" + ",".join(signed.model_dump_json() for signed in ancestors) + "]"
    return replace(message, texts={**message.texts, LINEAGE: text})


def lineage_of(message: Content) -> list[SignedManifest]:
    """Return the manifests that came with a request as those of its model's ancestors.

    Raises
    ------
    ServerRefused
        They do not follow the schema.
    """
    try:
        text = _bounded(message.texts.get(LINEAGE, "[]"), LINEAGE, LARGEST_LINEAGE)
        return _LINEAGE.validate_json(text)
    except ValidationError as error:
        raise _schema_error(str(first_fault(error))) from error
    except ValueError as error:
        raise _schema_error(str(error)) from error


def with_roots(message: Content, roots: Sequence[str]) -> Content:
    """Return a request with every version of the root metadata, oldest first."""
    return replace(message, texts={**message.texts, ROOTS: roots_text(roots)}) if roots else message


def roots_of(message: Content) -> list[str]:
    """Return the root metadata that came with a request; none from an earlier version of ecgfl.

    Raises
    ------
    ServerRefused
        It does not follow the schema.
    """
    try:
        return roots_from(message.texts.get(ROOTS, "[]"))
    except ValueError as error:
        raise _schema_error(str(error)) from error


def read_request(
    message: Content,
    kind: type[Schema],
    key: Verifier,
    site: str,
    now: datetime | None = None,
) -> Received[Schema]:
    """Read a request to this site. The caller checks that its id was not answered before.

    Parameters
    ----------
    message
        Content of the message that was received.
    kind
        Schema of the request.
    key
        Public signing key of the coordinator, or several.
    site
        SHA-256 of this site's public node key, in hexadecimal.
    now
        Current time, with a time zone; None to read the clock.

    Raises
    ------
    RequestRefused
        The signature, the recipient or the time is wrong.
    ServerRefused
        The request does not follow the schema.
    """
    now = now or datetime.now(UTC)
    try:
        envelope = Envelope.model_validate_json(_signed_text(message, key))
        if envelope.kind != KINDS[kind]:
            raise ValueError(f"kind: '{envelope.kind}' in a message of kind '{KINDS[kind]}'")
        _check_recipient(envelope, site, now)
        vector = np.empty(0, np.float32) if kind in STAGES else weights_of(message)
        return Received(envelope, kind.model_validate(envelope.content), vector)
    except ValidationError as error:
        raise _schema_error(str(first_fault(error))) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _schema_error(str(error)) from error


def _signed_text(message: Content, key: Verifier) -> str:
    text = _bounded(message.texts[REQUEST], REQUEST, LARGEST_REQUEST)
    signature = _bounded(message.texts[SIGNATURE], SIGNATURE, LARGEST_SIGNATURE)
    try:
        key.verify(base64.b64decode(signature, validate=True), DOMAIN + text.encode())
    except (InvalidSignature, ValueError) as error:
        raise RequestRefused(
            "the signature of the request is not that of this federation's coordinator: the server"
            " at this address does not have its signing key",
            "Before you join again, ask the coordinator by telephone whether its server key was"
            " stolen, or whether it was restored from a backup that is older than its signing key."
            " For a new federation, remove federation.json and install the new one with"
            " `ecgfl init --site NAME --federation FILE`",
        ) from error
    return text


def _bounded(value: str, name: str, largest: int) -> str:
    if len(value) > largest:
        raise ValueError(f"{name} is not a text of at most {largest} characters")
    return value


def _check_recipient(envelope: Envelope, site: str, now: datetime) -> None:
    if envelope.site != site:
        raise RequestRefused(
            f"the request is for another site (SHA-256 {envelope.site[:16]}..., this site's is"
            f" {site[:16]}...)",
            "Tell the coordinator: somebody sent this site a request that was meant for another"
            " site",
        )
    issued = datetime.fromisoformat(envelope.issued)
    expires = datetime.fromisoformat(envelope.expires)
    if not issued - TOLERANCE <= now <= expires + TOLERANCE:
        raise RequestRefused(
            f"the request is valid from {_format(issued)} to {_format(expires)} UTC, and this"
            f" machine's clock says {_format(now.astimezone(UTC))} UTC"
            f" ({TOLERANCE.seconds // 60} minutes of difference are allowed)",
            "Compare the clocks of both machines. If they are right, tell the coordinator: somebody"
            " sent an old request again",
        )


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _schema_error(detail: str) -> ServerRefused:
    return ServerRefused(
        f"the coordinator's message does not follow ecgfl's schema: {detail[:200]}",
        "Install the same ecgfl version on both sides",
    )
