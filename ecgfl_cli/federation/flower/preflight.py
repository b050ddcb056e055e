"""Check whether the coordinator admits this site, without joining."""

import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.errors import ServerError, ServerUnreachable
from ecgfl_cli.federation.flower.fleet import FleetConnection


@dataclass(frozen=True)
class Preflight:
    """The answer of the coordinator.

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
    """Ask the coordinator once, without retries.

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
        A proxy setting is unusable.
    """
    connection = FleetConnection(server, ca, key, coordinator, patience=0)
    answers: list[Preflight] = []
    thread = threading.Thread(
        target=lambda: answers.append(_ask(connection)), name="preflight", daemon=True
    )
    thread.start()
    thread.join(seconds)
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
    answer = connection.last_answer
    until = None if answer.certificate is None else answer.certificate.get("notAfter")
    expires = (
        None if until is None else datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)
    )
    return Preflight(error, answer.ahead, expires)
