"""Asks the coordinator whether this site may join, without joining: what `doctor` knows of the other side."""

import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from ecgfl_cli.errors import ServerError, ServerUnreachable
from ecgfl_cli.federation.flower.fleet import FleetConnection


@dataclass(frozen=True)
class Knock:
    """error : why the site may not join, None when it may. ahead : seconds by which this machine's clock is ahead.

    certificate_until : when the coordinator's certificate expires. Both None where it did not come to that.
    """

    error: ServerError | None
    ahead: float | None = None
    certificate_until: datetime | None = None


def knock(
    server: str, ca: bytes | None, key: ec.EllipticCurvePrivateKey, coordinator: str, seconds: float
) -> Knock:
    """One call, which nobody repeats. Never takes longer than `seconds`, also where the name service hangs.

    coordinator : the coordinator's public signing key, base64.

    Raises `UsageError` for an unusable proxy setting.
    """
    connection = FleetConnection(server, ca, key, coordinator, patience=0)
    answers: list[Knock] = []
    asking = threading.Thread(
        target=lambda: answers.append(_ask(connection)), name="knock", daemon=True
    )
    asking.start()
    asking.join(seconds)
    late = ServerUnreachable(
        f"{server}: no answer within {seconds:.0f} s",
        "Check the host name, the port and the firewall",
    )
    return answers[0] if answers else Knock(late)


def _ask(connection: FleetConnection) -> Knock:
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
    return Knock(error, heard.ahead, expires)
