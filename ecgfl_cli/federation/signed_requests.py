"""Requests that the coordinator signs for one site and a short time.

TLS proves the identity of the server. It does not prove that a request comes from the coordinator: an attacker who has stolen
`server.key` can impersonate the server, and every site has models that the coordinator once signed. Therefore each request is
signed with the key that signs models, for one site, with an expiry and a random id that the site answers only once.
"""

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from ecgfl_cli.errors import RequestRefused, ServerRefused
from ecgfl_cli.federation.messages import (
    CatchUpRequest,
    Content,
    EvaluateRequest,
    TrainRequest,
    weights_of,
)
from ecgfl_cli.models.manifest import SHA256, Name, Time
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.times import current_time

REQUEST, SIGNATURE = "ecgfl-request", "ecgfl-signature"
"""Texts of a request: the JSON of an `Envelope`, and the Ed25519 signature of `DOMAIN` plus it, in base64."""

DOMAIN = b"ecgfl.request/1\n"
"""Prefix of the signed bytes, so that nothing else that the key signs is a valid request (domain separation)."""

LARGEST_REQUEST = 128 * 1024
LARGEST_SIGNATURE = 128

MARGIN = timedelta(minutes=5)
"""How long a request is valid after its phase has timed out."""

TOLERANCE = timedelta(minutes=5)
"""How far the clocks of a site and the coordinator may differ, in either direction. `connection.clock` is stricter."""

LONGEST_VALIDITY = timedelta(days=31)
"""A site refuses a request that is valid for longer. The longest phase of a run takes hours."""

Kind = Literal["train", "evaluate", "catch-up"]
KINDS: dict[type[StrictModel], Kind] = {
    TrainRequest: "train",
    EvaluateRequest: "evaluate",
    CatchUpRequest: "catch-up",
}

Schema = TypeVar("Schema", TrainRequest, EvaluateRequest, CatchUpRequest)


class Envelope(StrictModel):
    """A request with its addressee and its period of validity.

    kind : kind of the request; one of `KINDS`.
    run : the run to which the request belongs.
    site : SHA-256 of the site's public node key in hexadecimal (`site.keys.fingerprint_of`). It identifies a site permanently.
        Flower's node id does not, because anyone who has `server.key` can give a site any id.
    id : random, in hexadecimal. A site answers each id once.
    issued, expires : times in ISO 8601, UTC.
    content : the fields of the `TrainRequest`, `EvaluateRequest` or `CatchUpRequest`.
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
                f"valid for {span}; more than 0 and at most {LONGEST_VALIDITY.days} days are allowed"
            )
        return self


@dataclass(frozen=True)
class Received(Generic[Schema]):
    """A request whose signature, site and times are right, and its weights, shape (n,)."""

    envelope: Envelope
    content: Schema
    vector: NDArray[np.float32]


def seal(
    content: TrainRequest | EvaluateRequest | CatchUpRequest,
    weights: NDArray[np.float32],
    site: str,
    run: str,
    key: ed25519.Ed25519PrivateKey,
    phase_timeout: float,
    now: datetime | None = None,
) -> Content:
    """Sign a request for one site.

    Parameters
    ----------
    weights : the weights of the model, shape (n,).
    site : SHA-256 of the site's public node key, in hexadecimal.
    phase_timeout : seconds for which the coordinator waits for the answer.
    now : time of issue, with a time zone; None for the current time.
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
        content=content.model_dump(exclude_defaults=True),
    )
    text = envelope.model_dump_json()
    signature = base64.b64encode(key.sign(DOMAIN + text.encode())).decode()
    return Content(texts={REQUEST: text, SIGNATURE: signature}, weights=weights)


def read_request(
    message: Content,
    kind: type[Schema],
    key: ed25519.Ed25519PublicKey,
    site: str,
    now: datetime | None = None,
) -> Received[Schema]:
    """Read a request that is meant for this site. The caller checks that its id was not answered before.

    Parameters
    ----------
    key : the public key of the coordinator's signing key.
    site : SHA-256 of this site's public node key, in hexadecimal.
    now : the current time, with a time zone; None to read the clock.

    Raises
    ------
    RequestRefused
        If the signature, the site or the time is wrong.
    ServerRefused
        If the request does not follow the schema.
    """
    now = now or datetime.now(UTC)
    try:
        envelope = Envelope.model_validate_json(_signed_text(message, key))
        if envelope.kind != KINDS[kind]:
            raise ValueError(f"kind: '{envelope.kind}' in a message for '{KINDS[kind]}'")
        _check_addressee(envelope, site, now)
        return Received(envelope, kind.model_validate(envelope.content), weights_of(message))
    except ValidationError as error:
        raise _broken(str(first_fault(error))) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(str(error)) from error


def _signed_text(message: Content, key: ed25519.Ed25519PublicKey) -> str:
    text = _bounded(message.texts[REQUEST], REQUEST, LARGEST_REQUEST)
    signature = _bounded(message.texts[SIGNATURE], SIGNATURE, LARGEST_SIGNATURE)
    try:
        key.verify(base64.b64decode(signature, validate=True), DOMAIN + text.encode())
    except (InvalidSignature, ValueError) as error:
        raise RequestRefused(
            "the signature of the request is not that of this federation's coordinator: the server at this address does not have"
            " its signing key",
            "Before you join again, ask the coordinator by telephone whether its server key was stolen or its signing key has"
            " changed. If the signing key has changed, remove federation.json and install the new one with"
            " `ecgfl init --site NAME --federation FILE`",
        ) from error
    return text


def _bounded(value: str, name: str, largest: int) -> str:
    if len(value) > largest:
        raise ValueError(f"{name} is not a text of at most {largest} characters")
    return value


def _check_addressee(envelope: Envelope, site: str, now: datetime) -> None:
    if envelope.site != site:
        raise RequestRefused(
            f"the request is for another site (SHA-256 {envelope.site[:16]}..., this site's is {site[:16]}...)",
            "Tell the coordinator: somebody sent this site a request that was meant for another site",
        )
    issued, expires = (
        datetime.fromisoformat(envelope.issued),
        datetime.fromisoformat(envelope.expires),
    )
    if not issued - TOLERANCE <= now <= expires + TOLERANCE:
        raise RequestRefused(
            f"the request is valid from {_shown(issued)} to {_shown(expires)} UTC, and this machine's clock says"
            f" {_shown(now.astimezone(UTC))} UTC ({TOLERANCE.seconds // 60} minutes of difference are allowed)",
            "Compare the clocks of both machines. If they are right, tell the coordinator: somebody sent an old request again",
        )


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _broken(detail: str) -> ServerRefused:
    return ServerRefused(
        f"the coordinator's message does not follow ecgfl's schema: {detail[:200]}",
        "Install the same ecgfl version on both sides",
    )
