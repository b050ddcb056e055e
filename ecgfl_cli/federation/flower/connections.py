"""Limit the number of the coordinator's connections and the time that each may take.

A connection belongs to a stranger until a site has signed a call on it. Strangers may have only a
few connections for a short time, so that they cannot use up the file handles and memory that sites
need. If there are too many, the oldest connection is dropped instead of the newest. Therefore a
site, which signs immediately, can connect even during an attack.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_STRANGERS = 200
"""Largest number of connections of strangers. A TLS connection takes about 0.4 MiB."""

MOST_OF_AN_ADDRESS = 100
"""Largest number of connections of strangers from one address."""

MOST_OF_A_SITE = 16
"""Largest number of connections of a site.

It fetches the parts of a message on several of them, and keeps two or three open.
"""

STRANGER_SECONDS = 10.0
"""Time limit for the TLS handshake and the headers of the first signed call."""

HEAD_SECONDS = 10.0
"""Time limit for the headers of a later call, from its first byte."""

BODY_SECONDS = 120.0
"""Time limit for the body of a call.

8 MiB in 120 s need 0.6 Mbit/s; the weights have less than 1 MiB.
"""

IDLE_SECONDS = 75
"""Time limit between two calls of a site.

Sites close idle connections sooner, so that they send no call on one that is about to close.
"""

CLOSE_SECONDS = 2.0
"""Time limit for the TLS shutdown. After it the connection is dropped."""

LARGEST_HEAD = 16 * 2**10
"""Largest size of a call's headers in bytes. Those of ecgfl have about 1 KiB."""

NEW_A_SECOND = 200.0
"""Number of TLS handshakes begun per second.

A handshake takes 0.5 ms of processor time with the P-256 key of the server, 2 ms with a P-384 key
of an earlier release.
"""

NEW_AT_ONCE = 200.0
"""Number of TLS handshakes begun in a burst."""

MOST_WAITING = 200
"""Largest number of TCP connections that wait for their TLS handshake."""

MOST_WAITING_OF_AN_ADDRESS = 100
"""Largest number of waiting TCP connections from one address."""

BACKLOG = 1024
"""Largest number of connections that the system keeps until they are accepted."""

NO_HANDLE_SECONDS = 0.2
"""Pause before the next connection is accepted if no file handle was left."""


