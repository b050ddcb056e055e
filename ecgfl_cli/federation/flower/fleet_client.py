"""Flower's HTTP client for the Fleet API, with ecgfl's own transport and signatures."""

import contextlib
import ssl
import time
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.date import now
from flwr.supercore.interceptors.http.utils import add_headers
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from flwr.supernode.fleet_http_client import FleetHttpClient

from ecgfl_cli.federation.connection.call_signature import sign_call
from ecgfl_cli.federation.connection.clock import seconds_ahead
from ecgfl_cli.federation.connection.proxy import Proxy
from ecgfl_cli.federation.flower import PROTOCOL, PROTOCOL_HEADER
from ecgfl_cli.federation.flower.answer_bounds import BoundedTransport
from ecgfl_cli.federation.flower.call_deadline import DeadlineTransport
from ecgfl_cli.federation.flower.long_polling import PULL_MESSAGES, WAIT_HEADER, WAITED_HEADER

CALL_SECONDS = 30.0
"""Timeout of httpx for each read and write; `call_deadline` limits the whole call."""

CONNECT_SECONDS = 10.0
"""Timeout of httpx for connecting."""

SHORTEST_DELAY_SECONDS = 0.2
"""An answer that came sooner does not count as delayed, whatever the coordinator states."""

MOST_CONNECTIONS = 2
"""One connection for the calls and one for the heartbeats.

Both are used often enough to stay open for the whole session. This matters because a coordinator
under attack serves known connections first, while new ones may have to wait.
"""

IDLE_SECONDS = 45.0
"""Time after which an idle connection is closed. Proxies close them after about a minute."""


class FleetClient(FleetHttpClient):
    """Sign each call with the node key, and send it to the coordinator.

    Each call states the versions of ecgfl and Flower. Unlike Flower's client, this one uses only
    the given proxy and none of the environment, follows no redirects, limits the size of the
    answers, and does not end the process if the versions differ.

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
    proxy
        The proxy; None for a direct connection.

    Attributes
    ----------
    last_answer
        The clock and the certificate of the coordinator, from its last answer.
    long_poll
        Settings and result of long polling.
    """

    def __init__(
        self,
        server: str,
        ca: bytes | None,
        key: ec.EllipticCurvePrivateKey,
        coordinator: str,
        proxy: Proxy | None,
    ) -> None:
        # Not Flower's __init__: its httpx.Client takes proxies from the environment by other
        # rules, and fails with some of them.
        self.last_answer = LastAnswer()
        self.long_poll = LongPoll()
        self._base_url = f"{'http' if ca is None else 'https'}://{server}"
        self._interceptors = (
            _VersionHeaders(),
            self.last_answer,
            self.long_poll,
            _Signature(key, coordinator),
        )
        self._retry_invoker = None
        verify = True if ca is None else _tls_context(ca)
        limits = httpx.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=IDLE_SECONDS)
        transport = DeadlineTransport(
            verify=verify,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,
            limits=limits,
        )
        timeout = httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(
            transport=BoundedTransport(transport), timeout=timeout, trust_env=False
        )

    def set_timeout(self, seconds: float) -> None:
        """Set the timeout of httpx for the next calls."""
        self._client.timeout = httpx.Timeout(seconds)


class LastAnswer:
    """The clock and the certificate of the coordinator, from its last answer.

    Attributes
    ----------
    ahead
        Seconds by which this machine's clock is ahead of the coordinator's; None before the first
        answer, or if an answer has no date.
    certificate
        The certificate as `ssl` returns it; None before the first answer, or without TLS.
    """

    def __init__(self) -> None:
        self.ahead: float | None = None
        self.certificate: dict[str, Any] | None = None

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Send a call, and store the clock and the certificate of its answer."""
        response = call_next(context)
        self.ahead = seconds_ahead(response.headers.get("date"), now())
        stream = response.extensions.get("network_stream")
        tls = None if stream is None else stream.get_extra_info("ssl_object")
        with contextlib.suppress(OSError, ValueError):  # the connection is closed
            self.certificate = None if tls is None else tls.getpeercert()
        return response


class LongPoll:
    """Let the coordinator delay its answer to a poll until there is a message.

    Attributes
    ----------
    seconds
        Longest delay.
    was_delayed
        Whether the last answer was delayed, so that the next poll may follow at once.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.was_delayed = False

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Send a call; if it is a poll, state the longest delay."""
        if context.request.url.path != PULL_MESSAGES:
            return call_next(context)
        self.was_delayed = False
        add_headers(context.request, {WAIT_HEADER: str(int(1000 * self.seconds))})
        began = time.monotonic()
        response = call_next(context)
        # Time is measured, too: a coordinator could otherwise make this site poll without a pause.
        elapsed = time.monotonic() - began
        self.was_delayed = WAITED_HEADER in response.headers and elapsed > SHORTEST_DELAY_SECONDS
        return response


class _Signature:
    def __init__(self, key: ec.EllipticCurvePrivateKey, coordinator: str) -> None:
        self._key, self._coordinator = key, coordinator

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        request = context.request
        path, seconds = request.url.path, now().timestamp()
        add_headers(
            request,
            sign_call(self._key, self._coordinator, request.method, path, request.content, seconds),
        )
        return call_next(context)


class _VersionHeaders:
    def __init__(self) -> None:
        flower = dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())
        self._headers = {**flower, PROTOCOL_HEADER: PROTOCOL}

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        add_headers(context.request, self._headers)
        return call_next(context)


def _tls_context(ca: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca.decode("ascii"))
    return context
