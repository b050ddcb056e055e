"""Set one deadline for each call: connecting, the proxy, TLS, sending, and the whole answer.

httpx's own timeouts apply to each read, so a call to a server that keeps sending single bytes would
never end.
"""

import contextlib
import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from ecgfl_cli.federation.flower.long_polling import WAIT_HEADER

LONGEST_CALL_SECONDS = 30.0
"""Longest duration of a call."""

LONGEST_PART_SECONDS = 120.0
"""Longest duration of a call with a part of a message. 1 MiB in 120 s needs 70 kbit/s."""

SHORTEST_CALL_SECONDS = 3.0
"""Smallest time limit: enough for a TLS handshake and a small answer over a slow connection."""

CARRIES_PART = ("/pull-object", "/push-object")
"""Ends of the paths of calls with a part of a message."""

WRITE_BYTES = 16 * 1024
"""Bytes that are written before the deadline is checked again."""

_PATIENT_UNTIL: ContextVar[float] = ContextVar("patient_until", default=math.inf)
_ENDS: ContextVar[float] = ContextVar("ends", default=math.inf)
"""Times on the monotonic clock. Each thread has its own."""


@contextlib.contextmanager
def patient_until(moment: float) -> Iterator[None]:
    """Make calls in the block end at about a moment, unless they carry a part of a message.

    Parameters
    ----------
    moment
        Time on the monotonic clock, in seconds.
    """
    token = _PATIENT_UNTIL.set(moment)
    try:
        yield
    finally:
        _PATIENT_UNTIL.reset(token)


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's transport with a deadline for each call, including its answer.

    A late call raises `httpx.TimeoutException`.

    Parameters
    ----------
    **options
        Options of `httpx.HTTPTransport`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pool._network_backend = _Backend()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Set the deadline of a request, and send it."""
        now = time.monotonic()
        if request.url.path.endswith(CARRIES_PART):
            _ENDS.set(now + LONGEST_PART_SECONDS)
        else:
            wait = int(request.headers.get(WAIT_HEADER, "0")) / 1000
            limit = max(_PATIENT_UNTIL.get() - now, SHORTEST_CALL_SECONDS) + wait
            _ENDS.set(now + min(limit, LONGEST_CALL_SECONDS))
        return super().handle_request(request)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            super().connect_tcp(
                host, port, _left(timeout, httpcore.ConnectTimeout), local_address, socket_options
            )
        )


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), WRITE_BYTES):
            self._stream.write(
                buffer[begin : begin + WRITE_BYTES], _left(timeout, httpcore.WriteTimeout)
            )

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(
            self._stream.start_tls(
                ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout)
            )
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Return the timeout for the next step in seconds. Raise `late` after the call's deadline."""
    left = _ENDS.get() - time.monotonic()
    if left <= 0:
        raise late("the whole answer did not come in time")
    shortest = min(left, math.inf if timeout is None else timeout)
    return None if shortest == math.inf else shortest
