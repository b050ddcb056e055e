"""Limit the number of the coordinator's connections and the time that each may take.

A connection belongs to a stranger until a site has signed a call on it. Strangers may have only a few connections for a short
time, so that they cannot use up the file handles and memory that sites need. When there are too many, the oldest connection is
dropped instead of the newest. Therefore a site, which signs at once, can connect even during an attack.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_STRANGERS, MOST_OF_AN_ADDRESS = 200, 100
"""Largest number of connections on which no site has signed a call yet: in total, and from one address. A TLS connection takes
about 0.4 MiB."""

MOST_OF_A_SITE = 16
"""Largest number of connections of a site. It fetches the parts of a message on several of them, and keeps two or three open."""

STRANGER_SECONDS = 10.0
"""From the beginning of a connection to the headers of its first signed call, including the TLS handshake."""

HEAD_SECONDS, BODY_SECONDS = 10.0, 120.0
"""From the first byte of a later call to the end of its headers, and from there to the end of its body. 8 MiB in 120 s are
0.6 Mbit/s; the weights are less than one MiB."""

IDLE_SECONDS = 75
"""Between two calls on a connection of a site. Sites close idle connections sooner, so that they send no call on one that is
about to close."""

CLOSE_SECONDS = 2.0
"""For the TLS shutdown; then the connection is dropped."""

LARGEST_HEAD = 16 * 2**10
"""Largest size of a call's headers in bytes. Those of ecgfl have about 1 KiB."""


NEW_A_SECOND, NEW_AT_ONCE = 200.0, 200.0
"""Number of TLS handshakes begun per second, and in a burst. A handshake takes 0.5 ms of
processor time with the P-256 key of the server, 2 ms with a P-384 key of an earlier release."""

MOST_WAITING, MOST_WAITING_OF_AN_ADDRESS = 200, 100
"""Largest number of TCP connections that wait for their TLS handshake: in all, and from one address."""

BACKLOG = 1024
"""Largest number of connections that the system keeps until they are accepted."""

NO_HANDLE_SECONDS = 0.2
"""Pause before the next connection is accepted if no file handle was left."""


class Queue:
    """Accepted TCP connections that wait for their TLS handshake.

    The addresses take turns, and of one address the newest connection is first: the others may have been given up already.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[tuple[float, socket.socket]]] = OrderedDict()

    def add(self, accepted: socket.socket, address: str, now: float) -> None:
        """Add a connection. Where too many wait, close the oldest. now : seconds on the loop's clock."""
        own = self._waiting.setdefault(address, deque())
        own.append((now, accepted))
        if len(own) > MOST_WAITING_OF_AN_ADDRESS:
            own.popleft()[1].close()
        elif sum(map(len, self._waiting.values())) > MOST_WAITING:
            longest: deque[tuple[float, socket.socket]] = max(self._waiting.values(), key=len)
            longest.popleft()[1].close()

    def take(self, now: float) -> socket.socket | None:
        """Remove the next connection and return it; None if none waits. Close those that have waited too long."""
        while self._waiting:
            address, own = self._waiting.popitem(last=False)
            while own and own[0][0] < now - STRANGER_SECONDS:
                own.popleft()[1].close()
            if own:
                _, accepted = own.pop()
                if own:
                    self._waiting[address] = own
                return accepted
        return None

    def close(self) -> None:
        """Close them all."""
        for own in self._waiting.values():
            for _, accepted in own:
                accepted.close()
        self._waiting.clear()