class Queue:
    """Accepted TCP connections that wait for their TLS handshake.

    The addresses take turns. The newest connection of an address is first, because the client may
    have given up the older ones.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[tuple[float, socket.socket]]] = OrderedDict()

    def add(self, accepted: socket.socket, address: str, now: float) -> None:
        """Add a connection. If too many wait, close the oldest.

        Parameters
        ----------
        accepted
            The connection.
        address
            Address of the client.
        now
            Time on the loop's clock, in seconds.
        """
        same_address = self._waiting.setdefault(address, deque())
        same_address.append((now, accepted))
        if len(same_address) > MOST_WAITING_OF_AN_ADDRESS:
            same_address.popleft()[1].close()
        elif sum(map(len, self._waiting.values())) > MOST_WAITING:
            longest: deque[tuple[float, socket.socket]] = max(self._waiting.values(), key=len)
            longest.popleft()[1].close()

    def take(self, now: float) -> socket.socket | None:
        """Remove the next connection and return it; None if no connection waits.

        Connections that have waited too long are closed.

        Parameters
        ----------
        now
            Time on the loop's clock, in seconds.
        """
        while self._waiting:
            address, same_address = self._waiting.popitem(last=False)
            while same_address and same_address[0][0] < now - STRANGER_SECONDS:
                same_address.popleft()[1].close()
            if same_address:
                _, accepted = same_address.pop()
                if same_address:
                    self._waiting[address] = same_address
                return accepted
        return None

    def close(self) -> None:
        """Close all connections."""
        for same_address in self._waiting.values():
            for _, accepted in same_address:
                accepted.close()
        self._waiting.clear()


class Connections:
    """All open connections. Its methods are called on the server's event loop.

    Parameters
    ----------
    most
        Largest number of connections at a time, including those of strangers.
    """

    def __init__(self, most: int) -> None:
        self._most = max(most, MOST_STRANGERS + MOST_OF_A_SITE)
        self._strangers: dict[Connection, str] = {}
        self._members: defaultdict[int, dict[Connection, None]] = defaultdict(dict)

    def add(self, connection: "Connection", address: str) -> None:
        """Add a new connection. It belongs to a stranger until a site has signed a call on it."""
        same_address = [stranger for stranger, other in self._strangers.items() if other == address]
        if len(same_address) >= MOST_OF_AN_ADDRESS:
            same_address[0].drop()
        elif len(self._strangers) >= MOST_STRANGERS:
            next(iter(self._strangers)).drop()
        self._strangers[connection] = address

    def authenticated(self, connection: "Connection", node: int) -> None:
        """Record that a site has signed a call on this connection."""
        if self._strangers.pop(connection, None) is None:
            return
        same_site = self._members[node]
        same_site[connection] = None
        if len(same_site) > MOST_OF_A_SITE:
            next(iter(same_site)).drop()
        elif sum(map(len, self._members.values())) > self._most - MOST_STRANGERS:
            busiest_site: dict[Connection, None] = max(self._members.values(), key=len)
            next(iter(busiest_site)).drop()

    def remove(self, connection: "Connection") -> None:
        """Remove a connection that has ended."""
        self._strangers.pop(connection, None)
        for node, same_site in list(self._members.items()):
            same_site.pop(connection, None)
            if not same_site:
                del self._members[node]


class Connection(H11Protocol):
    """One connection: TLS, then HTTP/1.1. Each step has a time limit.

    It begins as a bare TCP connection, because asyncio's own TLS listener would allocate buffers
    for any number of connections.

    Parameters
    ----------
    connections
        All connections of the server.
    tls
        TLS settings of the server.
    app_state
        State that uvicorn passes to the application. The connection is added to it.
    **others
        Other parameters of uvicorn's protocol.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        tls: ssl.SSLContext,
        app_state: dict[str, Any],
        **others: Any,
    ) -> None:
        super().__init__(app_state={**app_state, "connection": self}, **others)
        self._all = connections
        self._tls = tls
        self._bare: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start TLS on a new bare TCP connection."""
        self._bare = transport
        peer = transport.get_extra_info("peername")
        self._all.add(self, str(peer[0]) if peer else "")
        self._limit(STRANGER_SECONDS)
        self._handshake = self.loop.create_task(self._start_tls(transport))

    async def _start_tls(self, bare: asyncio.Transport) -> None:
        try:
            secured = await self.loop.start_tls(
                bare,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=STRANGER_SECONDS,
                ssl_shutdown_timeout=CLOSE_SECONDS,
            )
        except (OSError, RuntimeError):  # not TLS, an unsupported TLS version, or disconnected
            secured = None
        if secured is None or self._has_ended:
            bare.abort()
            self._end()
            return
        super().connection_made(secured)
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Pass data to uvicorn. The first data of a call starts its time limit."""
        if self.transport is None:  # `start_tls` may pass on data before it returns
            self._early.append(data)
            return
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._limit(HEAD_SECONDS)
        super().data_received(data)

    def authenticated(self, node: int) -> None:
        """Record that a site has signed the current call, whose body comes next."""
        self._all.authenticated(self, node)
        self._limit(BODY_SECONDS)

    def body_received(self) -> None:
        """Remove the time limit: the whole call has arrived, and the answer may take longer."""
        self._no_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        if self.transport is not None:
            super().connection_lost(exc)
        self._end()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection.

        Drop it if the peer does not read, because a normal close would wait for the peer.
        """
        if self.transport.get_write_buffer_size():
            self.drop()
        else:
            super().timeout_keep_alive_handler()

    def drop(self) -> None:
        """Abort the connection immediately."""
        self._end()
        for transport in (self.transport, self._bare):
            if transport is not None:
                transport.abort()

    def _end(self) -> None:
        self._has_ended = True
        self._no_limit()
        self._all.remove(self)

    def _limit(self, seconds: float) -> None:
        self._no_limit()
        self._timer = self.loop.call_later(seconds, self.drop)

    def _no_limit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def tls_context(certificate: Path, key: Path, passphrase: bytes | None = None) -> ssl.SSLContext:
    """Return the coordinator's TLS settings (TLS 1.2 or 1.3).

    Parameters
    ----------
    certificate, key
        PEM files with the server's certificate and private key.
    passphrase
        Passphrase of an encrypted key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key, passphrase)
    return context


class BoundedServer(uvicorn.Server):
    """uvicorn with limits on the rate of new connections and on the number of connections.

    Parameters
    ----------
    config
        Settings of uvicorn.
    listener
        Bound socket that is not listening yet.
    tls
        TLS settings of the server.
    most_connections
        Largest number of connections at a time.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        tls: ssl.SSLContext,
        most_connections: int,
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._tls = tls
        self._connections = Connections(most_connections)
        self._queue = Queue()
        self._has_waiting = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Start to listen."""
        await super().startup(sockets=[])
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._accept()),
            loop.create_task(self._start_connections()),
        ]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Accept no more connections, and end the existing ones."""
        for task in self._tasks:
            task.cancel()
        self._queue.close()
        await super().shutdown(sockets=[])

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listener)
            except OSError:  # no file handle is left, or the client has disconnected
                await asyncio.sleep(NO_HANDLE_SECONDS)
                continue
            self._queue.add(accepted, str(address[0]), loop.time())
            self._has_waiting.set()

    async def _start_connections(self) -> None:
        """Start TLS on the waiting connections, at the rate `NEW_A_SECOND` (a token bucket)."""
        loop = asyncio.get_running_loop()
        tokens = NEW_AT_ONCE
        refilled = loop.time()
        while True:
            await self._has_waiting.wait()
            now = loop.time()
            tokens = min(NEW_AT_ONCE, tokens + (now - refilled) * NEW_A_SECOND)
            refilled = now
            if tokens < 1:
                await asyncio.sleep(1 / NEW_A_SECOND)
                continue
            accepted = self._queue.take(now)
            if accepted is None:
                self._has_waiting.clear()
                continue
            tokens -= 1
            try:
                await loop.connect_accepted_socket(self._make_connection, accepted)
            except OSError:
                accepted.close()

    def _make_connection(self) -> "Connection":
        return Connection(
            connections=self._connections,
            tls=self._tls,
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )
