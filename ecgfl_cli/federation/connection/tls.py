"""Explain TLS errors: what is wrong with the coordinator's certificate, and who must correct it."""

import ssl
from collections.abc import Iterator
from datetime import timedelta

from ecgfl_cli.errors import TlsFailed

RENEW_BEFORE = timedelta(days=60)
"""Time before the expiry of a certificate from which both sides warn.

It is long because every site may need a new federation.json.
"""

EXPIRED = 10
NOT_YET_VALID = 9
OTHER_NAME = (62, 64)
OTHER_CA = (2, 7, 18, 19, 20, 21)
"""Error numbers of OpenSSL (X509_V_ERR_*)."""

DISCONNECTED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""Errors of a connection that broke during the handshake. They say nothing about a certificate."""


def tls_failure(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that caused an error of the HTTP library.

    Returns
    -------
    ssl.SSLError or None
        None if the cause is something else, or a connection that broke during the handshake.
    """
    failure = next((cause for cause in causes(error) if isinstance(cause, ssl.SSLError)), None)
    return None if isinstance(failure, DISCONNECTED) else failure


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of that, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def tls_failed(server: str, error: ssl.SSLError) -> TlsFailed:
    """Return the error with a message that names the problem and the fix.

    Parameters
    ----------
    server
        Address of the coordinator, "HOST:PORT".
    error
        The error of the TLS handshake.
    """
    host = server.rpartition(":")[0]
    code = getattr(error, "verify_code", None)
    if code == EXPIRED:
        return TlsFailed(
            f"{server}: TLS: the coordinator's certificate has expired",
            "The coordinator must renew it (`ecgfl coordinator renew`); if this machine's clock is"
            " ahead, correct it",
        )
    if code == NOT_YET_VALID:
        return TlsFailed(
            f"{server}: TLS: the coordinator's certificate is not valid yet",
            "Correct this machine's clock; if it is right, the coordinator's was wrong when it"
            " made the certificate",
        )
    if code in OTHER_NAME:
        return TlsFailed(
            f"{server}: TLS: the certificate is for another name than {host}",
            "Use --server with the host name in federation.json (server_name)",
        )
    if code in OTHER_CA:
        return TlsFailed(
            f"{server}: TLS: the certificate was issued by another CA than the one in"
            " federation.json or --ca",
            "Get federation.json from the coordinator again; if a proxy here inspects TLS, ask its"
            " administrator to exempt this host name",
        )
    return TlsFailed(
        f"{server}: TLS failed: {error}",
        "Check that HOST:PORT is the coordinator's address, and that federation.json (or --ca FILE)"
        " comes from this coordinator",
    )