class Connections:
    """All open connections. Its methods are called on the server's event loop.

    Parameters
    ----------
    most : largest number of connections at a time, including those of strangers.
    """

    def __init__(self, most: int) -> None:
        self._most = max(most, MOST_STRANGERS + MOST_OF_A_SITE)
        self._strangers: dict[Connection, str] = {}
        self._members: defaultdict[int, dict[Connection, None]] = defaultdict(dict)

    def add(self, connection: "Connection", address: str) -> None:
        """Add a new connection. It belongs to a stranger until a site has signed a call on it."""
        of_address = [each for each, its in self._strangers.items() if its == address]
        if len(of_address) >= MOST_OF_AN_ADDRESS:
            of_address[0].drop()
        elif len(self._strangers) >= MOST_STRANGERS:
            next(iter(self._strangers)).drop()
        self._strangers[connection] = address

    def authenticated(self, connection: "Connection", node: int) -> None:
        """Record that a site has signed a call on this connection."""
        if self._strangers.pop(connection, None) is None:
            return
        ours = self._members[node]
        ours[connection] = None
        if len(ours) > MOST_OF_A_SITE:
            next(iter(ours)).drop()
        elif sum(map(len, self._members.values())) > self._most - MOST_STRANGERS:
            of_the_busiest_site: dict[Connection, None] = max(self._members.values(), key=len)
            next(iter(of_the_busiest_site)).drop()

    def remove(self, connection: "Connection") -> None:
        """Remove a connection that has ended."""
        self._strangers.pop(connection, None)
        for node, ours in list(self._members.items()):
            ours.pop(connection, None)
            if not ours:
                del self._members[node]


class Connection(H11Protocol):
    """One connection: TLS, then HTTP/1.1, each step with a time limit.

    It begins as a bare TCP connection, because asyncio's own TLS listener would allocate buffers for any number of connections.
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
        self._all, self._tls = connections, tls
        self._bare: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._securing: asyncio.Task[None] | None = None
        self._is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start TLS on a new bare TCP connection."""
        self._bare = transport
        peer = transport.get_extra_info("peername")
        self._all.add(self, str(peer[0]) if peer else "")
        self._limit(STRANGER_SECONDS)
        self._securing = self.loop.create_task(self._secure(transport))

    async def _secure(self, bare: asyncio.Transport) -> None:
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
        if secured is None or self._is_over:
            bare.abort()
            self._end()
            return
        super().connection_made(secured)
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
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

    def body_is_there(self) -> None:
        """Remove the time limit: the whole call has arrived, and the answer may take longer."""
        self._no_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            super().connection_lost(exc)
        self._end()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection. Drop it if the peer does not read, because a normal close would wait for that."""
        if self.transport.get_write_buffer_size():
            self.drop()
        else:
            super().timeout_keep_alive_handler()

    def drop(self) -> None:
        """Abort the connection at once."""
        self._end()
        for each in (self.transport, self._bare):
            if each is not None:
                each.abort()

    def _end(self) -> None:
        self._is_over = True
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

    certificate, key : PEM files. passphrase : the passphrase of an encrypted key.
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
    listener : a bound socket that is not listening yet.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        tls: ssl.SSLContext,
        most_connections: int,
    ) -> None:
        super().__init__(config)
        self._listener, self._tls = listener, tls
        self._connections = Connections(most_connections)
        self._queue, self._news = Queue(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Start to listen."""
        await super().startup(sockets=[])
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each) for each in (self._accept(), self._begin())]

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
            except (
                OSError
            ):  # no file handle is left in the whole system, or the connection has gone already
                await asyncio.sleep(NO_HANDLE_SECONDS)
                continue
            self._queue.add(accepted, str(address[0]), loop.time())
            self._news.set()

    async def _begin(self) -> None:
        """Begin TLS with the connections that wait, at most `NEW_A_SECOND`."""
        loop = asyncio.get_running_loop()
        tokens, looked = NEW_AT_ONCE, loop.time()
        while True:
            await self._news.wait()
            now = loop.time()
            tokens, looked = min(NEW_AT_ONCE, tokens + (now - looked) * NEW_A_SECOND), now
            if tokens < 1:
                await asyncio.sleep(1 / NEW_A_SECOND)
                continue
            accepted = self._queue.take(now)
            if accepted is None:
                self._news.clear()
                continue
            tokens -= 1
            try:
                await loop.connect_accepted_socket(self._made, accepted)
            except OSError:
                accepted.close()

    def _made(self) -> "Connection":
        return Connection(
            connections=self._connections,
            tls=self._tls,
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )
