"""What a failed call to the coordinator means: worth another try, or an error for a person."""

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
UNAUTHORISED, PROXY_WANTS_PASSWORD, SERVER_ERROR = 401, 407, 500

HEARTBEAT_INVALID = 2003
ACTIVATION_FAILED = 2004
RUN_NOT_ALLOWED = 2007
"""Flower's codes."""

LARGEST_CODE = 1_000_000

STATUS = re.compile(r"[1-5]\d\d\b")


def error_code(response: httpx.Response) -> int | None:
    """Return Flower's error code in an answer, or None. Whatever the answer is: it may be anybody's."""
    try:
        code = getattr(
            FlowerError.from_json(response.content.decode("utf-8", "replace")), "code", None
        )
    except (ValueError, TypeError, RecursionError):
        return None
    return code if isinstance(code, int) and abs(code) < LARGEST_CODE else None


class Refusals:
    """Reads the failures of calls to one coordinator."""

    def __init__(self, server: str, proxy: Proxy | None) -> None:
        self._server, self._proxy = server, proxy

    def of(self, error: Exception, ahead: float | None) -> Exception | str:
        """The error to raise, or the reason in words where another try may help.

        ahead : seconds by which this machine's clock is ahead, as far as known.
        """
        if isinstance(error, httpx.HTTPStatusError):
            if error.response.status_code in RETRIED_STATUS:
                return f"it answered HTTP {error.response.status_code}"
            return self._answered(error.response, ahead)
        if isinstance(error, httpx.ProxyError):
            return self._proxy_said(str(error))
        if isinstance(error, httpx.TransportError):
            if (failure := tls_failure(error)) is not None:
                return tls_failed(self._server, failure)
            return self._not_connected(error)
        if isinstance(error, AnswerTooLarge):
            return self.message(str(error))
        return self.no_coordinator("its answer is not Flower's")

    def unreachable(self, reason: str, seconds: float) -> ServerUnreachable:
        """When the tries have come to an end."""
        way = "" if self._proxy is None else f" through the proxy {self._proxy.shown}"
        fix = "Check that the coordinator runs, the host name and port are right and the firewall lets this machine out"
        if self._proxy is not None:
            fix += "; the proxy comes from HTTPS_PROXY, and NO_PROXY leaves it out"
        tried = f" within {seconds:.0f} s" if seconds >= 1 else ""
        error = ServerUnreachable(
            f"{self._server}: not reached{way}{tried}: {reason.rstrip('.')}", fix
        )
        error.reason = reason.rstrip(".")
        return error

    def no_coordinator(self, problem: str) -> ServerRefused:
        return ServerRefused(
            f"{self._server}: {problem}",
            "Check that HOST:PORT is an ecgfl coordinator and not a proxy's or another server's",
        )

    def message(self, problem: str) -> MessageRefused:
        return MessageRefused(
            f"{self._server}: it sent {problem}",
            "Install the same ecgfl version on both sides; else tell the coordinator",
        )

    def not_enrolled(self) -> NotEnrolled:
        return NotEnrolled(
            f"{self._server}: this site's key is not enrolled there, or was revoked",
            "Send keys/node.pub of this home to the coordinator (`ecgfl coordinator enrol`)",
        )

    def connected_already(self) -> ConnectedAlready:
        return ConnectedAlready(
            f"{self._server}: this site is connected already",
            "End the other ecgfl that uses this key, on this machine or on another; after a crash wait 60 s and try again",
        )

    def _answered(self, response: httpx.Response, ahead: float | None) -> Exception:
        code = error_code(response)
        if response.status_code == httpx.codes.FORBIDDEN and code == RUN_NOT_ALLOWED:
            return RunOver()
        if code == ACTIVATION_FAILED:
            return self.connected_already()  # or not enrolled: Flower tells both by one code
        if response.status_code == UNAUTHORISED:
            return (
                clock_problem(self._server, ahead) if ahead is not None else None
            ) or SessionLost(
                f"{self._server}: it does not know this session (any more)",
                "Start again; if that does not help, check that the site is still enrolled, and this machine's clock",
            )
        if response.status_code == OTHER_VERSION:
            return VersionMismatch(
                f"{self._server}: its version of ecgfl or Flower does not go with this site's,"
                f" ecgfl {version('ecgfl')} with Flower {version('flwr')}",
                "Install the same ecgfl version on both sides",
            )
        return self.no_coordinator(
            f"it answered HTTP {response.status_code}" + (f", code {code}" if code else "")
        )

    def _proxy_said(self, words: str) -> EcgflError | str:
        shown = "the proxy" if self._proxy is None else f"the proxy {self._proxy.shown}"
        found = STATUS.match(words)
        if found is None or int(found[0]) >= SERVER_ERROR:
            return f"{shown} answered {words}"
        if int(found[0]) == PROXY_WANTS_PASSWORD:
            return ProxyRefused(
                f"{self._server}: {shown} wants another user and password: {words}",
                "Set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT; in a password %, @, : and / are written as %XX",
            )
        return ProxyRefused(
            f"{self._server}: {shown} does not let us through: {words}",
            f"Have it allow CONNECT to {self._server}, or set NO_PROXY to the host if there is a way without it",
        )

    def _not_connected(self, error: httpx.TransportError) -> str:
        if any(isinstance(each, socket.gaierror) for each in causes(error)):
            return f"the name {'of the proxy' if self._proxy else self._server.rpartition(':')[0]} does not resolve ({error})"
        return str(error) or type(error).__name__
