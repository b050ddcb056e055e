"""Flower's HTTP client for the Fleet API, over a connection of ecgfl's own choosing."""

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
from ecgfl_cli.federation.flower.long_polling import HELD_HEADER, HOLD_HEADER, PULL_MESSAGES

CALL_SECONDS, CONNECT_SECONDS = 30.0, 10.0
SHORTEST_HOLD_SECONDS = 0.2

MOST_CONNECTIONS, IDLE_SECONDS = 2, 45.0
"""One connection for the calls and one for the heartbeat. Both are used often enough to stay open for the whole session. This
matters because a coordinator under attack serves known connections first, while new ones may have to wait. Proxies close idle
connections after about a minute."""


class FleetClient(FleetHttpClient):
    """Signs each call with the node's key, tells the coordinator our versions, and keeps what its last answer told.

    Unlike Flower's own it goes through the one proxy that it is given and through none of the environment's, follows no
    redirect with a signed call, reads no answer beyond its bounds, and does not end the process where the versions differ.
    """

    def __init__(
        self,
        server: str,
        ca: bytes | None,
        key: ec.EllipticCurvePrivateKey,
        coordinator: str,
        proxy: Proxy | None,
    ) -> None:
        # Not Flower's __init__: its httpx.Client takes proxies from the environment by other rules, and fails over some.
        self.heard = Heard()
        self._base_url = f"{'http' if ca is None else 'https'}://{server}"
        self.patience = Patience()
        self._interceptors = (
            _VersionHeaders(),
            self.heard,
            self.patience,
            _Signature(key, coordinator),
        )
        self._retry_invoker = None
        verify = True if ca is None else _trusting(ca)
        limits = httpx.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=IDLE_SECONDS)
        line = DeadlineTransport(
            verify=verify,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,
            limits=limits,
        )
        timeout = httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(
            transport=BoundedTransport(line), timeout=timeout, trust_env=False
        )

    def hurry(self, seconds: float) -> None:
        """Let the calls to come wait no longer than this."""
        self._client.timeout = httpx.Timeout(seconds)


class Heard:
    """What the last answer told beside its content.

    ahead : seconds by which this machine's clock is ahead of the coordinator's. certificate : as `ssl` gives it. None before
    the first answer, or where it has none.
    """

    def __init__(self) -> None:
        self.ahead: float | None = None
        self.certificate: dict[str, Any] | None = None

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        response = call_next(context)
        self.ahead = seconds_ahead(response.headers.get("date"), now())
        stream = response.extensions.get("network_stream")
        secured = None if stream is None else stream.get_extra_info("ssl_object")
        with contextlib.suppress(OSError, ValueError):  # closed already
            self.certificate = None if secured is None else secured.getpeercert()
        return response


class Patience:
    """Lets the coordinator hold a question for messages until there is something, at most for `seconds`.

    was_held : whether it held the last one: then the next may follow at once.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.was_held = False

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        if context.request.url.path != PULL_MESSAGES:
            return call_next(context)
        self.was_held = False
        add_headers(context.request, {HOLD_HEADER: str(int(1000 * self.seconds))})
        began = time.monotonic()
        response = call_next(context)
        # Its word alone would let a coordinator have this site ask all the time.
        self.was_held = (
            HELD_HEADER in response.headers and time.monotonic() - began > SHORTEST_HOLD_SECONDS
        )
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


def _trusting(ca: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca.decode("ascii"))
    return context
