"""What is wrong with a coordinator's certificate, in words that say whose turn it is."""

import ssl
from collections.abc import Iterator
from datetime import timedelta

from ecgfl_cli.errors import TlsFailed

RENEW_BEFORE = timedelta(days=60)
"""How long before a certificate expires both sides warn: every site may need a new federation.json by then."""

EXPIRED, NOT_YET_VALID = 10, 9
OTHER_NAME = (62, 64)
OTHER_CA = (2, 7, 18, 19, 20, 21)
"""OpenSSL's numbers (X509_V_ERR_*)."""

CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The line broke during the handshake; nothing was wrong with a certificate."""


def tls_failure(error: BaseException) -> ssl.SSLError | None:
    """The TLS error behind an HTTP library's error, None where it is something else or a line that broke."""
    found = next((each for each in causes(error) if isinstance(each, ssl.SSLError)), None)
    return None if isinstance(found, CUT_OFF) else found


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all those behind it."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__


def tls_failed(server: str, error: ssl.SSLError) -> TlsFailed:
    """The error for a person."""
    host = server.rpartition(":")[0]
    code = getattr(error, "verify_code", None)
    if code == EXPIRED:
        return TlsFailed(
            f"{server}: TLS: the coordinator's certificate has expired",
            "The coordinator must renew it (`ecgfl coordinator renew`); if this machine's clock is ahead, correct it",
        )
    if code == NOT_YET_VALID:
        return TlsFailed(
            f"{server}: TLS: the coordinator's certificate is not valid yet",
            "Set this machine's clock right; if it is right, the coordinator's was wrong when it made the certificate",
        )
    if code in OTHER_NAME:
        return TlsFailed(
            f"{server}: TLS: the certificate is for another name than {host}",
            "Use --server with the host name that the coordinator gave with federation.json (its server_name)",
        )
    if code in OTHER_CA:
        return TlsFailed(
            f"{server}: TLS: the certificate was issued by another CA than the one in federation.json or --ca",
            "Get federation.json from the coordinator again; if a proxy here opens TLS, have this host name excepted from that",
        )
    return TlsFailed(
        f"{server}: TLS failed: {error}",
        "Check that HOST:PORT is the coordinator's; use its own host name and federation.json (or --ca FILE)",
    )
