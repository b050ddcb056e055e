"""Ask the coordinator whether this site may join, without joining."""

import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.errors import ServerError, ServerUnreachable
from ecgfl_cli.federation.flower.fleet import FleetConnection


@dataclass(frozen=True)
class Preflight:
    """What the coordinator answered.

    Attributes
    ----------
    error
        Why the site may not join; None if it may.
    ahead
        Seconds by which this machine's clock is ahead; None if the coordinator did not answer.
    certificate_until
        When the coordinator's certificate expires; None if it is not known.
    """

    error: ServerError | None
    ahead: float | None = None
    certificate_until: datetime | None = None


def check_admission(
    server: str, ca: bytes | None, key: ec.EllipticCurvePrivateKey, coordinator: str, seconds: float
) -> Preflight:
    """Ask once, without retries.

    Parameters
    ----------
    server
        Address of the coordinator, "HOST:PORT".
    ca
        CA certificate of the coordinator, PEM; None for plain HTTP.
    key
        Node key of the site.
    coordinator
        Public signing key of the coordinator, base64.
    seconds
        Time limit, which also holds if the name service does not answer.

    Raises
    ------
    UsageError
        If a proxy setting is unusable.
    """
    connection = FleetConnection(server, ca, key, coordinator, patience=0)
    answers: list[Preflight] = []
    asking = threading.Thread(
        target=lambda: answers.append(_ask(connection)), name="preflight", daemon=True
    )
    asking.start()
    asking.join(seconds)
    late = ServerUnreachable(
        f"{server}: no answer within {seconds:.0f} s",
        "Check the host name, the port and the firewall",
    )
    return answers[0] if answers else Preflight(late)


def _ask(connection: FleetConnection) -> Preflight:
    error: ServerError | None = None
    try:
        if not connection.is_enrolled():
            error = connection.not_enrolled()
    except ServerError as refused:
        error = refused
    finally:
        connection.close()
    heard = connection.heard
    until = None if heard.certificate is None else heard.certificate.get("notAfter")
    expires = (
        None if until is None else datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)
    )
    return Preflight(error, heard.ahead, expires)
