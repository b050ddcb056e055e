"""Interpret failed calls to the coordinator: retry, or raise an error with a fix."""

import re
import socket
from importlib.metadata import version

import httpx
from flwr.supercore.error import FlowerError

from ecgfl_cli.errors import (
    ConnectedAlready,
    EcgflError,
    MessageRefused,
    NotEnrolled,
    ProxyRefused,
    ServerRefused,
    ServerUnreachable,
    SessionLost,
    VersionMismatch,
)
from ecgfl_cli.federation.connection.clock import clock_problem
from ecgfl_cli.federation.connection.proxy import Proxy
from ecgfl_cli.federation.connection.tls import causes, tls_failed, tls_failure
from ecgfl_cli.federation.flower import OTHER_VERSION
from ecgfl_cli.federation.flower.answer_bounds import AnswerTooLarge
from ecgfl_cli.federation.transport import RunOver

RETRIED_STATUS = (502, 503, 504)
UNAUTHORISED = 401
PROXY_AUTHENTICATION = 407
SERVER_ERROR = 500

HEARTBEAT_INVALID = 2003
ACTIVATION_FAILED = 2004
RUN_NOT_ALLOWED = 2007
"""Error codes of Flower."""

LARGEST_CODE = 1_000_000
"""Larger numbers in an answer are not codes of Flower."""

STATUS = re.compile(r"[1-5]\d\d\b")
"""HTTP status at the start of httpx's message about a proxy."""


def error_code(response: httpx.Response) -> int | None:
    """Return Flower's error code in an answer; None if it has none, whoever sent the answer."""
    try:
        code = getattr(
            FlowerError.from_json(response.content.decode("utf-8", "replace")), "code", None
        )
    except (ValueError, TypeError, RecursionError):
        return None
    return code if isinstance(code, int) and abs(code) < LARGEST_CODE else None


class Refusals:
    """The errors for failed calls to one coordinator.

    Parameters
    ----------
    server
        Address of the coordinator, "HOST:PORT".
    proxy
        The proxy; None for a direct connection.
    """

    def __init__(self, server: str, proxy: Proxy | None) -> None:
        self._server = server
        self._proxy = proxy

    def of(self, error: Exception, ahead: float | None) -> Exception | str:
        """Return the error to raise, or a text with the reason if a retry may help.

        Parameters
        ----------
        error
            The error of the call.
        ahead
            Seconds by which this machine's clock is ahead; None if it is not known.
        """
        if isinstance(error, httpx.HTTPStatusError):
            if error.response.status_code in RETRIED_STATUS:
                return f"it answered HTTP {error.response.status_code}"
            return self._answered(error.response, ahead)
        if isinstance(error, httpx.ProxyError):
            return self._proxy_error(str(error))
        if isinstance(error, httpx.TransportError):
            if (failure := tls_failure(error)) is not None:
                return tls_failed(self._server, failure)
            return self._not_connected(error)
        if isinstance(error, AnswerTooLarge):
            return self.message(str(error))
        return self.no_coordinator("its answer is not Flower's")

    def unreachable(self, reason: str, seconds: float) -> ServerUnreachable:
        """Return the error after the last retry.

        Parameters
        ----------
        reason
            Why the last call failed.
        seconds
            Duration of all tries.
        """
        route = "" if self._proxy is None else f" through the proxy {self._proxy.shown}"
        fix = (
            "Check that the coordinator runs, that the host name and the port are right, and that"
            " the firewall allows the connection"
        )
        if self._proxy is not None:
            fix += "; the proxy comes from HTTPS_PROXY, and NO_PROXY excludes hosts from it"
        duration = f" within {seconds:.0f} s" if seconds >= 1 else ""
        error = ServerUnreachable(
            f"{self._server}: not reached{route}{duration}: {reason.rstrip('.')}", fix
        )
        error.reason = reason.rstrip(".")
        return error

    def no_coordinator(self, problem: str) -> ServerRefused:
        """Return the error for an answer that does not come from a coordinator."""
        return ServerRefused(
            f"{self._server}: {problem}",
            "Check that HOST:PORT is an ecgfl coordinator, not a proxy or another server",
        )

    def message(self, problem: str) -> MessageRefused:
        """Return the error for a message that this site cannot read."""
        return MessageRefused(
            f"{self._server}: it sent {problem}",
            "Install the same ecgfl version on both sides; if that does not help, tell the"
            " coordinator",
        )

    def not_enrolled(self) -> NotEnrolled:
        """Return the error for a key that the coordinator does not know."""
        return NotEnrolled(
            f"{self._server}: this site's key is not enrolled there, or was revoked",
            "Send keys/node.pub of this home to the coordinator (`ecgfl coordinator enrol`)",
        )

    def connected_already(self) -> ConnectedAlready:
        """Return the error for a key that another session uses."""
        return ConnectedAlready(
            f"{self._server}: this site is connected already",
            "End the other ecgfl that uses this key, on this machine or on another; after a crash"
            " wait 60 s and try again",
        )

    def _answered(self, response: httpx.Response, ahead: float | None) -> Exception:
        code = error_code(response)
        if response.status_code == httpx.codes.FORBIDDEN and code == RUN_NOT_ALLOWED:
            return RunOver()
        if code == ACTIVATION_FAILED:
            return self.connected_already()  # or not enrolled: Flower has one code for both
        if response.status_code == UNAUTHORISED:
            if ahead is not None and (problem := clock_problem(self._server, ahead)) is not None:
                return problem
            return SessionLost(
                f"{self._server}: it does not know this session (any more)",
                "Start again; if that does not help, check that the site is still enrolled, and"
                " check this machine's clock",
            )
        if response.status_code == OTHER_VERSION:
            return VersionMismatch(
                f"{self._server}: its version of ecgfl or Flower is not compatible with this"
                f" site's, ecgfl {version('ecgfl')} with Flower {version('flwr')}",
                "Install the same ecgfl version on both sides",
            )
        return self.no_coordinator(
            f"it answered HTTP {response.status_code}" + (f", code {code}" if code else "")
        )

    def _proxy_error(self, answer: str) -> EcgflError | str:
        proxy = "the proxy" if self._proxy is None else f"the proxy {self._proxy.shown}"
        status = STATUS.match(answer)
        if status is None or int(status[0]) >= SERVER_ERROR:
            return f"{proxy} answered {answer}"
        if int(status[0]) == PROXY_AUTHENTICATION:
            return ProxyRefused(
                f"{self._server}: {proxy} requires another user name and password: {answer}",
                "Set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT; write %, @, : and / in a password"
                " as %XX",
            )
        return ProxyRefused(
            f"{self._server}: {proxy} refuses the connection: {answer}",
            f"Ask its administrator to allow CONNECT to {self._server}, or set NO_PROXY to the host"
            " if it can be reached without the proxy",
        )

    def _not_connected(self, error: httpx.TransportError) -> str:
        if any(isinstance(cause, socket.gaierror) for cause in causes(error)):
            name = "of the proxy" if self._proxy else self._server.rpartition(":")[0]
            return f"the name {name} does not resolve ({error})"
        return str(error) or type(error).__name__
